"""A query by SQLAlchemy: any database that it has a dialect for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from retrain_ops.data.sources.secrets import redacted, shown
from retrain_ops.data.sources.sql import BATCH_ROWS, check_file
from retrain_ops.errors import SourceError, UnreachableError
from retrain_ops.spec.spec import RetrainSpec

WAIT_SECONDS = 120
"""How long SQLite waits for a writer."""

_POSTGRES = {
    700: pa.float32(),  # its drivers read the shortest digits of a `real`, and make a double
    1114: pa.timestamp("us"),
    1184: pa.timestamp("us", "UTC"),
}
"""Arrow's type for PostgreSQL's numbers of types, where values do not show it."""

_LOOKS_BOUND = re.compile(r"(?<![:\w\\]):([\w$]+)(?![:\w$])")
"""What SQLAlchemy takes for a parameter, also within a text of the query."""


class _Session:
    """A connection whose statements name their day `:day`."""

    parameter = ":day"

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def quoted(self, name: str) -> str:
        """As the dialect quotes."""
        return str(self._connection.dialect.identifier_preparer.quote(name))

    def batches(self, statement: str, day: date | None) -> Iterator[pa.Table]:
        """At most `BATCH_ROWS` rows at a time."""
        with closing(self._execute(statement, day)) as result:
            names = list(result.keys())
            while rows := result.fetchmany(BATCH_ROWS):
                columns = zip(names, zip(*rows, strict=True), self._kinds(result), strict=True)
                yield pa.table([_array(*column, day) for column in columns], names=names)

    def schema(self, statement: str) -> pa.Schema:
        """As the result calls its columns; of PostgreSQL, what values alone do not show."""
        with closing(self._execute(statement, None)) as result:
            kinds = [kind or pa.null() for kind in self._kinds(result)]
            return pa.schema(list(zip(result.keys(), kinds, strict=True)))

    def _kinds(self, result: Any) -> list[pa.DataType | None]:
        known = _POSTGRES if self._connection.dialect.name == "postgresql" else {}
        return [known.get(column[1]) for column in result.cursor.description]

    def _execute(self, statement: str, day: date | None) -> Any:
        query, end, day_is = statement.rpartition(") source_rows")
        text = sa.text(_LOOKS_BOUND.sub(r"\\\g<0>", query) + end + day_is)
        if day is None:
            return self._connection.execute(text)
        return self._connection.execute(text.bindparams(sa.bindparam("day", day, sa.Date())))


def _array(
    name: str, values: tuple[object, ...], kind: pa.DataType | None, day: date | None
) -> pa.Array:
    """NaN is a gap, as null is; `[source] query` may cast what has no type of its own."""
    try:
        return pa.array(values, kind, from_pandas=True)
    except (pa.ArrowException, OverflowError, TypeError) as problem:
        raise SourceError(
            f"column {name!r}{f' of {day}' if day else ''} holds values of several types, or of "
            f"none that a column can have: {problem}; cast it in [source] query"
        ) from problem


@contextmanager
def connect(spec: RetrainSpec) -> Iterator[_Session]:
    """A session of the spec's database, closed at the end.

    Raises:
        ConfigError: the URL cannot be parsed, or its driver is not installed.
        SourceError: the database refuses a statement.
        UnreachableError: it does not answer.
    """
    url = spec.source.url
    engine = _engine(spec)
    try:
        try:
            connection = engine.connect()
        except sa.exc.DBAPIError as error:
            problem = f"{shown(url)} does not answer: {redacted(str(error.orig), url)}"
            raise UnreachableError(f"{problem}; start it, or correct [source] url") from None
        with connection:
            _begin(connection)
            yield _Session(connection.execution_options(stream_results=True))
    except sa.exc.SQLAlchemyError as error:
        lost = getattr(error, "connection_invalidated", False)
        told = redacted(str(getattr(error, "orig", None) or error), url)
        raise (UnreachableError if lost else SourceError)(
            f"[source] query at {shown(url)}: {told}"
        ) from None
    finally:
        engine.dispose()


def _engine(spec: RetrainSpec) -> Any:
    try:
        url = sa.engine.make_url(spec.source.url)
    except sa.exc.ArgumentError:
        raise spec.error("source", "url", "is no URL that SQLAlchemy can parse") from None
    options: dict[str, Any] = {"poolclass": sa.pool.NullPool, "hide_parameters": True}
    backend = url.get_backend_name()
    if backend == "postgresql":
        options["isolation_level"] = "REPEATABLE READ"
    elif backend == "sqlite":
        options["connect_args"] = {"timeout": WAIT_SECONDS}
        check_file(url.database)
    try:
        return sa.create_engine(url, future=True, **options)
    except sa.exc.NoSuchModuleError as error:
        raise spec.error("source", "url", f"{error}; install the dialect's package") from error
    except ImportError as error:
        problem = f"its driver is not installed ({error}): pip install {error.name}"
        raise spec.error("source", "url", problem) from error


def _begin(connection: Any) -> None:
    """One state of the tables for all days; nothing is written."""
    backend = connection.dialect.name
    if backend == "postgresql":
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")
        connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
    elif backend == "sqlite":
        connection.exec_driver_sql("PRAGMA query_only = ON")
        connection.exec_driver_sql("BEGIN")
