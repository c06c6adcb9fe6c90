"""A process that trained forks; its child trains to the same bytes. Repeated, none may hang."""

from __future__ import annotations

import hashlib
import os
import select
from collections.abc import Callable
from datetime import date

from devtools.weeks import SPEC
from retrain_ops.data.labels import label_values, labelled
from retrain_ops.data.source import Source, day_index
from retrain_ops.models.training import TrainingData, train_gbdt
from retrain_ops.spec.spec import load_spec

PATIENCE_S = 60.0


def fork_and_train(train: Callable[[], bytes]) -> str:
    """The SHA-256 that a forked child got from `train`; an error if it hung or died."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(readable)
        try:
            os.write(writable, hashlib.sha256(train()).hexdigest().encode())
        finally:
            os._exit(0)
    os.close(writable)
    try:
        ready, _, _ = select.select([readable], [], [], PATIENCE_S)
        if not ready:
            os.kill(child, 9)
            raise RuntimeError(f"the forked child hung for {PATIENCE_S:.0f} s")
        return os.read(readable, 64).decode()
    finally:
        os.close(readable)
        os.waitpid(child, 0)


def prove(train: Callable[[], bytes], cycles: int) -> int:
    """Runs `cycles` forks after a training in this process; the number that agreed."""
    expected = hashlib.sha256(train()).hexdigest()
    agreed = 0
    for _ in range(cycles):
        if fork_and_train(train) != expected:
            raise RuntimeError("a forked child trained other bytes")
        agreed += 1
    return agreed


def flights_trainer(n_threads: int) -> Callable[[], bytes]:
    """Trains one real window of flights with a team and gives the model's bytes."""
    spec = load_spec(SPEC)
    window = spec.window_at(date(2013, 8, 14))
    columns = (*spec.features.all, spec.source.label)
    table = Source(spec).read(window.train, columns=columns, before=window.instant)
    table = labelled(table, spec)
    data = TrainingData(
        table=table,
        day=day_index(table)[0],
        label=label_values(table, spec.source.label),
        numeric=spec.features.numeric,
        categorical=spec.features.categorical,
    )

    def train() -> bytes:
        model = train_gbdt(data, params=spec.train, seed=spec.model.seed, n_threads=n_threads)
        return model.to_bytes()

    return train
