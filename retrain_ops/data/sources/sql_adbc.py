"""A query by ADBC, which hands out Arrow batches: PostgreSQL, SQLite and DuckDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from typing import Any

import pyarrow as pa
from adbc_driver_manager import dbapi

from retrain_ops.data.sources.kind import needing
from retrain_ops.data.sources.secrets import redacted, shown
from retrain_ops.data.sources.sql import check_file
from retrain_ops.errors import SourceError, UnreachableError
from retrain_ops.spec.spec import RetrainSpec


@dataclass(frozen=True, slots=True)
class _Database:
    """How a database is opened and addressed.

    `driver` is the module of its driver, `parameter` its placeholder, `begin` what a session
    starts with, `day` the form in which it takes a day.
    """

    driver: str
    open: Callable[[Any, str], Any]
    parameter: str
    begin: tuple[str, ...] = ()
    day: Callable[[date], object] = lambda day: day


def _postgresql(driver: Any, url: str) -> Any:
    return driver.connect(url.replace("+adbc", "", 1))


def _sqlite(driver: Any, url: str) -> Any:
    path = _file(url)
    return driver.connect(f"file:{path}?mode=ro")


def _duckdb(driver: Any, url: str) -> Any:
    options = {"path": _file(url), "access_mode": "READ_ONLY"}
    return dbapi.connect(
        driver=driver.driver_path(), entrypoint="duckdb_adbc_init", db_kwargs=options
    )


def _file(url: str) -> str:
    path = url.partition(":///")[2]
    check_file(path)
    return path


_DATABASES = {
    "postgresql": _Database(
        "adbc_driver_postgresql.dbapi",
        _postgresql,
        "$1",
        (
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
            "SET LOCAL TIME ZONE 'UTC'",
        ),
    ),
    "sqlite": _Database("adbc_driver_sqlite.dbapi", _sqlite, "?", day=date.isoformat),
    "duckdb": _Database("adbc_driver_duckdb", _duckdb, "?", ("SET TimeZone = 'UTC'",)),
}


class _Session:
    """A connection whose statements name their day by position."""

    def __init__(self, connection: Any, database: _Database) -> None:
        self._connection = connection
        self._database = database
        self.parameter = database.parameter

    def quoted(self, name: str) -> str:
        """As standard SQL quotes."""
        return '"' + name.replace('"', '""') + '"'

    def batches(self, statement: str, day: date | None) -> Iterator[pa.Table]:
        """The driver's own batches."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement, None if day is None else (self._database.day(day),))
            for batch in cursor.fetch_record_batch():
                yield _plain(pa.Table.from_batches([batch]))

    def schema(self, statement: str) -> pa.Schema:
        """The driver's own."""
        with self._connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetch_record_batch().schema


def _plain(table: pa.Table) -> pa.Table:
    """PostgreSQL's `numeric` comes as its digits, and becomes the nearest double."""
    for place, field in enumerate(table.schema):
        if (field.metadata or {}).get(b"ADBC:postgresql:typname") == b"numeric":
            digits = [getattr(chunk, "storage", chunk) for chunk in table.column(place).chunks]
            numbers = pa.chunked_array(digits, pa.string()).cast(pa.float64())
            table = table.set_column(place, field.name, numbers)
    return table


@contextmanager
def connect(spec: RetrainSpec) -> Iterator[_Session]:
    """A session of the spec's database, closed at the end.

    Raises:
        ConfigError: the URL names a database that is not known here.
        SourceError: the database refuses a statement.
        UnreachableError: it does not answer.
    """
    url = spec.source.url
    database = _DATABASES.get(url.partition("+adbc://")[0])
    if database is None:
        known = ", ".join(f"{name}+adbc" for name in _DATABASES)
        raise spec.error("source", "url", f"ADBC is known for {known}; others go by SQLAlchemy")
    with needing("sql", f"the driver of {shown(url)}"):
        driver = import_module(database.driver)
    try:
        connection = database.open(driver, url)
    except dbapi.Error as error:
        problem = f"{shown(url)} does not answer: {redacted(str(error), url)}"
        raise UnreachableError(f"{problem}; start it, or correct [source] url") from None
    try:
        with connection:
            for statement in database.begin:
                with connection.cursor() as cursor:
                    cursor.execute(statement)
            yield _Session(connection, database)
    except (dbapi.Error, pa.ArrowException, OSError) as error:
        # A stream of batches raises OSError: of a server that went away, of a file's own fault.
        is_server = database is _DATABASES["postgresql"]
        away = (dbapi.OperationalError, OSError) if is_server else dbapi.OperationalError
        lost = isinstance(error, away)
        message = f"[source] query at {shown(url)}: {redacted(str(error), url)}"
        raise (UnreachableError if lost else SourceError)(message) from None
