"""Two models' rows counted into what the gates judge: joint counts and sums, by slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from retrain_ops.stats.cells import ALL_ROWS, DayCells, count_cells, day_cells
from retrain_ops.stats.class_counts import SaidClasses
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.metrics import Metric
from retrain_ops.stats.sums import DaySums, with_sums

__all__ = ["Cells", "PairedRows", "Tables", "count_tables", "paired_amounts", "paired_classes"]

Counts = NDArray[np.int64]
Scores = NDArray[np.float64]
Said = NDArray[np.uint8]
Levels = tuple[NDArray[np.int32], Sequence[str]]
"""Each row's index into the levels, and the levels."""

Cells = dict[str, dict[str, Counts]]
"""Slice column -> level -> joint counts, int64 (days, 8); `ALL_ROWS` is a column."""

Tables = tuple[Cells, dict[str, dict[str, dict[str, DaySums]]]]
"""Joint counts, and sums by kind as :data:`retrain_ops.stats.sums.Sums`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedRows:
    """Champion and challenger on the same labelled rows.

    `day` is int32 (rows,), indices below `n_days`; `label` and both `decisions` uint8 (rows,), 0
    or 1; both `scores` float64 (rows,), None where there are none. Of amounts `target` is the
    label, float64 (rows,), and `scores` what is predicted; see `paired_amounts`. Of several
    `classes` see `paired_classes`.
    """

    day: NDArray[np.int32]
    n_days: int
    label: Said
    decisions: tuple[Said, Said]
    scores: tuple[Scores, Scores] | None
    target: Scores | None = None
    classes: SaidClasses | None = None
    n_threads: int = 0

    def cells(self, levels: Levels) -> dict[str, Counts]:
        """Joint counts of each level, int64 (days, 8)."""
        codes, names = levels
        counts = count_cells(
            self.day,
            codes,
            self.label,
            *self.decisions,
            self.n_days,
            len(names),
            n_threads=self.n_threads,
        )
        return {name: counts[:, i] for i, name in enumerate(names)}

    def sums(self, metric: Metric, levels: Levels) -> dict[str, DaySums]:
        """What `metric` sums of each level; see :mod:`retrain_ops.stats.sums`.

        Raises:
            DataError: there are no scores, or one that has no value.
        """
        return dict(zip(levels[1], metric.count(self, levels), strict=True))

    @property
    def everyone(self) -> Levels:
        """All rows as one level."""
        return np.zeros(len(self.day), np.int32), [ALL_ROWS]

    def judged_by(self, metric: Metric) -> DayCells:
        """What `metric` judges of all rows."""
        cells = day_cells(self.cells(self.everyone)[ALL_ROWS])
        if metric.kind is None:
            return cells
        sums = self.sums(metric, self.everyone)[ALL_ROWS]
        return with_sums(cells, sums, metric.n_sums, name=f"sums of {metric.name}")

    def between(self, first: int, end: int) -> PairedRows:
        """The rows of days [first, end), counted from 0."""
        kept = (self.day >= first) & (self.day < end)
        scores = self.scores
        return replace(
            self,
            day=self.day[kept] - np.int32(first),
            n_days=end - first,
            label=self.label[kept],
            decisions=(self.decisions[0][kept], self.decisions[1][kept]),
            scores=None if scores is None else (scores[0][kept], scores[1][kept]),
            target=None if self.target is None else self.target[kept],
            classes=None if self.classes is None else self.classes.take(kept),
        )


def count_tables(rows: PairedRows, columns: Mapping[str, Levels], rules: GateRules) -> Tables:
    """All that `rules` need: the metric by slice, guards on all rows.

    Args:
        rows: the rows.
        columns: slice columns; all rows are counted besides.
        rules: the `[gate]` table.

    Raises:
        DataError: a metric of scores has no scores, or one that has no value.
    """
    levels = {ALL_ROWS: rows.everyone, **columns}
    cells = {name: rows.cells(by) for name, by in levels.items()}
    judged = [name for name in levels if rules.metric_on(name) is rules.scored_by]
    wanted = {guard.metric: [ALL_ROWS] for guard in rules.guards} | {rules.metric: judged}
    sums = {
        metric.kind: {name: rows.sums(metric, levels[name]) for name in names}
        for metric, names in ((rules.named(m), names) for m, names in wanted.items())
        if metric.kind is not None
    }
    return cells, sums


def paired_amounts(
    day: NDArray[np.int32],
    n_days: int,
    target: Scores,
    predicted: tuple[Scores, Scores],
    *,
    n_threads: int = 0,
) -> PairedRows:
    """Rows of two models of amounts: joint counts say on how many of them they disagree.

    All labels are 0, and so is what the champion says; the challenger says 1 where it predicts
    another amount.
    """
    none = np.zeros(len(day), np.uint8)
    differs = (predicted[0] != predicted[1]).astype(np.uint8)
    return PairedRows(
        day=day,
        n_days=n_days,
        label=none,
        decisions=(none, differs),
        scores=predicted,
        target=target,
        n_threads=n_threads,
    )


def paired_classes(
    day: NDArray[np.int32],
    n_days: int,
    classes: SaidClasses,
    probability: tuple[Scores, Scores],
    *,
    n_threads: int = 0,
) -> PairedRows:
    """Rows of two models of several classes: joint counts say which of both is right.

    The label of every row is 1, the class that occurred, and a decision is 1 where that is the
    class that a model says; `probability` is what both give it, float64 (rows,).
    """
    said = classes.champion, classes.challenger
    old, new = ((one == classes.label).astype(np.uint8) for one in said)
    return PairedRows(
        day=day,
        n_days=n_days,
        label=np.ones(len(day), np.uint8),
        decisions=(old, new),
        scores=probability,
        classes=classes,
        n_threads=n_threads,
    )
