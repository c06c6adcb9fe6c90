"""Rows of the days before a window, mixed into those that train."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from retrain_ops.data.labels import labels_of
from retrain_ops.data.memory import recall
from retrain_ops.data.source import day_index
from retrain_ops.models.training import TrainingData
from retrain_ops.run import Run
from retrain_ops.stats.rules import exactly


def with_replay(run: Run, data: TrainingData) -> tuple[TrainingData, int | None]:
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
    old = memory.replayed(most).select(data.table.column_names)
    table = pa.concat_tables([old, data.table], promote_options="permissive").combine_chunks()
    labels = labels_of(run.spec)
    label, classes = labels.learnt(labels.values(table, run.spec.source.label))
    mixed = replace(data, table=table, day=day_index(table)[0], label=label, classes=classes)
    return mixed, old.num_rows
