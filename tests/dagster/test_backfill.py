"""A backfill by a real webserver and daemon: in order, to the day that fails, and on after the fix.

Every run is a process that knows this project as an installed wheel; the registry is a real
MLflow server. The command line's code runs the same days against another registry.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.servers.dagster_server import DagsterServer
from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from devtools.servers.slack_server import SlackServer
from devtools.synthetic import FIRST, SPEC, files_of, toy_run, write_day, write_days
from retrain_ops.cli.main import run_day
from retrain_ops.run import RunContext

BOOTSTRAP = FIRST + timedelta(days=17)
DAYS = [BOOTSTRAP + timedelta(days=n) for n in range(1, 5)]
LOST = DAYS[1]  # its rows are away: the day after it is the first that wants them
FAILED = DAYS[2]

DEFINITIONS = """\
import dagster as dg
from retrain_ops.dagster import retraining_assets

defs = dg.Definitions.merge(
    retraining_assets({spec!r}, n_threads=1, retries=0),
    dg.Definitions(executor=dg.in_process_executor),
)
"""


@dataclass(slots=True)
class World:
    dagster: DagsterServer
    slack: SlackServer
    folder: Path

    def backfilled(self) -> list[tuple[str, str]]:
        """Day and state of the runs of backfills, in the order of their start."""
        runs = [run for run in self.dagster.runs() if "dagster/backfill" in run["tags"]]
        begun = sorted(runs, key=lambda run: run["startTime"] or 0.0)
        return [(run["tags"]["dagster/partition"], run["status"]) for run in begun]

    def decisions(self, workspace: str = "workspace") -> dict[str, bytes]:
        return files_of(self.folder / workspace, ["decision.json"])

    def alerts(self) -> list[str]:
        return [m["text"] for m in self.slack.messages if m["text"].startswith("[FAILED]")]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("backfill")
    write_days(folder / "rows", 24, shift_from=21, shift=0.8)
    shutil.rmtree(folder / "rows" / f"day={LOST}")
    (folder / "toy.toml").write_text(SPEC)
    (folder / "defs.py").write_text(DEFINITIONS.format(spec=str(folder / "toy.toml")))
    with MlflowServer(folder / "mlflow", mlflow_python()) as mlflow, SlackServer() as slack:
        variables = {
            "RETRAIN_OPS_WORKSPACE": str(folder / "workspace"),
            "MLFLOW_TRACKING_URI": mlflow.url,
            "SLACK_WEBHOOK_URL": slack.url,
        }
        served = DagsterServer(
            Path(sys.executable), folder / "home", folder / "defs.py", environment=variables
        )
        with served as dagster:
            yield World(dagster, slack, folder)


def days(texts: list[date]) -> list[str]:
    return [day.isoformat() for day in texts]


def test_a_backfill_stops_at_a_failure_and_goes_on_after_the_fix(world: World) -> None:
    tags = {"retrain_ops/bootstrap": "true"}
    first = world.dagster.launch_day("retrain_toy", BOOTSTRAP.isoformat(), tags)
    assert world.dagster.wait_for_run(first)["status"] == "SUCCESS", world.dagster.log_of("daemon")
    ended = world.dagster.backfill(["toy", "day"], days(DAYS[::-1]))
    assert ended == "COMPLETED_FAILED"
    ran = [*zip(days(DAYS[:3]), ("SUCCESS", "SUCCESS", "FAILURE"), strict=True)]
    assert world.backfilled() == ran  # in order, though asked for newest first
    assert [text.split(":")[0] for text in world.alerts()] == [f"[FAILED] toy {FAILED}"]
    before = world.decisions()
    assert len(before) == 3
    write_day(world.folder / "rows", LOST)
    assert world.dagster.backfill(["toy", "day"], days(DAYS[2:])) == "COMPLETED_SUCCESS"
    assert world.backfilled()[3:] == [(day, "SUCCESS") for day in days(DAYS[2:])]
    assert {name: world.decisions()[name] for name in before} == before
    assert len(world.alerts()) == 1


def test_the_decisions_are_the_command_lines_to_the_byte(world: World) -> None:
    client = Client(Server())
    for day in (BOOTSTRAP, *DAYS):
        context = RunContext(bootstrap=day == BOOTSTRAP)
        run = toy_run(world.folder, client, day, workspace="cli", n_threads=3, context=context)
        assert run_day(run).get("exit_code") is None
    assert len(world.decisions("cli")) == 5
    assert world.decisions() == world.decisions("cli")
