"""The rows of one window as a run may see them: unique requests, no label before its time."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from retrain_ops.data.pins import Pins
from retrain_ops.data.source import Source
from retrain_ops.errors import SourceError
from retrain_ops.spec.spec import RetrainSpec
from retrain_ops.spec.window import DAY, Window


def pulled_columns(spec: RetrainSpec) -> tuple[str, ...]:
    """The columns that a run pulls beside request id and event time."""
    return (*spec.features.all, *spec.slice_columns, spec.source.label)


def window_rows(source: Source, window: Window, pins: Pins | None = None) -> pa.Table:
    """The rows of a window; labels of days that are not complete at its instant are null.

    `pins` gets what was read.

    Raises:
        SourceError: a day is missing or wrong, the window is empty, or a request id is doubled.
    """
    spec = source.spec
    key = f"{spec.model.name}/{window.end.isoformat()}"
    columns = pulled_columns(spec)
    table = source.read(window.days, columns=columns, before=window.instant, pins=pins)
    if table.num_rows == 0:
        raise SourceError(f"{key}: the window has no rows at all")
    ids = table[spec.source.request_id]
    doubled = table.num_rows - pc.count_distinct(ids, mode="all").as_py()
    if doubled:
        raise SourceError(
            f"{key}: {doubled} row(s) repeat a {spec.source.request_id}; "
            "the source was loaded twice or the id is not unique: fix it and run again"
        )
    return _without_immature_labels(spec, window, table)


def _without_immature_labels(spec: RetrainSpec, window: Window, table: pa.Table) -> pa.Table:
    """At the run's instant the newest days have no (complete) outcomes: nothing looks ahead."""
    name = spec.source.label
    mature = pc.less_equal(table[DAY], pa.scalar(window.newest_labelled, type=pa.date32()))
    label = pc.if_else(mature, table[name], pa.scalar(None, type=table.schema.field(name).type))
    return table.set_column(table.schema.get_field_index(name), name, label)
