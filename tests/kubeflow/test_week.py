"""Real days through the compiled pipelines, beside the command line's code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import date, timedelta

import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.servers.processes import PATIENCE_S, wait_until
from devtools.synthetic import FIRST, files_of, toy_run, write_day
from retrain_ops.cli.main import run_day
from retrain_ops.run import RunContext, begin_attempt
from retrain_ops.steps.runner import ROLLOUT, TRAINING
from tests.kubeflow.conftest import FILES, TOY, World, in_process

BOOTSTRAP = FIRST + timedelta(days=17)
WEEK = [FIRST + timedelta(days=n) for n in range(32, 39)]
LAST = (*ROLLOUT, "summarise", "ending")
# Training takes long enough to be met in its middle.
LONG = TOY.replace("n_estimators = 20", "n_estimators = 6000")
PROCESS = """\
import sys

import retrain_ops.run
from devtools.doubles.registry_server import Client, Server

server = Server()
retrain_ops.run.MlflowClient = lambda uri: Client(server)
from retrain_ops.cli.main import main

sys.exit(main(sys.argv[1:]))
"""


def played_by_command_line(world: World, days: list[date]) -> dict[str, bytes]:
    client = Client(Server())
    for day in days:
        context = RunContext(bootstrap=day == BOOTSTRAP)
        run = toy_run(
            world.folder, client, day, spec=TOY, workspace="cli", n_threads=3, context=context
        )
        assert run_day(run).get("exit_code") in (None, 75)
    return files_of(world.folder / "cli", FILES)


def test_a_week_is_the_command_lines_to_the_byte_doubles_nothing_and_waits_for_a_tag(
    world: World,
) -> None:
    days = [BOOTSTRAP, *WEEK]
    assert all(world.run(day, bootstrap=day == BOOTSTRAP) for day in days)
    assert world.steps == [*TRAINING, *LAST]
    content = world.content()
    assert content == played_by_command_line(world, days)
    before = len(world.server.versions), len(world.server.runs), world.registry.snapshot().aliases
    assert world.run(WEEK[0])
    assert world.content() == content
    after = len(world.server.versions), len(world.server.runs), world.registry.snapshot().aliases
    assert after == before

    candidate, now = world.registry.open_candidate(), f"{WEEK[-1]}T23:00:00Z"
    assert candidate is not None
    assert world.run(now, file=1)
    assert world.registry.snapshot().aliases["champion"] == "1"
    world.registry.set_tag(candidate, "retrain.approval", "approved")
    assert world.run(now, file=1)
    assert world.registry.snapshot().aliases["champion"] == candidate.number
    assert world.alerts() == []


def test_a_quiet_day_trains_nothing_and_looks_at_the_candidate(world: World) -> None:
    world.run(BOOTSTRAP, bootstrap=True)
    assert world.run(BOOTSTRAP + timedelta(days=1))
    assert world.steps == ["check_drift", "quiet", *LAST]
    assert world.run("2020-01-20T02:15:00Z", file=1)
    assert world.steps == [*ROLLOUT, "ending"]


def test_a_day_leaves_its_numbers_its_page_and_its_line(world: World) -> None:
    world.run(BOOTSTRAP, bootstrap=True)
    world.run(WEEK[0])
    folder = world.folder / "workspace" / "toy" / f"window_end={WEEK[0]}"
    decision = json.loads((folder / "decision.json").read_bytes())
    output = json.loads(world.outputs("executor_output.json")[-1].read_bytes())
    assert output["parameterValues"]["outcome"] == decision["outcome"]
    (metrics,) = output["artifacts"]["metrics"]["artifacts"]
    assert metrics["metadata"]["psi_max"] == decision["drift"]["psi_max"]
    assert metrics["metadata"]["f1_challenger"] == decision["gate"]["f1_challenger"]
    assert world.outputs("report")[-1].read_bytes() == (folder / "report.html").read_bytes()
    record = json.loads((folder / "run.json").read_bytes())
    assert (record["orchestrator"], record["trigger"]) == ("kubeflow", "manual")
    assert record["dag_run_id"]


def test_a_failed_day_is_one_alert_and_a_day_refused_behind_it_is_none(world: World) -> None:
    world.run(BOOTSTRAP, bootstrap=True)
    shutil.rmtree(world.folder / "rows" / f"day={WEEK[1]}")
    runs = [world.run(day, trigger="backfill") for day in WEEK[1:5]]
    assert runs == [True, False, False, False]
    assert world.steps == ["check_drift", "ending"]
    assert [text.split(":")[0] for text in world.alerts()] == [f"[FAILED] toy {WEEK[2]}"]
    write_day(world.folder / "rows", WEEK[1], shift=0.6, reversed_rule=True)
    assert all(world.run(day, trigger="backfill") for day in WEEK[1:5])
    assert len(world.alerts()) == 1


def test_a_day_without_rows_says_so_once(world: World) -> None:
    world.run(BOOTSTRAP, bootstrap=True)
    assert not world.run(FIRST + timedelta(days=60))
    (alert,) = world.alerts()
    assert "check_drift" in alert
    assert "no rows" in alert


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[ScheduledTime.2006-01-02]]", "has not expanded it"),
        ("{{workflow.creationTimestamp}}", "has not expanded it"),
        ("--help", "must be a day"),
        ("2020-02-30", "must be a day"),
        ("\u0662\u0660\u0662\u0660-01-01", "must be a day"),
        ("../../2020-01-18", "must be a day"),
        ("", "must be a day"),
    ],
)
def test_what_is_no_day_is_refused_loudly_and_leaves_no_file(
    world: World, text: str, said: str
) -> None:
    assert not world.run(text, bootstrap=True)
    assert world.steps == ["check_drift", "ending"]
    (alert,) = world.alerts()
    assert said in alert
    assert world.content() == {}


def fit_that_is_killed(world: World, number: int) -> None:
    """The container of train is a process of its own, which a signal meets in its fit."""

    def container(command: Sequence[str]) -> int:
        if "train" not in command:
            return in_process(command)
        record = world.folder / "workspace" / "toy" / f"window_end={BOOTSTRAP}" / "run.json"
        process = subprocess.Popen([sys.executable, "-c", PROCESS, *command[1:]])
        seconds: list[float] = []  # of CPU, since the step is there: a fit computes

        def in_fit() -> bool:
            if "train" in json.loads(record.read_bytes())["steps"] and process.poll() is None:
                seconds.append(cpu_seconds(process.pid))
            over = process.poll() is not None
            return over or seconds[-1:] > [value + 0.5 for value in seconds[:1]]

        wait_until("the fit", PATIENCE_S, in_fit, every_s=0.02)
        process.send_signal(number)
        return process.wait(PATIENCE_S)

    world.container = container


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_pod_that_is_stopped_in_a_fit_is_one_alert_and_its_day_comes_to_the_same_bytes(
    world: World, number: int
) -> None:
    (world.folder / "toy.toml").write_text(LONG)
    fit_that_is_killed(world, number)
    assert not world.run(BOOTSTRAP, bootstrap=True)
    assert world.steps == [*TRAINING[:4], "ending"]
    (alert,) = world.alerts()
    said = "signal 15" if number == signal.SIGTERM else "it did not end"
    assert alert.startswith(f"[FAILED] toy {BOOTSTRAP}: train: ")
    assert said in alert
    world.container = in_process
    (world.folder / "toy.toml").write_text(TOY)
    assert world.run(BOOTSTRAP, bootstrap=True)
    assert world.content() == played_by_command_line(world, [BOOTSTRAP])
    assert len(world.alerts()) == 1


def test_a_run_whose_pods_never_started_is_one_alert(world: World) -> None:
    """Though the day failed before and its record has had its alert."""

    def container(command: Sequence[str]) -> int:
        return in_process(command) if "ending" in command else 1

    assert not world.run(BOOTSTRAP)  # no champion, and no bootstrap
    world.container = container
    assert not world.run(BOOTSTRAP, bootstrap=True)
    assert ["no step has begun" in text for text in world.alerts()] == [False, True]


def test_a_run_that_another_one_of_its_day_has_overtaken_is_no_alert(world: World) -> None:
    """Two runs of a day at once: the one that was killed says nothing of the one at work."""

    def container(command: Sequence[str]) -> int:
        if "pull_data" not in command:
            return in_process(command)
        begin_attempt(toy_run(world.folder, Client(world.server), BOOTSTRAP))
        return 137

    world.container = container
    assert not world.run(BOOTSTRAP, bootstrap=True)
    assert world.alerts() == []
