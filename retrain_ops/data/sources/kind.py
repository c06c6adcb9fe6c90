"""What every kind of source can do, and the one way to open one.

A kind hands out rows as they are stored; :mod:`retrain_ops.data.source` makes them one table of
canonical types in one order, so equal values give equal rows wherever they lie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Protocol, cast

import pyarrow as pa

from retrain_ops.errors import ConfigError, SourceError, import_problem, importing
from retrain_ops.spec.spec import RetrainSpec

GROUP = "retrain_ops.sources"
"""Entry points of this group are kinds of your own: the name is `[source] kind`."""

VERSION = "version"
"""The fact of a pin that a re-run hands back, so that it reads the same rows."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of one day as they are stored: the wanted columns, in the wanted order.

    `where` names the place in messages. Rows of a file have its `file`, relative to the source,
    and the `sha256` of its bytes where the reader was asked to pin what it reads.
    """

    day: date
    where: str
    table: pa.Table
    file: str = ""
    sha256: str = ""


class SourceKind(Protocol):
    """Rows by day. It is opened for one read and asks for nothing before.

    What it raises names the place and says what to do, and shows no secret.
    """

    @property
    def expected(self) -> str:
        """How a day should lie there, and what to do about one that is missing."""

    def days(self) -> list[date]:
        """The days that have rows, oldest first."""

    def schemas(self, day: date) -> Iterable[tuple[str, pa.Schema]]:
        """Each place that holds rows of `day`, and the columns there; nothing where there is none.

        Raises:
            SourceError: a place cannot be read.
        """

    def read(self, days: Sequence[date], columns: Sequence[str], *, pinned: bool) -> Iterator[Part]:
        """The rows of `days`, which are sorted; a day without rows comes in no part.

        Args:
            days: partition days.
            columns: what the parts must hold.
            pinned: hash what is read, where it is a file.

        Raises:
            SourceError: what is there cannot be read, or lacks a column.
            UnreachableError: nobody answered.
        """

    def pin(self) -> Mapping[str, Any]:
        """What says which rows were read, beside days and files: `version`, the hash of a query."""


Opener = Callable[[RetrainSpec, str], SourceKind]

_KINDS: Mapping[str, tuple[str, str]] = {
    "parquet": ("parquet", ""),
    "csv": ("text", ""),
    "jsonl": ("text", ""),
    "sql": ("sql", "sql"),
    "delta": ("delta", "delta"),
    "iceberg": ("iceberg", "iceberg"),
}
"""The file of a kind, and the extra of the wheel that brings what it imports."""


def open_kind(spec: RetrainSpec, version: str = "") -> SourceKind:
    """The source that the spec names, at `version` where its rows have versions; newest if empty.

    Raises:
        ConfigError: nobody knows the kind, or what it needs is not installed.
    """
    name = spec.source.kind
    if name not in _KINDS:
        return _of_entry_point(spec)(spec, version)
    module, extra = _KINDS[name]
    with needing(extra, f"what [source] kind = {name!r} is read with"):
        opener = import_module(f"retrain_ops.data.sources.{module}").open_source
        return cast(SourceKind, opener(spec, version))


@contextmanager
def needing(extra: str, product: str) -> Iterator[None]:
    """Imports of an optional package.

    Raises:
        ConfigError: it is not installed, or broken; how to install the extra that has it.
    """
    try:
        yield
    except ImportError as error:
        packages = f'"$(ls retrain_ops-*.whl)[{extra}]"'
        raise ConfigError(import_problem(error, f"{product} ({error.name})", packages)) from error


def _of_entry_point(spec: RetrainSpec) -> Opener:
    found = entry_points(group=GROUP)
    name = spec.source.kind
    if name not in found.names:
        known = ", ".join([*_KINDS, *sorted(found.names)])
        raise spec.error("source", "kind", f"{name!r} is no kind of source; known kinds: {known}")
    with importing(f"what [source] kind = {name!r} is read with"):
        return cast(Opener, found[name].load())


def check_names(where: str, names: Sequence[str], wanted: Sequence[str]) -> None:
    """Each wanted column is there once.

    Raises:
        SourceError: one is missing or doubled.
    """
    absent = [name for name in wanted if name not in names]
    doubled = [name for name in wanted if list(names).count(name) > 1]
    if absent:
        raise SourceError(f"{where} has no column {', '.join(absent)}")
    if doubled:
        raise SourceError(f"{where} has more than one column {', '.join(doubled)}")


def check_day(where: str, field: pa.Field) -> None:
    """The column of the day holds no instants: rows are chosen where it equals a date.

    Raises:
        SourceError: it does.
    """
    if pa.types.is_timestamp(field.type):
        raise SourceError(
            f"{where}: {field.name} is {field.type}; it must be a date or its text YYYY-MM-DD, "
            "or rows would be lost: cast it, or name another column by [source] partition"
        )


def distinct_days(values: Iterable[object], where: str) -> list[date]:
    """The days that a column holds, as dates or their texts; rows without one are nobody's.

    Raises:
        SourceError: a value is no day.
    """
    return sorted({_day(value, where) for value in values if value is not None})


def _day(value: object, where: str) -> date:
    if isinstance(value, datetime) and value.time() == time():
        return value.date()  # what some databases make of a date
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    with suppress(ValueError):
        day = date.fromisoformat(str(value))
        if day.isoformat() == value:  # rows are chosen by this text: `20200131` would be lost
            return day
    raise SourceError(f"{where}: a day must be a date, or its text YYYY-MM-DD; it is {value!r}")


def gone(where: str, version: str, why: str) -> SourceError:
    """The version that a key was run on can no longer be read."""
    return SourceError(
        f"version {version or 'newest'} of {where} cannot be read: {why}; "
        "run the day as a backfill (retrain-ops run --backfill), which reads the newest version"
    )
