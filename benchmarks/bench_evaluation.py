"""Evaluation kernels beside the tools people use, measured alternately in one run.

    make bench-evaluation           (environment `bench`; a few minutes on an idle machine)

Each row runs ours and the peer's in turn and keeps the best of each: what else the machine does
hits both alike, so ratios are what to read. Writes build/bench/evaluation.json, rows {row, peer,
ours_s, peer_s, ratio, gate, aim, quality_delta, threads}; exits 1 when a ratio passes its gate.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np

from retrain_ops import _core
from retrain_ops.stats import delong_test, roc_auc, score_metrics
from retrain_ops.stats.cells import CHALLENGER, CHAMPION, N_CELLS
from retrain_ops.stats.metrics import F1, metric_named
from retrain_ops.stats.sums import count_sums
from retrain_ops.stats.tables import paired_amounts

OUT = Path(__file__).resolve().parent.parent / "build" / "bench" / "evaluation.json"
SCALE = float(os.environ.get("BENCH_SCALE", "1"))
"""Share of the rows; below 1 for a quick look. Gates are meant for 1."""
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))


@dataclass(frozen=True)
class Case:
    """`ours` takes the number of threads; `delta` compares the two results, 0 = equal."""

    row: str
    peer: str
    gate: float
    aim: float
    ours: Callable[[int], object]
    theirs: Callable[[], object]
    delta: Callable[[object, object], float]


def timed(work: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def gap(a: object, b: object) -> float:
    return float(np.max(np.abs(np.asarray(a, dtype=float) - np.asarray(b, dtype=float))))


def rows(n: float) -> int:
    return max(1000, int(n * SCALE))


def ranks(rng: np.random.Generator) -> Iterator[Case]:
    from sklearn.metrics import roc_auc_score

    n = rows(1e7)
    y = (rng.random(n) < 0.3).astype(np.uint8)
    score = np.clip(rng.random(n) * 0.8 + 0.2 * y, 0, 1)
    for dtype, gate, aim in ((np.float32, 0.10, 0.05), (np.float64, 0.20, 0.10)):
        values = score.astype(dtype)
        yield Case(
            f"AUC {n} rows {np.dtype(dtype).name}",
            "scikit-learn roc_auc_score",
            gate,
            aim,
            lambda team, v=values: roc_auc(y, v, n_threads=team),
            lambda v=values: roc_auc_score(y, v),
            gap,
        )
    m = rows(1e6)
    a, b = score[:m], np.clip(score[:m] + rng.normal(0, 0.1, m), 0, 1)

    def ours(team: int) -> list[float]:
        test = delong_test(y[:m], a, b, n_threads=team)
        return [test.auc_a, test.auc_b, test.z]

    yield Case(
        f"DeLong {m} rows", "NumPy, midranks", 0.05, 0.03, ours, lambda: delong(y[:m], a, b), gap
    )


def midranks(x: np.ndarray) -> np.ndarray:
    """Sun & Xu's algorithm as it is commonly written in NumPy, with the ties' loop vectorised."""
    order = np.argsort(x, kind="stable")
    ordered = x[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    last = np.r_[first[1:], len(x)]
    ranks = np.empty(len(x))
    ranks[order] = np.repeat((first + last + 1) / 2, last - first)
    return ranks


def delong(y: np.ndarray, a: np.ndarray, b: np.ndarray) -> list[float]:
    positive, negative = y == 1, y == 0
    m, n = int(positive.sum()), int(negative.sum())
    v01, v10, auc = [], [], []
    for score in (a, b):
        every = midranks(score)
        v01.append((every[positive] - midranks(score[positive])) / n)
        v10.append(1 - (every[negative] - midranks(score[negative])) / m)
        auc.append(v01[-1].mean())
    cov = np.cov(v01) / m + np.cov(v10) / n
    z = (auc[0] - auc[1]) / np.sqrt(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])
    return [auc[0], auc[1], z]


def drift(rng: np.random.Generator) -> Iterator[Case]:
    n, columns = rows(1e6), 100
    x = rng.normal(size=(columns, n))
    day = np.zeros(n, dtype=np.int32)
    edges = [_core.quantile_edges(column, 10) for column in x]

    def ours(team: int) -> np.ndarray:
        pairs = zip(x, edges, strict=True)
        return np.stack([_core.drift_counts(c, day, e, 1, n_threads=team)[0] for c, e in pairs])

    def numpy_counts() -> np.ndarray:
        table = np.zeros((columns, 13), dtype=np.int64)
        for i, (column, e) in enumerate(zip(x, edges, strict=True)):
            table[i, :10] = np.bincount(np.searchsorted(e, column), minlength=10)
        return table

    yield Case(
        f"PSI counts {n} x {columns}",
        "numpy.searchsorted + bincount",
        0.25,
        0.15,
        ours,
        numpy_counts,
        gap,
    )
    yield evidently_case(x[:2], x[2:4])


def evidently_case(reference: np.ndarray, current: np.ndarray) -> Case:
    import pandas as pd
    from evidently.legacy.calculations.stattests import psi_stat_test
    from evidently.legacy.core import ColumnType

    from retrain_ops.stats import psi

    pairs = list(zip(reference, current, strict=True))
    series = [(pd.Series(a), pd.Series(b)) for a, b in pairs]

    def theirs() -> list[float]:
        return [psi_stat_test(a, b, ColumnType.Numerical, 0.1).drift_score for a, b in series]

    return Case(
        f"PSI {len(reference[0])} rows, per column, binning included",
        "Evidently (other bins: the values differ by design)",
        0.05,
        0.03,
        lambda _: [psi(a, b).psi for a, b in pairs],
        theirs,
        gap,
    )


def slices(rng: np.random.Generator) -> Iterator[Case]:
    import pandas as pd
    from fairlearn.metrics import MetricFrame, count, selection_rate
    from sklearn.metrics import f1_score, precision_score, recall_score

    n, sizes = rows(1e6), (4, 6, 8)
    levels = [rng.integers(0, k, n).astype(np.int32) for k in sizes]
    y, p = rng.integers(0, 2, (2, n)).astype(np.uint8)
    day = np.zeros(n, dtype=np.int32)
    frame = pd.DataFrame({f"s{i}": level for i, level in enumerate(levels)})
    measures = {
        "f1": f1_score,
        "precision": precision_score,
        "recall": recall_score,
        "selection_rate": selection_rate,
        "count": count,
    }

    def ours(team: int) -> np.ndarray:
        cube = _core.joint_cube(day, levels, y, p, p, 1, sizes, n_threads=team)[0]
        tn, fp, fn, tp = (cube[..., cell].ravel() for cell in (0, 3, 4, 7))
        total = tn + fp + fn + tp
        return np.stack(
            [2 * tp / (2 * tp + fp + fn), tp / (tp + fp), tp / (tp + fn), (tp + fp) / total, total]
        )

    def theirs() -> np.ndarray:
        found = MetricFrame(metrics=measures, y_true=y, y_pred=p, sensitive_features=frame)
        return found.by_group.to_numpy(dtype=float).T

    row = f"5 metrics by 3 slice columns with intersections, {n} rows"
    yield Case(row, "Fairlearn MetricFrame", 0.02, 0.01, ours, theirs, gap)


def probabilities(rng: np.random.Generator) -> Iterator[Case]:
    from sklearn.metrics import brier_score_loss, log_loss

    n = rows(1e6)
    p = rng.random(n)
    y = (rng.random(n) < p).astype(np.uint8)

    def ours(team: int) -> list[float]:
        found = score_metrics(y, p, n_threads=team)
        return [found.log_loss, found.brier]

    yield Case(
        f"log-loss and Brier {n} rows (ours: and ECE)",
        "scikit-learn",
        0.25,
        0.15,
        ours,
        lambda: [log_loss(y, p), brier_score_loss(y, p)],
        gap,
    )


def gates(rng: np.random.Generator) -> Iterator[Case]:
    """What the gate counts of two models by day and slice, beside one call for each model."""
    from sklearn import metrics as peers

    n, days, levels = rows(1e7), 28, 4
    day = np.sort(rng.integers(0, days, n)).astype(np.int32)
    level = rng.integers(0, levels, n).astype(np.int32)
    everyone = np.zeros(n, np.int32)
    y = (rng.random(n) < 0.3).astype(np.uint8)
    both = [np.clip(rng.random(n) * 0.8 + 0.2 * y, 0, 1) for _ in range(2)]
    said = [(score >= 0.5).astype(np.uint8) for score in both]

    def ks(y: np.ndarray, score: np.ndarray) -> float:
        fpr, tpr, _ = peers.roc_curve(y, score, drop_intermediate=False)
        return float((tpr - fpr).max())

    def cells(team: int) -> list[float]:
        table = _core.joint_cells(day, level, y, *said, days, levels, n_threads=team)
        counts = table.sum(axis=(0, 1)).tolist()
        return [float(F1.score(F1.totals(counts, who)) or 0) for who in (CHAMPION, CHALLENGER)]

    yield Case(
        f"gate counts of decisions, two models, {n} rows by {days} days and {levels} levels",
        "scikit-learn f1_score, twice",
        0.2,
        0.05,
        cells,
        lambda: [peers.f1_score(y, p) for p in said],
        gap,
    )
    calls = {
        "roc_auc": (peers.roc_auc_score, 0.1),
        "average_precision": (peers.average_precision_score, 0.2),
        "ks": (ks, 0.1),
        "log_loss": (peers.log_loss, 0.2),
        "brier": (peers.brier_score_loss, 0.2),
    }
    for name, (call, gate) in calls.items():

        def sums(team: int, name: str = name) -> list[float]:
            metric = metric_named(name)
            (found,) = count_sums(name, day, everyone, y, *both, days, 1, n_threads=team)
            counts = [n - int(y.sum()), 0, 0, 0, int(y.sum()), 0, 0, 0]
            counts += [sum(column) for column in zip(*found, strict=True)]
            scores = (metric.score(metric.totals(counts, w)) for w in (CHAMPION, CHALLENGER))
            return [float(score or 0) for score in scores]

        yield Case(
            f"gate sums of {name}, two models, {n} rows by {days} days",
            f"scikit-learn {call.__name__}, twice",
            gate,
            gate / 2,
            sums,
            lambda call=call: [call(y, score) for score in both],
            gap,
        )


def amounts(rng: np.random.Generator) -> Iterator[Case]:
    """What the gate sums of two models' amounts by day, beside one call for each model."""
    from sklearn import metrics as peers

    n, days = rows(1e7), 28
    y = rng.gamma(2.0, 20.0, n) - 15.0
    both = tuple(y + rng.normal(0.0, 10.0, n) for _ in range(2))
    found = paired_amounts(np.sort(rng.integers(0, days, n)).astype(np.int32), days, y, both)
    quantile = Fraction("0.9")
    calls = {
        "mae": peers.mean_absolute_error,
        "rmse": peers.root_mean_squared_error,
        "pinball": partial(peers.mean_pinball_loss, alpha=float(quantile)),
        "r2": peers.r2_score,
        "mape": peers.mean_absolute_percentage_error,
    }
    for name, call in calls.items():

        def sums(team: int, name: str = name) -> list[float]:
            metric = metric_named(name, quantile=quantile)
            (of_days,) = metric.count(replace(found, n_threads=team), found.everyone)
            counts = [0] * N_CELLS + [sum(column) for column in zip(*of_days, strict=True)]
            scores = (metric.score(metric.totals(counts, w)) for w in (CHAMPION, CHALLENGER))
            return [float(score or 0) for score in scores]

        yield Case(
            f"gate sums of {name}, two models, {n} rows by {days} days",
            "scikit-learn, twice",
            0.2,
            0.1,
            sums,
            lambda call=call: [call(y, p) for p in both],
            lambda a, b: gap(a, b) / max(1.0, gap(a, 0.0)),
        )


def measure(case: Case, team: int) -> dict[str, object]:
    best = [float("inf"), float("inf")]
    results: list[object] = [None, None]
    for _ in range(ROUNDS):
        for side, work in enumerate((lambda: case.ours(team), case.theirs)):
            seconds, results[side] = timed(work)
            best[side] = min(best[side], seconds)
    return {
        **{key: getattr(case, key) for key in ("row", "peer", "gate", "aim")},
        "ours_s": best[0],
        "peer_s": best[1],
        "ratio": best[0] / best[1],
        "quality_delta": case.delta(*results),
        "threads": team,
    }


def main() -> int:
    table = []
    for topic in (ranks, drift, slices, probabilities, gates, amounts):
        for case in topic(np.random.default_rng(1)):
            for team in (1, 2):
                found = measure(case, team)
                table.append(found)
                print(
                    f"{found['row']:<62} {found['peer']:<34.34} threads {team} "
                    f"ours {found['ours_s']:.4f} s  peer {found['peer_s']:.4f} s  "
                    f"ratio {found['ratio']:.4f} (gate {found['gate']})  "
                    f"delta {found['quality_delta']:.2g}",
                    flush=True,
                )
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps({"scale": SCALE, "rows": table}, indent=1) + "\n")
    missed = [row["row"] for row in table if row["ratio"] > row["gate"]]
    print("all gates hold" if not missed else f"missed: {', '.join(sorted(set(missed)))}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
