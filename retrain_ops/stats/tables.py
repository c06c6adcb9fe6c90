"""Two models' rows counted into what the gates judge: joint counts and sums, by slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from retrain_ops.errors import DataError
from retrain_ops.stats.cells import ALL_ROWS, DayCells, count_cells, day_cells
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.metrics import Metric
from retrain_ops.stats.sums import DaySums, count_sums, with_sums

__all__ = ["Cells", "PairedRows", "Tables", "count_tables"]

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
    or 1; both `scores` float64 (rows,), None where there are none.
    """

    day: NDArray[np.int32]
    n_days: int
    label: Said
    decisions: tuple[Said, Said]
    scores: tuple[Scores, Scores] | None
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

    def sums(self, kind: str, levels: Levels) -> dict[str, DaySums]:
        """Sums of each level; see :func:`retrain_ops.stats.sums.count_sums`.

        Raises:
            DataError: there are no scores, or one that has no value.
        """
        if self.scores is None:
            raise DataError(f"{kind} is a metric of scores: it needs those of both models")
        codes, names = levels
        found = count_sums(
            kind,
            self.day,
            codes,
            self.label,
            *self.scores,
            self.n_days,
            len(names),
            n_threads=self.n_threads,
        )
        return dict(zip(names, found, strict=True))

    @property
    def everyone(self) -> Levels:
        """All rows as one level."""
        return np.zeros(len(self.day), np.int32), [ALL_ROWS]

    def judged_by(self, metric: Metric) -> DayCells:
        """What `metric` judges of all rows."""
        cells = day_cells(self.cells(self.everyone)[ALL_ROWS])
        if metric.kind is None:
            return cells
        sums = self.sums(metric.kind, self.everyone)[ALL_ROWS]
        return with_sums(cells, sums, name=f"sums of {metric.name}")

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
    kinds = {guard.metric: [ALL_ROWS] for guard in rules.guards} | {rules.metric: list(levels)}
    sums = {
        kind: {name: rows.sums(kind, levels[name]) for name in names}
        for metric, names in kinds.items()
        if (kind := rules.named(metric).kind) is not None
    }
    return cells, sums
