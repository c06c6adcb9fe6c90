"""What the rows of a source say, whoever wrote them: equal values of equal type on every day.

A text stays text, whether it came as a dictionary, a large string, a view, bytes, a UUID or the
digits of a whole number; a label of any type of number is int8, a class the text of its category,
an amount float64; instants are in UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrain_ops.data.categories import kind_of, numbers, plain, texts
from retrain_ops.errors import DataError, SourceError
from retrain_ops.spec.spec import RetrainSpec
from retrain_ops.spec.train import ProblemName

Reader = Callable[[pa.ChunkedArray, str], pa.ChunkedArray]


def canonical(table: pa.Table, where: str, spec: RetrainSpec) -> pa.Table:
    """The columns of one place, in their order, each of its canonical type.

    Raises:
        SourceError: a column is of a wrong type, or holds what none of its kind may hold.
    """
    readers = _readers(spec)
    names = table.column_names
    try:
        columns = [readers.get(name, _number)(table[name], name) for name in names]
    except (DataError, pa.ArrowException) as problem:
        raise SourceError(f"{where}: {problem}") from problem
    return pa.table(columns, names=names)


def _readers(spec: RetrainSpec) -> dict[str, Reader]:
    """How each column is read; one that is a feature both ways is a number."""
    readers: dict[str, Reader] = dict.fromkeys(_words(spec), texts)
    readers |= dict.fromkeys(spec.features.numeric, _number)
    instant = partial(_instant, zone=spec.source.time_zone)
    readers |= {spec.source.request_id: _name, spec.source.event_time: instant}
    return {**readers, spec.source.label: _LABELS[spec.model.problem]}


def _words(spec: RetrainSpec) -> list[str]:
    """The columns that are categories and nothing else."""
    words = dict.fromkeys((*spec.features.categorical, *spec.slice_columns))
    return [name for name in words if name not in spec.features.numeric]


def _number(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Numbers as they are, decimals as float64; whether it must be one is validation's question."""
    column = plain(column, name)
    return _floats(column, name) if pa.types.is_decimal(column.type) else column


def _floats(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    wide = numbers(column, name).astype(np.float64, copy=False)
    return pa.chunked_array([pa.array(wide, pa.float64(), from_pandas=True)])


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


def _amount(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """float64, null where it is missing or NaN, whatever kind of number a day has; what is no
    number as it is, for validation to show."""
    column = plain(column, name)
    amounts = kind_of(column) in ("number", "nothing") and not pa.types.is_boolean(column.type)
    return _floats(column, name) if amounts else column


_LABELS: Mapping[ProblemName, Reader] = MappingProxyType(
    {"binary": _label, "multiclass": texts, "regression": _amount}
)


def _name(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Texts. Raises DataError for missing ones: two of them would be one request."""
    _check_known(column, name)
    return texts(column, name)


def _check_known(column: pa.ChunkedArray, name: str) -> None:
    if column.null_count:
        raise DataError(f"{name} is null in {column.null_count} row(s)")


def _instant(column: pa.ChunkedArray, name: str, zone: str) -> pa.ChunkedArray:
    """In UTC, in microseconds unless nanoseconds say more.

    An instant without an offset is one of the clock of `zone`. Raises DataError where that is
    empty, or where its clock shows the time twice or never; for other types; for missing instants.
    """
    column = _parsed(plain(column, name), name)
    kind = column.type
    if not pa.types.is_timestamp(kind) or (kind.tz is None and not zone):
        raise DataError(
            f"{name} is {kind}; it must be a timestamp with a time zone, "
            "or nobody can say which rows existed at the run's instant; "
            "[source] time_zone says whose clock it is"
        )
    _check_known(column, name)
    if kind.tz is None:
        column = _on_clock(column, name, zone)
    try:
        return column.cast(pa.timestamp("us", "UTC"))
    except pa.ArrowInvalid:
        return column.cast(pa.timestamp(kind.unit, "UTC"))


def _parsed(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Texts as instants: all with an offset, or all without."""
    if pa.types.is_null(column.type):
        return column.cast(pa.timestamp("us", "UTC"))
    if not pa.types.is_string(column.type):
        return column
    problem: pa.ArrowException | None = None
    for kind in (pa.timestamp(unit, zone) for zone in ("UTC", None) for unit in ("us", "ns")):
        try:
            return column.cast(kind)
        except pa.ArrowInvalid as error:
            problem = problem or error
    said = str(problem).partition(" as a scalar")[0]
    raise DataError(f"{name} is {column.type}, and not an ISO 8601 time in every row: {said}")


def _on_clock(column: pa.ChunkedArray, name: str, zone: str) -> pa.ChunkedArray:
    try:
        return pc.assume_timezone(column, zone)
    except pa.ArrowInvalid as problem:
        raise DataError(
            f"{name} has a time that the clock of {zone} shows twice or never ({problem}): "
            "write instants with their offset"
        ) from problem


def stored_words(table: pa.Table, spec: RetrainSpec) -> dict[str, pa.DataType]:
    """How the categories of one place are stored; nothing of those without any value."""
    found = {}
    for name in (name for name in _words(spec) if name in table.column_names):
        kind = table[name].type
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        is_flag_or_number = kind_of(pa.chunked_array([], kind)) == "number"
        if not (is_flag_or_number and pc.all(pc.is_null(table[name], nan_is_null=True)).as_py()):
            found[name] = kind
    return found


def check_words(places: Sequence[tuple[str, Mapping[str, pa.DataType]]]) -> None:
    """Numbers and booleans are no categories of one column: nobody can say that `true` is `1`.

    Args:
        places: where rows lie, and the :func:`stored_words` there.

    Raises:
        SourceError: a column is boolean in one place and a number in another.
    """
    found: dict[tuple[str, bool], tuple[str, pa.DataType]] = {}
    for where, words in places:
        for name, kind in words.items():
            is_flag = pa.types.is_boolean(kind)
            if not is_flag and kind_of(pa.chunked_array([], kind)) != "number":
                continue
            found.setdefault((name, is_flag), (where, kind))
            other_where, other = found.get((name, not is_flag), ("", None))
            if other is not None:
                raise SourceError(
                    f"column {name!r} is {kind} in {where}, and {other} in {other_where}: as "
                    "categories true and 1 differ; write the day again with the type of the others"
                )


def joined(parts: Sequence[tuple[str, pa.Table]], numeric: Sequence[str]) -> pa.Table:
    """All parts, one after the other, each with the place it came from.

    Numbers of several types are their widest, or float64. Raises SourceError that names the column
    and the two places whose types do not go together.
    """
    tables = [table for _, table in parts]
    for name in numeric:
        kinds = {table[name].type for table in tables if name in table.column_names}
        if pa.bool_() in kinds and len(kinds) > 1:
            tables = [_with_floats(table, name) for table in tables]
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as problem:
        raise SourceError(_difference(parts) or _too_large(parts) or str(problem)) from problem


def _too_large(parts: Sequence[tuple[str, pa.Table]]) -> str:
    """The first column of a place whose whole numbers the type of all days cannot hold."""
    (_, first), *others = parts
    for where, table in others:
        for name in first.column_names:
            try:
                pa.concat_tables(
                    [t.select([name]) for t in (first, table)], promote_options="permissive"
                )
            except pa.ArrowException as problem:
                return f"column {name!r} in {where}: {problem}: write it as a double on all days"
    return ""


def _with_floats(table: pa.Table, name: str) -> pa.Table:
    place = table.schema.get_field_index(name)
    if kind_of(table[name]) not in ("number", "nothing"):
        return table
    return table.set_column(place, name, _floats(table[name], name))


def _difference(parts: Sequence[tuple[str, pa.Table]]) -> str:
    """The first two places whose types of a column do not go together; nulls go with all."""
    for name in parts[0][1].column_names:
        first_where, first = parts[0]
        for where, table in parts[1:]:
            if pa.types.is_null(first[name].type):
                first_where, first = where, table
            both = [pa.table({name: t[name].slice(0, 0)}) for t in (first, table)]
            try:
                pa.concat_tables(both, promote_options="permissive")
            except pa.ArrowException:
                return (
                    f"column {name!r} is {table[name].type} in {where}, and {first[name].type} in "
                    f"{first_where}: write the day again with the type of the others"
                )
    return ""
