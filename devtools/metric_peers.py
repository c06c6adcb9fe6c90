"""Metrics of decisions beside scikit-learn and a bootstrap of days, on random joint counts."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from sklearn import metrics as peers

from retrain_ops.stats.cells import CHALLENGER, CHAMPION, LABEL, confusion, day_cells, total
from retrain_ops.stats.metrics import Confusion, Costs, Metric, metric_named
from retrain_ops.stats.paired import compare

BETA = Fraction(2)
COSTS = Costs(tn=Fraction(0), fp=Fraction("5.5"), fn=Fraction(80), tp=Fraction(-3))

Rows = np.ndarray
Peer = Callable[[Rows, Rows], float]

_NAN: Mapping[str, Any] = {"zero_division": np.nan}


def _net_benefit(y: Rows, said: Rows) -> float:
    each = np.array([float(c) for c in (COSTS.tn, COSTS.fp, COSTS.fn, COSTS.tp)])
    return -float(each[2 * y + said].mean())


PEERS: Mapping[str, Peer] = {
    "f1": lambda y, p: peers.f1_score(y, p, **_NAN),
    "precision": lambda y, p: peers.precision_score(y, p, **_NAN),
    "recall": lambda y, p: peers.recall_score(y, p, **_NAN),
    "specificity": lambda y, p: peers.recall_score(y, p, pos_label=0, **_NAN),
    "fbeta": lambda y, p: peers.fbeta_score(y, p, beta=float(BETA), **_NAN),
    "accuracy": peers.accuracy_score,
    "balanced_accuracy": peers.balanced_accuracy_score,
    "jaccard": lambda y, p: peers.jaccard_score(y, p, zero_division=0),
    "mcc": peers.matthews_corrcoef,
    "net_benefit": _net_benefit,
}


def named(name: str) -> Metric:
    """A metric with the arguments that its peer has."""
    return metric_named(name, beta=BETA, costs=COSTS)


def random_days(rng: np.random.Generator, days: int, rows: int) -> np.ndarray:
    """int64[days, 8]: days that differ in their labels and in how well the models do."""
    shares = rng.dirichlet([40, 2, 2, 5, 4, 2, 2, 15], size=days)
    counts = [rng.multinomial(rows, s) for s in shares]
    return np.array(counts, dtype=np.int64).reshape(days, 8)


def random_table(rng: np.random.Generator) -> np.ndarray:
    """int64[days, 8], often with cells, labels, decisions or days that are all empty."""
    days = random_days(rng, int(rng.integers(1, 8)), int(rng.integers(1, 200)))
    empty = rng.integers(6)
    if empty == 0:
        days[:, [flag == rng.integers(2) for flag in LABEL]] = 0  # one class
    elif empty == 1:
        days[:, [flag == rng.integers(2) for flag in CHALLENGER]] = 0
    elif empty == 2:
        days[rng.integers(len(days)) :] = 0
    return days


def check_table(name: str, days: np.ndarray) -> tuple[float, int]:
    """The largest distance to the peer, and how many of both scores are undefined.

    Raises:
        AssertionError: a score is undefined where its peer has one, or the other way round; the
            influences of all rows do not sum to zero.
    """
    metric, counts = named(name), total(days.tolist())
    furthest, undefined = 0.0, 0
    for said in (CHAMPION, CHALLENGER):
        cells = confusion(counts, said)
        score = metric.score(cells)
        if score is None:
            assert _is_undefined(name, cells), (name, cells)
            undefined += 1
            continue
        y, p = (np.repeat([0, 0, 1, 1], cells), np.repeat([0, 1, 0, 1], cells))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = PEERS[name](y, p)
        furthest = max(furthest, abs(float(score) - value))
        slopes, _ = metric.influence(cells)
        assert sum(n * slope for n, slope in zip(cells, slopes, strict=True)) == 0
    return furthest, undefined


def _is_undefined(name: str, cells: Confusion) -> bool:
    """By the rows that each metric divides by; peers answer 0, 1 or NaN there."""
    tn, fp, fn, tp = cells
    counted = {
        "precision": (fp + tp,),
        "recall": (fn + tp,),
        "specificity": (tn + fp,),
        "accuracy": (sum(cells),),
        "net_benefit": (sum(cells),),
        "balanced_accuracy": (fn + tp, tn + fp),
        "mcc": (fn + tp, tn + fp, fp + tp, tn + fn),
    }
    return 0 in counted.get(name, (fp + fn + tp,))


def bootstrap_ratio(
    name: str, days: np.ndarray, rng: np.random.Generator, *, draws: int = 2000
) -> float:
    """The standard error of the difference by days over its bootstrap: days drawn with return."""
    metric = named(name)
    error = compare(day_cells(days), metric).day_error
    assert error is not None
    drawn = days[rng.integers(len(days), size=(draws, len(days)))].sum(axis=1).tolist()
    differences = [float(_difference(metric, counts)) for counts in drawn]
    return error / math.sqrt(np.var(differences, ddof=1))


def _difference(metric: Metric, counts: list[int]) -> Fraction:
    old = metric.score(confusion(counts, CHAMPION))
    new = metric.score(confusion(counts, CHALLENGER))
    assert old is not None
    assert new is not None
    return new - old
