"""The Airflow 3 commands of docs/runbook.md under the real scheduler, on PostgreSQL.

In the order of a bad night: a day is missing, a bug refuses its rows, the fix is there, the failed
day is cleared, the days are backfilled, and backfilled once more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from devtools import runbook
from devtools.servers.processes import PATIENCE_S, wait_until
from devtools.synthetic import FIRST, SPEC, write_days
from devtools.traces import open_toy, traces
from tests.airflow.servers import Servers

BOOTSTRAP, DAY, NEXT, FORCED = (FIRST + timedelta(days=d) for d in (17, 36, 37, 38))
MODEL = "night"
COMMANDS = [(b.heading, c) for b in runbook.blocks("airflow3") for c in b.commands]
# The one command of its section that starts runs; the others look, or let the DAG run.
(BACKFILL,) = [
    (heading, command)
    for heading, command in COMMANDS
    if heading == "A bug spoilt a week" and " create " in command and "--dry-run" not in command
]
executed: set[tuple[str, str]] = set()

DAG_FILE = """\
from datetime import datetime, timezone
from retrain_ops.airflow import retraining_dag

dag = retraining_dag(
    {folder!r} + "/toy.toml", workspace={folder!r} + "/workspace",
    dag_id={model!r}, model={model!r}, n_threads=1, retries=0,
    start_date=datetime(2020, 1, 1, tzinfo=timezone.utc),
    end_date=datetime(2020, 12, 31, tzinfo=timezone.utc),
)
"""


@dataclass(frozen=True, slots=True)
class World:
    """A toy model whose DAG runs when the page's commands say so."""

    folder: Path
    servers: Servers

    def say(self, heading: str, day: date = DAY) -> list[str]:
        """The section's commands in order, with the page's names set; what each printed."""
        return self.run([entry for entry in COMMANDS if entry[0] == heading], day)

    def run(self, commands: Sequence[tuple[str, str]], day: date) -> list[str]:
        names = {"DAG": MODEL, "DAY": str(day), "FIRST": str(DAY), "LAST": str(NEXT)}
        variables = {**self.servers.airflow.variables(), **names}
        printed = []
        for heading, command in commands:
            code, text = runbook.run(command, variables, timeout_s=PATIENCE_S)
            assert code == 0, f"{command}: {code}\n{text}"
            executed.add((heading, command))
            printed.append(text)
        return printed

    def ended(self, count: int) -> dict[str, str]:
        """Wait until so many runs have ended and no backfill is under way; states by day."""
        airflow = self.servers.airflow

        def over() -> bool:
            runs = airflow.runs(MODEL)
            found = airflow.api("GET", f"/backfills?dag_id={MODEL}&limit=100")["backfills"]
            done = all(run["state"] in ("success", "failed") for run in runs)
            return len(runs) == count and done and all(b["completed_at"] for b in found)

        wait_until(f"{count} runs", PATIENCE_S, over)
        return {run["logical_date"][:10]: run["state"] for run in airflow.runs(MODEL)}

    def attempts(self) -> tuple[int, ...]:
        """How often each day of the span was begun."""
        records = [self.toy(day).read("run.json") or {} for day in (DAY, NEXT)]
        return tuple(int(record.get("attempt", 0)) for record in records)

    def toy(self, day: date) -> Any:
        return open_toy(self.folder, MODEL, day, self.servers.mlflow.url)

    def traces(self, *days: date) -> list[dict[str, Any]]:
        return [traces(self.folder, MODEL, day, self.servers.mlflow.url) for day in days]


@dataclass(frozen=True, slots=True)
class Hour:
    """What the night had come to after some commands, and what they printed."""

    states: dict[str, str]
    attempts: tuple[int, ...]
    traces: list[dict[str, Any]]
    printed: list[str]


@pytest.fixture(scope="module")
def world(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("night")
    write_days(folder / "rows", 60, rule_changes=18, shift_from=18, shift=0.6)
    _write_spec(folder, SPEC)
    _bootstrap(folder, servers.mlflow.url)
    text = DAG_FILE.format(folder=str(folder), model=MODEL)
    servers.add_dags("night", text, [MODEL], paused=True)
    return World(folder, servers)


def _write_spec(folder: Path, text: str) -> None:
    publish = f'\n[publish]\nurl = "sqlite:///{folder}/features.db"\ntable = "features"\n'
    (folder / "toy.toml").write_text(text + publish)


def _bootstrap(folder: Path, tracking_uri: str) -> None:
    from retrain_ops.cli.main import run_day

    output = run_day(open_toy(folder, MODEL, BOOTSTRAP, tracking_uri, bootstrap=True))
    assert output["outcome"] == "challenger", output


# A test that is run alone plays the night as far as it needs.


@pytest.fixture(scope="module")
def red(world: World) -> Hour:
    bug = SPEC.replace("label_rate = [0.05, 0.95]", "label_rate = [0.98, 0.99]")
    assert bug != SPEC
    _write_spec(world.folder, bug)
    printed = world.say("Drift every day")  # ends with the DAG unpaused: else nothing would run
    printed += world.say("A day is missing")
    return Hour(world.ended(1), world.attempts(), [], printed)


@pytest.fixture(scope="module")
def fixed(world: World, red: Hour) -> Hour:
    _write_spec(world.folder, SPEC)
    printed = world.say("A day failed")
    wait_until("the cleared day", PATIENCE_S, lambda: world.ended(1) == {str(DAY): "success"})
    return Hour(world.ended(1), world.attempts(), world.traces(DAY), printed)


@pytest.fixture(scope="module")
def backfilled(world: World, fixed: Hour) -> Hour:
    printed = world.say("A bug spoilt a week")
    return Hour(world.ended(2), world.attempts(), world.traces(DAY, NEXT), printed)


@pytest.fixture(scope="module")
def again(world: World, backfilled: Hour) -> Hour:
    printed = world.run([BACKFILL], DAY)
    return Hour(world.ended(2), world.attempts(), world.traces(DAY, NEXT), printed)


@pytest.fixture(scope="module")
def forced(world: World, again: Hour) -> Hour:
    printed = world.say("The model is too old", FORCED)
    return Hour(world.ended(3), world.attempts(), [], printed)


@pytest.fixture(scope="module")
def triggerer(world: World) -> list[str]:
    return world.say("A shadow does not end")


def test_a_missing_day_is_run_and_a_bug_makes_it_red(red: Hour) -> None:
    assert red.states == {str(DAY): "failed"}


def test_the_failed_day_goes_on_when_the_bug_is_fixed(fixed: Hour) -> None:
    assert fixed.states == {str(DAY): "success"}
    (left,) = fixed.traces
    assert left["aliases"] == {"champion": "2", "previous": "1"}
    assert left["decision"]["outcome"] == "challenger"


def test_a_backfill_reprocesses_every_day_of_the_span_the_last_included(
    fixed: Hour, backfilled: Hour
) -> None:
    dry_run = backfilled.printed[1]
    assert str(DAY) in dry_run
    assert str(NEXT) in dry_run
    assert backfilled.states == {str(DAY): "success", str(NEXT): "success"}
    assert fixed.attempts[1] == 0
    assert backfilled.attempts == (fixed.attempts[0] + 1, 1)


def test_the_same_backfill_again_changes_nothing(backfilled: Hour, again: Hour) -> None:
    before = backfilled.traces
    assert before[0]["aliases"] == {"champion": "2", "previous": "1"}
    assert all(rows == ids > 0 for _, rows, ids in before[0]["feature_rows"])
    assert again.states == {str(DAY): "success", str(NEXT): "success"}
    assert again.traces == before
    assert again.attempts == tuple(count + 1 for count in backfilled.attempts)


def test_a_model_too_old_is_trained_by_a_forced_run(world: World, forced: Hour) -> None:
    assert forced.states[str(FORCED)] == "success"
    decision = world.toy(FORCED).read("decision.json") or {}
    assert decision["drift"]["reason"] == "forced"


def test_the_triggerer_is_asked_whether_it_lives(triggerer: list[str]) -> None:
    (printed,) = triggerer
    assert "Found one alive job" in printed


def test_every_command_of_the_page_was_executed(forced: Hour, triggerer: list[str]) -> None:
    assert executed == set(COMMANDS)
