"""Champion and challenger on the months or quarters before their windows."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retrain_ops.comparison.counts import count_models
from retrain_ops.data.labels import labels_of
from retrain_ops.data.memory import recalled
from retrain_ops.decisions.seasons import SeasonRecord
from retrain_ops.models.training import TrainedModel
from retrain_ops.registry.events import Version
from retrain_ops.run import Run
from retrain_ops.spec.window import DAY
from retrain_ops.stats.cells import ALL_ROWS, CHALLENGER, CHAMPION, day_cells
from retrain_ops.stats.gates import metric_days
from retrain_ops.stats.paired import score_by_days
from retrain_ops.stats.rounding import to_significant


def count_seasons(
    run: Run, version: Version, champion: TrainedModel, challenger: TrainedModel
) -> dict[str, SeasonRecord] | None:
    """By season, the scores on remembered rows; None without `[memory]`.

    The rows are those that no training replays, of days before the windows of both: what the
    champion has learnt of its own days is no sign of what the challenger has forgotten.
    """
    if run.spec.memory is None:
        return None
    memory = recalled(run.spec, run.workspace, run.window)
    if memory is None:
        return {}
    table = memory.judging(_first_learnt(run, version))
    season = _seasons(table, run.spec.memory.season)
    return {
        name: _scored(run, table.filter(pa.array(season == name)), champion, challenger)
        for name in sorted(set(season.tolist()))
    }


def _first_learnt(run: Run, version: Version) -> date:
    return min(run.window.train[0], run.spec.window_at(version.window_end).train[0])


def _seasons(table: pa.Table, kind: str) -> NDArray[np.str_]:
    """`2013-12`, or `2013-Q4`, of each row."""
    month = table[DAY].to_numpy().astype("datetime64[M]")
    if kind == "month":
        return np.asarray(month.astype(np.str_))
    year = month.astype("datetime64[Y]")
    quarter = (month - year).astype(np.int64) // 3 + 1
    return np.char.add(np.char.add(year.astype(np.str_), "-Q"), quarter.astype(np.str_))


def _scored(
    run: Run, table: pa.Table, champion: TrainedModel, challenger: TrainedModel
) -> SeasonRecord:
    rules = run.spec.gate
    counted = count_models(run, table, champion, challenger)
    cells = day_cells(counted.cells[ALL_ROWS][ALL_ROWS])
    days = metric_days(cells, rules.scored_by, counted.sums, ALL_ROWS, ALL_ROWS)
    old, new = (score_by_days(days, said, rules.scored_by)[0] for said in (CHAMPION, CHALLENGER))
    change = None if old is None or new is None else rules.scored_by.sign * (new - old)
    positives = labels_of(run.spec).positives(table[run.spec.source.label])
    enough = run.spec.model.problem != "binary" or positives >= rules.min_positives
    return {
        "rows": table.num_rows,
        "champion": to_significant(old),
        "challenger": to_significant(new),
        "change": to_significant(change),
        "judged": enough and table.num_rows >= rules.min_rows,
    }
