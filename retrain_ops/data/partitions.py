"""What a file of the source says, whoever wrote it: equal values of equal type on every day.

A text stays text, whether it came as a dictionary, a large string, a view, bytes, a UUID or the
digits of a whole number; a label of any type of number is int8; instants are in UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from retrain_ops.data.categories import kind_of, numbers, plain, texts
from retrain_ops.errors import DataError, SourceError
from retrain_ops.spec.spec import RetrainSpec

Reader = Callable[[pa.ChunkedArray, str], pa.ChunkedArray]


def partition_days(filesystem: pafs.FileSystem, root: str, partition: str) -> list[date]:
    """The days with a folder `<root>/<partition>=YYYY-MM-DD`, oldest first."""
    infos = filesystem.get_file_info(pafs.FileSelector(root, allow_not_found=True))
    days = []
    for info in infos:
        key, _, value = info.base_name.partition("=")
        with suppress(ValueError):
            if key == partition:
                days.append(date.fromisoformat(value))
    return sorted(days)


def partition_files(filesystem: pafs.FileSystem, folder: str) -> list[str]:
    """The Parquet files of a day; names that begin with a dot or underscore are hidden."""
    infos = filesystem.get_file_info(pafs.FileSelector(folder, allow_not_found=True))
    names = (i.path for i in infos if i.path.endswith(".parquet"))
    return sorted(path for path in names if path.rpartition("/")[2][0] not in "._")


def read_partition(
    filesystem: pafs.FileSystem, file: str, wanted: Sequence[str], spec: RetrainSpec
) -> pa.Table:
    """The wanted columns of one file, in that order, each of its canonical type.

    Raises:
        SourceError: the file is no Parquet, or a column is missing, doubled or of a wrong type.
    """
    try:
        with filesystem.open_input_file(file) as stream:
            parquet = pq.ParquetFile(stream)
            _check_names(file, parquet.schema_arrow.names, wanted)
            table = parquet.read(columns=list(wanted))
    except (pa.ArrowException, OSError) as problem:
        raise _unreadable(file, problem) from problem
    readers = _readers(spec)
    try:
        columns = [readers.get(name, _number)(table[name], name) for name in wanted]
    except (DataError, pa.ArrowException) as problem:
        raise SourceError(f"{file}: {problem}") from problem
    return pa.table(columns, names=list(wanted))


def schema_of(filesystem: pafs.FileSystem, file: str) -> pa.Schema:
    """The columns of one file as they were written.

    Raises:
        SourceError: the file is no Parquet.
    """
    try:
        with filesystem.open_input_file(file) as stream:
            return pq.ParquetFile(stream).schema_arrow
    except (pa.ArrowException, OSError) as problem:
        raise _unreadable(file, problem) from problem


def _unreadable(file: str, problem: Exception) -> SourceError:
    return SourceError(f"{file} cannot be read as Parquet: {problem}; write it again")


def _check_names(file: str, names: Sequence[str], wanted: Sequence[str]) -> None:
    absent = [name for name in wanted if name not in names]
    doubled = [name for name in wanted if list(names).count(name) > 1]
    if absent:
        raise SourceError(f"{file} has no column {', '.join(absent)}")
    if doubled:
        raise SourceError(f"{file} has more than one column {', '.join(doubled)}")


def _readers(spec: RetrainSpec) -> dict[str, Reader]:
    """How each column is read; one that is a feature both ways is a number."""
    words = (*spec.features.categorical, *spec.slice_columns)
    readers: dict[str, Reader] = dict.fromkeys(words, texts)
    readers |= dict.fromkeys(spec.features.numeric, _number)
    readers |= {spec.source.request_id: _name, spec.source.event_time: _instant}
    return {**readers, spec.source.label: _label}


def _number(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Numbers as they are, decimals as float64; whether it must be one is validation's question."""
    column = plain(column, name)
    return _floats(column, name) if pa.types.is_decimal(column.type) else column


def _floats(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(numbers(column, name), pa.float64(), from_pandas=True)])


def _label(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """int8 where every value is 0, 1 or missing; else as it is, for validation to show."""
    column = plain(column, name)
    if column.type == pa.int8() or kind_of(column) not in ("number", "nothing"):
        return column
    values = numbers(column, name)
    missing = np.isnan(values)
    if not np.isin(values[~missing], (0.0, 1.0)).all():
        return column
    whole = np.where(missing, 0, values).astype(np.int8)
    return pa.chunked_array([pa.array(whole, mask=missing)])


def _name(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Texts. Raises DataError for missing ones: two of them would be one request."""
    _check_known(column, name)
    return texts(column, name)


def _check_known(column: pa.ChunkedArray, name: str) -> None:
    if column.null_count:
        raise DataError(f"{name} is null in {column.null_count} row(s)")


def _instant(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """In UTC, in microseconds unless nanoseconds say more.

    Raises DataError for other types, and for missing instants.
    """
    kind = column.type
    if not pa.types.is_timestamp(kind) or kind.tz is None:
        raise DataError(
            f"{name} is {kind}; it must be a timestamp with a time zone, "
            "or nobody can say which rows existed at the run's instant"
        )
    _check_known(column, name)
    try:
        return column.cast(pa.timestamp("us", "UTC"))
    except pa.ArrowInvalid:
        return column.cast(pa.timestamp(kind.unit, "UTC"))


def joined(parts: Sequence[tuple[str, pa.Table]], numeric: Sequence[str]) -> pa.Table:
    """All parts, one after the other, each with the file it came from.

    Numbers of several types are their widest, or float64. Raises SourceError that names the column
    and the first file whose type does not go with the first part's.
    """
    tables = [table for _, table in parts]
    for name in numeric:
        kinds = {table[name].type for table in tables if name in table.column_names}
        if pa.bool_() in kinds and len(kinds) > 1:
            tables = [_with_floats(table, name) for table in tables]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as problem:
        raise SourceError(_difference(parts) or str(problem)) from problem


def _with_floats(table: pa.Table, name: str) -> pa.Table:
    place = table.schema.get_field_index(name)
    if kind_of(table[name]) not in ("number", "nothing"):
        return table
    return table.set_column(place, name, _floats(table[name], name))


def _difference(parts: Sequence[tuple[str, pa.Table]]) -> str:
    first_file, first = parts[0]
    for file, table in parts[1:]:
        for name in table.column_names:
            both = [pa.table({name: t[name].slice(0, 0)}) for t in (first, table)]
            try:
                pa.concat_tables(both, promote_options="permissive")
            except pa.ArrowException:
                return (
                    f"column {name!r} is {table[name].type} in {file}, and {first[name].type} in "
                    f"{first_file}: write the day again with the type of the others"
                )
    return ""
