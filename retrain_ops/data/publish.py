"""Publishing the features of a run to a database, once per retrain key.

All rows of a key are replaced in one transaction: a reader sees the old set or the new one, a
re-run leaves as many rows as the first run, and two runs that publish one key at the same
time end with one set. Writers of a table take turns: by an advisory lock on PostgreSQL, by
the write lock of the file on SQLite. Works with SQLAlchemy 1.4 and 2.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from retrain_ops.errors import ConfigError, DataError, import_problem

KEY = "retrain_key"
"""The column that says which run published a row."""

BATCH_ROWS = 10_000
"""Rows that are turned into Python objects at a time; bounds the memory."""

WAIT_SECONDS = 120
"""How long one writer waits for another."""

_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,62}\.)?[A-Za-z_][A-Za-z0-9_]{0,62}")


def publish_features(table: pa.Table, *, url: str, table_name: str, retrain_key: str) -> int:
    """Replace the rows of `retrain_key` in a database table by the rows of `table`.

    The database table is created when absent, with the columns of `table` and `retrain_key`,
    which is indexed. `url` is a SQLAlchemy URL (postgresql or sqlite); `table_name` may carry a
    schema (`features.flights`). Returns the number of rows now stored under the key.

    Raises `ConfigError` for a bad name or URL, or when SQLAlchemy or the driver is missing;
    `DataError` when the columns do not fit the table that is there, or the database refuses.
    Neither message shows the password or the rows.
    """
    if not _NAME.fullmatch(table_name):
        raise ConfigError(f"publish: {table_name!r} is not a table name")
    if KEY in table.column_names or len(set(table.column_names)) < table.num_columns:
        raise DataError(f"publish: a column is called {KEY!r}, or two columns share a name")
    try:
        import sqlalchemy as sa
    except ImportError as error:
        raise ConfigError(import_problem(error, "SQLAlchemy", "sqlalchemy")) from error
    target = _target(sa, table.schema, table_name)
    with _connection(sa, url, table_name) as connection:
        target.metadata.create_all(connection, checkfirst=True)
        _check_columns(sa, connection, target)
        connection.execute(target.delete().where(target.c[KEY] == retrain_key))
        for rows in _batches(table, retrain_key):
            connection.execute(target.insert(), rows)
    return int(table.num_rows)


def _target(sa: Any, schema: pa.Schema, table_name: str) -> Any:
    folder, _, name = table_name.rpartition(".")
    columns = [sa.Column(field.name, _column_type(sa, field)) for field in schema]
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column(KEY, sa.String(255), nullable=False, index=True),
        *columns,
        schema=folder or None,
    )


def _column_type(sa: Any, field: pa.Field) -> Any:
    """The narrowest SQL type that holds every value of the Arrow type."""
    is_a, kind = pa.types, field.type
    kind = kind.value_type if is_a.is_dictionary(kind) else kind
    table = (
        (is_a.is_boolean, sa.Boolean()),
        (lambda t: t in (pa.int8(), pa.int16(), pa.uint8()), sa.SmallInteger()),
        (lambda t: t in (pa.int32(), pa.uint16()), sa.Integer()),
        (lambda t: t in (pa.int64(), pa.uint32()), sa.BigInteger()),
        (lambda t: is_a.is_float16(t) or is_a.is_float32(t), sa.REAL()),
        (is_a.is_float64, sa.Float(53)),
        (lambda t: is_a.is_string(t) or is_a.is_large_string(t), sa.Text()),
        (is_a.is_timestamp, sa.DateTime(timezone=getattr(kind, "tz", None) is not None)),
        (is_a.is_date32, sa.Date()),
    )
    for fits, result in table:
        if fits(kind):
            return result
    raise DataError(f"publish: column {field.name!r} has type {field.type}, which has no SQL type")


@contextmanager
def _connection(sa: Any, url: str, table_name: str) -> Iterator[Any]:
    """One transaction, alone on the table; committed at the end, rolled back by an error."""
    engine, shown = _engine(sa, url)
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(sa.text(f"SET LOCAL lock_timeout = '{WAIT_SECONDS}s'"))
                connection.execute(
                    sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _lock_key(table_name)}
                )
            yield connection
    except sa.exc.SQLAlchemyError as error:
        raise DataError(f"publish: {table_name} at {shown}: {error}") from error
    finally:
        engine.dispose()


def _engine(sa: Any, url: str) -> tuple[Any, str]:
    """An engine without a pool, and its URL without the password."""
    try:
        parsed = sa.engine.make_url(url)
    except sa.exc.ArgumentError as error:
        raise ConfigError("publish: the database URL cannot be parsed") from error
    shown = parsed.render_as_string(hide_password=True)
    options: dict[str, Any] = {"poolclass": sa.pool.NullPool, "hide_parameters": True}
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        # Under a stricter level the snapshot would be older than the lock, and the delete
        # would not see the rows of the writer that held it before.
        options |= {"isolation_level": "READ COMMITTED"}
    elif backend == "sqlite":
        options |= {"connect_args": {"timeout": WAIT_SECONDS}}
    else:
        raise ConfigError(f"publish: {shown} is neither postgresql nor sqlite")
    try:
        engine = sa.create_engine(parsed, future=True, **options)
    except (ImportError, sa.exc.NoSuchModuleError) as error:
        raise ConfigError(f"publish: the driver for {shown} is not installed: {error}") from error
    if backend == "sqlite":
        _begin_at_once(sa, engine)
    return engine, shown


def _begin_at_once(sa: Any, engine: Any) -> None:
    """Take SQLite's write lock at the start of the transaction.

    The driver would begin it only before the first insert, with the table's creation outside,
    and two writers that both have read before they write cannot both go on.
    """

    def leave_transactions_to_us(connection: Any, _: object) -> None:
        connection.isolation_level = None

    def begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    sa.event.listen(engine, "connect", leave_transactions_to_us)
    sa.event.listen(engine, "begin", begin)


def _lock_key(table_name: str) -> int:
    """The same signed 64-bit number in every process."""
    digest = hashlib.sha256(f"retrain_ops.publish\0{table_name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _check_columns(sa: Any, connection: Any, target: Any) -> None:
    """A table made for other features is refused by name, before anything is deleted."""
    there = sa.inspect(connection).get_columns(target.name, schema=target.schema)
    missing = [c.name for c in target.columns if c.name not in {held["name"] for held in there}]
    if missing:
        raise DataError(
            f"publish: table {target.name} has no column {', '.join(missing)}: "
            "add what is missing (ALTER TABLE), or publish to another table name"
        )


def _batches(table: pa.Table, retrain_key: str) -> Iterator[list[dict[str, Any]]]:
    """Rows as the driver wants them: a datetime holds microseconds, and SQLite no time zone.

    So instants are in UTC, whatever zone they came in.
    """
    for index, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            zone = "UTC" if field.type.tz is not None else None
            micro = table.column(index).cast(pa.timestamp("us", zone), safe=False)
            table = table.set_column(index, field.name, micro)
    keyed = table.append_column(KEY, pa.repeat(pa.scalar(retrain_key), table.num_rows))
    for batch in keyed.to_batches(max_chunksize=BATCH_ROWS):
        if batch.num_rows:
            yield batch.to_pylist()
