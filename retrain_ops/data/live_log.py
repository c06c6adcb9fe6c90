"""The request log of a server as tables: what was answered, and what another model said of it.

Both kinds of rows lie as Parquet by day, in any number of files, in any order, some of them twice
(a copied file, a client that asks again). What is read is the same for all of these: a row of a
request once, and of rows of one request id the first that was answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retrain_ops.data.sources.files import DayFiles
from retrain_ops.errors import SourceError
from retrain_ops.spec.spec import RetrainSpec
from retrain_ops.spec.window import days_between

ANSWERS, SHADOWS = "answers", "shadows"
"""The folders of the log."""
RECORD = ("log_writer", "log_sequence", "log_row")
"""What names an answered row, whoever logged it."""
SCORED = 200


@dataclass(frozen=True, slots=True)
class LiveTraffic:
    """Rows that were answered in a span of time, and what was said of them.

    `answers` has a row for each request id, ordered by it: the id, when it was answered, by which
    version, the score, how long it took, the unit's hash, and the share that the champion had.
    `shadows` has a row for each of these rows and each version that scored it: status, score, how
    long it took, and how long after the answer. `repeated` counts answers of an id that had one.
    """

    answers: pa.Table
    shadows: pa.Table
    repeated: int


def read_live(spec: RetrainSpec, since: datetime, before: datetime) -> LiveTraffic:
    """What was answered in `[since, before)`.

    Raises:
        SourceError: a file is none of the log's, or cannot be read.
    """
    request_id, time = spec.source.request_id, spec.source.event_time
    plain = [*RECORD, time, "log_version", "log_score", "log_took_ns"]
    answers = _read(spec, ANSWERS, [request_id, *plain, "log_unit", "log_share"], since, before)
    shadows = _read(spec, SHADOWS, [*plain, "log_status", "log_delay_ns"], since, before)
    once = first_of(answers, RECORD)
    answers = first_of(once, (request_id,), then=(time,))
    shadows = first_of(shadows, (*RECORD, "log_version"))
    return LiveTraffic(answers, shadows, once.num_rows - answers.num_rows)


def first_of(table: pa.Table, keys: Sequence[str], then: Sequence[str] = ()) -> pa.Table:
    """Of rows with equal keys the first, by `then` and after that by every other column."""
    rest = [n for n in table.column_names if n not in (*keys, *then)]
    order = [(name, "ascending") for name in (*keys, *then, *rest)]
    table = table.sort_by(order).combine_chunks()
    if table.num_rows < 2:
        return table
    new = np.zeros(table.num_rows - 1, dtype=np.bool_)
    for name in keys:
        column = table[name]
        new |= pc.not_equal(column[1:], column[:-1]).to_numpy(zero_copy_only=False)
    return table.filter(pa.array(np.concatenate([[True], new])))


def _read(
    spec: RetrainSpec, kind: str, columns: list[str], since: datetime, before: datetime
) -> pa.Table:
    """The rows of a kind, in no order."""
    time = spec.source.event_time
    files = DayFiles(f"{spec.serving.log}/{kind}", spec.source.partition, (".parquet",))
    days = days_between(since.date(), (before + timedelta(days=1)).date())
    parts = []
    for file in (f for day in days for f in files.of_day(day)):
        try:
            with files.filesystem.open_input_file(file.path) as stream:
                parts.append(pq.ParquetFile(stream).read(columns=columns))
            if parts[-1].column_names != columns:
                parts[-1] = parts[-1].select(columns)
        except (pa.ArrowException, KeyError) as problem:
            raise SourceError(
                f"{file.path} is no part of the request log: {problem}; remove it"
            ) from problem
    if not parts:
        return _empty(columns, spec)
    table = pa.concat_tables(parts)
    if pa.types.is_nested(table.schema.field("log_score").type):
        raise SourceError("the request log has several scores of a row: the rollout judges one")
    ends = [pa.scalar(end, pa.timestamp("us", "UTC")) for end in (since, before)]
    inside = pc.and_(pc.greater_equal(table[time], ends[0]), pc.less(table[time], ends[1]))
    return table.filter(inside)


def _empty(columns: Sequence[str], spec: RetrainSpec) -> pa.Table:
    types = {
        spec.source.request_id: pa.string(),
        spec.source.event_time: pa.timestamp("us", "UTC"),
        "log_score": pa.float64(),
        "log_share": pa.float64(),
    }
    return pa.schema([(n, types.get(n, pa.int64())) for n in columns]).empty_table()
