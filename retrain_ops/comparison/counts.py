"""Two models on the same labelled rows, as scores and joint counts per day and slice.

One way for the hold-out, for the matured rows of `[degraded]` and for the canary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retrain_ops.comparison.scoring import Scores, decide, load_version, score
from retrain_ops.data.categories import slice_codes
from retrain_ops.data.labels import label_values
from retrain_ops.data.source import day_index
from retrain_ops.models.training import TrainedModel
from retrain_ops.registry.events import Version
from retrain_ops.run import Run
from retrain_ops.stats.cells import ALL_ROWS, N_CELLS, count_cells

Counts = npt.NDArray[np.int64]
NO_DAYS: Counts = np.zeros((0, N_CELLS), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class ModelCounts:
    """What two models said about the same rows.

    Attributes:
        days: the days that have rows, oldest first.
        label: uint8 (rows,).
        champion_scores: float64 (rows,); None when there is no champion.
        challenger_scores: float64 (rows,).
        cells: slice column -> level -> joint counts, int64 (days, 8); `ALL_ROWS` is a column.
    """

    days: tuple[date, ...]
    label: npt.NDArray[np.uint8]
    champion_scores: Scores | None
    challenger_scores: Scores
    cells: Mapping[str, Mapping[str, Counts]]


def count_models(
    run: Run,
    table: pa.Table,
    champion: TrainedModel | None,
    challenger: TrainedModel,
    *,
    slices: Sequence[str] = (),
) -> ModelCounts:
    """Scores both models on all rows of `table` and counts their decisions.

    Args:
        run: names the label column and the threads.
        table: labelled rows, at least one.
        champion: None lets the constant model stand in, which decides 1 for every row.
        challenger: the other model.
        slices: columns of `table` to count by, beside all rows.

    Raises:
        DataError: a label is neither 0 nor 1.
    """
    label = label_values(table, run.spec.source.label)
    old_scores, old = _scores_and_decisions(run, table, champion)
    new_scores, new = _scores_and_decisions(run, table, challenger)
    assert new_scores is not None
    day, days = day_index(table)
    cells = {}
    for column in (ALL_ROWS, *slices):
        levels, level = _levels(table, column)
        counts = count_cells(
            day, level, label, old, new, len(days), len(levels), n_threads=run.n_threads
        )
        cells[column] = {name: counts[:, i] for i, name in enumerate(levels)}
    return ModelCounts(
        days=days,
        label=label,
        champion_scores=old_scores,
        challenger_scores=new_scores,
        cells=cells,
    )


def count_versions(run: Run, table: pa.Table, champion: Version, challenger: Version) -> Counts:
    """Joint counts of two registered versions on all rows: int64 (days, 8), no day without rows."""
    if table.num_rows == 0:
        return NO_DAYS
    models = load_version(run, champion), load_version(run, challenger)
    return count_models(run, table, *models).cells[ALL_ROWS][ALL_ROWS]


def _scores_and_decisions(
    run: Run, table: pa.Table, model: TrainedModel | None
) -> tuple[Scores | None, npt.NDArray[np.uint8]]:
    if model is None:
        return None, np.ones(table.num_rows, dtype=np.uint8)
    scores = score(model, table, n_threads=run.n_threads)
    return scores, decide(model, scores)


def _levels(table: pa.Table, column: str) -> tuple[list[str], npt.NDArray[np.int32]]:
    if column == ALL_ROWS:
        return [ALL_ROWS], np.zeros(table.num_rows, dtype=np.int32)
    return slice_codes(table[column], column)
