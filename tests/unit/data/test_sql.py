"""Rows of a query: equal to Parquet's on every database, one state of the tables, no secret."""

import json
import sqlite3
from datetime import date, timedelta
from pathlib import Path

import psycopg2
import pytest

from devtools.servers.postgres_server import postgres
from devtools.source_kinds import (
    TABLE,
    all_days,
    in_duckdb,
    in_postgres,
    in_sqlite,
    sql_keys,
    with_source,
)
from devtools.synthetic import FIRST, SPEC, toy_run, write_days
from retrain_ops.cli.main import main
from retrain_ops.data.pins import Pins
from retrain_ops.data.source import pin_contents, sha256_of_rows
from retrain_ops.data.sources.kind import open_kind
from retrain_ops.data.sources.secrets import redacted, shown
from retrain_ops.errors import ConfigError, DataError, SourceError, UnreachableError
from tests.unit.data.test_files import read
from tests.unit.data.test_source import BEFORE

NUMERIC = ("a", "b")
SECOND = FIRST + timedelta(days=1)


@pytest.fixture(scope="module")
def server():
    with postgres() as url:
        yield url


@pytest.fixture(scope="module")
def world(server, tmp_path_factory):
    """Three days in Parquet and in each database: the folder, and `[source]` by database."""
    folder = tmp_path_factory.mktemp("sql")
    write_days(folder / "rows", 3)
    table = all_days(folder / "rows")
    in_postgres(table, server)
    in_sqlite(table, folder / "rows.db")
    in_duckdb(table, folder / "rows.duckdb")
    return folder, {
        "postgresql": sql_keys(server),
        "postgresql+adbc": sql_keys(server.replace("psycopg2", "adbc")),
        "sqlite": sql_keys(f"sqlite:///{folder}/rows.db", time_zone="UTC"),
        "sqlite+adbc": sql_keys(f"sqlite+adbc:///{folder}/rows.db", time_zone="UTC"),
        "duckdb+adbc": sql_keys(f"duckdb+adbc:///{folder}/rows.duckdb"),
    }


DATABASES = ("postgresql", "postgresql+adbc", "sqlite", "sqlite+adbc", "duckdb+adbc")


def source_of(folder, keys):
    return toy_run(folder, None, FIRST, spec=with_source(SPEC, keys)).source


def asked(keys, **more):
    return keys | {key: json.dumps(value) for key, value in more.items()}


@pytest.mark.parametrize("name", DATABASES)
def test_equal_values_give_the_equal_hash_on_every_database(world, name):
    folder, sources = world
    expected = read(folder)
    source, pins = source_of(folder, sources[name]), Pins()
    days = [FIRST + timedelta(days=i) for i in range(3)]
    assert source.days() == days
    columns = ["a", "b", "c", "late"]
    found = source.read(days, columns=columns, before=BEFORE, pins=pins)
    assert sha256_of_rows(found, NUMERIC) == sha256_of_rows(expected, NUMERIC)
    assert found.drop_columns(NUMERIC).equals(expected.drop_columns(NUMERIC))
    pin_contents(found, NUMERIC, pins)
    assert [day["rows"] for day in pins.days.values()] == [300, 300, 300]
    assert len({day["sha256"] for day in pins.days.values()}) == 3


@pytest.mark.parametrize("name", DATABASES)
def test_missing_days_and_columns_are_named(world, name):
    folder, sources = world
    source = source_of(folder, sources[name])
    absent = date(2021, 1, 1)
    with pytest.raises(SourceError, match=r"no rows for 2021-01-01: .source. query at .*none with"):
        source.read([FIRST, absent], columns=["a"], before=BEFORE)
    assert source.read([absent], columns=["a"], before=BEFORE, allow_missing=True).num_rows == 0
    with pytest.raises(SourceError, match="has no column nope"):
        source.read([FIRST], columns=["nope"], before=BEFORE)
    source.check_columns([FIRST])
    query = f"SELECT a, day, event_time, request_id, late FROM {TABLE}; "
    with pytest.raises(ConfigError, match=r"numeric: 'b' is no column .*query at .* has a, day"):
        source_of(folder, asked(sources[name], query=query)).check_columns([FIRST])


@pytest.mark.parametrize("name", DATABASES)
def test_names_and_texts_with_quotes_and_colons_stay_what_they_are(world, name):
    folder, sources = world
    evil = """a"; DROP TABLE rows_by_day; --"""
    quoted = evil.replace('"', '""')
    text = " ':x 12:30 100% '' -- ' AS c"
    others = "request_id, event_time, day, b, late"
    query = f'SELECT {others}, a AS "{quoted}",{text} FROM {TABLE} -- a remark'
    keys = asked(sources[name], query=query)
    spec = with_source(SPEC, keys).replace('"a", "b"', f"'{evil}', \"b\"")
    source = toy_run(folder, None, FIRST, spec=spec).source
    table = source.read([SECOND], columns=[evil, "c"], before=BEFORE)
    assert (table.num_rows, table.column_names[-2]) == (300, evil)
    assert set(table["c"].to_pylist()) == {":x 12:30 100% ' -- "}


@pytest.mark.parametrize("name", DATABASES)
def test_a_query_that_cannot_run_is_an_error_of_the_source(world, name):
    folder, sources = world
    for query in ("SELECT * FROM nosuch", "SELEC", f"DELETE FROM {TABLE}"):
        with pytest.raises(SourceError, match=r"\[source\] query at "):
            source_of(folder, asked(sources[name], query=query)).days()
    assert read(folder, with_source(SPEC, sources[name])).num_rows == 900


TYPED = """
SELECT day, request_id, event_time, c, a::numeric(12, 4) AS a, late = 1 AS late,
  CASE WHEN a > 0 THEN 'NaN'::numeric ELSE NULL END AS b FROM rows_by_day
"""


@pytest.mark.parametrize("name", ["postgresql", "postgresql+adbc"])
def test_numeric_is_a_double_and_its_nan_a_gap(world, name):
    folder, sources = world
    spec = with_source(SPEC, asked(sources[name], query=TYPED))
    table = read(folder, spec)
    assert table.schema.field("late").type == "int8"
    assert [round(v, 4) for v in table["a"].to_pylist()] == table["a"].to_pylist()
    doubles = TYPED.replace("'NaN'::numeric", "'NaN'::float8").replace("numeric(12, 4)", "float8")
    other = read(folder, with_source(SPEC, asked(sources[name], query=doubles)))
    assert sha256_of_rows(table.select(["b"]), "b") == sha256_of_rows(other.select(["b"]), "b")


@pytest.mark.parametrize("name", ["postgresql", "postgresql+adbc", "duckdb+adbc"])
def test_a_time_without_zone_needs_one_and_a_cast_is_in_utc(world, name):
    folder, sources = world
    naive = (
        f"SELECT a, b, c, late, request_id, day, event_time::timestamp AS event_time FROM {TABLE}"
    )
    with pytest.raises(SourceError, match=r"rows of 2020-01-01 at .*\[source\] time_zone says"):
        read(folder, with_source(SPEC, asked(sources[name], query=naive)))
    zoned = asked(sources[name], query=naive, time_zone="UTC")
    assert read(folder, with_source(SPEC, zoned))["event_time"].equals(read(folder)["event_time"])


def test_mixed_values_of_sqlite_are_refused_with_day_and_column(tmp_path):
    with sqlite3.connect(tmp_path / "mixed.db") as database:
        database.execute("CREATE TABLE t (day, request_id, event_time, a, b, c, late)")
        row = ("2020-01-01", "1", "2020-01-01 06:00:00", 1, 1.5, "x", 1)
        database.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        row = ("2020-01-02", "2", "2020-01-02 06:00:00", 1, "many", "x", 0)
        database.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        row = ("2020-01-03", "3", "2020-01-03 06:00:00", 1, None, "x", None)
        database.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    keys = sql_keys(f"sqlite:///{tmp_path}/mixed.db", "SELECT * FROM t", time_zone="UTC")
    words = "column 'b' is string in the rows of 2020-01-02 .*double in the rows of 2020-01-01"
    with pytest.raises(SourceError, match=words):
        read(tmp_path, with_source(SPEC, keys))
    days = source_of(tmp_path, keys).read([FIRST, date(2020, 1, 3)], columns=["b"], before=BEFORE)
    assert days["b"].to_pylist() == [1.5, None]


def test_all_days_show_one_state_of_the_tables(server, tmp_path):
    """A row that comes while a read is under way belongs to the next read."""
    write_days(tmp_path / "rows", 2)
    in_postgres(all_days(tmp_path / "rows"), server)
    for keys in (sql_keys(server), sql_keys(server.replace("psycopg2", "adbc"))):
        kind = source_of(tmp_path, keys)
        parts = open_kind(kind.spec).read([FIRST, SECOND], ["request_id"], pinned=False)
        first = next(parts)
        with psycopg2.connect(server.replace("+psycopg2", "")) as other, other.cursor() as cursor:
            cursor.execute(f"DELETE FROM {TABLE} WHERE day = '2020-01-02'")
        other.close()
        rest = sum(part.table.num_rows for part in parts)
        assert first.table.num_rows + rest == 600
        in_postgres(all_days(tmp_path / "rows"), server)


DOWN = {
    "postgresql": "postgresql+psycopg2://app:hunter2@127.0.0.1:1/db",
    "postgresql+adbc": "postgresql+adbc://app:hunter2@127.0.0.1:1/db?application_name=x",
}


@pytest.mark.parametrize("name", DOWN)
def test_a_server_that_is_down_says_so_without_the_password(name, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("WAREHOUSE", DOWN[name])
    (tmp_path / "toy.toml").write_text(with_source(SPEC, sql_keys("${WAREHOUSE}")))
    arguments = ["--spec", str(tmp_path / "toy.toml"), "--workspace", str(tmp_path / "ws")]
    where = ["--date", "2020-01-20", "--tracking-uri", "http://127.0.0.1:1"]
    assert main(["run", "--step", "pull_data", *arguments, *where]) == 1
    shown_text = "".join(capsys.readouterr())
    assert "postgresql" in shown_text
    assert "app:***@127.0.0.1:1/db does not answer: " in shown_text
    written = [p.read_bytes() for p in (tmp_path / "ws").rglob("*") if p.is_file()]
    assert "hunter2" not in shown_text
    assert not any(b"hunter2" in data for data in written)
    with pytest.raises(UnreachableError):
        source_of(tmp_path, sql_keys(DOWN[name])).check_columns([FIRST])


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "line 7: .*url: is no URL that SQLAlchemy can parse"),
        ("nosuch://h/db", "url: .*nosuch; install the dialect's package"),
        ("mysql+pymysql://h/db", "url: its driver is not installed .*pip install pymysql"),
        ("oracle+adbc://h/db", "ADBC is known for postgresql.adbc, sqlite.adbc, duckdb.adbc"),
    ],
)
def test_urls_that_cannot_work_are_errors_of_the_spec(tmp_path, url, words):
    with pytest.raises(ConfigError, match=words):
        source_of(tmp_path, sql_keys(url)).days()


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+adbc", "duckdb+adbc"])
def test_a_file_that_is_not_there_is_not_made(tmp_path, scheme):
    with pytest.raises(SourceError, match=r"none\.db is not there"):
        source_of(tmp_path, sql_keys(f"{scheme}:///{tmp_path}/none.db")).days()
    assert not (tmp_path / "none.db").exists()


def test_what_is_shown_of_a_url_and_of_a_driver_s_words():
    url = "postgresql://u%40:p%40ss@h:5432/db?sslpassword=s3&sslmode=require"
    assert shown(url) == "postgresql://u%40:***@h:5432/db"
    text = f"cannot connect to {url} as p@ss,\n p%40ss or s3 with require"
    assert redacted(text, url) == "cannot connect to *** as ***, *** or *** with require"
    assert shown("postgresql://h:port/db") == "postgresql://..."
    assert "p%40ss" not in repr(source_of(Path("/nowhere"), sql_keys(url)))


def test_keys_that_a_kind_does_not_read_are_refused(tmp_path):
    for keys, words in (
        ({"query": '"SELECT 1"'}, "query: kind = 'parquet' does not read it"),
        ({"kind": '"sql"', "url": '"sqlite://"'}, "path: kind = 'sql' does not read it"),
        ({"kind": '"sql"', "path": '""'}, "url: is required and missing"),
    ):
        with pytest.raises(ConfigError, match=words):
            source_of(tmp_path, keys)


def test_a_day_that_is_no_date_is_refused(world):
    folder, sources = world
    query = f"SELECT a, b, c, late, request_id, event_time, 'x' AS day FROM {TABLE}"
    with pytest.raises(DataError, match=r"query at .*a day must be a date, .*; it is 'x'"):
        source_of(folder, asked(sources["sqlite"], query=query)).days()


@pytest.mark.parametrize("name", ["postgresql", "postgresql+adbc", "duckdb+adbc"])
def test_a_day_that_is_an_instant_would_lose_rows(world, name):
    folder, sources = world
    keys = asked(sources[name], query=f"SELECT *, event_time AS at FROM {TABLE}", partition="at")
    source = source_of(folder, keys)
    words = "query at .*: at is timestamp.*; it must be a date or its text"
    for act in (source.days, lambda: source.read([FIRST], columns=["a"], before=BEFORE)):
        with pytest.raises(SourceError, match=words):
            act()


@pytest.mark.parametrize("scheme", ["sqlite", "sqlite+adbc"])
def test_a_day_in_another_spelling_would_lose_rows(tmp_path, scheme):
    """Rows are chosen by the text YYYY-MM-DD: none of another one would be found."""
    for index, text in enumerate(("20200101", "2020-W01-3")):
        with sqlite3.connect(tmp_path / f"{index}.db") as rows:
            rows.execute("CREATE TABLE t (day)")
            rows.executemany("INSERT INTO t VALUES (?)", [(text,), ("2020-01-01",)])
        keys = sql_keys(f"{scheme}:///{tmp_path}/{index}.db")
        source = source_of(tmp_path, asked(keys, query="SELECT * FROM t"))
        with pytest.raises(SourceError, match=f"its text YYYY-MM-DD; it is '?{text}"):
            source.days()


def test_a_column_that_changes_its_type_within_a_stream_is_the_query_s_fault(tmp_path):
    with sqlite3.connect(tmp_path / "rows.db") as rows:
        rows.execute("CREATE TABLE t (day TEXT, a)")
        some = [("2020-01-01", 1)] * 2000 + [("2020-01-01", 2.5)]
        rows.executemany("INSERT INTO t VALUES (?, ?)", some)
    keys = sql_keys(f"sqlite+adbc:///{tmp_path}/rows.db")
    kind = open_kind(source_of(tmp_path, asked(keys, query="SELECT * FROM t")).spec)
    with pytest.raises(SourceError, match=r"\[source\] query at .*Type mismatch in column 0"):
        list(kind.read([FIRST], ["a"], pinned=False))


def test_an_instant_of_sqlite_is_no_day(world):
    folder, sources = world
    query = f"SELECT *, event_time AS at FROM {TABLE}"
    keys = asked(sources["sqlite"], partition="at", query=query)
    with pytest.raises(SourceError, match="a day must be a date"):
        source_of(folder, keys).days()
