"""Approval on the loans example: approved, rejected, expired, in Airflow's pages and by tag.

First the days themselves by the command line: what waits for a person, and what the days behind
it do meanwhile. Then the day with the candidate through the factory's DAG: on Airflow 3.3 under
the real scheduler, answered by its REST API, and on 2.11 by `dag.test()`, answered by the tag.
The week of silence is played by dating the question back. All messages as Slack got them.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from devtools.servers.airflow_server import AirflowServer, airflow_python
from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from devtools.servers.processes import wait_until
from devtools.servers.slack_server import SlackServer
from devtools.weeks import ROOT
from retrain_ops.cli.main import run_day
from retrain_ops.examples.loans import main as load_loans
from retrain_ops.registry.events import APPROVAL_TAG, ASKED_AT_TAG, utc_text
from retrain_ops.run import Run, RunContext, open_run

SPEC = ROOT / "dags" / "loans.toml"
SOURCE = ROOT / "build" / "data" / "loans"
BOOTSTRAP = date(2024, 2, 8)
DAY = date(2024, 2, 12)  # the first whose challenger passes
LAST = date(2024, 2, 18)
ENDS = ("approved", "rejected", "expired")
WITHIN_S = 300.0

DAG_FILE = """\
import os
from datetime import UTC, datetime, timedelta
from retrain_ops.airflow import approval, retraining_dag

approval._LOOK_EVERY = timedelta(seconds=5)
for name in {models!r}:
    globals()[name] = retraining_dag(
        {spec!r}, dag_id=name, model=name, approval={approval!r}, schedule=None,
        retry_delay=timedelta(seconds=1),
        start_date=datetime(2024, 1, 1, tzinfo=UTC), default_args={{"poke_interval": 5.0}},
    )
"""
TEST_DAG = """\
import json, runpy, sys
from datetime import UTC, datetime
finished = runpy.run_path(sys.argv[1])[sys.argv[2]].test(execution_date=datetime(
    {day.year}, {day.month}, {day.day}, 2, tzinfo=UTC))
states = {{ti.task_id: str(ti.state) for ti in finished.get_task_instances()}}
print("STATES", json.dumps({{"run": str(finished.state), **states}}))
"""


@dataclass(frozen=True, slots=True)
class World:
    """The servers that both Airflows share."""

    folder: Path
    mlflow: MlflowServer
    slack: SlackServer

    def run(self, model: str, day: date, **context: bool) -> Run:
        """A run of this process."""
        return open_run(
            SPEC,
            date=day,
            workspace=str(self.folder / "workspace"),
            tracking_uri=self.mlflow.url,
            model=model,
            context=RunContext(**context),
        )

    def variables(self) -> dict[str, str]:
        """What the tasks need to know."""
        return {
            "PYTHONPATH": str(ROOT),
            "LOANS_SOURCE": str(SOURCE),
            "MLFLOW_TRACKING_URI": self.mlflow.url,
            "RETRAIN_OPS_WORKSPACE": str(self.folder / "workspace"),
            "SLACK_WEBHOOK_URL": self.slack.url,
        }

    def dags(self, name: str, models: tuple[str, ...], approval: str) -> Path:
        """A DAG folder with the factory's DAG of each model, whose champion serves already."""
        for model in models:
            run_day(self.run(model, BOOTSTRAP, bootstrap=True))
        place = self.folder / name
        place.mkdir()
        text = DAG_FILE.format(models=models, spec=str(SPEC), approval=approval)
        (place / "loans_dags.py").write_text(text)
        return place

    def set_tag(self, model: str, key: str, value: str) -> None:
        """A tag of the candidate, by hand."""
        registry = self.run(model, DAY).registry
        registry.set_tag(registry.version("2"), key, value)

    def asked(self, model: str) -> bool:
        """Whether somebody has been asked about the candidate."""
        versions = self.run(model, DAY).registry.versions()
        return any(ASKED_AT_TAG in version.tags for version in versions)

    def found(self, model: str) -> dict[str, Any]:
        """What became of the candidate."""
        registry = self.run(model, DAY).registry
        version = registry.version("2")
        names = ("_by", "_at", "_asked_at")
        told = {k: v for k, v in version.tags.items() if k.endswith(names) or k == APPROVAL_TAG}
        return {
            "state": version.state,
            "aliases": dict(registry.snapshot().aliases),
            "tags": {k: told[k] for k in sorted(told) if k.startswith("retrain.")},
            "questions": sum(f"[APPROVAL] {model} " in m["text"] for m in self.slack.messages),
        }


def prove(folder: Path) -> dict[str, Any]:
    """Plays all of it."""
    load_loans([str(SOURCE)])
    os.environ["LOANS_SOURCE"] = str(SOURCE)
    with ExitStack() as stack:
        mlflow = stack.enter_context(MlflowServer(folder / "mlflow", mlflow_python()))
        slack = stack.enter_context(SlackServer())
        world = World(folder, mlflow, slack)
        return {
            "days": _days(world),
            "airflow_3_3_by_rest": _by_rest(world),
            "airflow_2_11_by_tag": _by_tag(world),
            "slack": [message["text"] for message in slack.messages],
        }


def _days(world: World) -> list[str]:
    """One line a day; the candidate waits, nobody answers, until the last day approves it."""
    told = []
    day = BOOTSTRAP
    while day <= LAST:
        output = run_day(world.run("loans", day, bootstrap=day == BOOTSTRAP))
        told.append(f"{day} exit {output.get('exit_code', 0)}: {output['summary']}")
        day += timedelta(days=1)
    return told


def _by_rest(world: World) -> dict[str, Any]:
    models = tuple(f"loans_{end}" for end in ENDS)
    dags = world.dags("dags_3", models, "hitl")
    settings = {"AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "2"}
    environment = {**world.variables(), **settings}
    python = airflow_python("airflow-3.3")
    with AirflowServer(python, world.folder / "airflow_3", dags, environment) as airflow:
        runs = {model: _start(airflow, model) for model in models}
        for model in models:
            _until(airflow, model, runs[model], "approval", "awaiting_input")
        world.set_tag(models[2], ASKED_AT_TAG, _a_week_ago())
        for model, option in zip(models, ("Approve", "Reject", None), strict=True):
            _until(airflow, model, runs[model], "watcher", "success", option)
        return {model: _ended(world, airflow, model, runs[model]) for model in models}


def _start(airflow: AirflowServer, model: str) -> str:
    airflow.wait_for_dag(model)
    airflow.unpause(model)
    body = {"logical_date": None, "conf": {"window_end": DAY.isoformat()}}
    return str(airflow.api("POST", f"/dags/{model}/dagRuns", body)["dag_run_id"])


def _until(
    airflow: AirflowServer,
    model: str,
    run_id: str,
    task: str,
    state: str,
    answer: str | None = None,
) -> None:
    def reached() -> bool:
        if answer is not None:
            airflow.answer(model, run_id, "approval", answer)
        return str(airflow.tasks(model, run_id)[task]["state"]) == state

    wait_until(f"{task} of {model}: {state}", WITHIN_S, reached)


def _ended(world: World, airflow: AirflowServer, model: str, run_id: str) -> dict[str, Any]:
    tasks = airflow.tasks(model, run_id)
    states = {name: tasks[name]["state"] for name in ("approval", "promote_champion", "watcher")}
    return {**world.found(model), "tasks": states}


def _by_tag(world: World) -> dict[str, Any]:
    """One `dag.test()` after the other, in the environment of 2.11."""
    models = tuple(f"loans_{end}_tag" for end in ENDS)
    dags = world.dags("dags_2", models, "tag")
    answers: tuple[Callable[[str], None], ...] = (
        lambda model: world.set_tag(model, APPROVAL_TAG, "approved"),
        lambda model: world.set_tag(model, APPROVAL_TAG, "rejected"),
        lambda model: world.set_tag(model, ASKED_AT_TAG, _a_week_ago()),
    )
    environment = {
        **os.environ,
        **world.variables(),
        "AIRFLOW_HOME": str(world.folder / "airflow_2"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    python = str(airflow_python("airflow-2.11"))
    subprocess.run(
        [python, "-m", "airflow", "db", "migrate"], env=environment, check=True, capture_output=True
    )
    ended = {}
    for model, answer in zip(models, answers, strict=True):
        command = [python, "-c", TEST_DAG.format(day=DAY), str(dags / "loans_dags.py"), model]
        with _testing(command, environment) as testing:
            wait_until(f"the question about {model}", WITHIN_S, lambda m=model: world.asked(m))
            answer(model)
            output, _ = testing.communicate(timeout=WITHIN_S)
        (states,) = (line for line in output.splitlines() if line.startswith("STATES "))
        ended[model] = {**world.found(model), "tasks": states.removeprefix("STATES ")}
    return ended


@contextmanager
def _testing(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _a_week_ago() -> str:
    return utc_text(datetime.now(UTC) - timedelta(days=8))
