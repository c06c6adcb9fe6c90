"""Logistic regression beside scikit-learn's solvers, liblinear among them.

    python -m benchmarks.bench_linear [--rows 1000000] [--repeats 3] [--clock wall] [--threads 2]

Table D1 (28 numbers, training_data.py), standardised before the clock starts, C = 1. The optimum is
ours with the tolerance 1e-15; of every solver the time is that of the loosest of its tolerances
whose penalised loss is within a relative 1e-9 of it, the median of the repeats, turns alternating.
A ratio is ours over theirs. Writes build/bench/linear.json: {peer, tolerance, ours_s, peer_s,
ratio, gate, aim, ours_excess, peer_excess, ours_gradient, peer_gradient}; excess is loss over
optimum - 1, gradient the largest derivative over the rows. liblinear has no threads and penalises
the intercept, so it is given a large intercept_scaling and judged by the same loss.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression as Theirs

from benchmarks.training_data import higgs
from retrain_ops.models import LogisticRegression

RESULT = Path(__file__).resolve().parent.parent / "build" / "bench" / "linear.json"
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
GOAL = 1e-9
PEERS: dict[str, tuple[dict[str, Any], float, float]] = {
    "newton-cholesky": ({}, 0.15, 0.07),
    "lbfgs": ({}, 0.15, 0.07),
    "newton-cg": ({}, 0.15, 0.07),
    "liblinear": ({"intercept_scaling": 100.0}, 0.05, 0.03),
}
"""Settings, gate and aim of a ratio."""
TOLERANCES = (1e-4, 1e-5, 1e-6, 1e-8, 1e-10, 1e-12)

Table = tuple[NDArray[Any], NDArray[np.float64]]


def loss_and_gradient(table: Table, model: Any) -> tuple[float, float]:
    """The penalised loss, and the largest derivative over the rows, in float64."""
    x, y = table
    slopes, intercept = np.asarray(model.coef_[0], np.float64), float(model.intercept_[0])
    eta = x.astype(np.float64) @ slopes + intercept
    loss = float(np.sum(np.logaddexp(0.0, eta) - y * eta) + 0.5 * slopes @ slopes)
    rest = 1.0 / (1.0 + np.exp(-eta)) - y
    gradient = np.append(x.T.astype(np.float64) @ rest + slopes, rest.sum())
    return loss, float(np.abs(gradient).max() / len(y))


def timed(make: Any, table: Table, clock: str) -> tuple[float, Any]:
    now = CLOCKS[clock]
    start = now()
    model = make().fit(*table)
    return now() - start, model


def peer_of(solver: str, tolerance: float) -> Any:
    settings = PEERS[solver][0]
    return Theirs(solver=solver, tol=tolerance, max_iter=10_000, **settings)


def ours(threads: int, tolerance: float) -> Any:
    return LogisticRegression(standardize=False, tol=tolerance, n_threads=threads)


def loosest(make: Any, table: Table, optimum: float) -> tuple[float, float, float] | None:
    """The first tolerance that reaches the goal, its excess and gradient."""
    for tolerance in TOLERANCES:
        loss, gradient = loss_and_gradient(table, make(tolerance).fit(*table))
        excess = loss / optimum - 1.0
        if excess <= GOAL:
            return tolerance, excess, gradient
    return None


def compare(solver: str, table: Table, optimum: float, args: argparse.Namespace) -> dict[str, Any]:
    mine = loosest(lambda tol: ours(args.threads, tol), table, optimum)
    other = loosest(lambda tol: peer_of(solver, tol), table, optimum)
    _, gate, aim = PEERS[solver]
    row: dict[str, Any] = {"peer": solver, "rows": len(table[1]), "gate": gate, "aim": aim}
    if mine is None or other is None:
        return {**row, "ratio": None, "why": f"{GOAL:g} was not reached"}
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(args.repeats):
        times[0].append(timed(lambda: ours(args.threads, mine[0]), table, args.clock)[0])
        times[1].append(timed(lambda: peer_of(solver, other[0]), table, args.clock)[0])
    ours_s, peer_s = (statistics.median(found) for found in times)
    return {
        **row, "tolerance": other[0], "ours_s": ours_s, "peer_s": peer_s,
        "ratio": ours_s / peer_s, "ours_excess": mine[1], "peer_excess": other[1],
        "ours_gradient": mine[2], "peer_gradient": other[2], "threads": args.threads,
        "clock": args.clock, "load": os.getloadavg()[0],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="wall")
    parser.add_argument("--json", type=Path, default=RESULT)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    x, y = higgs(args.rows, 1)
    x = np.ascontiguousarray((x - x.mean(0)) / x.std(0), dtype=np.float32)
    table = (x, y.astype(np.float64))
    optimum = loss_and_gradient(table, ours(args.threads, 1e-15).fit(*table))[0]
    found = []
    for solver in PEERS:
        found.append(compare(solver, table, optimum, args))
        print(json.dumps(found[-1]), flush=True)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
