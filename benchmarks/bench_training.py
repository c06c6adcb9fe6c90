"""Training and prediction against LightGBM, XGBoost, scikit-learn and hessboost.

    python -m benchmarks.bench_training [--rows NAME ...] [--repeats 5] [--scale 1.0] [--threads 2]

Ours and the peer's turns alternate in one process, each after a rest of 50 ms: idle threads of
the other's OpenMP runtime spin for some milliseconds after its last region. A ratio is the median
of ours over the median of theirs. Times include binning, from the same float32 array in memory;
tables are made from counters (training_data.py). Flights are real ones, with three categories and
gaps; `flights watched` also takes the loss of as many other rows after each round. Quality is
measured on as many test rows and given as ours - theirs: AUC (larger is better), or log-loss and
RMSE in per cent of theirs (smaller is better). Writes build/bench/training.json: {row, peer,
ours_s, peer_s, ratio, gate, aim, quality_delta, threads}. `floor` is our time over (updates x time
of one update), where an update adds one row's gradient to one bin; both come from the same run.
`quality` repeats D1 with five seeds: the one-sided 95 % lower bound of the paired AUC difference,
and log-loss in per cent.
`memory` is what a fit adds to the peak of a process of its own that holds the table, in MB.

On a machine that others keep busy, wall times of the peers are those of their barriers, which
spin: `--threads 1 --clock cpu` compares the work alone and says so in every row.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
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

REST_SECONDS = 0.05

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
LEAVES = {"leaves": 31}
DEPTH = {"depth": 6}

ROWS: dict[str, tuple[str, int, dict[str, int], tuple[tuple[str, float, float], ...]]] = {
    "D1": ("D1", 1_000_000, LEAVES, (
        ("lightgbm", 0.60, 0.42), ("lightgbm_columns", 0.60, 0.42),
        ("lightgbm_quantised", 0.80, 0.55),
        ("xgboost", 0.60, 0.45), ("sklearn", 0.50, 0.38))),
    "D1 depth 6": ("D1", 1_000_000, DEPTH, (("hessboost", 0.95, 0.70),)),
    "D1 255 leaves": ("D1", 1_000_000, {"leaves": 255}, (("lightgbm", 0.70, 0.50),)),
    "D2 depth 6": ("D2", 100_000, DEPTH, (("hessboost", 0.95, 0.70),)),
    "D2 depth 6, 1 thread": ("D2", 100_000, {**DEPTH, "threads": 1}, (("hessboost", 0.95, 0.70),)),
    "D3": ("D3", 581_012, LEAVES, (("lightgbm", 0.65, 0.45),)),
    "D4 512 leaves": ("D4", 1_000_000, {"leaves": 512}, (("lightgbm", 0.70, 0.55),)),
    "D5": ("D5", 10_000, LEAVES, (("sklearn", 0.25, 0.15), ("lightgbm", 0.50, 0.35))),
    "D7": ("D7", 500_000, LEAVES, (("lightgbm", 0.70, 0.55), ("xgboost", 0.35, 0.25))),
    "flights watched": ("flights", 300_000, {**LEAVES, "watched": 1}, (("lightgbm", 0.70, 0.50),)),
}  # fmt: skip

PREDICT = {
    "predict": ("D1", 1_000_000, (("lightgbm", 0.50, 0.25), ("sklearn", 0.30, 0.15))),
    "predict one row": ("D1", 1, (("lightgbm", 0.20, 0.05), ("sklearn", 0.05, 0.02))),
    "flights predict": ("flights", 1_000_000, (("lightgbm", 0.25, 0.10),)),
    "flights one row": ("flights", 1, (("lightgbm", 0.20, 0.05),)),
}


def alternate(
    calls: dict[str, Callable[[], Any]], repeats: int, clock: Callable[[], float]
) -> tuple[dict[str, float], dict[str, Any]]:
    """Median seconds and the last result of each call; the calls take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    results: dict[str, Any] = {}
    for _ in range(repeats):
        for name, call in calls.items():
            time.sleep(REST_SECONDS)
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
    more: dict[str, Any] = {"threads": args.threads, **shape}
    if "watched" in shape:
        more["watched"] = kind.make(rows, 3)
    job = Job(kind, *kind.make(rows, 1), rows=rows, rounds=args.rounds, **more)
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
        found.append(row_of(name, peer, seconds, gate, aim, delta, job.threads, args.clock))
    return found


def row_of(
    name: str, peer: str, seconds: dict[str, float], gate: float, aim: float,
    delta: float | None, threads: int, clock: str,
) -> dict[str, Any]:  # fmt: skip
    ratio = seconds["ours"] / seconds["peer"]
    row = {
        "row": name, "peer": peer, "ours_s": round(seconds["ours"], 7),
        "peer_s": round(seconds["peer"], 7), "ratio": round(ratio, 4), "gate": gate, "aim": aim,
        "quality_delta": None if delta is None else round(delta, 6), "threads": threads,
        "clock": clock,
    }  # fmt: skip
    verdict = "aim" if ratio <= aim else "gate" if ratio <= gate else "MISSED"
    print(
        f"{name:16} {peer:20} ours {seconds['ours']:9.5f} s  theirs {seconds['peer']:9.5f} s  "
        f"ratio {ratio:6.3f} (gate {gate}, aim {aim}: {verdict})  quality {delta}", flush=True,
    )  # fmt: skip
    return row


def measure_predicting(name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Raw predictors on what one table trained; one row is asked for many times."""
    table, rows, peers = PREDICT[name]
    kind = TABLES[table]
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
        found.append(row_of(name, peer, per_call, gate, aim, None, job.threads, args.clock))
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


def measure_quality(args: argparse.Namespace) -> dict[str, Any]:
    """D1 by five seeds: is there anything that integer gradients lose against LightGBM?"""
    kind = TABLES["D1"]
    rows = max(1000, int(1_000_000 * args.scale))
    aucs, losses = [], []
    for seed in range(1, 6):
        job = Job(kind, *kind.make(rows, seed), rows=rows, threads=args.threads,
                  rounds=args.rounds, leaves=31)  # fmt: skip
        x, y = kind.make(rows, seed + 100)
        ours, theirs = (
            np.asarray(library.predict(library.fit(job), x, job))
            for library in (OURS, PEERS["lightgbm"])
        )
        aucs.append(auc(ours, y) - auc(theirs, y))
        losses.append(100 * (log_loss(ours, y) / log_loss(theirs, y) - 1))
    # Student's t with 4 degrees of freedom, one-sided 95 %.
    bound = float(np.mean(aucs) - 2.131847 * np.std(aucs, ddof=1) / np.sqrt(len(aucs)))
    worst = max(losses)
    print(f"quality: AUC ours - LightGBM's {np.mean(aucs):+.6f}, lower bound {bound:+.6f} "
          f"(above -0.0005); log-loss at most {worst:+.3f} % (below 0.2)", flush=True)  # fmt: skip
    return {"row": "D1 quality, 5 seeds", "peer": "lightgbm", "ours_s": None, "peer_s": None,
            "ratio": None, "gate": -0.0005, "aim": 0.0, "quality_delta": round(bound, 6),
            "log_loss_percent": round(worst, 4), "threads": args.threads}  # fmt: skip


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    q = np.clip(p, 1e-15, 1 - 1e-15)
    return float(-np.mean(np.where(y == 1, np.log(q), np.log1p(-q))))


def measure_memory(args: argparse.Namespace) -> dict[str, Any]:
    """Ours and LightGBM's, each in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, maxtasksperchild=1) as pool:
        jobs = [(who, args.threads, args.rounds, args.scale) for who in ("ours", "lightgbm")]
        ours, theirs = pool.starmap(peak_growth_mb, jobs, chunksize=1)
    print(f"memory: ours {ours:.0f} MB beyond X, LightGBM {theirs:.0f} MB, "
          f"ratio {ours / theirs:.2f}", flush=True)  # fmt: skip
    return {"row": "D1 peak memory beyond X, MB", "peer": "lightgbm", "ours_s": None,
            "peer_s": None, "ours_mb": round(ours, 1), "peer_mb": round(theirs, 1),
            "ratio": round(ours / theirs, 4), "gate": 1.25, "aim": 1.0, "quality_delta": None,
            "threads": args.threads}  # fmt: skip


def peak_growth_mb(who: str, threads: int, rounds: int, scale: float) -> float:
    """MB by which a fit on D1 raises the peak of this process."""
    kind = TABLES["D1"]
    library = OURS if who == "ours" else PEERS[who]
    warm = Job(kind, *kind.make(1000, 1), rows=1000, threads=threads, rounds=1, leaves=31)
    library.fit(warm)  # loads what the library loads
    rows = max(1000, int(1_000_000 * scale))
    job = Job(kind, *kind.make(rows, 1), rows=rows, threads=threads, rounds=rounds, leaves=31)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = _status_kib("VmRSS")
    library.fit(job)
    return (_status_kib("VmHWM") - before) / 1024


def _status_kib(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


WHOLE = {"floor": measure_floor, "quality": measure_quality, "memory": measure_memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    known = [*ROWS, *PREDICT, *WHOLE]
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
            found.append(WHOLE[name](args))
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
