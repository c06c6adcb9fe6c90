"""Canaries with a fault, under the traffic of flights: how soon each is rolled back by itself.

A server with log answers flights that clients send without a pause. A new version takes a tenth of
them: one whose scores are inverted, that is slow, that answers no numbers, or that fails on its
rows. watch_canary looks once a second, and nobody else does anything. `FAULTS_RUNS` is another
count than 20 of each; versions without a fault are watched as often, and none may be rolled back.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from devtools import planted_models
from devtools.live_flights import DAGS, bodies_of, live_spec, read_flights, try_canary, watch
from devtools.load import Load
from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from devtools.servers.processes import PATIENCE_S, free_port
from devtools.servers.scoring_server import ScoringServer
from devtools.serving import promoted, wait_until
from retrain_ops.mlflow.client import MlflowClient
from retrain_ops.models import TabularModel
from retrain_ops.spec.spec import load_spec
from retrain_ops.spec.window import days_between

RUNS, LOOKS, MOST_LOOKS, CLIENTS = 20, 10, 120, 4
SOUND = "no fault"
MONDAY = date(2013, 8, 5)
DAYS = days_between(MONDAY, MONDAY + timedelta(days=6))
Found = dict[str, Any]


def prove(folder: Path) -> Found:
    """Each fault on a registry of its own, and versions without one."""
    runs = int(os.environ.get("FAULTS_RUNS", RUNS))
    rows = read_flights(load_spec(DAGS / "flights.toml"), DAYS)
    table, labels = rows.drop_columns(["label"]), rows["label"].to_numpy().astype(np.int8)
    champion = planted_models.sound(table, labels)
    amounts = planted_models.amounts(table, 10.0 + 20.0 * labels)
    yes_or_no = {
        "inverted": planted_models.inverted(table, labels),
        "slow": planted_models.slow(table, labels),
        "errors": planted_models.failing(table, labels, "carrier"),
        SOUND: planted_models.sound(table, labels, seed=2),
    }
    bodies = bodies_of(table)
    no_number = {"no number": planted_models.overflowing(amounts, "EWR")}
    return _series(folder, "flights", champion, yes_or_no, bodies, runs) | _series(
        folder, "flights_minutes", amounts, no_number, bodies, runs
    )


def _series(
    folder: Path,
    name: str,
    champion: TabularModel,
    canaries: Mapping[str, TabularModel],
    bodies: list[bytes],
    runs: int,
) -> Found:
    found: dict[str, list[Found]] = {fault: [] for fault in canaries}
    with (
        served(folder / name, name, champion) as (path, client, port),
        Load(port, CLIENTS, bodies) as load,
    ):
        wait_until(lambda: load.all_by("1"), seconds=PATIENCE_S)
        for _ in range(runs):
            for fault, model in canaries.items():
                looks = partial(watch, most=LOOKS if fault == SOUND else MOST_LOOKS)
                found[fault].append(try_canary(path, client, load, model, looks))
    return {fault: _summary(tried) for fault, tried in found.items()}


@contextmanager
def served(
    folder: Path, name: str, champion: TabularModel
) -> Iterator[tuple[Path, MlflowClient, int]]:
    """A server of a spec of dags/ with its first champion, on a registry of its own."""
    folder.mkdir()
    path = folder / "spec.toml"
    with MlflowServer(folder / "mlflow", mlflow_python()) as mlflow:
        path.write_text(live_spec(name, os.environ["FLIGHTS_SOURCE"], mlflow.url))
        client = MlflowClient(mlflow.url)
        promoted(client, load_spec(path).model.name, champion)
        with ScoringServer(path, free_port(), workers=1) as server:
            yield path, client, server.port


def _summary(runs: list[Found]) -> Found:
    """Median and most over the runs."""
    names = ("requests", "by_canary", "refused", "s_to_verdict", "s_to_last_answer")
    spans = {
        name: {"median": round(float(np.median(of)), 1), "most": round(float(max(of)), 1)}
        for name in names
        for of in [[run[name] for run in runs]]
    }
    reasons = Counter(run["reason"] for run in runs)
    rolled_back = sum(run["verdict"] == "rolled_back" for run in runs)
    return {"runs": len(runs), "rolled_back": rolled_back, "reasons": dict(reasons), **spans}
