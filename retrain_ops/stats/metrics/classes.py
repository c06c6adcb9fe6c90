"""Metrics of models that name one of several classes.

The joint counts of their rows say which of both models is right: label and decision are 1 for the
class that occurred. So accuracy and log-loss are those of a yes or no, of the probability of that
class. F1 by class comes from the tables of :mod:`retrain_ops.stats.class_counts`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from retrain_ops.stats.cells import CHAMPION, N_CELLS
from retrain_ops.stats.class_counts import Table, class_tables, count_classes
from retrain_ops.stats.metrics.decisions import BY_NAME as DECISIONS
from retrain_ops.stats.metrics.decisions import Ratios
from retrain_ops.stats.metrics.metric import Influence, Metric, Totals
from retrain_ops.stats.metrics.scores import BY_NAME as SCORES

if TYPE_CHECKING:
    from retrain_ops.stats.sums import DaySums
    from retrain_ops.stats.tables import Levels, PairedRows

__all__ = ["BY_NAME", "ClassF1"]

OF_CLASSES: Mapping[str, Any] = MappingProxyType({"classes": True})
"""What a record says beside a name that a metric of a yes or no has too."""

Slopes = tuple[list[Fraction], list[Fraction], list[Fraction]]
"""Per row of a class, per row that is said to be of it, and per row that is both."""


@dataclass(frozen=True, slots=True)
class _Accuracy(Ratios):
    """The share of rows whose class is said; among rows of one class that is its recall."""

    problem: ClassVar[str] = "multiclass"


def _split(t: Totals) -> tuple[Totals, Totals, Totals]:
    k = len(t) // 3
    return t[:k], t[k : 2 * k], t[2 * k :]


def _f1(t: Totals) -> list[tuple[int, Fraction]]:
    """Class and its F1, 2 TP / (rows of it + rows said to be of it), where there are any."""
    rows = enumerate(zip(*_split(t), strict=True))
    return [(k, Fraction(2 * both, of + said)) for k, (of, said, both) in rows if of + said]


def _macro(t: Totals) -> Fraction:
    found = _f1(t)
    return sum((score for _, score in found), Fraction(0)) / len(found)


def _macro_slopes(t: Totals) -> Slopes:
    """Which classes are there counts as fixed."""
    of, said, _ = _split(t)
    found, k = _f1(t), len(of)
    pairs, both = [Fraction(0)] * k, [Fraction(0)] * k
    for i, score in found:
        both[i] = Fraction(2, (of[i] + said[i]) * len(found))
        pairs[i] = -score / ((of[i] + said[i]) * len(found))
    return pairs, pairs, both


def _weighted(t: Totals) -> Fraction:
    of = _split(t)[0]
    return sum((of[k] * score for k, score in _f1(t)), Fraction(0)) / sum(of)


def _weighted_slopes(t: Totals) -> Slopes:
    of, said, _ = _split(t)
    n, mean, k = sum(of), _weighted(t), len(of)
    rows, pairs, both = ([-mean / n] * k, [Fraction(0)] * k, [Fraction(0)] * k)
    for i, score in _f1(t):
        share = Fraction(of[i], (of[i] + said[i]) * n)
        both[i], pairs[i] = 2 * share, -score * share
        rows[i] += score / n - score * share
    return rows, pairs, both


@dataclass(frozen=True, slots=True)
class ClassF1:
    """A mean of each class's F1, over the classes that a label or the model names.

    As `f1_score(..., zero_division=0)` of scikit-learn: a class that a day or slice has no row of
    and the model does not say there is no part of the mean; one that is there and never said
    has F1 0. Totals of a model are its rows by class, rows said to be of it, and rows that are
    both; a class that is new among them changes which rows are counted, so sums of other pairs
    of models do not add to these (`ranks`).
    """

    name: str
    title: str
    of: Callable[[Totals], Fraction]
    slopes: Callable[[Totals], Slopes]
    unit: str = "share"
    span: int | None = 1
    sign: int = 1
    rational: bool = True
    ranks: bool = True
    problem: str = "multiclass"
    kind: str = "classes"
    n_sums: int | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def count(self, rows: PairedRows, levels: Levels) -> list[DaySums]:
        """By level, the five tables of each day."""
        codes, names = levels
        return [*count_classes(rows, codes, len(names), name=self.name)]

    def totals(self, counts: Sequence[int], said: Sequence[int]) -> Totals:
        """One model's rows by class, rows said to be of it, and both."""
        tables = class_tables(counts[N_CELLS:])
        table = tables.old if said == CHAMPION else tables.new
        both = [row[k] for k, row in enumerate(table)]
        return *map(sum, table), *map(sum, zip(*table, strict=True)), *both

    def score(self, totals: Totals) -> Fraction | None:
        """None without a row."""
        return self.of(totals) if any(totals) else None

    def influence(self, totals: Totals) -> Influence:
        """Per row of each class, per row said to be of it, and per row that is both."""
        slopes = [slope for part in self.slopes(totals) for slope in part]
        scale = math.lcm(*(slope.denominator for slope in slopes))
        return [slope.numerator * (scale // slope.denominator) for slope in slopes], scale

    def squares(
        self, counts: Sequence[int], champion: Influence, challenger: Influence
    ) -> Fraction:
        """Of u_y + new(y, b) - old(y, a), u what both models' slopes of a label differ by."""
        (old, old_scale), (new, new_scale) = champion, challenger
        of_old, said_old, both_old = _split(tuple(n * new_scale for n in old))
        of_new, said_new, both_new = _split(tuple(n * old_scale for n in new))
        tables, k = class_tables(counts[N_CELLS:]), range(len(of_old))
        u = [b - a for a, b in zip(of_old, of_new, strict=True)]

        def former(y: int, a: int) -> int:
            return said_old[a] + (both_old[y] if a == y else 0)

        def later(y: int, b: int) -> int:
            return said_new[b] + (both_new[y] if b == y else 0)

        total = _dot(tables.new, [[(u[y] + later(y, b)) ** 2 for b in k] for y in k])
        total += _dot(
            tables.old, [[former(y, a) * (former(y, a) - 2 * u[y]) for a in k] for y in k]
        )
        total -= 2 * _dot(tables.said, [[said_old[a] * said_new[b] for b in k] for a in k])
        total -= 2 * _dot(tables.fixed, [[said_old[a] * both_new[y] for a in k] for y in k])
        total -= 2 * _dot(tables.kept, [[both_old[y] * said_new[b] for b in k] for y in k])
        total -= 2 * sum(tables.kept[y][y] * both_old[y] * both_new[y] for y in k)
        return Fraction(total, (old_scale * new_scale) ** 2)


def _dot(table: Table, weights: Table) -> int:
    return sum(
        n * w
        for row, of_row in zip(table, weights, strict=True)
        for n, w in zip(row, of_row, strict=True)
        if n
    )


_ACCURACY = DECISIONS["accuracy"]
assert isinstance(_ACCURACY, Ratios)

BY_NAME: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        _Accuracy("accuracy", "accuracy", _ACCURACY.terms, arguments=OF_CLASSES),
        ClassF1("macro_f1", "macro F1", _macro, _macro_slopes),
        ClassF1("weighted_f1", "weighted F1", _weighted, _weighted_slopes),
        replace(SCORES["log_loss"], problem="multiclass", arguments=OF_CLASSES),
    )
}
"""By the names that `[gate]` has for them with problem = "multiclass"."""
