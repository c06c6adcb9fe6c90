"""The scoring server under load: champions that change, a registry that hangs, processes killed.

`SERVING_SWAPS`, `SERVING_REQUESTS` and `SERVING_KILLS` are other counts.
"""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from devtools.load import Load
from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from devtools.servers.processes import PATIENCE_S, free_port
from devtools.servers.scoring_server import ScoringServer
from devtools.serving import FIRST, challenged, promoted, small_model, wait_until
from retrain_ops.data.live_log import read_live
from retrain_ops.mlflow.client import MlflowClient
from retrain_ops.registry.registry import Registry
from retrain_ops.serving import Router
from retrain_ops.serving.keeper import LOCK_FILE
from retrain_ops.spec.spec import load_spec

MODEL = "served"
SPEC = """
[model]
name = "served"
[source]
path = "live/answers"
label = "y"
[features]
numeric = ["x0", "x1", "x2"]
[serving]
log = "live"
[registry]
tracking_uri = "{uri}"
"""
SWAPS, REQUESTS, KILLS = 200, 100_000, 50
CLIENTS = 6
LATER = FIRST + timedelta(days=1000)
Found = dict[str, Any]


def prove(folder: Path) -> Found:
    """Both parts, each on a registry and a folder of its own."""
    found = {}
    for name, part in (("swaps", _swaps), ("kills", _kills)):
        place = folder / name
        place.mkdir()
        with MlflowServer(place / "mlflow", mlflow_python()) as mlflow:
            spec = place / "spec.toml"
            spec.write_text(SPEC.format(uri=mlflow.url))
            promoted(MlflowClient(mlflow.url), MODEL, small_model(3))
            with ScoringServer(spec, free_port(), workers=2) as server:
                found[name] = part(mlflow, server, spec)
        print(json.dumps({name: found[name]}), flush=True)  # whatever becomes of the next
    return found


def _count(name: str, otherwise: int) -> int:
    return int(os.environ.get(f"SERVING_{name}", otherwise))


# -- champions that change -----------------------------------------------------------------


def _swaps(mlflow: MlflowServer, server: ScoringServer, spec: Path) -> Found:
    """Promotions, canaries of a half and rollbacks in turns; half-way the registry hangs."""
    client, swaps = MlflowClient(mlflow.url), _count("SWAPS", SWAPS)
    reach, memory, outage, never = [], [], {}, set()
    with Load(server.port, CLIENTS) as load:
        wait_until(lambda: load.all_by("1"))
        for turn in range(swaps // 2):
            share = 0.5 if turn % 5 == 4 else None
            newest = promoted(client, MODEL, small_model(3, seed=turn + 2), share=share)
            wait_until(lambda number=newest.number: number in load.lately, seconds=PATIENCE_S)
            reach.append(_rollback(client, load))
            if turn % 10 == 0:  # a challenger in shadow answers nobody
                never.add(challenged(client, MODEL, small_model(3, seed=1000 + turn)).number)
                memory.append(_resident_mib(server))
            if turn == swaps // 4:
                outage = _outage(mlflow, server, load)
        wanted = _count("REQUESTS", REQUESTS)
        wait_until(lambda: sum(load.answers.values()) >= wanted, seconds=PATIENCE_S)
    return {
        "requests": sum(load.answers.values()),
        "failed": load.broken + sum(n for (s, _), n in load.answers.items() if s != 200),
        "by a version that never served": sum(load.answers[200, number] for number in never),
        "by no version": load.answers[200, None],
        "swaps": swaps,
        "rollback_reaches_all_s": _quantiles(reach),
        "workers_mib": memory,
        "outage": outage,
    }


def _rollback(client: MlflowClient, load: Load) -> float:
    """Seconds from the commit of a rollback until every client is answered by the version."""
    registry = Registry(client, MODEL)
    registry.rollback(effective_from=LATER, recorded_at=LATER)
    begun, champion = time.monotonic(), registry.snapshot().aliases["champion"]
    wait_until(lambda: load.all_by(champion), seconds=PATIENCE_S)
    return time.monotonic() - begun


def _outage(mlflow: MlflowServer, server: ScoringServer, load: Load) -> Found:
    """The registry's processes stand still until /health says so, and a while longer."""
    assert mlflow.process is not None

    def problem() -> object:
        return json.loads(server.get("/health")[1])["problem"]

    before = sum(load.answers.values())
    os.killpg(mlflow.process.pid, signal.SIGSTOP)
    try:
        wait_until(problem, seconds=PATIENCE_S)
        said, known = problem(), sum(load.answers.values())
        wait_until(lambda: sum(load.answers.values()) >= known + 1000, seconds=PATIENCE_S)
    finally:
        os.killpg(mlflow.process.pid, signal.SIGCONT)
    wait_until(lambda: problem() is None, seconds=PATIENCE_S)
    return {"requests": sum(load.answers.values()) - before, "problem": said}


def _resident_mib(server: ScoringServer) -> list[float]:
    pages = [int(Path(f"/proc/{p}/statm").read_text().split()[1]) for p in server.workers()]
    return [round(n * os.sysconf("SC_PAGE_SIZE") / 2**20, 1) for n in pages]


def _quantiles(seconds: list[float]) -> Found:
    shares = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(float(np.quantile(seconds, q)), 3) for name, q in shares.items()}


# -- processes killed ------------------------------------------------------------------------


def _kills(mlflow: MlflowServer, server: ScoringServer, spec: Path) -> Found:
    """kill -9, in turns of the worker that asks the registry and of another one."""
    client, begun = MlflowClient(mlflow.url), datetime.now(UTC)
    promoted(client, MODEL, small_model(3, seed=2), share=0.5)
    asking = 0
    with Load(server.port, CLIENTS) as load:
        wait_until(lambda: {"1", "2"} <= {v for _, v in load.answers})
        for turn in range(_count("KILLS", KILLS)):
            workers = set(server.workers())
            asks = _holder(spec.parent / "serving" / MODEL / LOCK_FILE)
            victim = asks if turn % 2 == 0 and asks in workers else min(workers - {asks})
            asking += victim == asks
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda before=workers: _new_worker(server, before), seconds=PATIENCE_S)
            known = len(load.answered)
            wait_until(lambda n=known: len(load.answered) > n + 200, seconds=PATIENCE_S)
    server.stop()
    return {
        "kills": _count("KILLS", KILLS),
        "of the one that asks": asking,
        "statuses": {str(s): n for (s, _), n in sorted(load.answers.items(), key=str)},
        **_logged(spec, load, begun),
    }


def _new_worker(server: ScoringServer, before: set[int]) -> bool:
    workers = set(server.workers())
    return len(workers) == len(before) and workers != before


def _holder(lock: Path) -> int:
    """The process that holds a lock; 0: none."""
    inode = f":{lock.stat().st_ino} "
    lines = Path("/proc/locks").read_text().splitlines()
    return next((int(line.split()[4]) for line in lines if inode in line), 0)


def _logged(spec: Path, load: Load, begun: datetime) -> Found:
    """What the log has of what was answered, once all of it is Parquet."""
    found = load_spec(spec)
    with closing(Router(found)) as router:
        assert router.log is not None
        log = spec.parent / "serving" / MODEL / "log"
        wait_until(lambda: router.log.compact() or len(list(log.glob("*.log"))) <= 1)
    live = read_live(found, begun - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1))
    ids = live.answers[found.source.request_id].to_pylist()
    files = (spec.parent / "live" / "answers").rglob("*.parquet")
    return {
        "answered": len(load.answered),
        "lost": len(set(load.answered) - set(ids)),
        "rows": len(ids),
        "doubled": len(ids) - len(set(ids)),
        "sent_again_and_passed_over": live.repeated,
        "rows_in_files": sum(pq.read_metadata(p).num_rows for p in files),
    }
