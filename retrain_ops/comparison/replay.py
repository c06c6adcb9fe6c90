"""Rows of the days before a window, mixed into those that train."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retrain_ops.data.labels import labels_of
from retrain_ops.data.memory import Memory, recall
from retrain_ops.data.source import day_index
from retrain_ops.models.training import TrainedModel, Trainer, TrainingData
from retrain_ops.problems import problem_of
from retrain_ops.run import Run
from retrain_ops.spec.spec import RetrainSpec
from retrain_ops.stats.rules import exactly


def with_replay(run: Run, data: TrainingData, trainer: Trainer) -> tuple[TrainingData, int | None]:
    """The rows to learn from, older ones in front, and how many those are.

    None where the spec has no memory. Raises as `recall`.
    """
    if run.spec.memory is None:
        return data, None
    memory = recall(run.source, run.workspace, run.window)
    share = exactly(run.spec.memory.replay_share)
    most = int(share / (1 - share) * len(data.label))
    if memory is None or most == 0:
        return data, 0
    order = None
    if run.spec.memory.replay_by == "importance":
        alone = trainer(
            data, params=run.spec.train, seed=run.spec.model.seed, n_threads=run.n_threads
        )
        order = by_importance(run.spec, memory, alone, n_threads=run.n_threads)
    old = memory.replayed(most, order).select(data.table.column_names)
    table = pa.concat_tables([old, data.table], promote_options="permissive").combine_chunks()
    labels = labels_of(run.spec)
    label, classes = labels.learnt(labels.values(table, run.spec.source.label))
    mixed = replace(data, table=table, day=day_index(table)[0], label=label, classes=classes)
    return mixed, old.num_rows


def by_importance(
    spec: RetrainSpec, memory: Memory, alone: TrainedModel, *, n_threads: int
) -> NDArray[np.float64]:
    """An order in which remembered rows are drawn with chances as a model of the window alone is
    wrong about them; float64 (rows,), smallest first.

    Sequential Poisson sampling: u / size, with u uniform by the id's hash (Ohlsson, Journal of
    Official Statistics 14, 1998). A row that the model cannot score, or is right about, is last.
    """
    problem = problem_of(spec)
    found = problem.scored(alone, memory.table, n_threads=n_threads)
    size = problem.misses(labels_of(spec).values(memory.table, spec.source.label), found)
    uniform = ((memory.hashes >> np.uint64(11)) + 0.5) * 2.0**-53
    order = np.full(len(size), np.inf)
    np.divide(uniform, size, out=order, where=size > 0)
    return order
