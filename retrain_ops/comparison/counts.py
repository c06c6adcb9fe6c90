"""Two models on the same labelled rows, as scores and joint counts per day and slice.

One way for the hold-out, for the matured rows of `[degraded]` and for the canary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retrain_ops.comparison.scoring import load_version
from retrain_ops.data.labels import labels_of
from retrain_ops.data.reference import slice_levels
from retrain_ops.data.source import day_index
from retrain_ops.models.training import TrainedModel
from retrain_ops.problems import Scored, problem_of
from retrain_ops.problems.problem import Constant, LabelledDays
from retrain_ops.registry.events import Version
from retrain_ops.run import Run
from retrain_ops.stats.cells import N_CELLS
from retrain_ops.stats.sums import Sums
from retrain_ops.stats.tables import Cells, PairedRows, count_tables

NO_DAYS: npt.NDArray[np.int64] = np.zeros((0, N_CELLS), dtype=np.int64)


@dataclass(frozen=True, slots=True)
class ModelCounts:
    """What two models said about the same rows.

    Attributes:
        days: the days that have rows, oldest first.
        label: uint8 (rows,); of amounts float64 (rows,), of classes texts.
        champion, challenger: what both say; no champion is None.
        cells: slice column -> level -> joint counts, int64 (days, 8); `ALL_ROWS` is a column.
        sums: of the metrics of scores, amounts or classes that `[gate]` names, where there is a
            champion or a constant with scores.
    """

    days: tuple[date, ...]
    label: npt.NDArray[Any]
    champion: Scored | None
    challenger: Scored
    cells: Cells
    sums: Sums


def count_models(
    run: Run,
    table: pa.Table,
    champion: TrainedModel | None,
    challenger: TrainedModel,
    *,
    slices: Sequence[str] = (),
    constant: Constant = None,
) -> ModelCounts:
    """Scores both models on all rows of `table` and counts their decisions.

    Args:
        run: names the label column and the threads.
        table: labelled rows, at least one.
        champion: None lets the constant model stand in.
        challenger: the other model.
        slices: columns of `table` to count by, beside all rows.
        constant: what the constant model says, of a problem where it has scores.

    Raises:
        DataError: a label is none of the problem's, or a model has no score for a row that needs
            one.
    """
    problem, labels = problem_of(run.spec), labelled_days(run, table)
    old = None if champion is None else problem.scored(champion, table, n_threads=run.n_threads)
    new = problem.scored(challenger, table, n_threads=run.n_threads)
    rows = problem.pair(labels, constant if old is None else old, new)
    columns = {}
    for column in slices:
        levels, codes = slice_levels(table, column)
        columns[column] = codes, levels
    rules = run.spec.gate if champion is not None else problem.first_rules(run.spec.gate)
    cells, sums = count_tables(rows, columns, rules)
    return ModelCounts(
        days=labels.days,
        label=labels.label,
        champion=old,
        challenger=new,
        cells=cells,
        sums=sums,
    )


def version_rows(run: Run, table: pa.Table, champion: Version, challenger: Version) -> PairedRows:
    """Two registered versions on the rows of `table`; no day without rows."""
    problem = problem_of(run.spec)
    if table.num_rows == 0:
        return no_rows(run)
    old, new = (
        problem.scored(load_version(run, version), table, n_threads=run.n_threads)
        for version in (champion, challenger)
    )
    return problem.pair(labelled_days(run, table), old, new)


def no_rows(run: Run) -> PairedRows:
    """Two models on no rows."""
    none = LabelledDays(day=np.zeros(0, np.int32), days=(), label=np.zeros(0, np.uint8))
    nothing = Scored(np.zeros(0))
    return problem_of(run.spec).pair(none, nothing, nothing)


def labelled_days(run: Run, table: pa.Table) -> LabelledDays:
    """The labels of a table's rows and the days they lie on."""
    day, days = day_index(table)
    column = run.spec.source.label
    label = labels_of(run.spec).values(table, column)
    return LabelledDays(day=day, days=days, label=label, n_threads=run.n_threads, column=column)
