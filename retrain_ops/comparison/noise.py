"""The rows of the newest training days whose labels are too doubtful to learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrain_ops.data.reference import slice_levels
from retrain_ops.models.training import Trainer, TrainingData
from retrain_ops.problems import problem_of
from retrain_ops.run import Run
from retrain_ops.stats.noise import NoiseRules, doubtful_rows

LeftOut = Mapping[str, Mapping[str, int]]
"""Rows that were left out, by day under `day`, and by level under each slice column."""


def without_noise(
    run: Run, data: TrainingData, trainer: Trainer, rules: NoiseRules
) -> tuple[TrainingData, LeftOut]:
    """The rows to learn from, and how many were left out.

    Nothing is left out where half of the days, every other one, has labels of one kind only.
    """
    score = _out_of_fold(run, data, trainer)
    if score is None:
        return data, {"day": {}}
    newest = data.day > data.day.max() - rules.days
    drop = doubtful_rows(score, data.label, newest, rules.max_share)
    return _part(data, ~drop), _counted(run, data.table.filter(pa.array(drop)))


def _out_of_fold(run: Run, data: TrainingData, trainer: Trainer) -> NDArray[np.float64] | None:
    """Scores by models of the other half of the days; rows of one day are alike."""
    fold = data.day % 2
    score = np.empty(len(data.label), np.float64)
    for half in (0, 1):
        held_out = fold == half
        if len(np.unique(data.label[~held_out])) < 2 or not held_out.any():
            return None
        model = trainer(
            _part(data, ~held_out),
            params=run.spec.train,
            seed=run.spec.model.seed,
            n_threads=run.n_threads,
        )
        rows = data.table.filter(pa.array(held_out))
        score[held_out] = problem_of(run.spec).scored(model, rows, n_threads=run.n_threads).scores
    return score


def _part(data: TrainingData, rows: NDArray[np.bool_]) -> TrainingData:
    return replace(
        data, table=data.table.filter(pa.array(rows)), day=data.day[rows], label=data.label[rows]
    )


def _counted(run: Run, table: pa.Table) -> LeftOut:
    found = {"day": _counts([str(day) for day in table["day"].to_pylist()])}
    for column in run.spec.slice_columns:
        levels, codes = slice_levels(table, column)
        found[column] = _counts([levels[code] for code in codes])
    return found


def _counts(values: list[str]) -> dict[str, int]:
    counted = pc.value_counts(pa.array(values, pa.string()))
    return dict(sorted((pair["values"], pair["counts"]) for pair in counted.to_pylist()))
