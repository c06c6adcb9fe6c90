"""Two models on the same labelled rows, as scores and joint counts per day and slice.

One way for the hold-out, for the matured rows of `[degraded]` and for the canary.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from retrain_ops.stats.cells import N_CELLS
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.sums import Sums
from retrain_ops.stats.tables import Cells, PairedRows, count_tables

_NONE = np.zeros(0, np.uint8)
NO_ROWS = PairedRows(
    day=np.zeros(0, np.int32),
    n_days=0,
    label=_NONE,
    decisions=(_NONE, _NONE),
    scores=(np.zeros(0, np.float64), np.zeros(0, np.float64)),
)
NO_DAYS: npt.NDArray[np.int64] = np.zeros((0, N_CELLS), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class ModelCounts:
    """What two models said about the same rows.

    Attributes:
        days: the days that have rows, oldest first.
        label: uint8 (rows,).
        champion_scores: float64 (rows,); None when there is no champion.
        challenger_scores: float64 (rows,).
        cells: slice column -> level -> joint counts, int64 (days, 8); `ALL_ROWS` is a column.
        sums: of the metrics of scores that `[gate]` names, where there is a champion.
    """

    days: tuple[date, ...]
    label: npt.NDArray[np.uint8]
    champion_scores: Scores | None
    challenger_scores: Scores
    cells: Cells
    sums: Sums


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
    days, rows, old_scores, new_scores = _paired_rows(run, table, champion, challenger)
    columns = {}
    for column in slices:
        levels, codes = slice_codes(table[column], column)
        columns[column] = codes, levels
    rules = run.spec.gate if champion is not None else GateRules()
    cells, sums = count_tables(rows, columns, rules)
    return ModelCounts(
        days=days,
        label=rows.label,
        champion_scores=old_scores,
        challenger_scores=new_scores,
        cells=cells,
        sums=sums,
    )


def version_rows(run: Run, table: pa.Table, champion: Version, challenger: Version) -> PairedRows:
    """Two registered versions on the rows of `table`; no day without rows."""
    if table.num_rows == 0:
        return NO_ROWS
    models = load_version(run, champion), load_version(run, challenger)
    return _paired_rows(run, table, *models)[1]


def _paired_rows(
    run: Run, table: pa.Table, champion: TrainedModel | None, challenger: TrainedModel
) -> tuple[tuple[date, ...], PairedRows, Scores | None, Scores]:
    """The days, the rows, and both models' scores."""
    label = label_values(table, run.spec.source.label)
    old_scores, old = _scores_and_decisions(run, table, champion)
    new_scores, new = _scores_and_decisions(run, table, challenger)
    assert new_scores is not None
    day, days = day_index(table)
    rows = PairedRows(
        day=day,
        n_days=len(days),
        label=label,
        decisions=(old, new),
        scores=None if old_scores is None else (old_scores, new_scores),
        n_threads=run.n_threads,
    )
    return days, rows, old_scores, new_scores


def _scores_and_decisions(
    run: Run, table: pa.Table, model: TrainedModel | None
) -> tuple[Scores | None, npt.NDArray[np.uint8]]:
    if model is None:
        return None, np.ones(table.num_rows, dtype=np.uint8)
    scores = score(model, table, n_threads=run.n_threads)
    return scores, decide(model, scores)
