"""The Airflow 3 commands of docs/runbook.md under the real scheduler, on PostgreSQL.

In the order of a bad night: a day is missing, a bug refuses its rows, the fix is there, the failed
day is cleared, the days are backfilled, and backfilled once more.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from devtools import runbook
from devtools.servers.airflow_server import AirflowServer, wait_until
from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from devtools.servers.postgres_server import postgres
from devtools.synthetic import FIRST, SPEC, write_days
from devtools.traces import open_toy, traces
from tests.airflow.conftest import REPO

BOOTSTRAP, DAY, NEXT = (FIRST + timedelta(days=d) for d in (17, 36, 37))
WITHIN_S = 240.0
MODEL = "night"
COMMANDS = [(b.heading, c) for b in runbook.blocks("airflow3") for c in b.commands]
executed: set[tuple[str, str]] = set()

DAG_FILE = """\
from datetime import datetime, timezone
from retrain_ops.airflow import retraining_dag

dag = retraining_dag(
    {spec!r}, dag_id={model!r}, model={model!r}, n_threads=1, retries=0,
    start_date=datetime(2020, 1, 1, tzinfo=timezone.utc),
    end_date=datetime(2020, 12, 31, tzinfo=timezone.utc),
)
"""


@dataclass(frozen=True, slots=True)
class World:
    """A toy model whose DAG runs when the page's commands say so."""

    folder: Path
    airflow: AirflowServer
    mlflow: MlflowServer

    def say(self, heading: str, day: date = DAY) -> list[str]:
        """The section's commands in order, with the page's names set; what each printed."""
        names = {"DAG": MODEL, "DAY": str(day), "FIRST": str(DAY), "LAST": str(NEXT)}
        variables = {**self.airflow.variables(), **names}
        printed = []
        for command in (c for h, c in COMMANDS if h == heading):
            code, text = runbook.run(command, variables, timeout_s=WITHIN_S)
            assert code == 0, f"{command}: {code}\n{text}"
            executed.add((heading, command))
            printed.append(text)
        return printed

    def ended(self, count: int) -> dict[str, str]:
        """Wait until so many runs have ended and no backfill is under way; states by day."""

        def over() -> bool:
            runs = self.airflow.runs(MODEL)
            found = self.airflow.api("GET", f"/backfills?dag_id={MODEL}&limit=100")["backfills"]
            done = all(run["state"] in ("success", "failed") for run in runs)
            return len(runs) == count and done and all(b["completed_at"] for b in found)

        wait_until(f"{count} runs", WITHIN_S, over)
        return {run["logical_date"][:10]: run["state"] for run in self.airflow.runs(MODEL)}

    def attempt(self, day: date) -> int:
        """How often the day was begun."""
        record = open_toy(self.folder, MODEL, day, self.mlflow.url).read("run.json") or {}
        return int(record.get("attempt", 0))

    def traces(self) -> list[dict[str, Any]]:
        return [traces(self.folder, MODEL, day, self.mlflow.url) for day in (DAY, NEXT)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("night")
    write_days(folder / "rows", 60, rule_changes=18, shift_from=18, shift=0.6)
    _write_spec(folder, SPEC)
    (folder / "dags").mkdir()
    text = DAG_FILE.format(spec=str(folder / "toy.toml"), model=MODEL)
    (folder / "dags" / "night.py").write_text(text)
    with ExitStack() as servers:
        mlflow = servers.enter_context(MlflowServer(folder / "mlflow", mlflow_python()))
        _bootstrap(folder, mlflow.url)
        airflow = AirflowServer(
            python=Path(sys.executable),
            home=folder / "airflow",
            dags=folder / "dags",
            database=servers.enter_context(postgres()),
            environment={
                "PYTHONPATH": str(REPO),
                "MLFLOW_TRACKING_URI": mlflow.url,
                "RETRAIN_OPS_WORKSPACE": str(folder / "workspace"),
            },
        )
        servers.enter_context(airflow)
        airflow.wait_for_dag(MODEL)
        yield World(folder, airflow, mlflow)


def _write_spec(folder: Path, text: str) -> None:
    publish = f'\n[publish]\nurl = "sqlite:///{folder}/features.db"\ntable = "features"\n'
    (folder / "toy.toml").write_text(text + publish)


def _bootstrap(folder: Path, tracking_uri: str) -> None:
    from retrain_ops.cli.main import run_day

    output = run_day(open_toy(folder, MODEL, BOOTSTRAP, tracking_uri, bootstrap=True))
    assert output["outcome"] == "challenger", output


def test_a_missing_day_is_run_and_a_bug_makes_it_red(world: World) -> None:
    bug = SPEC.replace("label_rate = [0.05, 0.95]", "label_rate = [0.98, 0.99]")
    assert bug != SPEC
    _write_spec(world.folder, bug)
    world.say("Drift every day")  # ends with the DAG unpaused: a paused one would run nothing
    world.say("A day is missing")
    assert world.ended(1) == {str(DAY): "failed"}


def test_the_failed_day_goes_on_when_the_bug_is_fixed(world: World) -> None:
    _write_spec(world.folder, SPEC)
    world.say("A day failed")
    wait_until("the cleared day", WITHIN_S, lambda: world.ended(1) == {str(DAY): "success"})
    left = traces(world.folder, MODEL, DAY, world.mlflow.url)
    assert left["aliases"] == {"champion": "2", "previous": "1"}
    assert left["decision"]["outcome"] == "challenger"


def test_a_backfill_reprocesses_every_day_of_the_span_the_last_included(world: World) -> None:
    before = world.attempt(DAY)
    printed = world.say("A bug spoilt a week")
    assert str(DAY) in printed[1]
    assert str(NEXT) in printed[1]
    assert world.ended(2) == {str(DAY): "success", str(NEXT): "success"}
    assert (world.attempt(DAY), world.attempt(NEXT)) == (before + 1, 1)


def test_the_same_backfill_again_changes_nothing(world: World) -> None:
    before, attempts = world.traces(), (world.attempt(DAY), world.attempt(NEXT))
    assert before[0]["aliases"] == {"champion": "2", "previous": "1"}
    assert all(rows == ids > 0 for _, rows, ids in before[0]["feature_rows"])
    world.say("A bug spoilt a week")
    assert world.ended(2) == {str(DAY): "success", str(NEXT): "success"}
    assert world.traces() == before
    assert (world.attempt(DAY), world.attempt(NEXT)) == (attempts[0] + 1, attempts[1] + 1)


def test_a_model_too_old_is_trained_by_a_forced_run(world: World) -> None:
    day = NEXT + timedelta(days=1)
    world.say("The model is too old", day)
    assert world.ended(3)[str(day)] == "success"
    decision = open_toy(world.folder, MODEL, day, world.mlflow.url).read("decision.json") or {}
    assert decision["drift"]["reason"] == "forced"


def test_the_triggerer_is_asked_whether_it_lives(world: World) -> None:
    (printed,) = world.say("A shadow does not end")
    assert "Found one alive job" in printed


def test_every_command_of_the_page_was_executed() -> None:
    """Last in the file; each test above does a part."""
    assert executed == set(COMMANDS)
