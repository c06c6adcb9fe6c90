"""The rows of one window as a run may see them: unique requests, no label before its time."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from retrain_ops.data.source import Source
from retrain_ops.errors import SourceError
from retrain_ops.spec.spec import RetrainSpec
from retrain_ops.spec.window import DAY, Window


def pulled_columns(spec: RetrainSpec) -> tuple[str, ...]:
    """The columns that a run pulls beside request id and event time."""
    return (*spec.features.all, *spec.slice_columns, spec.source.label)


def window_rows(spec: RetrainSpec, window: Window) -> pa.Table:
    """The rows of a window; labels of days that are not complete at its instant are null.

    Raises:
        SourceError: a day is missing or wrong, the window is empty, or a request id is doubled.
    """
    key = f"{spec.model.name}/{window.end.isoformat()}"
    columns = pulled_columns(spec)
    table = Source(spec).read(window.days, columns=columns, before=window.instant)
    if table.num_rows == 0:
        raise SourceError(f"{key}: the window has no rows at all")
    ids = table[spec.source.request_id]
    doubled = table.num_rows - pc.count_distinct(ids, mode="all").as_py()
    if doubled:
        raise SourceError(
            f"{key}: {doubled} row(s) repeat a {spec.source.request_id}, {_repeated(table, ids)}; "
            "the source was loaded twice or the id is not unique: fix it and run again"
        )
    return _without_immature_labels(spec, window, table)


def _repeated(table: pa.Table, ids: pa.ChunkedArray) -> str:
    """An id that occurs more than once, and its days."""
    counts = pc.value_counts(ids)
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")[0]
    days = pc.unique(table[DAY].filter(pc.equal(ids, twice))).to_pylist()
    return f"{twice.as_py()!r} on {' and '.join(day.isoformat() for day in days[:2])}"


def _without_immature_labels(spec: RetrainSpec, window: Window, table: pa.Table) -> pa.Table:
    """At the run's instant the newest days have no (complete) outcomes: nothing looks ahead."""
    name = spec.source.label
    mature = pc.less_equal(table[DAY], pa.scalar(window.newest_labelled, type=pa.date32()))
    label = pc.if_else(mature, table[name], pa.scalar(None, type=table.schema.field(name).type))
    return table.set_column(table.schema.get_field_index(name), name, label)
