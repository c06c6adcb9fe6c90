"""The rows of a query, day by day: `[source] kind = "sql"`, by SQLAlchemy or ADBC.

The spec's query says what the rows are; around it go the columns that are wanted and the day, a
bound parameter. All days of a read are one transaction where the database has such: PostgreSQL,
SQLite and DuckDB show one state of the tables. The session's time zone is UTC there, so a cast
of an instant to a date means the same whoever runs it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from retrain_ops.data.sources.kind import Part, check_day, check_names, distinct_days
from retrain_ops.data.sources.secrets import shown
from retrain_ops.errors import SourceError
from retrain_ops.spec.spec import RetrainSpec

BATCH_ROWS = 10_000
"""Rows that exist as Python objects at a time, where a driver has no other."""


class Session(Protocol):
    """A connection within its transaction."""

    parameter: str
    """How a statement names the day."""

    def quoted(self, name: str) -> str:
        """A column's name as an identifier."""

    def batches(self, statement: str, day: date | None) -> Iterator[pa.Table]:
        """The rows of a statement as they stream in, in tables that may have types of their own."""

    def schema(self, statement: str) -> pa.Schema:
        """The columns of a statement; of type null where the driver does not say."""


def open_source(spec: RetrainSpec, version: str) -> SqlSource:
    """The query of the spec; a database keeps no versions."""
    scheme = spec.source.url.partition("://")[0]
    driver = "sql_adbc" if scheme.endswith("+adbc") else "sql_alchemy"
    return SqlSource(spec, import_module(f"retrain_ops.data.sources.{driver}").connect)


class SqlSource:
    """Rows by day of one query."""

    def __init__(self, spec: RetrainSpec, connect: Any) -> None:
        self._spec = spec
        self._connect = connect
        self._query = spec.source.query.strip().rstrip(";")
        self._shown = shown(spec.source.url)

    @property
    def expected(self) -> str:
        """The query must have rows of a day."""
        column = self._spec.source.partition
        return f"{self._place} has none with that {column}; load the days"

    def days(self) -> list[date]:
        """The distinct days of the query; rows without a day are nobody's."""
        column = self._spec.source.partition
        with self._session() as session:
            self._check(session, [column])
            day = session.quoted(column)
            found = session.batches(f"SELECT DISTINCT {day} FROM {self._rows}", None)
            values = {value for table in found for value in table[0].to_pylist()}
        return distinct_days(values, self._place)

    def schemas(self, day: date) -> Iterator[tuple[str, pa.Schema]]:
        """The columns of the query, whatever the day."""
        with self._session() as session:
            yield self._place, self._schema(session)

    def read(self, days: Sequence[date], columns: Sequence[str], *, pinned: bool) -> Iterator[Part]:
        """One part per batch that the driver hands out."""
        with self._session() as session:
            self._check(session, [self._spec.source.partition, *columns])
            chosen = ", ".join(session.quoted(name) for name in columns)
            day_is = f"{session.quoted(self._spec.source.partition)} = {session.parameter}"
            statement = f"SELECT {chosen} FROM {self._rows} WHERE {day_is}"
            for day in days:
                where = f"the rows of {day.isoformat()} at {self._shown}"
                for table in session.batches(statement, day):
                    if table.num_rows:
                        yield Part(day, where, table.rename_columns(list(columns)))

    def pin(self) -> Mapping[str, Any]:
        """The query by its hash: its text may name what is nobody's business."""
        return {"query_sha256": hashlib.sha256(self._query.encode()).hexdigest()}

    @property
    def _rows(self) -> str:
        return f"({self._query}\n) source_rows"

    @property
    def _place(self) -> str:
        return f"[source] query at {self._shown}"

    def _schema(self, session: Session) -> pa.Schema:
        return session.schema(f"SELECT * FROM {self._rows} WHERE 1 = 0")

    def _check(self, session: Session, wanted: Sequence[str]) -> None:
        """SQLite takes a quoted name that is no column for a text: nothing is selected unseen."""
        schema = self._schema(session)
        check_names(self._place, schema.names, wanted)
        check_day(self._place, schema.field(self._spec.source.partition))

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with self._connect(self._spec) as session:
            yield session


def check_file(path: str | None) -> None:
    """A database of one file is not made by who reads it.

    Raises:
        SourceError: it is not there.
    """
    if path and not path.startswith("file:") and path != ":memory:" and not Path(path).is_file():
        raise SourceError(f"[source] url: {Path(path).absolute()} is not there")
