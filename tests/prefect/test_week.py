"""Real days through a deployment, a process worker, a real MLflow server and S3-compatible storage.

Every flow run is a process of its own in a folder of its own that knows this project only as an
installed wheel; what it leaves behind is in the object store and the registry. The command line's
code runs the same days from this tree, into a folder, against another registry, on more threads.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from devtools.servers.object_store import ObjectStore
from devtools.servers.prefect_server import PrefectServer
from devtools.servers.processes import PATIENCE_S, wait_until
from devtools.synthetic import FIRST, SPEC, files_of, toy_run, write_days
from retrain_ops.cli.main import run_day
from retrain_ops.run import RunContext

BOOTSTRAP = FIRST + timedelta(days=17)
# Without drift; with drift and a challenger that passes.
QUIET, CHANGED = (FIRST + timedelta(days=d) for d in (18, 36))
FILES = ("decision.json", "model.rtm", "reference.json", "evaluate.json", "check_drift.json")

TOY = SPEC + '\n[rollout]\napproval = "required"\n'

FLOW_FILE = """\
from retrain_ops.prefect import retraining_flow, rollout_flow

options = {{"n_threads": 1, "retries": 0, "mlflow_block": "week-mlflow"}}
retrain = retraining_flow({spec!r}, **options)
rollout = rollout_flow({spec!r}, approval="suspend", **options)
"""

PREFECT_YAML = """\
name: toy
pull:
  - prefect.deployments.steps.set_working_directory:
      directory: {folder}
deployments:
  - name: nightly
    entrypoint: toy_flow.py:retrain
    concurrency_limit: {{limit: 1, collision_strategy: ENQUEUE}}
    work_pool: {{name: local}}
  - name: rollout
    entrypoint: toy_flow.py:rollout
    concurrency_limit: {{limit: 1, collision_strategy: CANCEL_NEW}}
    work_pool: {{name: local}}
"""


@dataclass(slots=True)
class World:
    """One server of each kind, and what the tests do with them."""

    prefect: PrefectServer
    mlflow: MlflowServer
    store: ObjectStore
    folder: Path

    def retrain(self, day: date, **parameters: Any) -> dict[str, Any]:
        """One run of the nightly deployment, to its end."""
        given = {"window_end": day.isoformat(), **parameters}
        run_id = self.prefect.create_run("retrain-toy/nightly", parameters=given)
        return self.prefect.wait_for_run(run_id)

    def registry(self) -> Any:
        from retrain_ops.mlflow.client import MlflowClient
        from retrain_ops.registry.registry import Registry

        return Registry(client=MlflowClient(self.mlflow.url), name="toy")

    def counts(self) -> tuple[int, int, dict[str, str]]:
        """What a second run could double."""
        registry = self.registry()
        experiment = registry.client.get_experiment_by_name("toy")
        runs = registry.client.search_runs([experiment.experiment_id])
        return len(registry.versions()), len(runs), dict(registry.snapshot().aliases)

    def content(self) -> dict[str, bytes]:
        """The files whose bytes a decision is."""
        return {k: v for k, v in self.store.objects().items() if k.rsplit("/", 1)[-1] in FILES}


@pytest.fixture(scope="module")
def world(
    prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("week")
    write_days(folder / "rows", 60, rule_changes=18, shift_from=20, shift=0.6)
    (folder / "toy.toml").write_text(TOY)
    (folder / "toy_flow.py").write_text(FLOW_FILE.format(spec=str(folder / "toy.toml")))
    (folder / "prefect.yaml").write_text(PREFECT_YAML.format(folder=folder))
    with ExitStack() as stack:
        mlflow = stack.enter_context(MlflowServer(folder / "mlflow", mlflow_python()))
        store = stack.enter_context(ObjectStore(folder / "store"))
        prefect_server.environment = {**store.variables(), "RETRAIN_OPS_WORKSPACE": store.uri}
        _deploy(prefect_server, mlflow, folder)
        yield World(prefect_server, mlflow, store, folder)


def _deploy(prefect: PrefectServer, mlflow: MlflowServer, folder: Path) -> None:
    from retrain_ops.prefect import MlflowCredentials

    MlflowCredentials(tracking_uri=mlflow.url).save("week-mlflow", overwrite=True)
    prefect.cli("work-pool", "create", "local", "--type", "process")
    prefect.cli("deploy", "--all", cwd=folder)
    prefect.start_worker("local")


@pytest.fixture(scope="module")
def days(world: World) -> dict[date, dict[str, Any]]:
    """Bootstrap, a quiet day, a day with a challenger: the flow runs as they ended."""
    return {
        BOOTSTRAP: world.retrain(BOOTSTRAP, bootstrap=True),
        QUIET: world.retrain(QUIET),
        CHANGED: world.retrain(CHANGED),
    }


def test_every_run_completes_and_the_one_that_waits_for_approval_says_so(
    world: World, days: dict[date, dict[str, Any]]
) -> None:
    assert [run["state"]["name"] for run in days.values()] == ["Completed", "Completed", "NotYet"]
    assert "waits for approval" in days[CHANGED]["state"]["message"]


def test_the_decisions_are_the_command_lines_to_the_byte(
    world: World, days: dict[date, dict[str, Any]]
) -> None:
    client = Client(Server())
    for day in days:
        context = RunContext(bootstrap=day == BOOTSTRAP)
        run = toy_run(
            world.folder, client, day, spec=TOY, workspace="cli", n_threads=7, context=context
        )
        assert run_day(run).get("exit_code") in (None, 75)
    there = files_of(world.folder / "cli", FILES)
    assert len(there) >= 11
    assert world.content() == {f"workspace/{path}": data for path, data in there.items()}


def test_a_killed_run_is_crashed_told_and_its_day_backfilled_without_doubling(
    world: World, days: dict[date, dict[str, Any]]
) -> None:
    from retrain_ops.prefect import backfill

    before, content = world.counts(), world.content()
    _kill_half_way(world, CHANGED)
    wanted = [CHANGED, QUIET]
    ended = backfill(
        wanted, deployment="retrain-toy/nightly", timeout_seconds=PATIENCE_S, poll_interval=1
    )
    assert list(ended) == sorted(wanted)
    assert set(ended.values()) <= {"Completed", "NotYet"}
    assert (world.counts(), world.content()) == (before, content)
    count = len(_runs(world))
    backfill(wanted, deployment="retrain-toy/nightly", timeout_seconds=PATIENCE_S, poll_interval=1)
    assert len(_runs(world)) == count  # the same keys: nothing was run again


def _kill_half_way(world: World, day: date) -> None:
    run_json = f"workspace/toy/window_end={day}/run.json"
    known = json.loads(world.store.objects()[run_json])["attempt"]

    def begun() -> bool:
        return int(json.loads(world.store.objects()[run_json])["attempt"]) > known

    given = {"window_end": day.isoformat()}
    run_id = world.prefect.create_run("retrain-toy/nightly", parameters=given)
    wait_until("the first step", PATIENCE_S, begun, every_s=0.05)
    pid = int(world.prefect.run(run_id)["infrastructure_pid"].rpartition(":")[2])
    os.kill(pid, signal.SIGKILL)
    assert world.prefect.wait_for_run(run_id)["state"]["type"] == "CRASHED"
    alerts = f"workspace/toy/window_end={day}/alerts.json"
    wait_until("the worker's alert", PATIENCE_S, lambda: alerts in world.store.objects())
    assert json.loads(world.store.objects()[alerts])["attempts"] == [known + 1]
    # Otherwise the next run waits until the killed one's lease is over.
    limit = "/v2/concurrency_limits/retrain-ops-toy"
    world.prefect.api("PATCH", limit, {"active_slots": 0})


def _runs(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.prefect.api("POST", "/flow_runs/filter", {"limit": 200})
    return [run for run in found if run["name"]]


def test_the_run_shows_its_day_as_artifacts_and_events(
    world: World, days: dict[date, dict[str, Any]]
) -> None:
    run_id = days[CHANGED]["id"]
    asked = {"artifacts": {"flow_run_id": {"any_": [run_id]}}}
    found = {a["key"]: a for a in world.prefect.api("POST", "/artifacts/filter", asked)}
    assert set(found) == {"toy-summary", "toy-gates"}
    assert f"# toy {CHANGED}: challenger" in found["toy-summary"]["data"]
    rows = json.loads(found["toy-gates"]["data"])
    assert {row["level"] for row in rows} == {"all rows", "x", "y"}
    events = {e["event"]: e for e in world.prefect.events("retrain-ops.")}
    assert {"retrain-ops.drift.found", "retrain-ops.day.challenger"} <= set(events)
    resource = events["retrain-ops.drift.found"]["resource"]["prefect.resource.id"]
    assert resource == "retrain-ops.model.toy"
    names = [e["event"] for e in world.prefect.events("retrain-ops.drift")]
    assert len(names) == 1  # although the day was run again


def test_a_suspended_rollout_promotes_when_it_is_resumed(
    world: World, days: dict[date, dict[str, Any]]
) -> None:
    rollout = "rollout-toy/rollout"
    first = world.prefect.create_run(rollout)
    paused = world.prefect.wait_for_run(first, also=("PAUSED",))
    assert paused["state"]["name"] == "Suspended", paused["state"]
    second = world.prefect.wait_for_run(world.prefect.create_run(rollout))
    assert second["state"]["name"] == "NotYet"  # somebody has been asked already
    assert world.registry().snapshot().aliases["champion"] == "1"
    answer = {"run_input": {"approved": True, "by": "amy"}}
    world.prefect.api("POST", f"/flow_runs/{first}/resume", answer)
    ended = world.prefect.wait_for_run(first)
    assert ended["state"]["name"] == "Completed", ended["state"]
    snapshot = world.registry().snapshot()
    assert (snapshot.aliases["champion"], snapshot.aliases["previous"]) == ("2", "1")
    assert world.registry().version("2").tags["retrain.approved_by"] == "amy"
