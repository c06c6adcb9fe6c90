"""Rows from the daily source, in one order, and the hash of what they say."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrain_ops.busy import busy_with
from retrain_ops.data.canonical import canonical, check_words, stored_words
from retrain_ops.data.categories import kind_of, numbers, plain
from retrain_ops.data.pins import Pins
from retrain_ops.data.sources.kind import VERSION, Part, open_kind
from retrain_ops.data.sources.secrets import shown
from retrain_ops.data.spool import Spool, scratch
from retrain_ops.errors import DataError, SourceError
from retrain_ops.spec.spec import RetrainSpec
from retrain_ops.spec.window import DAY


@dataclass(frozen=True, slots=True)
class Source:
    """The daily rows that the spec points at; of a table with versions, those of `version`.

    Empty means the newest version.
    """

    spec: RetrainSpec
    version: str = ""

    def read(
        self,
        days: Iterable[date],
        *,
        columns: Sequence[str],
        before: datetime | None,
        since: datetime | None = None,
        allow_missing: bool = False,
        pins: Pins | None = None,
    ) -> pa.Table:
        """Rows of `days` whose request time lies in `[since, before)`; None leaves an end open.

        Returns a table of `day` (date32), request id, event time and `columns`,
        sorted by (day, event time, request id). `pins` gets what was read.

        Raises:
            SourceError: a day has no rows, or a column or its type is wrong.
            UnreachableError: whoever holds the rows did not answer.
        """
        tables = list(
            self.read_by_day(days, columns=columns, allow_missing=allow_missing, pins=pins)
        )
        if not tables:
            return self._empty(self._columns(columns))
        table = pa.concat_tables(tables)
        return within(table, self.spec.source.event_time, since, before).combine_chunks()

    def read_by_day(
        self,
        days: Iterable[date],
        *,
        columns: Sequence[str],
        allow_missing: bool = False,
        pins: Pins | None = None,
    ) -> Iterator[pa.Table]:
        """The rows of each of `days` that has any, sorted as `read` does, all of one schema.

        All days are read before the first is given out, and wait in scratch. Raises as `read`.
        """
        kind = open_kind(self.spec, self.version)
        wanted, asked = self._columns(columns), sorted(set(days))
        stored: list[tuple[str, dict[str, pa.DataType]]] = []
        with scratch() as file:
            spool = Spool(file, self.spec.features.numeric)
            with busy_with(f"reading {self._place}"):
                for part in kind.read(asked, wanted, pinned=pins is not None):
                    stored.append((part.where, stored_words(part.table, self.spec)))
                    spool.add(part.day, part.where, self._rows(part))
                    if pins is not None:
                        pins.add(part)
            if pins is not None:
                pins.facts = {"kind": self.spec.source.kind, **kind.pin()}
            missing = [day for day in asked if day not in spool.days]
            if missing and not allow_missing:
                raise SourceError(_missing_days(missing, kind.expected))
            check_words(stored)
            yield from map(self._ordered, spool.tables())

    def check_columns(self, days: Iterable[date]) -> None:
        """Refuses a spec that names a column which no day has; one that lacks on some days only
        is the source's fault, and its reader says so.

        Only columns' names are read: those of the newest day, and of older ones until nothing
        lacks.

        Raises:
            ConfigError: with file and line of the spec.
            UnreachableError: whoever holds the rows did not answer.
        """
        kind = open_kind(self.spec, self.version)
        lacking = {name for _, _, names in self.spec.named_columns for name in names}
        seen: list[tuple[str, pa.Schema]] = []
        for day in sorted(set(days), reverse=True):
            with suppress(SourceError):  # for whoever reads the rows of that day
                for place, schema in kind.schemas(day):
                    seen.append((place, schema))
                    lacking -= set(schema.names)
            if not lacking:
                return
        for table, key, names in self.spec.named_columns if seen else ():
            unknown = next((name for name in names if name in lacking), None)
            if unknown is not None:
                raise self.spec.error(table, key, _no_column(unknown, *seen[0]))

    def days(self) -> list[date]:
        """The days that have rows, oldest first."""
        return open_kind(self.spec, self.version).days()

    def newest_version(self) -> str:
        """The version that a read sees now; empty where the rows have none."""
        return str(open_kind(self.spec).pin().get(VERSION, ""))

    @property
    def expected(self) -> str:
        """How a day should lie in the source, and what to do about one that is missing."""
        return open_kind(self.spec, self.version).expected

    @property
    def _place(self) -> str:
        source = self.spec.source
        return shown(source.path) or source.table or "the rows of [source] query"

    def _columns(self, columns: Sequence[str]) -> list[str]:
        source = self.spec.source
        return list(dict.fromkeys([source.request_id, source.event_time, *columns]))

    def _rows(self, part: Part) -> pa.Table:
        """Canonical rows, with the day in front."""
        table = canonical(part.table, part.where, self.spec)
        days = pa.array(np.full(table.num_rows, np.datetime64(part.day)), type=pa.date32())
        return table.add_column(0, DAY, days)

    def _ordered(self, table: pa.Table) -> pa.Table:
        source = self.spec.source
        keys = [(DAY, "ascending"), (source.event_time, "ascending")]
        order = pc.sort_indices(table, sort_keys=[*keys, (source.request_id, "ascending")])
        return table.take(order).combine_chunks()

    def _empty(self, wanted: list[str]) -> pa.Table:
        fields = [pa.field(DAY, pa.date32())]
        fields += [pa.field(name, pa.null()) for name in wanted]
        return pa.schema(fields).empty_table()


def _no_column(name: str, file: str, schema: pa.Schema) -> str:
    known = ", ".join(sorted(schema.names))
    near = get_close_matches(name, schema.names, 1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    return f"{name!r} is no column of the source{meant} ({file} has {known})"


def within(
    table: pa.Table, event_time: str, since: datetime | None, before: datetime | None
) -> pa.Table:
    """The rows whose request time lies in `[since, before)`, in the order they are in."""
    for end, inside in ((before, pc.less), (since, pc.greater_equal)):
        if end is not None:
            bound = pa.scalar(end, type=table.schema.field(event_time).type)
            table = table.filter(inside(table[event_time], bound))
    return table


def _missing_days(missing: list[date], expected: str) -> str:
    shown = ", ".join(d.isoformat() for d in missing[:5])
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    return f"the source has no rows for {shown}{more}: {expected}"


def day_index(table: Columns) -> tuple[np.ndarray, tuple[date, ...]]:
    """Day codes int32 per row, and the days they stand for, oldest first."""
    days = table[DAY].to_numpy()
    distinct, codes = np.unique(days, return_inverse=True)
    return codes.astype(np.int32), tuple(d.astype(object) for d in distinct)


def pin_contents(table: pa.Table, numeric: Collection[str], pins: Pins) -> None:
    """Rows that lie in no file are known again by their values: those that a run saw, as it did."""
    codes, days = day_index(table)
    ends = np.searchsorted(codes, np.arange(len(days) + 1))
    for day, begin, end in zip(days, ends[:-1], ends[1:], strict=True):
        if not pins.has_files(day):
            rows = table.slice(begin, end - begin)
            pins.add_contents(day, rows.num_rows, sha256_of_rows(rows, numeric))


class Columns(Protocol):
    """A table, or whatever gives its columns one at a time."""

    @property
    def schema(self) -> pa.Schema:
        """Names and types."""

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        """The column of that name."""


def sha256_of_rows(table: Columns, numeric: Collection[str] = ()) -> str:
    """SHA-256 of the logical content: names, types, values and nulls, in column-name order.

    Neither chunking, file layout nor library version can change it, nor, in the `numeric`
    columns, what type the numbers have or whether a gap is NaN or null; a text is a text.
    """
    digest = hashlib.sha256()
    for name in sorted(table.schema.names):
        column = plain(table[name], name)
        column = _narrowest(column, name) if name in numeric else column
        values = column.combine_chunks()
        if isinstance(values, pa.ChunkedArray):
            values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([])
        digest.update(f"{name}\0{values.type}\0{len(values)}\0".encode())
        digest.update(np.packbits(values.is_valid().to_numpy(zero_copy_only=False)).tobytes())
        for part in _value_bytes(values, name):
            digest.update(part)
    return digest.hexdigest()


def _narrowest(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Numbers as float32 where that is exact, else as float64; integers beyond it as they are."""
    if kind_of(column) not in ("number", "nothing"):
        return column
    wide = numbers(column, name).astype(np.float64, copy=False)
    if pa.types.is_integer(column.type) and np.any(np.abs(wide) >= 2.0**53):
        return column
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    exact = np.array_equal(narrow.astype(np.float64), wide, equal_nan=True)
    return pa.chunked_array([pa.array(narrow if exact else wide, from_pandas=True)])


def _value_bytes(column: pa.Array, name: str) -> list[bytes]:
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.string())
    if pa.types.is_string(column.type):
        lengths, characters = text_parts(pc.fill_null(column.cast(pa.large_string()), ""))
        return [lengths.tobytes(), characters]
    if pa.types.is_null(column.type):
        return []
    if not pa.types.is_primitive(column.type):
        raise DataError(f"column {name!r} is {column.type}, which is no number, time or text")
    if pa.types.is_temporal(column.type):
        short = pa.types.is_date32(column.type) or pa.types.is_time32(column.type)
        column = column.cast(pa.int32() if short else pa.int64())
    values = pc.fill_null(column, pa.scalar(0).cast(column.type))
    return [np.ascontiguousarray(values.to_numpy(zero_copy_only=False)).tobytes()]


def text_parts(column: pa.Array) -> tuple[NDArray[np.int64], bytes]:
    """Lengths int64 (rows,) in bytes of a large_string column without nulls, and the characters;
    a slice's offsets need not begin at zero."""
    lengths = pc.binary_length(column).to_numpy(zero_copy_only=False)
    _, offsets, characters = column.buffers()
    if characters is None or len(column) == 0:
        return lengths, b""
    bounds = np.frombuffer(offsets, dtype=np.int64)[column.offset :][: len(column) + 1]
    return lengths, characters.slice(bounds[0], bounds[-1] - bounds[0]).to_pybytes()
