"""What lies in a folder of daily files that no spec describes yet: columns, and guesses."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs

from retrain_ops.data.categories import kind_of, numbers, plain
from retrain_ops.data.sources.files import DayFiles, FileFormat, hive_key
from retrain_ops.data.sources.parquet import PARQUET
from retrain_ops.data.sources.text import CSV, JSONL
from retrain_ops.errors import ConfigError, DataError, SourceError
from retrain_ops.spec.window import DAY
from retrain_ops.workspace import open_filesystem

DAYS_READ = 60
LEVELS_AT_MOST = 255
"""Categories above which a text is taken for a name, not for a category."""

Role = Literal["label", "event_time", "request_id", "numeric", "categorical", "left out"]
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
_LABEL_NAME = re.compile(r"label|target|outcome|^y$|churn|default|fraud|reject|approv|late|clicked")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the source: what is guessed of it, and what its rows say.

    `unknown` holds the share of missing values, `lowest` and `highest` the ends of its numbers,
    `distinct` how many values it has; `why` says why it is left out.
    """

    name: str
    type: str
    role: Role
    unknown: float
    distinct: int
    lowest: float | None = None
    highest: float | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Survey:
    """A source as it was found; `unlabelled` counts its newest days without any label.

    `label_rate` is the labels' mean, `label_spread` their mean distance from their median.
    """

    path: str
    kind: str
    partition: str
    days: tuple[date, ...]
    rows: int
    label_rate: float
    label_spread: float
    unlabelled: int
    columns: tuple[Column, ...]

    def of_role(self, role: Role) -> list[Column]:
        """The columns that were taken for it, in the source's order."""
        return [column for column in self.columns if column.role == role]


def look_at(path: str, wanted: Mapping[Role, str], *, amounts: bool = False) -> Survey:
    """Reads the newest days of a source and guesses what `wanted` does not name.

    With `amounts` the label is a number; otherwise it is 0 or 1.

    Raises:
        SourceError: there are no daily partitions, or no column can be the label, time or id.
    """
    kind, files, days = _found(path)
    table, by_day, declared = _read(_FORMATS[kind], files, days[-DAYS_READ:])
    guessed = (*_GUESSED, _AMOUNT if amounts else _YES_OR_NO)
    roles = _named(table, wanted, path, guessed, newest=by_day == by_day.max())
    reserved = (files.partition, DAY)
    columns = tuple(_column(table, n, roles, declared, reserved) for n in table.column_names)
    label = numbers(table[_holder(roles, "label")], "label")
    return Survey(
        path=path,
        kind=kind,
        partition=files.partition,
        days=tuple(days),
        rows=table.num_rows,
        label_rate=float(np.nanmean(label)),
        label_spread=float(np.nanmean(np.abs(label - np.nanmedian(label)))),
        unlabelled=_unlabelled(label, by_day),
        columns=columns,
    )


_FORMATS: Mapping[str, FileFormat] = {"parquet": PARQUET, "csv": CSV, "jsonl": JSONL}


def _found(path: str) -> tuple[str, DayFiles, list[date]]:
    """The kind of the files that the newest day has, and all days of their partition."""
    try:
        filesystem, root = open_filesystem(path)
        infos = filesystem.get_file_info(pafs.FileSelector(root, allow_not_found=True))
    except (ConfigError, pa.ArrowException, OSError) as problem:
        text = f"{path} cannot be read as a folder of daily files: {problem}"
        raise SourceError(text) from problem
    keys = sorted({hive_key(info.base_name)[0] for info in infos} - {""})
    for kind, file_format in _FORMATS.items():
        for key in keys:
            files = DayFiles(path, key, file_format.endings)
            days = files.days()
            if days and any(files.of_day(day) for day in days[-DAYS_READ:]):
                return kind, files, days
    raise SourceError(
        f"{root} has no daily partitions: write each day's rows to "
        "day=YYYY-MM-DD/part-0.parquet below it"
    )


def _read(
    file_format: FileFormat, files: DayFiles, days: Sequence[date]
) -> tuple[pa.Table, np.ndarray, set[str]]:
    """All columns of some days, each row's day as an index, and what is declared a category."""
    tables, index, declared = [], [], set[str]()
    for number, day in enumerate(days):
        for file in files.of_day(day):
            try:
                with files.filesystem.open_input_file(file.path) as stream:
                    opened = file_format.open(stream, file.path, (), {})
                    names = [] if opened.schema is None else opened.schema.names
                    tables.append(_plain(opened.table(names), file.path))
            except (pa.ArrowException, OSError) as problem:
                problem_with = f"{file.path} cannot be read as {file_format.name}"
                raise SourceError(f"{problem_with}: {problem}") from problem
            declared.update(_declared(opened.schema))
            index.append(np.full(tables[-1].num_rows, number))
    try:
        table = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    except pa.ArrowException as problem:
        where = files.root
        raise SourceError(f"the days of {where} have columns of several types: {problem}") from None
    if table.num_rows == 0:
        raise SourceError(f"the newest {len(days)} days of {files.root} have no rows")
    return table, np.concatenate(index), declared


def _declared(schema: pa.Schema | None) -> Iterator[str]:
    """What pandas says is a category: Parquet itself keeps the numbers of one only."""
    said = None if schema is None else schema.pandas_metadata
    for column in (said or {}).get("columns", ()):
        if column.get("pandas_type") == "categorical":
            yield column["name"]


def _plain(table: pa.Table, file: str) -> pa.Table:
    """Columns as a run reads them; what no run can read is kept as it is, to be left out."""
    columns = []
    for name in table.column_names:
        try:
            columns.append(_instants(plain(table[name], name)))
        except DataError:
            columns.append(_undecoded(table[name]))
        except KeyError as problem:
            raise SourceError(f"{file}: {problem}") from problem
    return pa.table(columns, names=table.column_names)


def _undecoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    return column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column


def _instants(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """JSON has no type for a time: texts that all read as instants with an offset are such."""
    if not pa.types.is_string(column.type) or column.null_count == len(column):
        return column
    try:
        return column.cast(pa.timestamp("us", "UTC"))
    except pa.ArrowInvalid:
        return column


# -- guesses --------------------------------------------------------------------------------


def _named(
    table: pa.Table,
    wanted: Mapping[Role, str],
    path: str,
    guessed: Sequence[Guess],
    newest: np.ndarray,
) -> dict[str, Role]:
    """Who is label, time and id: as named, else the likeliest column.

    `newest` marks the rows of the newest day, where the outcome may not be known yet.
    """
    roles: dict[str, Role] = {}
    for role, fits, like, words in guessed:
        named = wanted.get(role)
        if named is not None and named not in table.column_names:
            known = ", ".join(table.column_names)
            raise SourceError(f"{path} has no column {named!r}; it has {known}")
        if named is not None and not fits(table[named]):
            what = f"{path}: {named!r} ({table[named].type})"
            raise SourceError(f"{what} cannot be the {role}: it must be {words}")
        found = [n for n in table.column_names if n not in roles and fits(table[n])]
        if named is None and not found:
            raise SourceError(f"{path} has no column that can be the {role}: {words}")
        # The likeliest: its own name, unknown on the newest day, a name that sounds like it,
        # false and true, the first.
        sounds = {n: like.search(n.lower()) is not None for n in found}
        settled = {n: len(table[n].filter(newest).drop_null()) > 0 for n in found}
        rank = {
            n: (n != role, settled[n], not sounds[n], table[n].type != pa.bool_()) for n in found
        }
        roles[named or min(found, key=rank.__getitem__)] = role
    return roles


def _is_instant(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_timestamp(column.type) and column.type.tz is not None)


def _is_id(column: pa.ChunkedArray) -> bool:
    if not (kind_of(column) == "category" or pa.types.is_integer(column.type)):
        return False
    return bool(column.null_count == 0 and pc.count_distinct(column).as_py() == len(column))


def _is_label(column: pa.ChunkedArray) -> bool:
    if kind_of(column) != "number":
        return False
    values = numbers(column, "label")
    return bool(np.array_equal(np.unique(values[~np.isnan(values)]), (0.0, 1.0)))


def _is_amount(column: pa.ChunkedArray) -> bool:
    if kind_of(column) != "number" or pa.types.is_boolean(column.type):
        return False
    low, high = _ends(numbers(column, "label"))
    return low is not None and low != high


Guess = tuple[Role, Callable[[pa.ChunkedArray], bool], re.Pattern[str], str]
"""A role, what can have it, what such a column is called, and what to add where none is."""

_GUESSED: tuple[Guess, ...] = (
    ("event_time", _is_instant, re.compile(r"time|_at$|^ts"), "a timestamp with a time zone"),
    ("request_id", _is_id, re.compile(r"id$"), "a text or whole number, another in every row"),
)
_YES_OR_NO: Guess = (
    "label",
    _is_label,
    _LABEL_NAME,
    "0 and 1 (or false and true), null while it is unknown; of amounts say --problem regression",
)
_AMOUNT: Guess = ("label", _is_amount, _LABEL_NAME, "numbers, null while they are unknown")


def _unlabelled(label: np.ndarray, by_day: np.ndarray) -> int:
    known = by_day[~np.isnan(label)]
    return int(by_day.max() - known.max())


def _holder(roles: dict[str, Role], role: Role) -> str:
    return next(name for name, held in roles.items() if held == role)


def _column(
    table: pa.Table,
    name: str,
    roles: dict[str, Role],
    declared: set[str],
    reserved: Collection[str],
) -> Column:
    column = table[name]
    unknown = (pc.sum(pc.is_null(column, nan_is_null=True)).as_py() or 0) / len(column)
    facts: dict[str, Any] = {"name": name, "type": str(column.type), "unknown": unknown}
    if name in roles:
        return Column(**facts, role=roles[name], distinct=0)
    if name in reserved:
        return Column(**facts, role="left out", distinct=0, why="is called as the day of a row is")
    kind = "category" if name in declared else kind_of(column)
    if kind not in ("number", "category"):
        return Column(**facts, role="left out", distinct=0, why=f"is {column.type}")
    if _PANDAS_INDEX.fullmatch(name):
        return Column(**facts, role="left out", distinct=0, why="is the index of a pandas frame")
    distinct = pc.count_distinct(column).as_py()
    if distinct < 2:
        return Column(**facts, role="left out", distinct=distinct, why="has one value only")
    if kind == "number":
        low, high = _ends(numbers(column, name))
        return Column(**facts, role="numeric", distinct=distinct, lowest=low, highest=high)
    if distinct > LEVELS_AT_MOST:
        why = f"has {distinct} different texts"
        return Column(**facts, role="left out", distinct=distinct, why=why)
    return Column(**facts, role="categorical", distinct=distinct)


def _ends(values: np.ndarray) -> tuple[float | None, float | None]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if len(finite) else (None, None)
