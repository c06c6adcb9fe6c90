"""The rows of one window as a run may see them: unique requests, no label before its time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from datetime import date, datetime, timedelta
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retrain_ops.data.labels import labels_of
from retrain_ops.data.pins import Pins
from retrain_ops.data.processed import ParquetRows
from retrain_ops.data.source import Source, pin_contents, within
from retrain_ops.data.spool import full_disk_named, scratch
from retrain_ops.errors import SourceError
from retrain_ops.spec.spec import RetrainSpec
from retrain_ops.spec.window import DAY, Window
from retrain_ops.stats.rules import exactly

STRAY_SHARE = 0.01
"""Share of a window's rows above which strays are worth a warning."""

EARLIEST, LATEST = timedelta(hours=-14), timedelta(hours=36)
"""Where a day begins (UTC+14) and ends (UTC-12) from its midnight in UTC."""


@dataclass(frozen=True, slots=True)
class Strays:
    """Rows of some days, of `rows`, that do not lie where their partition says.

    `outside` rows lie outside their day whatever the time zone, and are used; `late` rows lie at
    or after the run's instant, and are not.
    """

    rows: int = 0
    outside: int = 0
    late: int = 0

    def __add__(self, other: Strays) -> Strays:
        """Of the days of both."""
        mine, theirs = astuple(self), astuple(other)
        return Strays(*(a + b for a, b in zip(mine, theirs, strict=True)))

    @property
    def seen(self) -> int:
        """The rows that a run sees."""
        return self.rows - self.late

    def warnings(self, of: str = "the window") -> list[str]:
        """What to say of them, the rows `of` some days; nothing of a share that is no news."""
        words = (
            (self.outside, "lie outside their partition's day in every time zone"),
            (self.late, "lie at or after the run's instant and are left out"),
        )
        return [
            f"{count} of {self.rows} rows of {of} ({count / self.rows:.1%}) {text}"
            for count, text in words
            if self.rows and count > exactly(STRAY_SHARE) * self.rows
        ]


def pulled_columns(spec: RetrainSpec) -> tuple[str, ...]:
    """The columns that a run pulls beside request id and event time."""
    return tuple(dict.fromkeys((*spec.features.all, *spec.slice_columns, spec.source.label)))


def window_rows(source: Source, window: Window) -> tuple[pa.Table, Strays]:
    """The rows of a window as a table, and what strayed. Raises as `pull_window`."""
    with scratch() as file:
        strays = pull_window(source, window, file)
        return ParquetRows(file).table(), strays


def pull_window(
    source: Source, window: Window, file: IO[bytes], pins: Pins | None = None
) -> Strays:
    """Writes the rows of a window into `file` as Parquet; says what strayed.

    One day at a time is in memory. Labels not complete at the window's instant are null. `pins`
    gets what was read.

    Raises:
        SourceError: a day is missing or wrong, too many rows have strayed, the window is empty,
            or a request id is doubled.
    """
    spec, writer, strays = source.spec, None, Strays()
    key = f"{spec.model.name}/{window.end.isoformat()}"
    for whole in source.read_by_day(window.days, columns=pulled_columns(spec), pins=pins):
        table, found = _seen(spec, whole, window.instant)
        table = _without_immature_labels(spec, window, table)
        strays += found
        with full_disk_named():
            writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
            if table.num_rows:
                writer.write_table(table)
        if pins is not None:
            pin_contents(table, spec.features.numeric, pins)
    if writer is not None:
        with full_disk_named():
            writer.close()
    check_strays(key, spec, strays)
    if strays.seen == 0:
        raise SourceError(f"{key}: the window has no rows at all")
    check_unique(key, spec, ParquetRows(file))
    pa.default_memory_pool().release_unused()  # of a table of all ids
    return strays


def seen_rows(
    source: Source,
    days: Iterable[date],
    columns: Sequence[str],
    instant: datetime,
) -> tuple[pa.Table, Strays]:
    """The rows of `days` before `instant`, and what strayed; :meth:`Source.read` says the rest."""
    whole = source.read(days, columns=columns, before=None)
    return _seen(source.spec, whole, instant)


def _seen(spec: RetrainSpec, whole: pa.Table, instant: datetime) -> tuple[pa.Table, Strays]:
    table = within(whole, spec.source.event_time, None, instant)
    time = whole[spec.source.event_time]
    midnight = whole[DAY].cast(time.type)
    early = pc.less(time, pc.add(midnight, pa.scalar(EARLIEST)))
    after = pc.greater_equal(time, pc.add(midnight, pa.scalar(LATEST)))
    outside = pc.sum(pc.or_(early, after)).as_py() or 0
    late = whole.num_rows - table.num_rows
    return table, Strays(rows=whole.num_rows, outside=outside, late=late)


def check_strays(key: str, spec: RetrainSpec, strays: Strays) -> None:
    """Raises SourceError where more rows have strayed than the spec allows."""
    limit = spec.source.max_stray_share
    found = max(strays.outside, strays.late)
    if found > exactly(limit) * strays.rows:
        raise SourceError(
            f"{key}: of {strays.rows} rows {strays.outside} lie outside their partition's day and "
            f"{strays.late} at or after the run's instant, more than max_stray_share = {limit:g}: "
            f"load the days again, or correct {spec.source.event_time}"
        )


def check_unique(key: str, spec: RetrainSpec, table: pa.Table | ParquetRows) -> None:
    """Raises SourceError where two rows have one request id."""
    ids = table[spec.source.request_id]
    doubled = len(ids) - pc.count_distinct(ids, mode="all").as_py()
    if doubled:
        raise SourceError(
            f"{key}: {doubled} row(s) repeat a {spec.source.request_id}, {_repeated(table, ids)}; "
            "the source was loaded twice or the id is not unique: fix it and run again"
        )


def _repeated(table: pa.Table | ParquetRows, ids: pa.ChunkedArray) -> str:
    """An id that occurs more than once, and its days."""
    counts = pc.value_counts(ids)
    twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")[0]
    days = pc.unique(table[DAY].filter(pc.equal(ids, twice))).to_pylist()
    return f"{twice.as_py()!r} on {' and '.join(day.isoformat() for day in days[:2])}"


def _without_immature_labels(spec: RetrainSpec, window: Window, table: pa.Table) -> pa.Table:
    """At the run's instant the newest days have no (complete) outcomes: nothing looks ahead."""
    name = spec.source.label
    mature = pc.less_equal(table[DAY], pa.scalar(window.newest_labelled, type=pa.date32()))
    kept = pc.and_(mature, labels_of(spec).known(table[name]))
    label = pc.if_else(kept, table[name], pa.scalar(None, type=table.schema.field(name).type))
    return table.set_column(table.schema.get_field_index(name), name, label)
