"""Learning row by row beside scikit-learn's SGDClassifier and river's logistic regression.

    python -m benchmarks.bench_online [--batches 200] [--repeats 3] [--clock wall]

Table D1 (28 numbers, training_data.py) in batches of 1,000 rows: each is scored before it is learnt
from, so the loss is that of rows a model has not seen (progressive validation). Times are those of
`partial_fit` alone, the median over repeats of the sum over batches; of river 20 batches, row by
row as it is meant. Peers get standardised numbers, which they need; ours gets the numbers as they
are. Writes build/bench/online.json: {peer, ours_s, peer_s, ratio, gate, aim, ours_loss, peer_loss}.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river import linear_model, optim
from sklearn.linear_model import SGDClassifier

from benchmarks.training_data import higgs
from retrain_ops.models import LogisticRegression

RESULT = Path(__file__).resolve().parent.parent / "build" / "bench" / "online.json"
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
BATCH = 1000
LABELS = np.array([0, 1])

Batch = tuple[NDArray[Any], NDArray[Any]]


class Ours:
    def __init__(self) -> None:
        self.model = LogisticRegression()

    def learn(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        self.model.partial_fit(x, y, classes=LABELS)

    def score(self, x: NDArray[Any]) -> NDArray[np.float64]:
        return self.model.predict_proba(x)[:, 1]


class Sgd(Ours):
    def __init__(self) -> None:
        self.model = SGDClassifier(loss="log_loss", random_state=0)


class River:
    def __init__(self) -> None:
        self.model = linear_model.LogisticRegression(optim.SGD(0.01))

    def learn(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        for row, label in zip(x.tolist(), y.tolist(), strict=True):
            self.model.learn_one(dict(enumerate(row)), bool(label))

    def score(self, x: NDArray[Any]) -> NDArray[np.float64]:
        rows = (dict(enumerate(row)) for row in x.tolist())
        return np.array([self.model.predict_proba_one(row)[True] for row in rows])


PEERS: dict[str, tuple[type, float, float]] = {
    "SGDClassifier": (Sgd, 0.25, 0.10),
    "river": (River, 0.01, 0.003),
}
"""Peer, gate and aim of a ratio."""


def run(
    make: Callable[[], Any], batches: list[Batch], clock: Callable[[], float]
) -> tuple[float, float]:
    """Seconds of learning, and the mean loss of rows not seen; the first batch is not scored."""
    model, seconds, losses = make(), 0.0, []
    for i, (x, y) in enumerate(batches):
        if i:
            p = np.clip(model.score(x), 1e-15, 1 - 1e-15)
            losses.append(-np.mean(np.where(y > 0, np.log(p), np.log1p(-p))))
        start = clock()
        model.learn(x, y)
        seconds += clock() - start
    return seconds, float(np.mean(losses))


def batches_of(x: NDArray[Any], y: NDArray[Any], count: int) -> list[Batch]:
    return [(x[i : i + BATCH], y[i : i + BATCH]) for i in range(0, count * BATCH, BATCH)]


def compare(
    peer: str, table: Batch, plain: NDArray[Any], args: argparse.Namespace
) -> dict[str, Any]:
    make, gate, aim = PEERS[peer]
    count = 20 if peer == "river" else args.batches
    clock = CLOCKS[args.clock]
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(args.repeats):
        mine, my_loss = run(Ours, batches_of(plain, table[1], count), clock)
        other, other_loss = run(make, batches_of(*table, count), clock)
        times[0].append(mine)
        times[1].append(other)
    ours_s, peer_s = (statistics.median(found) for found in times)
    return {
        "peer": peer, "batches": count, "ours_s": ours_s, "peer_s": peer_s,
        "ratio": ours_s / peer_s, "gate": gate, "aim": aim, "ours_loss": my_loss,
        "peer_loss": other_loss, "clock": args.clock, "load": os.getloadavg()[0],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall")
    parser.add_argument("--json", type=Path, default=RESULT)
    args = parser.parse_args()
    x, y = higgs(args.batches * BATCH, 1)
    scaled = np.ascontiguousarray((x - x.mean(0)) / x.std(0), dtype=np.float64)
    plain = np.ascontiguousarray(x)
    found = [compare(peer, (scaled, y), plain, args) for peer in PEERS]
    for row in found:
        print(json.dumps(row), flush=True)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
