"""Under the real scheduler: kills double nothing, and one failed run is one alert."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from devtools.servers.airflow_server import AirflowServer, wait_until
from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from devtools.servers.slack_server import SlackServer
from devtools.synthetic import FIRST, SPEC, write_days
from devtools.traces import open_toy, traces
from tests.airflow.conftest import REPO

# As in tests/pipeline: the rule of the labels reverses on day 18, so that the champion of day 17
# is soon wrong, and the run of day 36 trains a better one, which takes over in the same run.
BOOTSTRAP, DAY = FIRST + timedelta(days=17), FIRST + timedelta(days=36)
WITHIN_S = 240.0

DAG_FILE = """\
from datetime import UTC, datetime, timedelta
from retrain_ops.airflow import retraining_dag
from tests.airflow import holds

holds.install({holds!r})
for name, spec, retries in {dags!r}:
    globals()[name] = retraining_dag(
        spec, dag_id=name, model=name, retries=retries, retry_delay=timedelta(seconds=1),
        start_date=datetime(2020, 1, 1, tzinfo=UTC), end_date=datetime(2020, 12, 31, tzinfo=UTC),
        n_threads=1,
    )
"""

# Deaths are noticed within seconds. Parsing has time: this DAG file imports the steps themselves.
SETTINGS = {
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",
    "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "150",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "12",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
}


@dataclass(frozen=True, slots=True)
class World:
    """Real servers around synthetic rows."""

    folder: Path
    airflow: AirflowServer
    mlflow: MlflowServer
    slack: SlackServer

    def run(self, dag_id: str) -> dict[str, Any]:
        """One day through the scheduler; the finished run."""
        self.airflow.reprocess_day(dag_id, DAY.isoformat(), within_s=WITHIN_S)
        (run,) = self.airflow.runs(dag_id)
        return run

    def tasks(self, dag_id: str) -> dict[str, dict[str, Any]]:
        (run,) = self.airflow.runs(dag_id)
        return self.airflow.tasks(dag_id, run["dag_run_id"])

    def alerts(self, dag_id: str) -> list[str]:
        texts = [str(message["text"]) for message in self.slack.messages]
        return [text for text in texts if text.startswith(f"[FAILED] {dag_id} ")]

    def counts(self, dag_id: str) -> dict[str, Any]:
        """Everything that a second attempt could double."""
        return traces(self.folder, dag_id, DAY, self.mlflow.url)


KILLED = ("killed_train", "killed_promotion", "killed_supervisor")
DAGS = ("undisturbed", *KILLED, "killed_for_good", "refused")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    write_days(folder / "rows", 60, rule_changes=18, shift_from=18, shift=0.6)
    publish = f'\n[publish]\nurl = "sqlite:///{folder}/features.db"\ntable = "features"\n'
    (folder / "toy.toml").write_text(SPEC + publish)
    refused = SPEC.replace("label_rate = [0.05, 0.95]", "label_rate = [0.98, 0.99]")
    assert refused != SPEC
    (folder / "refused.toml").write_text(refused)
    (folder / "holds").mkdir()
    (folder / "dags").mkdir()
    dags = [
        (
            name,
            str(folder / ("refused.toml" if name == "refused" else "toy.toml")),
            0 if name == "killed_for_good" else 1,
        )
        for name in DAGS
    ]
    text = DAG_FILE.format(holds=str(folder / "holds"), dags=dags)
    (folder / "dags" / "toy_dags.py").write_text(text)
    with ExitStack() as servers:
        mlflow = servers.enter_context(MlflowServer(folder / "mlflow", mlflow_python()))
        slack = servers.enter_context(SlackServer())
        for name in DAGS:
            _bootstrap(folder, name, mlflow.url)
        airflow = AirflowServer(
            python=Path(os.sys.executable),  # type: ignore[attr-defined]
            home=folder / "airflow",
            dags=folder / "dags",
            environment={
                **SETTINGS,
                "PYTHONPATH": str(REPO),
                "MLFLOW_TRACKING_URI": mlflow.url,
                "RETRAIN_OPS_WORKSPACE": str(folder / "workspace"),
                "SLACK_WEBHOOK_URL": slack.url,
            },
        )
        servers.enter_context(airflow)
        for name in DAGS:
            airflow.wait_for_dag(name)
            airflow.unpause(name)
        yield World(folder, airflow, mlflow, slack)
    shutil.rmtree(folder / "airflow", ignore_errors=True)


def _bootstrap(folder: Path, model: str, tracking_uri: str) -> None:
    from retrain_ops.cli.main import run_day

    output = run_day(open_toy(folder, model, BOOTSTRAP, tracking_uri, bootstrap=True))
    assert output["outcome"] == "challenger", output


def _kill_at(world: World, point: str, dag_id: str, who: Callable[[list[int]], int]) -> None:
    """Run the DAG's day; when its task stays at `point`, SIGKILL one of [task, supervisor]."""
    flag, reached = world.folder / "holds" / point, world.folder / "holds" / f"{point}.reached"
    flag.touch()
    runner = threading.Thread(target=world.run, args=(dag_id,))
    runner.start()
    try:
        wait_until(f"{dag_id} at {point}", WITHIN_S, reached.exists, every_s=0.05)
        os.kill(who([int(pid) for pid in reached.read_text().split()]), signal.SIGKILL)
    finally:
        flag.unlink()
        reached.unlink(missing_ok=True)
        runner.join(WITHIN_S)


def _task(pids: list[int]) -> int:
    return pids[0]


def _supervisor(pids: list[int]) -> int:
    return pids[1]


@pytest.fixture(scope="module")
def undisturbed(world: World) -> dict[str, Any]:
    """What one day leaves behind when nobody is killed."""
    assert world.run("undisturbed")["state"] == "success"
    return world.counts("undisturbed")


def test_the_undisturbed_day_promotes_and_doubles_nothing(undisturbed: dict[str, Any]) -> None:
    assert undisturbed["runs"] == [BOOTSTRAP.isoformat(), DAY.isoformat()]
    assert undisturbed["versions"] == [BOOTSTRAP.isoformat(), DAY.isoformat()]
    assert undisturbed["aliases"] == {"champion": "2", "previous": "1"}
    assert undisturbed["torn"] == []
    assert all(rows == ids > 0 for _, rows, ids in undisturbed["feature_rows"])


@pytest.mark.parametrize(
    ("dag_id", "point", "who"),
    [
        ("killed_train", "train", _task),
        ("killed_promotion", "aliases", _task),
        ("killed_supervisor", "promote_challenger", _supervisor),
    ],
)
def test_after_sigkill_and_a_retry_nothing_is_doubled_and_nobody_alerted(
    world: World, undisturbed: dict[str, Any], dag_id: str, point: str, who: Any
) -> None:
    _kill_at(world, point, dag_id, who)
    (run,) = world.airflow.runs(dag_id)
    tries = {name: ti["try_number"] for name, ti in world.tasks(dag_id).items()}
    assert run["state"] == "success"
    assert max(tries.values()) == 2
    assert world.counts(dag_id) == undisturbed
    assert world.alerts(dag_id) == []


def test_running_the_same_day_again_changes_nothing(
    world: World, undisturbed: dict[str, Any]
) -> None:
    assert world.run("undisturbed")["state"] == "success"
    assert world.counts("undisturbed") == undisturbed


def test_a_task_killed_for_good_is_one_alert_and_a_red_run(world: World) -> None:
    _kill_at(world, "train", "killed_for_good", _task)
    (run,) = world.airflow.runs("killed_for_good")
    assert run["state"] == "failed"
    assert world.tasks("killed_for_good")["summarise"]["state"] == "success"
    (alert,) = world.alerts("killed_for_good")
    assert "train: it did not end" in alert
    assert f"\n{world.airflow.url}/dags/killed_for_good/runs/{quote(run['dag_run_id'])}/" in alert
    assert "/tasks/train?try_number=" in alert


def test_refused_data_is_one_alert_and_a_red_run_and_touches_no_champion(world: World) -> None:
    files, champion = _files(world, BOOTSTRAP), _aliases(world)
    run = world.run("refused")
    states = {name: ti["state"] for name, ti in world.tasks("refused").items()}
    assert run["state"] == "failed"
    assert states["validate_data"] == "failed"
    assert states["train"] == states["watcher"] == "upstream_failed"
    assert states["summarise"] == "success"
    wait_until("the run's callback", 60, lambda: _callback_ran(world))
    (alert,) = world.alerts("refused")
    assert "validate_data" in alert
    assert _aliases(world) == champion == {"champion": "1"}
    assert _files(world, BOOTSTRAP) == files


def _aliases(world: World) -> dict[str, str]:
    run = open_toy(world.folder, "refused", DAY, world.mlflow.url)
    return dict(run.registry.snapshot().aliases)


def _files(world: World, day: date) -> dict[str, bytes]:
    folder = world.folder / "workspace" / "refused" / f"window_end={day.isoformat()}"
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _callback_ran(world: World) -> bool:
    """The dag-processor has dealt with the failed run, so that a second alert would be there."""
    logs = (world.folder / "airflow" / "logs").rglob("*.log")
    return any("on_failure dag callback" in p.read_text(errors="replace") for p in logs)
