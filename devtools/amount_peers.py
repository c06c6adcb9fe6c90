"""Metrics of amounts beside scikit-learn and a bootstrap of days, on random rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from sklearn import metrics as peers

from retrain_ops.stats.cells import CHALLENGER, CHAMPION
from retrain_ops.stats.metrics import Metric, metric_named
from retrain_ops.stats.paired import compare
from retrain_ops.stats.tables import PairedRows, paired_amounts

QUANTILE = Fraction("0.9")
UNIT = {"mape", "smape", "r2"}
"""Metrics that have no unit; of the others a distance is meant in that of the label."""

Rows = np.ndarray
Peer = Callable[[Rows, Rows, Rows], float]
"""Of labels, predictions and weights."""


def _mape(y: Rows, p: Rows, weight: Rows) -> float:
    """Rows whose label is 0 have no percentage; scikit-learn divides by 2^-52 there."""
    known = y != 0
    return float(
        peers.mean_absolute_percentage_error(y[known], p[known], sample_weight=weight[known])
    )


def _smape(y: Rows, p: Rows, weight: Rows) -> float:
    both = np.abs(y) + np.abs(p)
    share = np.divide(2 * np.abs(y - p), both, out=np.zeros_like(y), where=both > 0)
    return float(np.average(share, weights=weight))


PEERS: Mapping[str, Peer] = {
    "mae": lambda y, p, w: peers.mean_absolute_error(y, p, sample_weight=w),
    "rmse": lambda y, p, w: peers.root_mean_squared_error(y, p, sample_weight=w),
    "pinball": lambda y, p, w: peers.mean_pinball_loss(
        y, p, sample_weight=w, alpha=float(QUANTILE)
    ),
    "bias": lambda y, p, w: abs(float(np.average(p - y, weights=w))),
    "r2": lambda y, p, w: peers.r2_score(y, p, sample_weight=w),
    "mape": _mape,
    "smape": _smape,
}


def named(name: str) -> Metric:
    """A metric with the arguments that its peer has."""
    return metric_named(name, quantile=QUANTILE)


@dataclass(frozen=True)
class Table:
    """Rows, the level of each, and how often it is there."""

    rows: PairedRows
    level: np.ndarray
    weight: np.ndarray


def random_rows(rng: np.random.Generator, days: int, rows: int, scale: float = 1.0) -> PairedRows:
    """Days that differ in their labels, heavy-tailed, and in how well both models do."""
    day = np.repeat(np.arange(days, dtype=np.int32), rows)
    n = len(day)
    weather = rng.normal(0, 0.3, size=(4, days))[:, day]
    target = 10 + 5 * weather[0] + rng.standard_t(4, n) * (1 + weather[3] ** 2)
    both = [target + 1 + w + rng.normal(0, 1 + 0.3 * np.abs(w)) for w in weather[1:3]]
    return paired_amounts(day, days, scale * target, (scale * both[0], scale * both[1]))


def random_table(rng: np.random.Generator) -> Table:
    """Often with ties, zeros, constant labels, perfect models, weights, other units, and levels
    and days without rows."""
    scale = float(10.0 ** rng.integers(-5, 9))
    rows = random_rows(rng, int(rng.integers(1, 8)), int(rng.integers(1, 200)), scale)
    assert rows.target is not None
    assert rows.scores is not None
    n, odd = len(rows.day), rng.integers(6)
    if odd == 0:  # whole numbers: ties and zeros
        rows = replace(rows, target=np.round(rows.target / scale - 10) * scale)
    elif odd == 1:
        rows = replace(rows, target=np.full(n, scale))
    elif odd == 2:
        rows = replace(rows, scores=(rows.target.copy(), rows.scores[1]))
    elif odd == 3:
        rows = replace(rows.between(0, max(1, rows.n_days // 2)), n_days=rows.n_days + 2)
        n = len(rows.day)
    weight = rng.integers(0, 4, n) if rng.integers(3) == 0 else np.ones(n, np.int64)
    return Table(rows=rows, level=rng.integers(0, 3, n).astype(np.int32), weight=weight)


def repeated(rows: PairedRows, times: np.ndarray) -> PairedRows:
    """Every row as often as it says."""
    assert rows.target is not None
    assert rows.scores is not None
    a, b = (np.repeat(s, times) for s in rows.scores)
    return paired_amounts(
        np.repeat(rows.day, times), rows.n_days, np.repeat(rows.target, times), (a, b)
    )


def check_table(name: str, table: Table) -> tuple[float, int]:
    """The largest distance to the peer over models and levels, relative to it where it is above
    1, and how many scores are undefined.

    Raises:
        AssertionError: a score is undefined where its peer has one, or the other way round; the
            influences of all rows do not sum to zero.
    """
    metric, rows = named(name), repeated(table.rows, table.weight)
    level = np.repeat(table.level, table.weight)
    levels = level, ["a", "b", "c", "no row has it"]
    cells, sums = rows.cells(levels), rows.sums(metric, levels)
    furthest, undefined = 0.0, 0
    assert table.rows.target is not None
    assert table.rows.scores is not None
    for code, of_level in enumerate(levels[1]):
        days = [(*c, *s) for c, s in zip(cells[of_level].tolist(), sums[of_level], strict=True)]
        counts = [sum(column) for column in zip(*days, strict=True)]
        kept = (table.level == code) & (table.weight > 0)
        y = table.rows.target[kept]
        for said, predicted in zip((CHAMPION, CHALLENGER), table.rows.scores, strict=True):
            value = metric.score(metric.totals(counts, said))
            if not _is_defined(name, y):
                assert value is None, name
                undefined += 1
                continue
            assert value is not None, name
            peer = PEERS[name](y, predicted[kept], table.weight[kept])
            furthest = max(furthest, abs(float(value) - peer) / _size(name, y, peer))
        compare(tuple(map(tuple, days)), metric)  # asserts that influences sum to zero
    return furthest, undefined


def _is_defined(name: str, y: Rows) -> bool:
    if name == "mape":
        return bool((y != 0).any())
    return bool(np.ptp(y) > 0) if name == "r2" and len(y) else len(y) > 0


def _size(name: str, y: Rows, peer: float) -> float:
    """What a distance is measured by: the score itself, and of a bias, which may vanish, the
    labels that it is the mean of."""
    return max(abs(peer), float(np.abs(y).max()) if name == "bias" else 0.0, np.finfo(float).tiny)


def bootstrap_ratio(
    name: str, rows: PairedRows, rng: np.random.Generator, *, draws: int = 2000
) -> float:
    """The standard error of the difference by days over its bootstrap: days drawn with return."""
    metric = named(name)
    error = compare(rows.judged_by(metric), metric).day_error
    assert error is not None
    differences = []
    for _ in range(draws):
        times = np.bincount(rng.integers(rows.n_days, size=rows.n_days), minlength=rows.n_days)
        drawn = compare(repeated(rows, times[rows.day]).judged_by(metric), metric).difference
        assert drawn is not None
        differences.append(float(drawn))
    return error / math.sqrt(np.var(differences, ddof=1))
