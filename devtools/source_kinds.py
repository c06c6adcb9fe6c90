"""The same daily rows in sources of other kinds, and the `[source]` keys that read them there."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

Keys = dict[str, str]
"""The lines of `[source]` that differ from those of Parquet, as TOML."""


def days_of(folder: Path) -> Iterator[tuple[date, pa.Table]]:
    """The rows of `day=` partitions, oldest day first."""
    for part in sorted(folder.glob("day=*")):
        files = sorted(part.glob("*.parquet"))
        tables = [pq.ParquetFile(file).read() for file in files]
        yield date.fromisoformat(part.name.removeprefix("day=")), pa.concat_tables(tables)


def as_csv(rows: Path, target: Path) -> Keys:
    for day, table in days_of(rows):
        folder = target / f"day={day}"
        folder.mkdir(parents=True, exist_ok=True)
        pyarrow.csv.write_csv(_plain(table), folder / "rows.csv")
    return {"kind": '"csv"', "path": f'"{target}"'}


def as_jsonl(rows: Path, target: Path) -> Keys:
    for day, table in days_of(rows):
        folder = target / f"day={day}"
        folder.mkdir(parents=True, exist_ok=True)
        lines = (json.dumps(row, default=str) for row in _plain(table).to_pylist())
        with gzip.open(folder / "rows.jsonl.gz", "wt", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    return {"kind": '"jsonl"', "path": f'"{target}"'}


def _plain(table: pa.Table) -> pa.Table:
    """Texts instead of dictionaries; doubles, whose shortest digits give the same float32."""
    columns = []
    for field, column in zip(table.schema, table.columns, strict=True):
        if pa.types.is_dictionary(field.type):
            column = column.cast(pa.string())
        elif pa.types.is_float32(field.type):
            column = column.cast(pa.float64())
        columns.append(column)
    return pa.table(columns, names=table.column_names)


FILES: dict[str, Callable[[Path, Path], Keys]] = {"csv": as_csv, "jsonl": as_jsonl}


# -- tables of databases ----------------------------------------------------------------------

TABLE = "rows_by_day"
_SQL_TYPES = (
    (pa.types.is_date, "date"),
    (pa.types.is_timestamp, "timestamptz"),
    (pa.types.is_float32, "real"),
    (pa.types.is_floating, "double precision"),
    (lambda kind: kind in (pa.int8(), pa.int16()), "smallint"),
    (pa.types.is_int32, "integer"),
    (pa.types.is_integer, "bigint"),
    (pa.types.is_boolean, "boolean"),
)


def all_days(rows: Path) -> pa.Table:
    """All rows as one table, with their day in the column `day`."""
    tables = [
        _texts(table).append_column("day", pa.array([day] * table.num_rows, pa.date32()))
        for day, table in days_of(rows)
    ]
    return pa.concat_tables(tables, promote_options="permissive")


def in_postgres(table: pa.Table, url: str) -> None:
    """Replaces the table in a PostgreSQL database; `url` is that of `postgres()`."""
    from adbc_driver_postgresql import dbapi

    _ingest(dbapi.connect(url.replace("+psycopg2", "")), table)


def in_sqlite(table: pa.Table, file: Path) -> None:
    """Replaces the table in a SQLite file; instants are texts there, without an offset."""
    from adbc_driver_sqlite import dbapi

    place = table.schema.get_field_index("event_time")
    clock = table["event_time"].cast(pa.timestamp("us")).cast(pa.string())
    _ingest(dbapi.connect(str(file)), table.set_column(place, "event_time", clock), "text")


def in_duckdb(table: pa.Table, file: Path) -> None:
    """Replaces the table in a DuckDB file."""
    import duckdb

    with duckdb.connect(str(file)) as database:
        database.register("given", table)
        database.execute(f"CREATE OR REPLACE TABLE {TABLE} AS SELECT * FROM given")


def _ingest(connection: Any, table: pa.Table, instant: str = "timestamptz") -> None:
    types = {"timestamptz": instant}
    columns = ", ".join(
        f'"{field.name}" {types.get(kind, kind)}'
        for field in table.schema
        for kind in [next((k for fits, k in _SQL_TYPES if fits(field.type)), "text")]
    )
    with connection, connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {TABLE}")
        cursor.execute(f"CREATE TABLE {TABLE} ({columns})")
        cursor.adbc_ingest(TABLE, table, mode="append")
        connection.commit()


def _texts(table: pa.Table) -> pa.Table:
    """Texts instead of dictionaries."""
    kinds = [pa.string() if pa.types.is_dictionary(f.type) else f.type for f in table.schema]
    fields = zip(table.column_names, kinds, strict=True)
    return table.cast(pa.schema([pa.field(name, kind) for name, kind in fields]))


def sql_keys(url: str, query: str = f"SELECT * FROM {TABLE}", **more: str) -> Keys:
    """`[source]` of a query."""
    keys = {"kind": "sql", "url": url, "query": query, "path": "", **more}
    return {key: json.dumps(value) for key, value in keys.items()}


# -- tables with versions ---------------------------------------------------------------------


def in_delta(table: pa.Table, folder: Path) -> Keys:
    """Replaces the rows of a Delta table, which is partitioned by day; a new version."""
    from deltalake import write_deltalake

    write_deltalake(str(folder), table, mode="overwrite", partition_by=["day"])
    return {"kind": '"delta"', "path": json.dumps(str(folder))}


def in_iceberg(table: pa.Table, folder: Path) -> Keys:
    """Replaces the rows of an Iceberg table in a catalog of its own; a new snapshot."""
    from pyiceberg.catalog import load_catalog
    from pyiceberg.exceptions import NoSuchTableError

    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "type": "sql",
        "uri": f"sqlite:///{folder}/catalog.db",
        "warehouse": f"file://{folder}",
    }
    catalog = load_catalog("default", **options)
    catalog.create_namespace_if_not_exists("db")
    try:
        found = catalog.load_table(f"db.{TABLE}")
    except NoSuchTableError:
        found = catalog.create_table(f"db.{TABLE}", _without_small_integers(table).schema)
    found.overwrite(_without_small_integers(table))
    toml = ", ".join(f"{key} = {json.dumps(value)}" for key, value in options.items())
    return {
        "kind": '"iceberg"',
        "path": '""',
        "table": json.dumps(f"db.{TABLE}"),
        "options": f"{{ {toml} }}",
    }


def _without_small_integers(table: pa.Table) -> pa.Table:
    """Iceberg's smallest integer has 32 bits."""
    small = (pa.int8(), pa.int16())
    fields = [(f.name, pa.int32() if f.type in small else f.type) for f in table.schema]
    return table.cast(pa.schema(fields))


def with_source(spec: str, keys: Keys) -> str:
    """The spec's text with other keys in `[source]`."""
    head, _, rest = spec.partition("[source]\n")
    kept = [line for line in rest.split("\n") if line.split(" = ")[0] not in keys]
    lines = [f"{key} = {value}" for key, value in keys.items()]
    return f"{head}[source]\n" + "\n".join([*lines, *kept])
