"""A real Prefect server in a scratch home, and steps whose outcome the test decides.

The wiring tests run flows in this process and put a recorder in place of the steps; the steps
themselves run in `test_week.py`, started by a deployment and a worker.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from devtools.doubles.steps import SPEC, Recorder
from devtools.servers.prefect_server import PrefectServer

# This folder is run by the Prefect environment's own pytest; the others cannot import it.
if find_spec("prefect") is None:
    collect_ignore_glob = ["test_*.py"]

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """Started by the first test that asks; this process talks to it and to no other."""
    assert "prefect" not in sys.modules, "Prefect was imported before its server was named"
    home = tmp_path_factory.mktemp("prefect")
    server = PrefectServer(python=Path(sys.executable), home=home)
    os.environ.update(server.settings())
    with server:
        yield server


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
