"""python -m proofs [PART ...]: the full counts behind the figures, into build/proofs/.

Without a part all of them run, which takes some hours. Each prints what it
found and writes build/proofs/<part>.json.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from devtools import weeks, year
from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from proofs import (
    airflow_approval,
    airflow_backfill,
    airflow_events,
    airflow_kills,
    airflow_parse,
    airflow_pool,
    airflow_week,
    compose,
    contract,
    damage,
    engine,
    faults_under_traffic,
    forks,
    fuzz,
    histories,
    kills,
    learn,
    life,
    live_page,
    metrics,
    pages,
    prefect_week,
    problem_weeks,
    registry,
    rollout,
    same_bytes,
    serving,
    sources,
    trainers,
    validation,
    workspaces,
)
from retrain_ops.examples.flights import main as load_flights

FOLDER = weeks.ROOT / "build" / "proofs"
SOURCE = weeks.ROOT / "build" / "data" / "flights"
FORKS = 200


def prove_weeks(folder: Path) -> dict[str, Any]:
    """Every week of the year; writes dags/flights_weeks.json."""
    with _mlflow(folder) as server:
        result = weeks.search(server.url, folder / "workspace")
    return {"chosen": result["chosen"], **result["tally"]}


def prove_rollout(folder: Path) -> dict[str, Any]:
    """A canary kept, a bad one rolled back by itself, a second rollback that changes nothing."""
    monday = date.fromisoformat(json.loads(weeks.RESULT.read_text())["chosen"])
    with _mlflow(folder) as server:
        return rollout.prove(server.url, folder / "workspace", monday)


def prove_forks(folder: Path) -> dict[str, Any]:
    """A trained process forks; children train to the same bytes."""
    train = forks.flights_trainer(n_threads=2)
    return {"cycles": forks.prove(train, FORKS), "hangs": 0}


def prove_same_bytes(folder: Path) -> dict[str, Any]:
    """The demo's week again by the command line alone, decisions compared byte by byte."""
    with _mlflow(folder) as server:
        return same_bytes.prove(server.url, folder / "workspace")


def prove_year(folder: Path) -> dict[str, Any]:
    """A challenger every day of the year under the bare rule and both paired gates."""
    return year.prove()


def prove_registry(folder: Path) -> dict[str, Any]:
    """Promotions killed after every request, raced, paused; creates whose connection breaks."""
    with _mlflow(folder) as server:
        return registry.prove(server.url, folder)


def prove_contract(folder: Path) -> dict[str, Any]:
    """The client's contract suite on every server that is supported."""
    return contract.prove(folder)


def prove_engine(folder: Path) -> dict[str, Any]:
    """Equal model bytes however they were trained, for 42 tables."""
    return engine.prove()


def prove_life(folder: Path) -> dict[str, Any]:
    """1,000 forks, 8 threads at once, 10,000 fits in one process, 100,000 changed models."""
    return life.prove()


def prove_fuzz(folder: Path) -> dict[str, Any]:
    """Ten million executions of each fuzzer under sanitizers; a planted bug is found first."""
    return fuzz.prove(folder)


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "weeks": prove_weeks,
    "rollout": prove_rollout,
    "forks": prove_forks,
    "engine": prove_engine,
    "life": prove_life,
    "fuzz": prove_fuzz,
    "same_bytes": prove_same_bytes,
    "year": prove_year,
    "metrics": metrics.prove,
    "validation": validation.prove,
    "serving": serving.prove,
    "faults_under_traffic": faults_under_traffic.prove,
    "sources": sources.prove,
    "prefect_week": prefect_week.prove,
    "airflow_week": airflow_week.prove,
    "problem_weeks": problem_weeks.prove,
    "trainers": trainers.prove,
    "airflow_backfill_2": partial(airflow_backfill.prove, "airflow-2.11"),
    "airflow_backfill_3": partial(airflow_backfill.prove, "airflow-3.3"),
    "airflow_pool": airflow_pool.prove,
    "compose": compose.prove,
    "airflow_kills_2": partial(airflow_kills.prove, "airflow-2.11", 6),
    "airflow_kills_3": partial(airflow_kills.prove, "airflow-3.3", 20),
    "registry": prove_registry,
    "kills": kills.prove,
    "learn": learn.prove,
    "damage": damage.prove,
    "histories": histories.prove,
    "workspaces": workspaces.prove,
    "contract": prove_contract,
    "airflow_approval": airflow_approval.prove,
    "airflow_events": airflow_events.prove,
    "airflow_parse": airflow_parse.prove,
    "pages": pages.prove,
    "live_page": live_page.prove,
}


def _mlflow(folder: Path) -> MlflowServer:
    """A server of its own: proofs count what is there."""
    return MlflowServer(folder / "mlflow", mlflow_python())


def main(arguments: list[str]) -> int:
    """Runs the parts named, or all."""
    parser = argparse.ArgumentParser(prog="proofs", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], help="default: all")
    chosen = parser.parse_args(arguments).part or list(PARTS)
    os.environ.setdefault("FLIGHTS_SOURCE", str(SOURCE))
    if not Path(os.environ["FLIGHTS_SOURCE"]).exists():
        load_flights([os.environ["FLIGHTS_SOURCE"]])
    for part in chosen:
        begun = time.monotonic()
        folder = _fresh(FOLDER / part)
        found = PARTS[part](folder)
        found["seconds"] = round(time.monotonic() - begun, 1)
        text = json.dumps(found, indent=1)
        (FOLDER / f"{part}.json").write_text(text + "\n")
        print(f"== {part}\n{text}", flush=True)
    return 0


def _fresh(folder: Path) -> Path:
    """An empty folder; what an earlier proof left is moved aside, never counted."""
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}.{time.time_ns()}"))
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    # Ending this process by a signal must end its servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1:]))
