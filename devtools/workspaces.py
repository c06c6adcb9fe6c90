"""Two and more processes that run one key at once.

Each has a workspace of its own, without the others' lock; or all share one on an object store,
and its lock.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from devtools.promoters import in_child
from devtools.synthetic import SPEC
from retrain_ops.errors import ConflictError
from retrain_ops.mlflow.client import MlflowClient
from retrain_ops.mlflow.tracking import log_run
from retrain_ops.registry.events import Version
from retrain_ops.run import Run, open_run

FIRST = date(2020, 1, 18)
TRIES = 60
TURNS = "turns/turns.json"


def race(
    url: str, folder: Path, model: str, rounds: int, workspaces: int, store: str = ""
) -> dict[str, Any]:
    """A key after the other, each by all processes at once; what was not there once.

    Args:
        url: of the MLflow server.
        folder: for workspaces and specs.
        model: the registered name.
        rounds: how many keys.
        workspaces: how many processes.
        store: the workspace that all share; "" gives each one of its own.

    Raises:
        RuntimeError: a process failed by itself.
    """
    wrong: list[str] = []
    for number in range(rounds):
        day = FIRST + timedelta(days=number)
        _round(url, folder, model, day, workspaces, store)
        wrong += _wrong(_run(url, folder / "reader", model, day))
    if store:
        wrong += _lost_turns(url, folder, model, rounds * workspaces, store)
    return {"rounds": rounds, "workspaces": workspaces, "wrong": len(wrong), "shown": wrong[:5]}


def _round(url: str, folder: Path, model: str, day: date, workspaces: int, store: str) -> None:
    barrier = get_context("fork").Barrier(workspaces)
    work = _in_turn if store else _at_once
    children = [
        in_child(work(url, folder / str(place), model, day, barrier, store))
        for place in range(workspaces)
    ]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if any(codes):
        raise RuntimeError(f"{model} {day}: the processes ended with {codes}")


def _at_once(
    url: str, folder: Path, model: str, day: date, barrier: Barrier, _: str
) -> Callable[[], None]:
    def act() -> None:
        run = _run(url, folder, model, day)
        barrier.wait(60)
        for _ in range(TRIES):
            try:
                return _day(run)
            except ConflictError:  # another one was first: run again
                time.sleep(0.05)
        raise RuntimeError(f"{model} {day}: nothing but conflicts")

    return act


def _in_turn(
    url: str, folder: Path, model: str, day: date, barrier: Barrier, store: str
) -> Callable[[], None]:
    """Under the lock nobody meets a conflict, and no turn is lost between a read and a write."""

    def act() -> None:
        run = _run(url, folder, model, day, store)
        barrier.wait(60)
        with run.workspace.lock():
            turns = (run.workspace.read_json(TURNS) or {"n": 0})["n"]
            _day(run)
            run.workspace.write_json(TURNS, {"n": turns + 1})

    return act


def _lost_turns(url: str, folder: Path, model: str, turns: int, store: str) -> list[str]:
    """Asked by a child: a store that was opened before a fork is not one afterwards."""

    def act() -> None:
        found = _run(url, folder / "reader", model, FIRST, store).workspace.read_json(TURNS)
        assert found == {"n": turns}, found

    _, status = os.waitpid(in_child(act), 0)
    return ["turns were lost"] if status else []


def _run(url: str, folder: Path, model: str, day: date, store: str = "") -> Run:
    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / "toy.toml"
    if not spec.exists():
        spec.write_text(SPEC)
    return open_run(
        spec,
        date=day,
        workspace=store or str(folder / "workspace"),
        model=model,
        client=MlflowClient(url, deadline=300.0),
    )


def _day(run: Run) -> None:
    """What a day writes to MLflow: the run, the version, the candidate, the champion."""
    hashes = {name: f"{name} of {run.retrain_key}" for name in ("data_sha256", "spec_sha256")}
    hashes["model_sha256"] = f"bytes of {run.retrain_key}"
    files = {"model/model.rtm": run.retrain_key.encode()}
    logged = log_run(run, hashes=hashes, params={}, metrics={"f1": 0.5}, history={}, files=files)
    version = run.registry.register(
        run_id=logged.run_id,
        source=f"{logged.artifact_uri}/model",
        tags={
            "retrain_key": run.retrain_key,
            "execution_date": run.window.end.isoformat(),
            **hashes,
        },
        description="",
    )
    _serve(run, version)


def _serve(run: Run, version: Version) -> None:
    registry = run.registry
    if version.state == "registered":
        registry.open_shadow(version, opened_at=run.instant)
        version = registry.version(version.number)
    if version.state == "shadow":
        registry.set_state(version, "shadow_passed")
    first = registry.snapshot().newest is None
    registry.promote(
        registry.version(version.number),
        kind="bootstrap" if first else "promote",
        effective_from=run.instant,
        recorded_at=datetime.now(UTC),
        share=None,
    )


def _wrong(run: Run) -> list[str]:
    """Runs and versions of the key, and who serves; nothing is repaired first."""
    key = run.retrain_key
    experiment = run.client.get_experiment_by_name(run.model)
    assert experiment is not None
    runs = run.client.search_runs([experiment.experiment_id], f"tags.retrain_key = '{key}'")
    world, found = run.registry.world(), run.registry.verify()
    versions = Counter(v.retrain_key for v in world.versions)
    newest = world.snapshot.newest
    serving = world.find(world.snapshot.aliases.get("champion"))
    told = [] if len(runs) == 1 else [f"{key} has {len(runs)} runs"]
    told += [] if versions[key] == 1 else [f"{key} has {versions[key]} versions"]
    if newest is None or serving is None or serving.retrain_key != key:
        told.append(f"{key} does not serve: {serving}")
    return told + ([] if found.ok else [f"{key}: {found.to_json()}"])
