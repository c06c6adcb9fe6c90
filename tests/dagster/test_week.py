"""Real days in Dagster's own executor, beside the command line's code, each with a registry."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.servers.processes import PATIENCE_S, wait_until
from devtools.servers.slack_server import SlackServer
from devtools.synthetic import FIRST, SPEC, files_of, toy_run, write_day, write_days
from retrain_ops.cli.main import run_day
from retrain_ops.registry.events import utc_text
from retrain_ops.registry.registry import Registry
from retrain_ops.run import RunContext, begin_attempt, run_record

BOOTSTRAP = FIRST + timedelta(days=17)
WEEK = [FIRST + timedelta(days=n) for n in range(32, 39)]
FILES = ("decision.json", "model.rtm", "reference.json", "evaluate.json", "check_drift.json")
TOY = SPEC + '\n[rollout]\napproval = "required"\n'

# Training takes long enough to be met in its middle.
LONG = SPEC.replace("n_estimators = 20", "n_estimators = 6000")
PROCESS = """\
import sys

import dagster as dg

import retrain_ops.run
from devtools.doubles.registry_server import Client, Server

server = Server()
retrain_ops.run.MlflowClient = lambda uri: Client(server)
from retrain_ops.dagster import retraining_assets

spec, workspace, day = sys.argv[1:]
defs = retraining_assets(spec, workspace=workspace, n_threads=1, retry_delay_seconds=0)
with dg.DagsterInstance.get() as instance:
    done = defs.resolve_job_def("retrain_toy").execute_in_process(
        instance=instance,
        partition_key=day,
        tags={"retrain_ops/bootstrap": "true"},
        raise_on_error=False,
    )
sys.exit(0 if done.success else 1)
"""


@dataclass(slots=True)
class World:
    """A model under Dagster: its files, registry and messages."""

    folder: Path
    server: Server
    slack: SlackServer
    instance: Any

    @property
    def registry(self) -> Registry:
        return Registry(client=Client(self.server), name="toy")  # type: ignore[arg-type]

    def job(self, name: str) -> Any:
        from retrain_ops.dagster import retraining_assets

        given = {"workspace": str(self.folder / "workspace"), "retries": 0, "n_threads": 1}
        return retraining_assets(self.folder / "toy.toml", **given).resolve_job_def(name)

    def run(self, day: date | None, name: str = "retrain_toy", **tags: str) -> Any:
        tags = {name.replace("__", "/"): text for name, text in tags.items()}
        partition = {} if day is None else {"partition_key": day.isoformat()}
        return self.job(name).execute_in_process(
            instance=self.instance, raise_on_error=False, tags=tags, **partition
        )

    def content(self) -> dict[str, bytes]:
        return files_of(self.folder / "workspace", FILES)

    def counts(self) -> tuple[int, int, dict[str, str], int]:
        """What a second run could double."""
        snapshot = self.registry.snapshot()
        materialized = sum(len(self.news(kind)) for kind in ("drift", "challenger", "champion"))
        return len(self.server.versions), len(self.server.runs), snapshot.aliases, materialized

    def news(self, kind: str) -> list[Any]:
        import dagster as dg

        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(["toy", kind]))
        found = self.instance.fetch_materializations(wanted, limit=50).records
        return [record.asset_materialization for record in found]

    def alerts(self) -> list[str]:
        return [m["text"] for m in self.slack.messages if m["text"].startswith("[FAILED]")]


@pytest.fixture
def world(tmp_path: Path, instance: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    server = Server()
    monkeypatch.setattr("retrain_ops.run.MlflowClient", lambda uri: Client(server))
    write_days(tmp_path / "rows", 45, rule_changes=18, shift_from=20, shift=0.6)
    (tmp_path / "toy.toml").write_text(TOY)
    with SlackServer() as slack:
        monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.url)
        yield World(tmp_path, server, slack, instance)


def played_by_command_line(world: World, days: list[date], spec: str = TOY) -> dict[str, bytes]:
    client = Client(Server())
    for day in days:
        context = RunContext(bootstrap=day == BOOTSTRAP)
        run = toy_run(
            world.folder, client, day, spec=spec, workspace="cli", n_threads=3, context=context
        )
        assert run_day(run).get("exit_code") in (None, 75)
    return files_of(world.folder / "cli", FILES)


def test_a_week_is_the_command_lines_to_the_byte_doubles_nothing_and_waits_for_a_tag(
    world: World,
) -> None:
    days = [BOOTSTRAP, *WEEK]
    runs = [world.run(day, retrain_ops__bootstrap=str(day == BOOTSTRAP).lower()) for day in days]
    assert [run.success for run in runs] == [True] * 8
    assert world.content() == played_by_command_line(world, days)
    assert len(files_of(world.folder / "cli", ["decision.json"])) == 8
    assert {found.partition for found in world.news("drift")} >= {WEEK[0].isoformat()}

    before, content = world.counts(), world.content()
    assert world.run(WEEK[0]).success
    assert (world.counts(), world.content()) == (before, content)

    candidate = world.registry.open_candidate()
    assert candidate is not None
    assert world.run(None, "retrain_toy_rollout").success
    assert world.registry.snapshot().aliases["champion"] == "1"
    world.registry.set_tag(candidate, "retrain.approval", "approved")
    assert world.run(None, "retrain_toy_rollout").success
    assert world.registry.snapshot().aliases["champion"] == candidate.number
    newest = world.news("champion")[0]
    assert newest.metadata["model_version"].url.endswith(f"/versions/{candidate.number}")
    assert world.alerts() == []


def test_a_day_shows_its_numbers_and_what_its_gates_said(world: World) -> None:
    world.run(BOOTSTRAP, retrain_ops__bootstrap="true")
    result = world.run(WEEK[0])
    (shown,) = (
        event.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key.path == ["toy", "day"]
    )
    decision = json.loads(Path(shown["decision"].path).read_bytes())
    assert shown["outcome"].text == decision["outcome"]
    assert shown["psi_max"].value == decision["drift"]["psi_max"]
    assert shown["f1_challenger"].value == decision["gate"]["f1_challenger"]
    assert f"# toy {WEEK[0]}" in shown["summary"].md_str
    assert Path(shown["page"].path).exists()
    assert "/runs/" in shown["mlflow_run"].url
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert checks["data_valid"].passed
    assert checks["gate"].passed == (decision["outcome"] == "challenger")
    levels = {record.data["level"] for record in checks["gate"].metadata["levels"].records}
    assert levels == {"all rows", "x", "y"}


def failed_event(world: World, run_id: str) -> dict[str, Any]:
    """What a sensor gets of a run that failed."""
    import dagster as dg

    ended = (dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_CANCELED)
    (event,) = (
        entry.dagster_event
        for entry in world.instance.all_logs(run_id)
        if entry.dagster_event is not None and entry.dagster_event.event_type in ended
    )
    run = world.instance.get_run_by_id(run_id)
    return {"dagster_event": event, "dagster_run": run, "dagster_instance": world.instance}


def sense_failure(world: World, run_id: str) -> None:
    """The failure sensor's tick for one run."""
    import dagster as dg

    from retrain_ops.dagster import retraining_assets

    sensor = retraining_assets(
        world.folder / "toy.toml", workspace=str(world.folder / "workspace")
    ).resolve_sensor_def("retrain_toy_failed")
    given = failed_event(world, run_id)
    context = dg.build_run_status_sensor_context(sensor_name=sensor.name, **given)
    sensor(context.for_run_failure())


def test_a_failed_day_is_one_alert_and_a_day_refused_behind_it_is_none(world: World) -> None:
    world.run(BOOTSTRAP, retrain_ops__bootstrap="true")
    lost = world.folder / "rows" / f"day={WEEK[1]}"
    shutil.rmtree(lost)
    backfill = {"dagster__backfill": "abc"}
    runs = [world.run(day, **backfill) for day in WEEK[1:5]]
    assert [run.success for run in runs] == [True, False, False, False]
    for run in runs[1:]:
        sense_failure(world, run.run_id)
    assert [text.split(":")[0] for text in world.alerts()] == [f"[FAILED] toy {WEEK[2]}"]
    write_day(world.folder / "rows", WEEK[1], shift=0.6, reversed_rule=True)
    assert all(world.run(day, **backfill).success for day in WEEK[1:5])


def test_a_run_that_no_step_lived_to_report_is_one_alert(world: World) -> None:
    """A killed process: its step says that it runs, and Dagster's monitor fails the run."""
    run = toy_run(world.folder, Client(world.server), BOOTSTRAP)
    begin_attempt(run)
    record = run_record(run)
    record["steps"]["train"] = {"status": "running"}
    run.workspace.overwrite_json(run.path("run.json"), record)
    killed = world.instance.create_run_for_job(
        job_def=world.job("retrain_toy"), tags={"dagster/partition": BOOTSTRAP.isoformat()}
    )
    world.instance.report_run_failed(killed, "the worker is gone")
    for _ in range(2):
        sense_failure(world, killed.run_id)
    assert world.alerts() == [f"[FAILED] toy {BOOTSTRAP}: train: it did not end"]


def test_a_failed_run_whose_day_runs_again_by_now_is_no_second_alert(world: World) -> None:
    """The sensor may look when the next attempt has begun: the record is no longer the failed
    run's, and says nothing of its alert."""
    failed = world.instance.create_run_for_job(
        job_def=world.job("retrain_toy"), tags={"dagster/partition": BOOTSTRAP.isoformat()}
    )
    world.instance.report_run_failed(failed, "a step has raised and said so")
    run = toy_run(world.folder, Client(world.server), BOOTSTRAP, context=RunContext(dag_run_id="b"))
    begin_attempt(run)
    later = utc_text(datetime.now(UTC) + timedelta(seconds=2))
    run.workspace.overwrite_json(run.path("run.json"), {**run_record(run), "started_at": later})
    sense_failure(world, failed.run_id)
    assert world.alerts() == []


def test_drift_that_a_monitor_finds_asks_for_a_run_of_its_day(world: World) -> None:
    import dagster as dg

    from retrain_ops.dagster import retraining_assets

    world.run(BOOTSTRAP, retrain_ops__bootstrap="true")
    day = WEEK[0]
    tick = {".dagster__scheduled_execution_time": f"{day}T02:30:00+00:00"}
    defs = retraining_assets(world.folder / "toy.toml")
    sensor = defs.resolve_sensor_def("retrain_toy_drifted")
    for _ in range(2):
        assert world.run(None, "retrain_toy_drift", **tick).success
    assert len(world.news("drift")) == 1
    given = {"sensor_name": sensor.name, "repository_def": defs.get_repository_def()}
    with dg.build_sensor_context(instance=world.instance, **given) as context:
        (request,) = sensor.evaluate_tick(context).run_requests
    assert request.partition_key == str(day)
    assert request.tags["retrain_ops/reason"] == "drift"
    assert request.run_key == f"drift-{day}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped_in_a_fit_is_gone_and_its_day_comes_to_the_same_bytes(
    world: World, number: int
) -> None:
    (world.folder / "toy.toml").write_text(LONG)
    record = world.folder / "workspace" / "toy" / f"window_end={BOOTSTRAP}" / "run.json"
    process = started(world)

    seconds: list[float] = []  # of CPU, since the step is there: a fit computes

    def in_fit() -> bool:
        steps = json.loads(record.read_bytes())["steps"] if record.exists() else {}
        if "train" in steps and process.poll() is None:
            seconds.append(cpu_seconds(process.pid))
        return process.poll() is not None or seconds[-1:] > [value + 0.5 for value in seconds[:1]]

    wait_until("the fit", PATIENCE_S, in_fit, every_s=0.02)
    process.send_signal(number)
    assert process.wait(PATIENCE_S) != 0
    steps = json.loads(record.read_bytes())["steps"]
    assert set(steps) == {"check_drift", "pull_data", "validate_data", "train"}  # none behind it
    assert steps["train"]["try"] == 1 if number == signal.SIGKILL else "error" in steps["train"]
    assert steps["train"]["status"] == ("running" if number == signal.SIGKILL else "failed")
    (world.folder / "toy.toml").write_text(SPEC)
    assert world.run(BOOTSTRAP, retrain_ops__bootstrap="true").success
    assert world.content() == played_by_command_line(world, [BOOTSTRAP], spec=SPEC)


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def started(world: World) -> subprocess.Popen[bytes]:
    """A process that bootstraps the model."""
    where = [str(world.folder / "toy.toml"), str(world.folder / "workspace"), str(BOOTSTRAP)]
    root, home = Path(__file__).resolve().parents[2], world.folder / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, *where],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "DAGSTER_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
