"""A bug in validation spoils the demo's week; fixed, the week is backfilled as the runbook says.

The bug is a range that refuses valid rows. The real scheduler plays the spoilt week; commands of
docs/runbook.md repair it, on one Airflow of each major. The same once more may change nothing, nor
may two backfills and a scheduled run of the same days at once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from threading import Thread
from typing import Any

from devtools import runbook
from devtools.flights_week import proof, week
from devtools.flights_week.places import DAG_ID, SPEC, Places, chosen_week
from devtools.servers.airflow_server import AirflowServer
from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from devtools.servers.processes import wait_until
from proofs import same_bytes
from proofs.airflow_week import bootstrap_day, contents_of, differences
from proofs.airflow_worlds import Scheduler, finish, scheduler
from retrain_ops.decisions.record import read_decision

VALID, BUG = "distance = [10, 6000]", "distance = [10, 2400]"
AGAIN, SCHEDULED, PAGE = "flights_again", "flights_scheduled", "flights_page"
WITHIN_S = 900.0
SETTINGS = {"AIRFLOW__CORE__PARALLELISM": "4"}
# The first plays the week; the others are for doing the same days at the same time.
DAGS = """\
from datetime import datetime, timezone
from retrain_ops.airflow import retraining_dag

for name, first, last in {dags!r}:
    globals()[name] = retraining_dag(
        {spec!r},
        dag_id=name,
        start_date=datetime.fromisoformat(first).replace(tzinfo=timezone.utc),
        end_date=datetime.fromisoformat(last).replace(tzinfo=timezone.utc),
        catchup=True,
        retries=0,
    )
"""


@dataclass(frozen=True, slots=True)
class World:
    """One Airflow around one week."""

    places: Places
    airflow: Scheduler
    tracking_uri: str
    days: Sequence[date]

    def look(self) -> dict[str, Any]:
        """Everything that could double, and how often each day was run."""
        counts = proof.count(self.places, self.days, self.tracking_uri)
        runs = [self.places.open_run(day, self.tracking_uri) for day in self.days]
        decisions = [read_decision(run.workspace, run.window.end) for run in runs]
        counts["attempts"] = [(run.read("run.json") or {}).get("attempt", 0) for run in runs]
        counts["outcomes"] = [d["outcome"] if d else "failed" for d in decisions]
        return counts

    def backfill(self, dag_id: str, days: Sequence[date]) -> None:
        """The runbook's commands for a spoilt week; returns when the days are done."""
        names = {"DAG": dag_id, "FIRST": days[0].isoformat(), "LAST": days[-1].isoformat()}
        self.say("A bug spoilt a week", names)
        if isinstance(self.airflow, AirflowServer):
            _wait_for_backfills(self.airflow, dag_id)
        finish(self.airflow, dag_id, len(days), within_s=WITHIN_S)

    def say(self, heading: str, names: dict[str, str]) -> list[str]:
        """The commands of one section of the runbook; each has to end well."""
        kind = "airflow3" if isinstance(self.airflow, AirflowServer) else "airflow2"
        blocks = [block for block in runbook.blocks(kind) if block.heading == heading]
        commands = [command for block in blocks for command in block.commands]
        for command in commands:
            variables = {**self.airflow.variables(), **names}
            code, printed = runbook.run(command, variables, timeout_s=WITHIN_S)
            if code:
                raise RuntimeError(f"{command}: {code}\n{printed[-4000:]}")
        return commands


def _wait_for_backfills(airflow: AirflowServer, dag_id: str) -> None:
    def over() -> bool:
        found = airflow.api("GET", f"/backfills?dag_id={dag_id}&limit=100")["backfills"]
        return all(entry["completed_at"] is not None for entry in found)

    wait_until(f"the backfill of {dag_id}", WITHIN_S, over, every_s=1.0)


def prove(version: str, folder: Path) -> dict[str, Any]:
    """The whole story on one version of Airflow."""
    days = chosen_week()
    places = Places(folder=folder, state=folder, source=Places.default().source)
    spec = folder / "flights.toml"
    spec.write_text(SPEC.read_text())
    dags = _write_dags(folder / "dags", spec, days)
    with ExitStack() as stack:
        mlflow = stack.enter_context(MlflowServer(folder / "mlflow", mlflow_python()))
        week.bootstrap(places, bootstrap_day(days), mlflow.url)
        variables = {**places.variables(mlflow.url), **SETTINGS}
        airflow = stack.enter_context(scheduler(version, folder, dags, variables))
        world = World(places, airflow, mlflow.url, days)
        stages, seconds = _play(world, spec)
        states = [run["state"] for run in airflow.runs(DAG_ID)]
        differ = differences(contents_of(places.workspace), _unspoilt(folder, days))
        rest = [] if version >= "airflow-3" else _rest_of_the_page(world)
    looks = dict(stages)
    return {
        "airflow": version,
        "states_in_the_end": states,
        "seconds_by_stage": seconds,
        "stages": [{"stage": name, **_totals(look)} for name, look in stages],
        "again_changed": proof.differences(looks["backfilled"], looks["again"]),
        "at_once_changed": proof.differences(looks["backfilled"], looks["at once"]),
        "differ_from_a_week_without_the_bug": differ,
        "rest_of_the_page": rest,
    }


def _play(world: World, spec: Path) -> tuple[list[tuple[str, dict[str, Any]]], dict[str, float]]:
    """Spoil, repair, repeat, and all at once."""
    steps: tuple[tuple[str, Callable[[], None]], ...] = (
        ("spoilt", lambda: _spoil(world, spec)),
        ("backfilled", lambda: world.backfill(DAG_ID, world.days)),
        ("again", lambda: world.backfill(DAG_ID, world.days)),
        ("at once", lambda: _at_once(world)),
    )
    stages, seconds = [], {}
    for name, step in steps:
        begun = time.monotonic()
        step()
        seconds[name] = round(time.monotonic() - begun, 1)
        stages.append((name, world.look()))
        print(name, seconds[name], json.dumps(_totals(stages[-1][1])), flush=True)
    return stages, seconds


def _spoil(world: World, spec: Path) -> None:
    """The week with the bug; then the fix."""
    right = spec.read_text()
    wrong = right.replace(VALID, BUG)
    assert wrong != right
    spec.write_text(wrong)
    world.airflow.wait_for_dag(DAG_ID)
    world.airflow.unpause(DAG_ID)
    finish(world.airflow, DAG_ID, len(world.days), within_s=WITHIN_S)
    spec.write_text(right)


def _at_once(world: World) -> None:
    """Two backfills of the same two days by two DAGs, and a scheduled run of one of them."""
    same = world.days[1:3]
    for name in (AGAIN, SCHEDULED):
        world.airflow.wait_for_dag(name)
    problems: list[BaseException] = []

    def one(dag_id: str) -> None:
        try:
            world.backfill(dag_id, same)
        except BaseException as problem:
            problems.append(problem)

    threads = [Thread(target=one, args=(name,)) for name in (DAG_ID, AGAIN)]
    for thread in threads:
        thread.start()
    world.airflow.unpause(SCHEDULED)
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
    finish(world.airflow, SCHEDULED, 1, within_s=WITHIN_S)


def _rest_of_the_page(world: World) -> list[str]:
    """The other commands for Airflow 2; the tests run those for Airflow 3."""
    sections = (
        ("A day is missing", 4),
        ("A day failed", 4),
        ("A shadow does not end", 4),
        ("Drift every day", 4),
        ("The model is too old", 5),
    )
    said: list[str] = []
    world.airflow.wait_for_dag(PAGE)
    for heading, index in sections:
        names = {"DAG": PAGE, "DAY": world.days[index].isoformat()}
        said += world.say(heading, names)
    runs = finish(world.airflow, PAGE, 2, within_s=WITHIN_S)
    if any(run["state"] != "success" for run in runs):
        raise RuntimeError(str(runs))
    return said


def _write_dags(folder: Path, spec: Path, days: Sequence[date]) -> Path:
    folder.mkdir(parents=True)
    spans = (
        (DAG_ID, days[0], days[-1]),
        (AGAIN, days[1], days[2]),
        (SCHEDULED, days[1], days[1]),
        (PAGE, days[4], days[4]),
    )
    dags = [(name, f"{first}T00:00:00", f"{last}T23:59:59") for name, first, last in spans]
    (folder / "flights.py").write_text(DAGS.format(dags=dags, spec=str(spec)))
    return folder


def _unspoilt(folder: Path, days: Sequence[date]) -> dict[str, str]:
    """What the same week comes to when nothing ever went wrong, by the command line."""
    with MlflowServer(folder / "mlflow_cli", mlflow_python()) as mlflow:
        for day in (bootstrap_day(tuple(days)), *days):
            same_bytes._play(mlflow.url, folder / "cli", day, bootstrap=day < days[0])
    return contents_of(folder / "cli")


def _totals(look: dict[str, Any]) -> dict[str, Any]:
    runs = look["mlflow_runs"]
    return {
        "rows": sum(look["processed_rows"].values()),
        "feature_rows": sum(look["feature_rows"].values()),
        "mlflow_runs": sum(runs.values()),
        "most_mlflow_runs_of_a_window": max(runs.values()),
        "versions": sum(look["versions"].values()),
        "champion_changes": look["events"],
        "aliases": look["aliases"],
        "outcomes": look["outcomes"],
        "attempts": look["attempts"],
    }
