"""A real Prefect server in a scratch home, and steps whose outcome the test decides.

The wiring tests run flows in this process and put a recorder in place of the steps; the steps
themselves run in `test_week.py`, started by a deployment and a worker.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from devtools.servers.prefect_server import PrefectServer

# This folder is run by the Prefect environment's own pytest; the others cannot import it.
if find_spec("prefect") is None:
    collect_ignore_glob = ["test_*.py"]

REPO = Path(__file__).resolve().parents[2]
SPEC = """\
[model]
name = "toy"

[source]
path = "rows"
label = "late"

[features]
numeric = ["a"]
"""


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """Started by the first test that asks; this process talks to it and to no other."""
    assert "prefect" not in sys.modules, "Prefect was imported before its server was named"
    home = tmp_path_factory.mktemp("prefect")
    server = PrefectServer(python=Path(sys.executable), home=home)
    os.environ.update(server.settings())
    with server:
        yield server


@dataclass(slots=True)
class Recorder:
    """Stands in for the steps: what was called, and who was told."""

    outcomes: dict[str, Callable[[Any], dict[str, Any]]] = field(default_factory=dict)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    alerts: list[tuple[str, str]] = field(default_factory=list)

    def run_step(self, name: str, run: Any, *, alert: bool = True) -> dict[str, Any]:
        self.calls.append((name, run))
        usual = {"step": name, "status": "ok", "summary": name, "triggered": True}
        if name == "summarise":
            usual["outcome"] = "skipped"
        try:
            return usual | self.outcomes.get(name, lambda run: {})(run)
        except Exception as error:
            from retrain_ops.errors import NotYet

            if alert and not isinstance(error, NotYet):
                self.alert_failure(run, name, str(error))
            raise

    def alert_failure(self, run: Any, step: str, message: str) -> None:
        """Once per attempt, as the workspace's record does it."""
        if not self.alerts:
            self.alerts.append((step, message))

    @property
    def steps_run(self) -> list[str]:
        return [name for name, _ in self.calls]

    def fails(self, name: str, *errors: Exception) -> None:
        """The step raises these, one call after the other, and then succeeds."""
        left = list(errors)

        def outcome(run: Any) -> dict[str, Any]:
            if left:
                raise left.pop(0)
            return {}

        self.outcomes[name] = outcome


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    import retrain_ops.steps.alerts
    import retrain_ops.steps.runner

    recorder = Recorder()
    monkeypatch.setattr(retrain_ops.steps.runner, "run_step", recorder.run_step)
    monkeypatch.setattr(retrain_ops.steps.alerts, "alert_failure", recorder.alert_failure)
    return recorder


@pytest.fixture
def options(prefect_server: PrefectServer, tmp_path: Path) -> dict[str, Any]:
    """Arguments of a flow factory for a world that only the recorder sees."""
    (tmp_path / "toy.toml").write_text(SPEC)
    return {
        "spec": tmp_path / "toy.toml",
        "workspace": str(tmp_path / "workspace"),
        "tracking_uri": "http://127.0.0.1:9",
        "retries": 0,
        "retry_delay_seconds": 0,
    }
