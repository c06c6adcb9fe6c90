"""Delta and Iceberg tables: equal to Parquet, at the version that was pinned, or no more there."""

from datetime import date, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake
from pyiceberg.catalog import load_catalog

from devtools.source_kinds import all_days, in_delta, in_iceberg, with_source
from devtools.synthetic import FIRST, SPEC, toy_run, write_days
from retrain_ops.data.pins import Pins
from retrain_ops.data.source import Source, pin_contents, sha256_of_rows
from retrain_ops.errors import ConfigError, SourceError, UnreachableError
from tests.unit.data.test_files import read
from tests.unit.data.test_source import BEFORE

NUMERIC = ("a", "b")
COLUMNS = ("a", "b", "c", "late")
WRITERS = {"delta": in_delta, "iceberg": in_iceberg}
THIRD = FIRST + timedelta(days=2)


@pytest.fixture(params=WRITERS)
def kind(request):
    return request.param


@pytest.fixture
def rows(tmp_path):
    write_days(tmp_path / "rows", 3)
    return all_days(tmp_path / "rows")


def spec_of(folder, keys):
    return toy_run(folder, None, FIRST, spec=with_source(SPEC, keys)).spec


def digest(table):
    return sha256_of_rows(table, NUMERIC)


def test_equal_values_give_the_equal_hash(tmp_path, rows, kind):
    keys = WRITERS[kind](rows, tmp_path / kind)
    source, pins = Source(spec_of(tmp_path, keys)), Pins()
    assert source.days() == [FIRST, FIRST + timedelta(days=1), THIRD]
    found = source.read(source.days(), columns=COLUMNS, before=BEFORE, pins=pins)
    expected = read(tmp_path)
    assert digest(found) == digest(expected)
    assert found.drop_columns(NUMERIC).equals(expected.drop_columns(NUMERIC))
    pin_contents(found, NUMERIC, pins)
    facts = pins.to_json()
    assert (facts["kind"], facts["version"]) == (kind, source.newest_version())
    assert [day["rows"] for day in facts["days"].values()] == [300, 300, 300]


def test_a_pinned_version_stays_what_it_was(tmp_path, rows, kind):
    keys = WRITERS[kind](rows, tmp_path / kind)
    spec = spec_of(tmp_path, keys)
    first = Source(spec).newest_version()
    before = read(tmp_path, with_source(SPEC, keys))
    WRITERS[kind](rows.slice(0, 600), tmp_path / kind)
    newest = Source(spec).newest_version()
    assert newest != first
    pinned = Source(spec, first)
    days = [FIRST, FIRST + timedelta(days=1), THIRD]
    assert digest(pinned.read(days, columns=COLUMNS, before=BEFORE)) == digest(before)
    assert pinned.days() == days
    with pytest.raises(SourceError, match=f"no rows for {THIRD}: .* at .*{newest} has none with"):
        Source(spec).read(days, columns=COLUMNS, before=BEFORE)


def test_missing_columns_and_tables_are_named(tmp_path, rows, kind):
    keys = WRITERS[kind](rows.drop_columns(["c"]), tmp_path / kind)
    source = Source(spec_of(tmp_path, keys))
    with pytest.raises(SourceError, match=r"at (version|snapshot) \d+ has no column c"):
        source.read([FIRST], columns=["c"], before=BEFORE)
    with pytest.raises(ConfigError, match=r"categorical: 'c' is no column .* at .* has a, b, day"):
        source.check_columns([FIRST])
    other = {"delta": {"path": f'"{tmp_path}/none"'}, "iceberg": {"table": '"db.none"'}}[kind]
    with pytest.raises(SourceError, match=r"none"):
        Source(spec_of(tmp_path, keys | other)).days()


def test_a_delta_version_whose_files_were_removed_says_how_to_read_the_newest(tmp_path, rows):
    keys = in_delta(rows, tmp_path / "delta")
    in_delta(rows.slice(0, 600), tmp_path / "delta")
    DeltaTable(str(tmp_path / "delta")).vacuum(
        retention_hours=0, enforce_retention_duration=False, dry_run=False
    )
    spec = spec_of(tmp_path, keys)
    words = "version 0 of .*delta cannot be read: .*--backfill"
    with pytest.raises(SourceError, match=words):
        Source(spec, "0").read([FIRST], columns=COLUMNS, before=BEFORE)
    with pytest.raises(SourceError, match=r"version 9 of .*delta cannot be read"):
        Source(spec, "9").days()


def test_an_iceberg_snapshot_that_expired_says_how_to_read_the_newest(tmp_path, rows):
    keys = in_iceberg(rows, tmp_path / "iceberg")
    with pytest.raises(SourceError, match=r"version 5 of db.rows_by_day .*expired.*--backfill"):
        Source(spec_of(tmp_path, keys), "5").days()


def test_a_day_may_be_a_text_and_no_partition(tmp_path, rows):
    text = rows.set_column(rows.schema.get_field_index("day"), "day", rows["day"].cast(pa.string()))
    folder = str(tmp_path / "delta")
    write_deltalake(folder, text)
    keys = {"kind": '"delta"', "path": f'"{folder}"'}
    assert Source(spec_of(tmp_path, keys)).days() == [FIRST, FIRST + timedelta(days=1), THIRD]
    assert digest(read(tmp_path, with_source(SPEC, keys))) == digest(read(tmp_path))


def test_a_day_that_is_an_instant_would_lose_rows(tmp_path, rows, kind):
    keys = WRITERS[kind](rows.append_column("at", rows["event_time"]), tmp_path / kind)
    source = Source(spec_of(tmp_path, keys | {"partition": '"at"'}))
    with pytest.raises(SourceError, match=r"at .* \d+: at is timestamp.*it must be a date"):
        source.read([FIRST], columns=COLUMNS, before=BEFORE)


def test_rows_that_were_deleted_within_a_file_are_gone(tmp_path, rows):
    folder = str(tmp_path / "delta")
    keys = in_delta(rows, tmp_path / "delta")
    DeltaTable(folder).delete("c = 'x'")
    table = read(tmp_path, with_source(SPEC, keys))
    assert set(table["c"].to_pylist()) == {"y"}
    assert table.num_rows == pc.sum(pc.equal(rows["c"], "y")).as_py()


DOWN = {
    "delta": {
        "kind": '"delta"',
        "path": '"s3://bucket/table"',
        "options": '{ AWS_ENDPOINT_URL = "http://127.0.0.1:1", AWS_ALLOW_HTTP = "true", '
        'AWS_ACCESS_KEY_ID = "me", AWS_SECRET_ACCESS_KEY = "hunter2", AWS_REGION = "r", '
        'max_retries = "0" }',
    },
    "iceberg": {
        "kind": '"iceberg"',
        "path": '""',
        "table": '"db.t"',
        "options": '{ type = "rest", uri = "http://127.0.0.1:1", token = "hunter2" }',
    },
}


def test_who_does_not_answer_is_named_and_no_secret_is(tmp_path, kind):
    spec = spec_of(tmp_path, DOWN[kind])
    with pytest.raises(UnreachableError, match=r"do(es)? not answer: .*refused") as caught:
        Source(spec).days()
    assert "hunter2" not in str(caught.value) + repr(spec)


def test_options_come_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("CATALOG_TOKEN", "hunter2")
    options = '{ type = "rest", token = "${CATALOG_TOKEN}", region = "${REGION:-eu}" }'
    spec = spec_of(tmp_path, DOWN["iceberg"] | {"options": options})
    assert spec.source.options == {"type": "rest", "token": "hunter2", "region": "eu"}
    with pytest.raises(ConfigError, match=r"options: the environment variable NOSUCH is not set"):
        spec_of(tmp_path, DOWN["iceberg"] | {"options": '{ token = "${NOSUCH}" }'})


def test_a_catalog_that_nobody_described_is_an_error_of_the_source(tmp_path):
    keys = {"kind": '"iceberg"', "path": '""', "table": '"db.t"', "catalog": '"nosuch"'}
    with pytest.raises(SourceError, match=r"table db.t: URI missing"):
        Source(spec_of(tmp_path, keys)).days()


def test_an_iceberg_table_that_was_never_written_has_no_days(tmp_path, rows):
    keys = in_iceberg(rows, tmp_path / "iceberg")
    options = {"type": "sql", "uri": f"sqlite:///{tmp_path}/iceberg/catalog.db"}
    catalog = load_catalog("default", warehouse=f"file://{tmp_path}/iceberg", **options)
    catalog.create_table("db.empty", catalog.load_table("db.rows_by_day").schema().as_arrow())
    source = Source(spec_of(tmp_path, keys | {"table": '"db.empty"'}))
    assert (source.days(), source.newest_version()) == ([], "")
    with pytest.raises(SourceError, match="no rows for 2020-01-01"):
        source.read([date(2020, 1, 1)], columns=COLUMNS, before=BEFORE)
