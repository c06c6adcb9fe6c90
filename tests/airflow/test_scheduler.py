"""Under the real scheduler: kills double nothing, and one failed run is one alert."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from devtools.servers.processes import PATIENCE_S, wait_until
from devtools.synthetic import FIRST, SPEC, write_days
from devtools.traces import open_toy, traces
from tests.airflow.servers import Servers

# As in tests/pipeline: the rule of the labels reverses on day 18, so that the champion of day 17
# is soon wrong, and the run of day 36 trains a better one, which takes over in the same run.
BOOTSTRAP, DAY = FIRST + timedelta(days=17), FIRST + timedelta(days=36)

DAG_FILE = """\
from datetime import UTC, datetime, timedelta
from retrain_ops.airflow import retraining_dag
from tests.airflow import holds

holds.install({folder!r} + "/holds")
for name, retries in {dags!r}:
    globals()[name] = retraining_dag(
        {folder!r} + "/{spec}", dag_id=name, model=name, workspace={folder!r} + "/workspace",
        retries=retries, retry_delay=timedelta(seconds=1), n_threads=1,
        start_date=datetime(2020, 1, 1, tzinfo=UTC), end_date=datetime(2020, 12, 31, tzinfo=UTC),
    )
"""
# Where a DAG's task is held until it, or its supervisor, is killed.
HELD_AT = {
    "killed_train": "train",
    "killed_promotion": "aliases",
    "killed_supervisor": "promote_challenger",
    "killed_for_good": "train",
}
DAGS = {"undisturbed": 1} | {name: int(name != "killed_for_good") for name in HELD_AT}


@dataclass(frozen=True, slots=True)
class World:
    """Synthetic rows, and a day of every DAG under way."""

    folder: Path
    servers: Servers
    days: dict[str, int] = field(default_factory=dict)

    def start(self, dag_id: str) -> None:
        self.days[dag_id] = self.servers.airflow.start_day(dag_id, DAY.isoformat())

    def ended(self, dag_id: str) -> dict[str, Any]:
        """The DAG's day through the scheduler; the finished run."""
        self.servers.airflow.finished(self.days[dag_id], PATIENCE_S)
        return self.servers.only_run(dag_id)

    def tasks(self, dag_id: str) -> dict[str, dict[str, Any]]:
        run_id = self.servers.only_run(dag_id)["dag_run_id"]
        return self.servers.airflow.tasks(dag_id, run_id)

    def flag(self, dag_id: str) -> Path:
        return self.folder / "holds" / f"{dag_id}.{HELD_AT[dag_id]}"

    def alerts(self, dag_id: str) -> list[str]:
        return self.servers.said("FAILED", dag_id)

    def counts(self, dag_id: str) -> dict[str, Any]:
        """Everything that a second attempt could double."""
        return traces(self.folder, dag_id, DAY, self.servers.mlflow.url)


@pytest.fixture(scope="module")
def world(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    write_days(folder / "rows", 60, rule_changes=18, shift_from=18, shift=0.6)
    database = f"sqlite:///{folder}/features.db?timeout=600"
    publish = f'\n[publish]\nurl = "{database}"\ntable = "features"\n'
    (folder / "toy.toml").write_text(SPEC + publish)
    refused = SPEC.replace("label_rate = [0.05, 0.95]", "label_rate = [0.98, 0.99]")
    assert refused != SPEC
    (folder / "refused.toml").write_text(refused)
    (folder / "holds").mkdir()
    world = World(folder, servers)
    for name in (*DAGS, "refused"):
        _bootstrap(folder, name, servers.mlflow.url)
    # A file of its own: the dag-processor's log of it tells of the callbacks of this DAG alone.
    text = DAG_FILE.format(folder=str(folder), spec="refused.toml", dags=[("refused", 1)])
    servers.add_dags("refused", text, ["refused"])
    text = DAG_FILE.format(folder=str(folder), spec="toy.toml", dags=list(DAGS.items()))
    servers.add_dags("killed", text, list(DAGS))
    for name in HELD_AT:
        world.flag(name).touch()
    for name in DAGS:
        world.start(name)
    yield world
    for name in HELD_AT:
        world.flag(name).unlink(missing_ok=True)


def _bootstrap(folder: Path, model: str, tracking_uri: str) -> None:
    from retrain_ops.cli.main import run_day

    output = run_day(open_toy(folder, model, BOOTSTRAP, tracking_uri, bootstrap=True))
    assert output["outcome"] == "challenger", output


def _kill(world: World, dag_id: str, who: Callable[[list[int]], int]) -> dict[str, Any]:
    """When the DAG's task is held, SIGKILL one of [task, supervisor]; the finished run."""
    flag = world.flag(dag_id)
    reached = flag.with_name(f"{flag.name}.reached")
    wait_until(f"{dag_id} at {flag.name}", PATIENCE_S, reached.exists, every_s=0.05)
    os.kill(who([int(pid) for pid in reached.read_text().split()]), signal.SIGKILL)
    flag.unlink()
    return world.ended(dag_id)


def _task(pids: list[int]) -> int:
    return pids[0]


def _supervisor(pids: list[int]) -> int:
    return pids[1]


@pytest.fixture(scope="module")
def undisturbed(world: World) -> dict[str, Any]:
    """What one day leaves behind when nobody is killed."""
    assert world.ended("undisturbed")["state"] == "success"
    return world.counts("undisturbed")


def test_the_undisturbed_day_promotes_and_doubles_nothing(undisturbed: dict[str, Any]) -> None:
    assert undisturbed["runs"] == [BOOTSTRAP.isoformat(), DAY.isoformat()]
    assert undisturbed["versions"] == [BOOTSTRAP.isoformat(), DAY.isoformat()]
    assert undisturbed["aliases"] == {"champion": "2", "previous": "1"}
    assert undisturbed["torn"] == []
    assert all(rows == ids > 0 for _, rows, ids in undisturbed["feature_rows"])


@pytest.mark.parametrize(
    ("dag_id", "who"),
    [
        ("killed_supervisor", _supervisor),  # first: its death is noticed last
        ("killed_train", _task),
        ("killed_promotion", _task),
    ],
)
def test_after_sigkill_and_a_retry_nothing_is_doubled_and_nobody_alerted(
    world: World, undisturbed: dict[str, Any], dag_id: str, who: Any
) -> None:
    run = _kill(world, dag_id, who)
    tries = {name: ti["try_number"] for name, ti in world.tasks(dag_id).items()}
    assert run["state"] == "success"
    assert max(tries.values()) == 2
    assert world.counts(dag_id) == undisturbed
    assert world.alerts(dag_id) == []


def test_running_the_same_day_again_changes_nothing(
    world: World, undisturbed: dict[str, Any]
) -> None:
    world.start("undisturbed")
    assert world.ended("undisturbed")["state"] == "success"
    assert world.counts("undisturbed") == undisturbed


def test_a_task_killed_for_good_is_one_alert_and_a_red_run(world: World) -> None:
    run = _kill(world, "killed_for_good", _task)
    assert run["state"] == "failed"
    assert world.tasks("killed_for_good")["summarise"]["state"] == "success"
    (alert,) = world.alerts("killed_for_good")
    assert "train: it did not end" in alert
    assert (
        f"\n{world.servers.airflow.url}/dags/killed_for_good/runs/{quote(run['dag_run_id'])}/"
        in alert
    )
    assert "/tasks/train?try_number=" in alert


def test_refused_data_is_one_alert_and_a_red_run_and_touches_no_champion(world: World) -> None:
    files, champion = _files(world, BOOTSTRAP), _aliases(world)
    world.start("refused")
    run = world.ended("refused")
    states = {name: ti["state"] for name, ti in world.tasks("refused").items()}
    assert run["state"] == "failed"
    assert states["validate_data"] == "failed"
    assert states["train"] == states["watcher"] == "upstream_failed"
    assert states["summarise"] == "success"
    wait_until("the run's callback", PATIENCE_S, lambda: _callback_ran(world))
    (alert,) = world.alerts("refused")
    assert "validate_data" in alert
    assert _aliases(world) == champion == {"champion": "1"}
    assert _files(world, BOOTSTRAP) == files


def _aliases(world: World) -> dict[str, str]:
    run = open_toy(world.folder, "refused", DAY, world.servers.mlflow.url)
    return dict(run.registry.snapshot().aliases)


def _files(world: World, day: date) -> dict[str, bytes]:
    folder = world.folder / "workspace" / "refused" / f"window_end={day.isoformat()}"
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _callback_ran(world: World) -> bool:
    """The dag-processor has dealt with the failed run, so that a second alert would be there."""
    logs = (world.servers.airflow.home / "logs" / "dag_processor").rglob("refused.py.log")
    return any("on_failure dag callback" in p.read_text(errors="replace") for p in logs)
