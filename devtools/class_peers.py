"""Metrics of several classes beside scikit-learn and a bootstrap of days, on random rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from sklearn import metrics as peers

from retrain_ops.stats.cells import CHALLENGER, CHAMPION, total
from retrain_ops.stats.class_counts import SaidClasses
from retrain_ops.stats.metrics import Metric, metric_named
from retrain_ops.stats.paired import compare
from retrain_ops.stats.tables import PairedRows, paired_classes

Rows = np.ndarray
Peer = Callable[[Rows, Rows, Rows, Rows, int], float]
"""Of labels, classes that are said, probabilities of the labels, weights, and how many classes."""


def _f1(average: str) -> Peer:
    return lambda y, said, p, w, k: peers.f1_score(
        y, said, average=average, sample_weight=w, zero_division=0
    )


def _log_loss(y: Rows, said: Rows, p: Rows, weight: Rows, k: int) -> float:
    """What is left of each row is spread over the other classes: it does not count."""
    every = np.repeat((1 - p)[:, None] / (k - 1), k, axis=1)
    every[np.arange(len(y)), y] = p
    return float(peers.log_loss(y, every, sample_weight=weight, labels=np.arange(k)))


PEERS: Mapping[str, Peer] = {
    "accuracy": lambda y, said, p, w, k: peers.accuracy_score(y, said, sample_weight=w),
    "macro_f1": _f1("macro"),
    "weighted_f1": _f1("weighted"),
    "log_loss": _log_loss,
}


def named(name: str) -> Metric:
    """The metric of several classes."""
    return metric_named(name, classes=True)


@dataclass(frozen=True)
class Table:
    """Rows, the level of each, and how often it is there."""

    rows: PairedRows
    level: np.ndarray
    weight: np.ndarray


def random_rows(rng: np.random.Generator, days: int, rows: int, classes: int = 4) -> PairedRows:
    """Days that differ in their classes, and in how well both models do."""
    day = np.repeat(np.arange(days, dtype=np.int32), rows)
    n = len(day)
    shares = rng.dirichlet(np.geomspace(12, 2, classes), size=days)
    label = np.concatenate([rng.choice(classes, rows, p=of_day) for of_day in shares])
    said = []
    for skill in (0.6, 0.65):
        right = rng.random(n) < skill + 0.1 * rng.normal(size=days)[day]
        said.append(np.where(right, label, rng.integers(0, classes, n)).astype(np.uint8))
    probability = tuple(
        np.where(s == label, 0.3 + 0.7 * rng.random(n), 0.5 * rng.random(n)) for s in said
    )
    both = SaidClasses(label.astype(np.uint8), said[0], said[1], classes)
    return paired_classes(day, days, both, (probability[0], probability[1]))


def random_table(rng: np.random.Generator) -> Table:
    """Often with one class, classes that nobody says or that are not there, equal probabilities
    down to 0 and up to 1, weights, and levels and days without rows."""
    classes = int(rng.integers(3, 8))
    rows = random_rows(rng, int(rng.integers(1, 8)), int(rng.integers(1, 200)), classes)
    assert rows.classes is not None
    assert rows.scores is not None
    of, said = rows.classes, [rows.classes.champion, rows.classes.challenger]
    label, odd = of.label, rng.integers(6)
    if odd == 0:
        label = np.full_like(label, rng.integers(classes))
    elif odd == 1:
        said[0] = np.zeros_like(said[0])
    elif odd == 2:
        label = np.minimum(label, 1)
    probability = [p.round(1) if odd == 3 else p for p in rows.scores]
    changed = SaidClasses(label, said[0], said[1], classes)
    both = probability[0], probability[1]
    rows = paired_classes(rows.day, rows.n_days, changed, both)
    if odd == 4:
        rows = replace(rows.between(0, max(1, rows.n_days // 2)), n_days=rows.n_days + 2)
    n = len(rows.day)
    weight = rng.integers(0, 4, n) if rng.integers(3) == 0 else np.ones(n, np.int64)
    return Table(rows=rows, level=rng.integers(0, 3, n).astype(np.int32), weight=weight)


def repeated(rows: PairedRows, times: np.ndarray) -> PairedRows:
    """Every row as often as it says."""
    place = np.repeat(np.arange(len(rows.day)), times)
    assert rows.classes is not None
    assert rows.scores is not None
    of = rows.classes
    said = SaidClasses(of.label[place], of.champion[place], of.challenger[place], of.count)
    both = rows.scores[0][place], rows.scores[1][place]
    return paired_classes(rows.day[place], rows.n_days, said, both)


def check_table(name: str, table: Table) -> tuple[float, int]:
    """The largest distance to the peer over models and levels, and how many scores are undefined.

    Raises:
        AssertionError: a score is undefined where its peer has one, or the other way round; the
            influences of all rows do not sum to zero.
    """
    metric, rows = named(name), repeated(table.rows, table.weight)
    level = np.repeat(table.level, table.weight)
    levels = level, ["a", "b", "c", "no row has it"]
    cells, sums = rows.cells(levels), rows.sums(metric, levels)
    of = table.rows.classes
    assert of is not None
    assert table.rows.scores is not None
    furthest, undefined = 0.0, 0
    for code, of_level in enumerate(levels[1]):
        days = [(*c, *s) for c, s in zip(cells[of_level].tolist(), sums[of_level], strict=True)]
        kept = (table.level == code) & (table.weight > 0)
        both = zip((of.champion, of.challenger), table.rows.scores, strict=True)
        for model, (said, p) in zip((CHAMPION, CHALLENGER), both, strict=True):
            value = metric.score(metric.totals(total(days), model))
            if not kept.any():
                assert value is None, name
                undefined += 1
                continue
            assert value is not None, name
            weight = table.weight[kept]
            peer = PEERS[name](of.label[kept], said[kept], p[kept], weight, of.count)
            furthest = max(furthest, abs(float(value) - peer))
        compare(tuple(days), metric)  # asserts that influences sum to zero
    return furthest, undefined


def bootstrap_ratio(
    name: str, rows: PairedRows, rng: np.random.Generator, *, draws: int = 2000
) -> float:
    """The standard error of the difference by days over its bootstrap: days drawn with return."""
    metric = named(name)
    days = rows.judged_by(metric)
    error = compare(days, metric).day_error
    assert error is not None
    differences = []
    for _ in range(draws):
        counts = total([days[i] for i in rng.integers(len(days), size=len(days))])
        old, new = (metric.score(metric.totals(counts, said)) for said in (CHAMPION, CHALLENGER))
        assert old is not None
        assert new is not None
        differences.append(float(new - old))
    return error / math.sqrt(np.var(differences, ddof=1))
