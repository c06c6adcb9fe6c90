"""A real week through a Prefect server and a process worker, beside the same week by the CLI.

The flow runs come from the repository's own prefect.yaml. Each is a process that clones a
repository holding nothing but the flow file and the spec, runs in an environment made of Prefect
and the wheel, and leaves its state in S3-compatible storage and MLflow alone. The first day that
trains loses its worker and its process half-way, and another worker takes the day up. Then one day
again and three days as a backfill: nothing may double, and every decision must be the command
line's to the byte. Beside that: seconds, and what each run costs of the free tier's limits.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from devtools.flights_week.places import ROOT, chosen_week
from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from devtools.servers.object_store import ObjectStore
from devtools.servers.prefect_server import PrefectServer, prefect_python
from devtools.servers.processes import wait_until
from devtools.servers.slack_server import SlackServer
from proofs import same_bytes
from retrain_ops.mlflow.client import MlflowClient
from retrain_ops.registry.registry import Registry
from retrain_ops.spec.window import days_between

FREE_TIER = {"api_requests_per_minute": 625, "logs_and_events_per_minute": 2000}
COSTS = ("log_lines", "events", "api_requests")
DEPLOYMENT = "retrain-flights/nightly"
MODEL = "flights_delay"
POOL = "managed"
WITHIN_S = 600.0
# The worker's own questions, which a managed pool does not ask, and this proof's.
NOT_THE_RUNS = re.compile(r"/(work_pools|workers|flow_runs/filter|health|ready|hello|csrf)")
BLOCKS = """
import sys
from retrain_ops.prefect import MlflowCredentials, SlackWebhook
MlflowCredentials(tracking_uri=sys.argv[1]).save("mlflow", overwrite=True)
SlackWebhook(url=sys.argv[2]).save("slack", overwrite=True)
"""
BACKFILL = """
import sys
from datetime import date
from retrain_ops.prefect import backfill
days = [date.fromisoformat(text) for text in sys.argv[2:]]
print(backfill(days, deployment=sys.argv[1], poll_interval=2))
"""


@dataclass(slots=True)
class World:
    """The servers of the proof."""

    prefect: PrefectServer
    mlflow: MlflowServer
    store: ObjectStore

    def run(self, day: date, **parameters: Any) -> dict[str, Any]:
        """One run of the nightly deployment and what it cost."""
        before = len(self._requests())
        given = {"window_end": day.isoformat(), **parameters}
        run_id = self.prefect.create_run(DEPLOYMENT, parameters=given)
        found = self._wait(run_id)
        time.sleep(3)  # the last log lines and events are on their way
        state = found["state"]
        if state["type"] != "COMPLETED":
            raise RuntimeError(f"{day}: {state}\n{self.prefect.log_of('worker')[-3000:]}")
        return {
            "date": day.isoformat(),
            "state": state["name"],
            "seconds": round(found["total_run_time"], 1),
            "log_lines": len(self.prefect.logs(run_id)),
            "events": self._events(run_id),
            "api_requests": len(self._requests()) - before - 1,  # less the one that started it
            "message": state["message"],
        }

    def lose(self, day: date) -> dict[str, Any]:
        """Kills a run of the day and its worker once the rows are there; another worker starts."""
        pulled = f"workspace/{MODEL}/window_end={day}/pull_data.json"
        run_id = self.prefect.create_run(DEPLOYMENT, parameters={"window_end": day.isoformat()})
        wait_until("the day's rows", WITHIN_S, lambda: pulled in self.store.objects(), every_s=0.05)
        worker = self.prefect.processes["worker"]
        process = int(self.prefect.run(run_id)["infrastructure_pid"].rpartition(":")[2])
        for pid in (worker.pid, process):
            os.kill(pid, signal.SIGKILL)
        worker.wait()
        done = f"workspace/{MODEL}/window_end={day}/summarise.json"
        if done in self.store.objects():
            raise RuntimeError(f"{day}: the run was over before it was killed")
        self.prefect.start_worker(POOL)
        return {"date": day.isoformat(), "after": "pull_data"}

    def doubling(self) -> dict[str, Any]:
        """What a second run could double."""
        registry = Registry(client=MlflowClient(self.mlflow.url), name=MODEL)
        experiment = registry.client.get_experiment_by_name(MODEL)
        runs = registry.client.search_runs([experiment.experiment_id]) if experiment else []
        snapshot = registry.snapshot()
        return {
            "versions": len(registry.versions()),
            "mlflow_runs": len(runs),
            "events": len(snapshot.events),
            "aliases": dict(sorted(snapshot.aliases.items())),
            "files": {k: _digest(v) for k, v in self.store.objects().items() if _is_content(k)},
        }

    def _wait(self, run_id: str) -> dict[str, Any]:
        asked = {"flow_runs": {"id": {"any_": [run_id]}}}
        while True:
            (found,) = self.prefect.api("POST", "/flow_runs/filter", asked)
            if found["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
                return dict(found)
            time.sleep(1)

    def _events(self, run_id: str) -> int:
        asked = {"any_resource": {"id": [f"prefect.flow-run.{run_id}"]}}
        return int(self.prefect.api("POST", "/events/filter", {"filter": asked})["total"])

    def _requests(self) -> list[str]:
        """The server's access log, less what is not the run's."""
        lines = re.findall(
            r'"(?:GET|POST|PATCH|PUT|DELETE) (\S+) HTTP', self.prefect.log_of("server")
        )
        return [path for path in lines if not NOT_THE_RUNS.search(path)]


def prove(folder: Path) -> dict[str, Any]:
    """Plays the week, repeats some of it, and compares with the command line."""
    days = chosen_week()
    first = days[0] - timedelta(days=7)
    with ExitStack() as stack:
        world = _open(folder, stack)
        runs = [world.run(first, bootstrap=True), world.run(days[0])]
        lost = world.lose(days[1])
        begun = time.monotonic()
        runs.append(world.run(days[1]))
        lost["seconds_until_the_day_was_done"] = round(time.monotonic() - begun, 1)
        runs += [world.run(day) for day in days[2:]]
        week = world.doubling()
        again = world.run(days[2])
        rerun = world.doubling()
        _python(world.prefect, BACKFILL, DEPLOYMENT, *(d.isoformat() for d in days[1:4]))
        backfilled = world.doubling()
        other = stack.enter_context(MlflowServer(folder / "mlflow_cli", mlflow_python()))
        differ = _compare(world, folder / "cli", other.url, first, days)
    return {
        "same_decisions": not differ,
        "worker_killed": lost,
        "files_compared": len(week["files"]),
        "differ": differ,
        "rerun_changed": _changes(week, rerun),
        "backfill_changed": _changes(week, backfilled),
        "doubling": {k: v for k, v in week.items() if k != "files"},
        "runs": [*runs, {**again, "again": True}],
        "most_per_run": {
            k: max(r[k] for r in runs) for k in ("log_lines", "events", "api_requests")
        },
        "free_tier": FREE_TIER,
    }


def _open(folder: Path, stack: ExitStack) -> World:
    mlflow = stack.enter_context(MlflowServer(folder / "mlflow", mlflow_python()))
    python = prefect_python()
    store = stack.enter_context(ObjectStore(folder / "store", python=python))
    slack = stack.enter_context(SlackServer())
    variables = {
        **store.variables(),
        "FLIGHTS_SOURCE": os.environ["FLIGHTS_SOURCE"],
        "RETRAIN_OPS_WORKSPACE": store.uri,
        "RETRAIN_OPS_REPOSITORY": f"file://{_repository(folder / 'repository')}",
        "PREFECT_SERVER_LOGGING_LEVEL": "INFO",  # for the access log
        "PYTHONPATH": "",
    }
    prefect = PrefectServer(python=python, home=folder / "prefect", environment=variables)
    stack.enter_context(prefect)
    _python(prefect, BLOCKS, mlflow.url, slack.url)
    prefect.cli("work-pool", "create", POOL, "--type", "process")
    prefect.cli("deploy", "--all", cwd=ROOT)
    prefect.start_worker(POOL)
    return World(prefect, mlflow, store)


def _repository(folder: Path) -> Path:
    """What a user's repository holds: the flow and the spec, nothing of this package."""
    (folder / "dags").mkdir(parents=True)
    for name in ("flights_flow.py", "flights.toml"):
        shutil.copy(ROOT / "dags" / name, folder / "dags" / name)
    who = ("-c", "user.name=proof", "-c", "user.email=proof@localhost")
    for command in (("init", "-q", "-b", "main"), ("add", "."), (*who, "commit", "-qm", "Flow")):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def _python(prefect: PrefectServer, code: str, *arguments: str) -> None:
    command = [str(prefect.python), "-c", code, *arguments]
    done = subprocess.run(
        command, cwd=prefect.home, env=prefect.variables(), capture_output=True, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)


def _compare(
    world: World, workspace: Path, uri: str, first: date, days: tuple[date, ...]
) -> list[str]:
    """The same days by the command line's code; names of files whose bytes are not the same."""
    for day in (first, *days_between(days[0], days[-1])):
        same_bytes._play(uri, workspace, day, bootstrap=day < days[0])
    here = {k: v for k, v in world.store.objects().items() if _is_content(k)}
    there = {
        f"workspace/{path.relative_to(workspace)}": path.read_bytes()
        for path in workspace.rglob("*")
        if _is_content(str(path))
    }
    return sorted(k for k in here.keys() | there.keys() if here.get(k) != there.get(k))


def _is_content(path: str) -> bool:
    return path.rsplit("/", 1)[-1] in same_bytes.FILES and "/attempts/" not in path


def _changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [key for key in before if before[key] != after[key]]


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
