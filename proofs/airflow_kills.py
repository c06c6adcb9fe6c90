"""SIGKILL of Airflow's processes at random: what retries leave is what an undisturbed day leaves.

Models of a toy world, each with a day that promotes, run at once under the real scheduler. A killer
with a seeded generator ends processes that have work in hand: the executor's worker, the task's
supervisor, the task itself. A LocalExecutor of Airflow 3 never asks again for a task that a worker
had taken and not begun: where all stands still the scheduler is started anew, as the runbook says.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from threading import Event, Thread
from typing import Any

from devtools.servers.airflow2_server import BACKFILL_ENVIRONMENT
from devtools.servers.airflow_server import AirflowServer
from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from devtools.servers.processes import wait_until
from devtools.synthetic import FIRST, SPEC, write_days
from devtools.traces import open_toy, traces
from proofs.airflow_worlds import ENDED, Scheduler, scheduler
from retrain_ops.cli.main import run_day

BOOTSTRAP, DAY = FIRST + timedelta(days=17), FIRST + timedelta(days=36)
RETRIES = 12
CROWD = 12  # processes at work when all four workers are: each with its supervisor and its task
WITHIN_S = 1200.0
STILL_S = 60.0  # nothing at work for so long, and runs not ended: stuck
UNDISTURBED = "undisturbed"
DAG_FILE = """\
from datetime import datetime, timedelta, timezone
from retrain_ops.airflow import retraining_dag

for name in {names!r}:
    globals()[name] = retraining_dag(
        {spec!r}, dag_id=name, model=name, n_threads=1, catchup=True,
        start_date=datetime({day:%Y, %-m, %-d}, tzinfo=timezone.utc),
        end_date=datetime({day:%Y, %-m, %-d}, 23, tzinfo=timezone.utc),
        retries={retries}, retry_delay=timedelta(seconds=1),
    )
"""
# Deaths are noticed within seconds; what each version calls that is here side by side.
SETTINGS = {
    "AIRFLOW__CORE__PARALLELISM": "4",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "12",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "12",
    "AIRFLOW__SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__LOCAL_TASK_JOB_HEARTBEAT_SEC": "2",
}
# One worker per task on 2.x, where a worker that dies is not replaced.
WORKERS_OF_2 = {"AIRFLOW__CORE__PARALLELISM": "0"}


def prove(version: str, runs: int, folder: Path) -> dict[str, Any]:
    """Plays and compares; every list in the result should be empty, every run a success."""
    write_days(folder / "rows", 60, rule_changes=18, shift_from=18, shift=0.6)
    publish = f'\n[publish]\nurl = "sqlite:///{folder}/features.db"\ntable = "features"\n'
    (folder / "toy.toml").write_text(SPEC + publish)
    names = [f"killed_{index:02d}" for index in range(runs)]
    dags = _write_dags(folder, names)
    with ExitStack() as stack:
        mlflow = stack.enter_context(MlflowServer(folder / "mlflow", mlflow_python()))
        for name in (UNDISTURBED, *names):
            _run(folder, name, BOOTSTRAP, mlflow.url, bootstrap=True)
        _run(folder, UNDISTURBED, DAY, mlflow.url)
        variables = {
            **SETTINGS,
            # Its end must not take the scheduler's connection along either: proof airflow_pool.
            **({} if version >= "airflow-3" else {**WORKERS_OF_2, **BACKFILL_ENVIRONMENT}),
            "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
            "MLFLOW_TRACKING_URI": mlflow.url,
            "RETRAIN_OPS_WORKSPACE": str(folder / "workspace"),
        }
        airflow = stack.enter_context(scheduler(version, folder, dags, variables))
        killer = Killer(airflow.processes["scheduler"].pid)
        with killer:
            ended, restarts = _play(airflow, names, killer)
        tries = {name: _tries(airflow, name) for name in names}
        wanted = traces(folder, UNDISTURBED, DAY, mlflow.url)
        left = {name: traces(folder, name, DAY, mlflow.url) for name in names}
    return {
        "airflow": version,
        "runs": runs,
        "states": dict(Counter(ended.values())),
        "kills": dict(killer.kills),
        "schedulers_started_anew": restarts,
        "tasks_tried_again": sum(count > 1 for each in tries.values() for count in each.values()),
        "runs_hit": sum(max(each.values()) > 1 for each in tries.values()),
        "differ": {
            name: _differing(wanted, found)
            for name, found in left.items()
            if _differing(wanted, found)
        },
        "unreadable": [str(p) for p in (folder / "workspace").rglob("*.json") if _torn(p)],
        "left_aside": sum(len(found["torn"]) for found in left.values()),
        "wanted": {k: wanted[k] for k in ("aliases", "open", "events", "versions", "runs")},
    }


@dataclass
class Killer:
    """Ends a busy process of the scheduler's session every few seconds, until left.

    The fewer are busy the rarer: the last tasks would else never live long enough to end.
    """

    session: int
    kills: Counter[str] = field(default_factory=Counter)
    random: random.Random = field(default_factory=lambda: random.Random(20))
    stop: Event = field(default_factory=Event)
    thread: Thread | None = None
    last_busy: float = field(default_factory=time.monotonic)

    def __enter__(self) -> Killer:
        self.thread = Thread(target=self._work)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        assert self.thread is not None
        self.thread.join()

    def _work(self) -> None:
        while not self.stop.wait(self.random.uniform(1.0, 6.0)):
            busy = sorted(_busy(self.session).items())
            if busy:
                self.last_busy = time.monotonic()
            if busy and self.random.random() < len(busy) / CROWD:
                pid, what = self.random.choice(busy)
                os.kill(pid, signal.SIGKILL)
                self.kills[what] += 1


def _busy(session: int) -> dict[int, str]:
    """Processes with a task in hand, by their titles: worker, supervisor or task."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title = (folder / "cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
            mine = int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == session
        except OSError:
            continue
        if mine and (what := _kind(title)):
            found[int(folder.name)] = what
    return found


def _kind(title: str) -> str:
    """What a process is, as either major titles it; "" when it is idle or something else."""
    worker = "airflow worker -- LocalExecutor"
    if title.startswith(worker):
        at_work = title.removeprefix(worker).strip(": ")
        return "worker" if at_work and at_work != "<idle>" else ""
    kinds = (
        ("airflow task supervisor", "supervisor"),
        ("airflow task runner", "task"),
        ("airflow worker -- ", "task"),
    )
    return next((kind for start, kind in kinds if title.startswith(start)), "")


def _play(airflow: Scheduler, names: list[str], killer: Killer) -> tuple[dict[str, str], int]:
    """The state each run ended in, and how often the scheduler was started anew."""
    restarts = 0
    for name in names:
        airflow.wait_for_dag(name)
    for name in names:
        airflow.unpause(name)

    def ended() -> bool:
        nonlocal restarts
        runs = [run for name in names for run in airflow.runs(name)]
        if len(runs) == len(names) and all(run["state"] in ENDED for run in runs):
            return True
        still = time.monotonic() - killer.last_busy > STILL_S
        if still and isinstance(airflow, AirflowServer):
            killer.session = airflow.restart_process("scheduler").pid
            killer.last_busy = time.monotonic()
            restarts += 1
        return False

    wait_until(f"{len(names)} runs", WITHIN_S, ended, every_s=1.0)
    return {name: airflow.runs(name)[0]["state"] for name in names}, restarts


def _tries(airflow: Scheduler, name: str) -> dict[str, int]:
    (run,) = airflow.runs(name)
    tasks = airflow.tasks(name, run["dag_run_id"])
    return {task: int(ti["try_number"]) for task, ti in tasks.items()}


def _run(folder: Path, model: str, day: date, tracking_uri: str, **context: bool) -> None:
    output = run_day(open_toy(folder, model, day, tracking_uri, **context))
    if output["outcome"] != "challenger":
        raise RuntimeError(str(output))


def _differing(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """A file aside that was never renamed is litter, counted apart: nobody reads it."""
    return [key for key in wanted if key != "torn" and wanted[key] != found[key]]


def _torn(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except ValueError:
        return True
    return False


def _write_dags(folder: Path, names: list[str]) -> Path:
    dags = folder / "dags"
    dags.mkdir()
    text = DAG_FILE.format(names=names, spec=str(folder / "toy.toml"), day=DAY, retries=RETRIES)
    (dags / "toy.py").write_text(text)
    return dags
