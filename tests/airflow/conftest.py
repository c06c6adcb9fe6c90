"""Airflow in a scratch home, and steps whose outcome the test decides.

These tests are about wiring: which step runs, for which day, in which state the run ends, who is
told. They put a recorder in place of `retrain_ops.run` and `retrain_ops.steps`; the steps
themselves are tested without Airflow, and together with it by `test_week.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from devtools.servers.mlflow_server import MlflowServer
from tests.airflow.servers import REPO, Servers, running

# This folder is run by an Airflow environment's own pytest; the others cannot import it.
collect_ignore_glob = ["test_*.py"] if find_spec("airflow") is None else []
# Asked of the metadata: nothing may import Airflow before its home is set.
AIRFLOW_3 = not collect_ignore_glob and version("apache-airflow").startswith("3")
# The servers of these tests are those of Airflow 3; 2.x runs everything else, and datasets.
collect_ignore = ["test_datasets.py"] if AIRFLOW_3 else ["test_scheduler.py", "test_events.py"]


@pytest.fixture(scope="session", autouse=True)
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated metadata database; set before anything imports Airflow."""
    assert "airflow" not in sys.modules, "Airflow was imported before its home was set"
    home = tmp_path_factory.mktemp("airflow")
    dags = home / "dags"
    dags.mkdir()
    os.environ.update(
        {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "PYTHONPATH": os.pathsep.join([str(REPO), os.environ.get("PYTHONPATH", "")]),
        }
    )
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        check=True,
        timeout=600,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    return home


@pytest.fixture(scope="session")
def servers(
    airflow_home: Path, mlflow_server: MlflowServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    """Started by the first test that asks; names of DAGs and models must be unique."""
    with running(tmp_path_factory.mktemp("servers"), mlflow_server) as servers:
        yield servers


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on the servers come last, so that nobody else pays for servers that run idle."""
    items.sort(key=lambda item: "servers" in getattr(item, "fixturenames", ()))


@dataclass(frozen=True, slots=True)
class FakeRunContext:
    orchestrator: str = "cli"
    dag_run_id: str = ""
    logical_date: str = ""
    try_number: int = 1
    trigger: str = "schedule"
    forced: bool = False
    bootstrap: bool = False
    url: str = ""
    reason: str = ""
    look: bool = False


@dataclass(frozen=True, slots=True)
class FakeRun:
    spec: str
    date: date
    workspace: str | None
    tracking_uri: str | None
    context: FakeRunContext
    segment: str | None = None

    def read(self, name: str) -> None:
        return None


@dataclass(slots=True)
class Recorder:
    """Stands in for the steps: what was called, and who was told."""

    outcomes: dict[str, Callable[[FakeRun], dict[str, Any]]] = field(default_factory=dict)
    calls: list[tuple[str, FakeRun]] = field(default_factory=list)
    alerts: list[tuple[str, date, str]] = field(default_factory=list)

    def open_run(self, spec: str, *, date: date, **rest: Any) -> FakeRun:
        given = (rest[name] for name in ("workspace", "tracking_uri", "context", "segment"))
        return FakeRun(spec, date, *given)

    def run_step(
        self, name: str, run: FakeRun, *, alert: bool = True, patience_s: float = 0.0
    ) -> dict[str, Any]:
        self.calls.append((name, run))
        outcome = self.outcomes.get(name, lambda run: {"triggered": True})
        try:
            return {"step": name, "status": "ok"} | outcome(run)
        except Exception as error:
            from retrain_ops.errors import BusyError, NotYet

            if alert and not isinstance(error, NotYet | BusyError):
                self.alert_failure(run, name, str(error))
            raise

    def alert_failure(self, run: FakeRun, step: str, message: str) -> None:
        """Once per key and attempt, as the workspace's record does it."""
        if run.date not in [day for _, day, _ in self.alerts]:
            self.alerts.append((step, run.date, message))

    @property
    def steps_run(self) -> list[str]:
        return [name for name, _ in self.calls]


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    run = types.ModuleType("retrain_ops.run")
    run.open_run = recorder.open_run  # type: ignore[attr-defined]
    run.RunContext = FakeRunContext  # type: ignore[attr-defined]
    run.require_workspace = lambda value: value  # type: ignore[attr-defined]
    run.run_record = lambda run: run.read("run.json") or {}  # type: ignore[attr-defined]
    run.steps_name = lambda run: "steps"  # type: ignore[attr-defined]
    runner = types.ModuleType("retrain_ops.steps.runner")
    runner.run_step = recorder.run_step  # type: ignore[attr-defined]
    alerts = types.ModuleType("retrain_ops.steps.alerts")
    alerts.alert_failure = recorder.alert_failure  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "retrain_ops.run", run)
    monkeypatch.setitem(sys.modules, "retrain_ops.steps.runner", runner)
    monkeypatch.setitem(sys.modules, "retrain_ops.steps.alerts", alerts)
    return recorder


def play(dag: Any, instant: datetime, conf: dict[str, Any] | None = None) -> Any:
    """One run of a DAG in this process; the finished DAG run."""
    if not AIRFLOW_3:  # its tables are named in a foreign key of 2.x
        import airflow.providers.fab.auth_manager.models  # noqa: F401
    name = "logical_date" if AIRFLOW_3 else "execution_date"
    return dag.test(**{name: instant}, run_conf=conf)


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run ended."""

    state: str
    tasks: dict[str, str]


@pytest.fixture
def run_day(airflow_home: Path) -> Callable[..., Finished]:
    """Run the flights DAG for one day through Airflow and report the states.

    `run_day.factory` runs the DAG of another factory.
    """

    def run(day: date, *, conf: dict[str, Any] | None = None, **options: Any) -> Finished:
        instant = datetime(day.year, day.month, day.day, 2, tzinfo=UTC)
        return run_factory("retraining_dag", instant, conf=conf, **options)

    def run_factory(
        name: str,
        instant: datetime,
        *,
        spec: str = "/nowhere/flights.toml",
        conf: dict[str, Any] | None = None,
        **options: Any,
    ) -> Finished:
        import retrain_ops.airflow

        dag_file = airflow_home / "dags" / "flights_dag.py"
        arguments = {"retries": 0, **options}
        dag_file.write_text(
            "import datetime\n"
            f"from retrain_ops.airflow import {name}\n"
            f"dag = {name}({spec!r}, **{arguments!r})\n"
        )
        finished = play(getattr(retrain_ops.airflow, name)(spec, **arguments), instant, conf)
        states = {ti.task_id: str(ti.state) for ti in finished.get_task_instances()}
        return Finished(str(finished.state), states)

    run.factory = run_factory  # type: ignore[attr-defined]
    return run
