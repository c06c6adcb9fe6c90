"""Training and prediction against LightGBM, XGBoost, scikit-learn and hessboost.

    python -m benchmarks.bench_training [--rows NAME ...] [--repeats 5] [--scale 1.0] [--threads 2]

Ours and the peer's turns alternate in one process; a ratio is the median of ours over the
median of theirs. Times include binning, from the same float32 array in memory; tables are
made from counters (training_data.py). Quality is measured on as many test rows and given as
ours - theirs: AUC (larger is better), or log-loss and RMSE in per cent of theirs (smaller is
better). Writes build/bench/training.json: {row, peer, ours_s, peer_s, ratio, gate, aim,
quality_delta, threads}. `floor` is our time over (updates x time of one update), where an
update adds one row's gradient to one bin; both come from the same run.

On a machine that others keep busy, wall times of the peers are those of their barriers, which
spin: `--threads 1 --clock cpu` compares the work alone and says so in every row.
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

from benchmarks.training_data import TABLES
from benchmarks.training_peers import OURS, PEERS, Job, has_peer

RESULT = Path(__file__).resolve().parent.parent / "build" / "bench" / "training.json"

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
LEAVES = {"leaves": 31}
DEPTH = {"depth": 6}

ROWS: dict[str, tuple[str, int, dict[str, int], tuple[tuple[str, float, float], ...]]] = {
    "D1": ("D1", 1_000_000, LEAVES, (
        ("lightgbm", 0.60, 0.42), ("lightgbm_quantised", 0.80, 0.55),
        ("xgboost", 0.60, 0.45), ("sklearn", 0.50, 0.38))),
    "D1 depth 6": ("D1", 1_000_000, DEPTH, (("hessboost", 0.95, 0.70),)),
    "D1 255 leaves": ("D1", 1_000_000, {"leaves": 255}, (("lightgbm", 0.70, 0.50),)),
    "D2 depth 6": ("D2", 100_000, DEPTH, (("hessboost", 0.95, 0.70),)),
    "D3": ("D3", 581_012, LEAVES, (("lightgbm", 0.65, 0.45),)),
    "D4 512 leaves": ("D4", 1_000_000, {"leaves": 512}, (("lightgbm", 0.70, 0.55),)),
    "D5": ("D5", 10_000, LEAVES, (("sklearn", 0.25, 0.15), ("lightgbm", 0.50, 0.35))),
    "D7": ("D7", 500_000, LEAVES, (("lightgbm", 0.70, 0.55), ("xgboost", 0.35, 0.25))),
}  # fmt: skip

PREDICT = {
    "predict": (1_000_000, (("lightgbm", 0.50, 0.25), ("sklearn", 0.30, 0.15))),
    "predict one row": (1, (("lightgbm", 0.20, 0.05), ("sklearn", 0.05, 0.02))),
}


def alternate(
    calls: dict[str, Callable[[], Any]], repeats: int, clock: Callable[[], float]
) -> tuple[dict[str, float], dict[str, Any]]:
    """Median seconds and the last result of each call; the calls take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    results: dict[str, Any] = {}
    for _ in range(repeats):
        for name, call in calls.items():
            start = clock()
            results[name] = call()
            seconds[name].append(clock() - start)
    return {name: statistics.median(taken) for name, taken in seconds.items()}, results


def auc(score: np.ndarray, y: np.ndarray) -> float:
    from scipy.stats import rankdata

    positives = int(y.sum())
    rank_sum = rankdata(score)[y == 1].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / positives / (len(y) - positives))


def quality(task: str, ours: np.ndarray, theirs: np.ndarray, y: np.ndarray) -> float:
    """Ours - theirs; see the module's words for the unit."""
    if task == "binary":
        return auc(ours, y) - auc(theirs, y)
    if task == "regression":
        a, b = (float(np.sqrt(np.mean((p - y) ** 2))) for p in (ours, theirs))
    else:
        rows = np.arange(len(y))
        a, b = (float(-np.mean(np.log(np.maximum(p[rows, y], 1e-15)))) for p in (ours, theirs))
    return 100 * (a - b) / b


def measure_training(name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    table, rows, shape, peers = ROWS[name]
    kind = TABLES[table]
    rows = max(1000, int(rows * args.scale))
    job = Job(kind, *kind.make(rows, 1), rows=rows, threads=args.threads, rounds=args.rounds,
              **shape)  # fmt: skip
    test_x, test_y = kind.make(min(rows, 1_000_000), 2)
    found = []
    for peer, gate, aim in peers:
        if not has_peer(peer):
            print(f"{name}: {peer} is not installed, not run", flush=True)
            continue
        seconds, models = alternate(
            {"ours": lambda: OURS.fit(job), "peer": lambda p=peer: PEERS[p].fit(job)},
            args.repeats,
            CLOCKS[args.clock],
        )
        delta = quality(
            kind.task,
            OURS.predict(models["ours"], test_x, job),
            PEERS[peer].predict(models["peer"], test_x, job),
            test_y,
        )
        found.append(row_of(name, peer, seconds, gate, aim, delta, args))
    return found


def row_of(
    name: str, peer: str, seconds: dict[str, float], gate: float, aim: float,
    delta: float | None, args: argparse.Namespace,
) -> dict[str, Any]:  # fmt: skip
    ratio = seconds["ours"] / seconds["peer"]
    row = {
        "row": name, "peer": peer, "ours_s": round(seconds["ours"], 7),
        "peer_s": round(seconds["peer"], 7), "ratio": round(ratio, 4), "gate": gate, "aim": aim,
        "quality_delta": None if delta is None else round(delta, 6), "threads": args.threads,
        "clock": args.clock,
    }  # fmt: skip
    verdict = "aim" if ratio <= aim else "gate" if ratio <= gate else "MISSED"
    print(
        f"{name:16} {peer:20} ours {seconds['ours']:9.5f} s  theirs {seconds['peer']:9.5f} s  "
        f"ratio {ratio:6.3f} (gate {gate}, aim {aim}: {verdict})  quality {delta}", flush=True,
    )  # fmt: skip
    return row


def measure_predicting(name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Raw predictors on what D1 trained; one row is asked for many times."""
    rows, peers = PREDICT[name]
    kind = TABLES["D1"]
    training_rows = max(1000, int(200_000 * args.scale))
    job = Job(kind, *kind.make(training_rows, 1), rows=training_rows, threads=args.threads,
              rounds=args.rounds, leaves=31)  # fmt: skip
    calls = 1 if rows > 1 else 200
    x, _ = kind.make(max(1, int(rows * args.scale)) if rows > 1 else 1, 2)
    ours = OURS.fit(job)
    found = []
    for peer, gate, aim in peers:
        if not has_peer(peer):
            continue
        theirs = PEERS[peer].fit(job)
        seconds, _ = alternate(
            {
                "ours": lambda: [OURS.predict(ours, x, job) for _ in range(calls)],
                "peer": lambda p=peer, m=theirs: [
                    PEERS[p].predict(m, x, job) for _ in range(calls)
                ],
            },
            args.repeats,
            CLOCKS[args.clock],
        )
        per_call = {who: taken / calls for who, taken in seconds.items()}
        found.append(row_of(name, peer, per_call, gate, aim, None, args))
    return found


def measure_floor(args: argparse.Namespace) -> dict[str, Any]:
    """Our whole time on D1 against what its histogram updates alone must take."""
    kind = TABLES["D1"]
    rows = max(100_000, int(1_000_000 * args.scale))
    x, y = kind.make(rows, 1)
    job = Job(kind, x, y, rows=rows, threads=args.threads, rounds=args.rounds, leaves=31)
    start = time.perf_counter()
    model = OURS.fit(job)
    total = time.perf_counter() - start
    per_update = OURS.update_seconds(job)
    updates = OURS.updates(model, x.shape[1])
    ratio = total / (updates * per_update)
    print(f"floor: {updates / 1e9:.2f} G updates x {per_update * 1e9:.3f} ns, "
          f"total {total:.2f} s = {ratio:.2f} times that (at most 1.35)", flush=True)  # fmt: skip
    return {"row": "D1 floor", "peer": "own kernel", "ours_s": total,
            "peer_s": updates * per_update, "ratio": ratio, "gate": 1.35, "aim": 1.2,
            "quality_delta": None, "threads": args.threads}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    known = [*ROWS, *PREDICT, "floor"]
    parser.add_argument("--rows", nargs="*", choices=known, default=known)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the rows of each table")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--json", type=Path, default=RESULT)
    args = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors", flush=True)
    found: list[dict[str, Any]] = []
    for name in args.rows:
        if name in ROWS:
            found += measure_training(name, args)
        elif name in PREDICT:
            found += measure_predicting(name, args)
        else:
            found.append(measure_floor(args))
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
