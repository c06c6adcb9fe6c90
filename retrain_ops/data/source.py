"""Rows from the daily source, in one order, and the hash of what they say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from retrain_ops.errors import DataError
from retrain_ops.spec.spec import RetrainSpec
from retrain_ops.workspace import open_filesystem

DAY = "day"


@dataclass(frozen=True, slots=True)
class Source:
    """The daily Parquet partitions that the spec points at."""

    spec: RetrainSpec

    def read(
        self,
        days: Iterable[date],
        *,
        columns: Sequence[str],
        before: datetime,
        since: datetime | None = None,
        allow_missing: bool = False,
    ) -> pa.Table:
        """Rows of `days` whose request time lies in `[since, before)`.

        Returns a table of `day` (date32), request id, event time and `columns`,
        sorted by (day, event time, request id).

        Raises:
            DataError: a day has no partition, or a column or its type is wrong.
        """
        filesystem, root = open_filesystem(self.spec.source.path)
        wanted = self._columns(columns)
        tables = []
        missing = []
        for day in sorted(set(days)):
            files = self._files(filesystem, root, day)
            if files:
                tables.append(self._read_day(filesystem, files, day, wanted))
            else:
                missing.append(day)
        if missing and not allow_missing:
            raise DataError(_missing_days(missing, root, self.spec.source.partition))
        if not tables:
            return self._empty(wanted)
        table = _concatenated(tables, root)
        return self._ordered(_within(table, self.spec.source.event_time, since, before))

    def _columns(self, columns: Sequence[str]) -> list[str]:
        source = self.spec.source
        return list(dict.fromkeys([source.request_id, source.event_time, *columns]))

    def _files(self, filesystem: pafs.FileSystem, root: str, day: date) -> list[str]:
        folder = f"{root}/{self.spec.source.partition}={day.isoformat()}"
        selector = pafs.FileSelector(folder, allow_not_found=True)
        infos = filesystem.get_file_info(selector)
        return sorted(i.path for i in infos if i.path.endswith(".parquet"))

    def _read_day(
        self, filesystem: pafs.FileSystem, files: list[str], day: date, wanted: list[str]
    ) -> pa.Table:
        parts = []
        for file in files:
            with filesystem.open_input_file(file) as stream:
                parquet = pq.ParquetFile(stream)
                absent = [c for c in wanted if c not in parquet.schema_arrow.names]
                if absent:
                    raise DataError(f"{file} has no column {', '.join(absent)}")
                parts.append(parquet.read(columns=wanted))
        table = _concatenated(parts, files[0]).select(wanted)
        self._check_event_time(table, files[0])
        days = pa.array(np.full(table.num_rows, np.datetime64(day)), type=pa.date32())
        return table.add_column(0, DAY, days)

    def _check_event_time(self, table: pa.Table, file: str) -> None:
        name = self.spec.source.event_time
        kind = table.schema.field(name).type
        if not pa.types.is_timestamp(kind) or kind.tz is None:
            raise DataError(
                f"{file}: {name} is {kind}; it must be a timestamp with a time zone, "
                "or nobody can say which rows existed at the run's instant"
            )
        if table[name].null_count:
            raise DataError(f"{file}: {name} is null in {table[name].null_count} row(s)")

    def _ordered(self, table: pa.Table) -> pa.Table:
        source = self.spec.source
        keys = [(DAY, "ascending"), (source.event_time, "ascending")]
        order = pc.sort_indices(table, sort_keys=[*keys, (source.request_id, "ascending")])
        return table.take(order).combine_chunks()

    def _empty(self, wanted: list[str]) -> pa.Table:
        fields = [pa.field(DAY, pa.date32())]
        fields += [pa.field(name, pa.null()) for name in wanted]
        return pa.schema(fields).empty_table()


def _concatenated(tables: list[pa.Table], where: str) -> pa.Table:
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowInvalid as problem:
        raise DataError(f"the partitions of {where} do not share a schema: {problem}") from problem


def _within(table: pa.Table, event_time: str, since: datetime | None, before: datetime) -> pa.Table:
    kind = table.schema.field(event_time).type
    keep = pc.less(table[event_time], pa.scalar(before, type=kind))
    if since is not None:
        keep = pc.and_(keep, pc.greater_equal(table[event_time], pa.scalar(since, type=kind)))
    return table.filter(keep)


def _missing_days(missing: list[date], root: str, partition: str) -> str:
    shown = ", ".join(d.isoformat() for d in missing[:5])
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    return (
        f"the source has no rows for {shown}{more}: expected {root}/{partition}=<day>/*.parquet; "
        "load the days (an empty file says that nothing happened) and run again"
    )


def day_index(table: pa.Table) -> tuple[np.ndarray, tuple[date, ...]]:
    """Day codes int32 per row, and the days they stand for, oldest first."""
    days = table[DAY].to_numpy()
    distinct, codes = np.unique(days, return_inverse=True)
    return codes.astype(np.int32), tuple(d.astype(object) for d in distinct)


def sha256_of_rows(table: pa.Table) -> str:
    """SHA-256 of the logical content: names, types, values and nulls, in column-name order.

    Neither chunking, file layout nor library version can change it.
    """
    digest = hashlib.sha256()
    for name in sorted(table.schema.names):
        column = table[name].combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([])
        digest.update(f"{name}\0{column.type}\0{len(column)}\0".encode())
        digest.update(np.packbits(column.is_valid().to_numpy(zero_copy_only=False)).tobytes())
        for part in _value_bytes(column):
            digest.update(part)
    return digest.hexdigest()


def _value_bytes(column: pa.Array) -> list[bytes]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return _text_bytes(pc.fill_null(column.cast(pa.large_string()), ""))
    if pa.types.is_null(column.type):
        return []
    if pa.types.is_temporal(column.type):
        wide = pa.int32() if pa.types.is_date32(column.type) else pa.int64()
        column = column.cast(wide)
    values = pc.fill_null(column, pa.scalar(0).cast(column.type))
    return [np.ascontiguousarray(values.to_numpy(zero_copy_only=False)).tobytes()]


def _text_bytes(column: pa.Array) -> list[bytes]:
    """Lengths, then the characters; a slice's offsets need not begin at zero."""
    lengths = pc.binary_length(column).to_numpy(zero_copy_only=False)
    _, offsets, characters = column.buffers()
    if characters is None or len(column) == 0:
        return [lengths.tobytes()]
    bounds = np.frombuffer(offsets, dtype=np.int64)[column.offset :][: len(column) + 1]
    return [lengths.tobytes(), characters.slice(bounds[0], bounds[-1] - bounds[0]).to_pybytes()]
