"""Metrics of scores beside scikit-learn and a bootstrap of days, on random rows."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from sklearn import metrics as peers

from retrain_ops.stats.cells import CHALLENGER, CHAMPION
from retrain_ops.stats.metrics import metric_named
from retrain_ops.stats.paired import compare
from retrain_ops.stats.tables import PairedRows

Peer = Callable[[np.ndarray, np.ndarray, np.ndarray], float]
"""Of labels, scores and weights."""


def _ks(y: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    fpr, tpr, _ = peers.roc_curve(y, score, sample_weight=weight, drop_intermediate=False)
    return float((tpr - fpr).max())


PEERS: Mapping[str, Peer] = {
    "roc_auc": lambda y, s, w: peers.roc_auc_score(y, s, sample_weight=w),
    "average_precision": lambda y, s, w: peers.average_precision_score(y, s, sample_weight=w),
    "ks": _ks,
    "log_loss": lambda y, s, w: peers.log_loss(y, s, sample_weight=w, labels=[0, 1]),
    "brier": lambda y, s, w: peers.brier_score_loss(y, s, sample_weight=w),
}
NEEDS: Mapping[str, tuple[int, ...]] = {
    "roc_auc": (0, 1),
    "average_precision": (1,),
    "ks": (0, 1),
    "log_loss": (),
    "brier": (),
}
"""Labels that a metric needs a row of."""


@dataclass(frozen=True)
class Table:
    """Rows, the level of each, and how often it is there."""

    rows: PairedRows
    level: np.ndarray
    weight: np.ndarray


def random_rows(rng: np.random.Generator, days: int, rows: int) -> PairedRows:
    """Days that differ in their labels and in how well both models do."""
    day = np.repeat(np.arange(days, dtype=np.int32), rows)
    weather = rng.normal(0, 0.3, size=(3, days))[:, day]
    n = len(day)
    label = (rng.random(n) < 1 / (1 + np.exp(1 - weather[0]))).astype(np.uint8)
    shared = rng.normal(size=n) + 1.4 * label
    both = [
        1 / (1 + np.exp(-(shared + rng.normal(0, 0.7, n) + w * label - 1))) for w in weather[1:]
    ]
    return PairedRows(
        day=day,
        n_days=days,
        label=label,
        decisions=((both[0] >= 0.5).astype(np.uint8), (both[1] >= 0.5).astype(np.uint8)),
        scores=(both[0], both[1]),
    )


def random_table(rng: np.random.Generator) -> Table:
    """Often with ties, one class, scores of 0 and 1, weights, and levels and days without rows."""
    rows = random_rows(rng, int(rng.integers(1, 8)), int(rng.integers(1, 200)))
    assert rows.scores is not None
    n = len(rows.day)
    if rng.integers(3) == 0:
        steps = int(rng.integers(1, 30))
        rows = replace(rows, scores=tuple(np.round(s * steps) / steps for s in rows.scores))
    if rng.integers(6) == 0:
        rows = replace(rows, label=np.full(n, rng.integers(2), np.uint8))
    if rng.integers(6) == 0:
        rows = rows.between(0, max(1, rows.n_days // 2))
        rows = replace(rows, n_days=rows.n_days + 2)
        n = len(rows.day)
    weight = rng.integers(0, 4, n) if rng.integers(3) == 0 else np.ones(n, np.int64)
    return Table(rows=rows, level=rng.integers(0, 3, n).astype(np.int32), weight=weight)


def repeated(rows: PairedRows, times: np.ndarray) -> PairedRows:
    """Every row as often as it says."""
    assert rows.scores is not None
    a, b = rows.scores
    c, d = rows.decisions
    return replace(
        rows,
        day=np.repeat(rows.day, times),
        label=np.repeat(rows.label, times),
        decisions=(np.repeat(c, times), np.repeat(d, times)),
        scores=(np.repeat(a, times), np.repeat(b, times)),
    )


def check_table(name: str, table: Table) -> tuple[float, int]:
    """The largest distance to the peer over models and levels, and how many scores are undefined.

    Raises:
        AssertionError: a score is undefined where its peer has one, or the other way round.
    """
    metric, rows = metric_named(name), repeated(table.rows, table.weight)
    level = np.repeat(table.level, table.weight)
    levels = level, ["a", "b", "c", "no row has it"]
    cells, sums = rows.cells(levels), rows.sums(metric, levels)
    furthest, undefined = 0.0, 0
    for code, of_level in enumerate(levels[1]):
        days = [(*c, *s) for c, s in zip(cells[of_level].tolist(), sums[of_level], strict=True)]
        counts = [sum(column) for column in zip(*days, strict=True)]
        kept = (table.level == code) & (table.weight > 0)
        assert table.rows.scores is not None
        for said, score in zip((CHAMPION, CHALLENGER), table.rows.scores, strict=True):
            value = metric.score(metric.totals(counts, said))
            y = table.rows.label[kept]
            if not kept.any() or not all((y == needed).any() for needed in NEEDS[name]):
                assert value is None, name
                undefined += 1
                continue
            assert value is not None, name
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                peer = PEERS[name](y, score[kept], table.weight[kept])
            furthest = max(furthest, abs(float(value) - peer))
        compare(tuple(map(tuple, days)), metric)  # asserts that influences sum to zero
    return furthest, undefined


def bootstrap_ratio(
    name: str, rows: PairedRows, rng: np.random.Generator, *, draws: int = 2000
) -> float:
    """The standard error of the difference by days over its bootstrap: days drawn with return."""
    metric = metric_named(name)
    error = compare(rows.judged_by(metric), metric).day_error
    assert error is not None
    differences = []
    for _ in range(draws):
        times = np.bincount(rng.integers(rows.n_days, size=rows.n_days), minlength=rows.n_days)
        drawn = compare(repeated(rows, times[rows.day]).judged_by(metric), metric).difference
        assert drawn is not None
        differences.append(float(drawn))
    return error / math.sqrt(np.var(differences, ddof=1))
