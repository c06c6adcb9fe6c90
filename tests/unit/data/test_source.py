"""Rows as a run may see them: request time in UTC, whatever the local clock does that night."""

import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from uuid import NAMESPACE_DNS, uuid5

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from devtools.synthetic import FIRST, SPEC, toy_run, write_day, write_days
from retrain_ops.data.source import Source, day_index, sha256_of_rows
from retrain_ops.errors import ConfigError, DataError, SourceError

BEFORE = datetime(2021, 1, 1, tzinfo=UTC)


def toy_source(folder) -> Source:
    return toy_run(folder, None, FIRST).source


# A winter day, a summer day, and the nights on which New York's clocks change.
CLOCKS = [date(2013, 1, 16), date(2013, 7, 16), date(2013, 3, 10), date(2013, 11, 3)]


@pytest.mark.parametrize("day", CLOCKS)
def test_no_flight_is_seen_before_its_request(flights_spec, day):
    """At 02:00 UTC of D the last flights of local day D - 1 are no requests yet, in winter."""
    instant = datetime(day.year, day.month, day.day, 2, tzinfo=UTC)
    source = Source(flights_spec)
    days = [day - timedelta(days=1), day]
    columns = ["sched_dep_min"]
    seen = source.read(days, columns=columns, before=instant)
    whole = source.read(days, columns=columns, before=instant + timedelta(days=2))
    assert pc.max(seen["event_time"]).as_py() < instant
    later = whole.filter(pc.greater_equal(whole["event_time"], instant))
    assert seen.num_rows + later.num_rows == whole.num_rows
    assert set(seen["request_id"].to_pylist()).isdisjoint(later["request_id"].to_pylist())


@pytest.mark.parametrize(
    ("day", "offset_h"),
    [(CLOCKS[0], -5), (CLOCKS[1], -4), (date(2013, 3, 11), -4), (date(2013, 11, 4), -5)],
)
def test_the_hidden_flights_are_those_that_leave_after_the_cutoff(flights_spec, day, offset_h):
    """Scheduled departure - 2 h >= 02:00 UTC: 23:00 local in winter, midnight in summer."""
    instant = datetime(day.year, day.month, day.day, 2, tzinfo=UTC)
    source = Source(flights_spec)
    yesterday = day - timedelta(days=1)
    arguments = {"columns": ["sched_dep_min"], "allow_missing": False}
    seen = source.read([yesterday], before=instant, **arguments)
    whole = source.read([yesterday], before=instant + timedelta(days=2), **arguments)
    local = (instant + timedelta(hours=2)).astimezone(timezone(timedelta(hours=offset_h)))
    cutoff = local.hour * 60 if local.date() == yesterday else 24 * 60
    expected = pc.sum(pc.less(whole["sched_dep_min"], cutoff)).as_py()
    assert seen.num_rows == expected
    if offset_h == -5:
        assert seen.num_rows < whole.num_rows


def test_rows_come_sorted_by_day_time_and_request(tmp_path):
    write_days(tmp_path / "rows", 2)
    table = toy_source(tmp_path).read([FIRST + timedelta(days=1), FIRST], columns=[], before=BEFORE)
    keys = list(
        zip(
            table["day"].to_pylist(),
            table["event_time"].to_pylist(),
            table["request_id"].to_pylist(),
            strict=True,
        )
    )
    assert keys == sorted(keys)
    codes, days = day_index(table)
    assert days == (FIRST, FIRST + timedelta(days=1))
    assert codes.tolist() == sorted(codes.tolist())


def test_missing_days_and_columns_are_named(tmp_path):
    write_day(tmp_path / "rows", FIRST)
    source = toy_source(tmp_path)
    absent = FIRST + timedelta(days=1)
    with pytest.raises(DataError, match="no rows for 2020-01-02"):
        source.read([FIRST, absent], columns=["a"], before=BEFORE)
    assert source.read([absent], columns=["a"], before=BEFORE, allow_missing=True).num_rows == 0
    with pytest.raises(DataError, match="has no column nope"):
        source.read([FIRST], columns=["nope"], before=BEFORE)


def test_an_event_time_without_a_zone_is_refused(tmp_path):
    write_day(tmp_path / "rows", FIRST)
    file = tmp_path / "rows" / f"day={FIRST}" / "part-0.parquet"
    table = pq.read_table(file)
    naive = table["event_time"].cast(pa.timestamp("us"))
    pq.write_table(table.set_column(1, "event_time", naive), file)
    with pytest.raises(DataError, match="time zone"):
        toy_source(tmp_path).read([FIRST], columns=["a"], before=BEFORE)


def change(folder: Path, day: date, name: str, make: Callable[[pa.ChunkedArray], object]) -> None:
    """Rewrites one column of a day as `make` returns it."""
    file = folder / "rows" / f"day={day}" / "part-0.parquet"
    table = pq.ParquetFile(file).read()
    place = table.schema.get_field_index(name)
    pq.write_table(table.set_column(place, name, make(table[name])), file)


def rows_of(folder: Path) -> pa.Table:
    days = [FIRST + timedelta(days=i) for i in range(3)]
    return toy_source(folder).read(days, columns=["a", "b", "c", "late"], before=BEFORE)


def retyped(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    return pa.array(column.to_pylist(), kind)


def as_uuids(column: pa.ChunkedArray) -> pa.Array:
    stored = [uuid5(NAMESPACE_DNS, text).bytes for text in column.to_pylist()]
    return pa.ExtensionArray.from_storage(pa.uuid(), pa.array(stored, pa.binary(16)))


SAME = {
    "dictionary": ("c", lambda c: c.dictionary_encode()),
    "large text": ("c", lambda c: c.cast(pa.large_string())),
    "view": ("c", lambda c: c.cast(pa.string_view())),
    "bytes": ("c", lambda c: c.cast(pa.binary())),
    "id in bytes": ("request_id", lambda c: c.cast(pa.binary())),
    "bool label": ("late", lambda c: c.cast(pa.bool_())),
    "int64 label": ("late", lambda c: c.cast(pa.int64())),
    "float label": ("late", lambda c: c.cast(pa.float64())),
    "decimal label": ("late", lambda c: retyped(c, pa.decimal128(3, 0))),
    "offset": ("event_time", lambda c: c.cast(pa.timestamp("us", "+00:00"))),
    "zone": ("event_time", lambda c: c.cast(pa.timestamp("us", "America/New_York"))),
    "unit": ("event_time", lambda c: c.cast(pa.timestamp("ns", "UTC"))),
}


@pytest.mark.parametrize("form", SAME)
@pytest.mark.parametrize("count", [1, 3])
def test_equal_values_give_equal_rows_whatever_their_type(tmp_path, form, count):
    """On one of three days, or on all of them."""
    write_days(tmp_path / "rows", 3)
    expected = rows_of(tmp_path)
    for i in range(count):
        change(tmp_path, FIRST + timedelta(days=i), *SAME[form])
    found = rows_of(tmp_path)
    assert found.equals(expected)
    assert sha256_of_rows(found) == sha256_of_rows(expected)


def test_whole_numbers_are_categories_by_their_digits(tmp_path):
    write_days(tmp_path / "rows", 3)
    change(tmp_path, FIRST, "c", lambda c: pc.equal(c, "x").cast(pa.int64()))
    second, third = FIRST + timedelta(days=1), FIRST + timedelta(days=2)
    change(tmp_path, second, "c", lambda c: pc.equal(c, "x").cast(pa.float64()))
    change(tmp_path, third, "c", lambda c: pc.if_else(pc.equal(c, "x"), "1", "0"))
    change(tmp_path, FIRST, "request_id", as_uuids)
    table = rows_of(tmp_path)
    assert set(table["c"].to_pylist()) == {"0", "1"}
    assert table.schema.field("request_id").type == pa.string()


@pytest.mark.parametrize("as_codes", [False, True])
def test_a_category_that_is_true_on_one_day_and_1_on_another_is_named(tmp_path, as_codes):
    write_days(tmp_path / "rows", 3)
    for i in range(3):
        day = FIRST + timedelta(days=i)
        change(tmp_path, day, "c", lambda c: pc.equal(c, "x").cast(pa.int64()))
    change(tmp_path, FIRST + timedelta(days=1), "c", lambda c: c.cast(pa.bool_()))
    if as_codes:
        change(tmp_path, FIRST, "c", lambda c: c.dictionary_encode())
    words = "column 'c' is bool in .*day=2020-01-02/.*, and int64 in .*day=2020-01-01/"
    with pytest.raises(SourceError, match=words):
        rows_of(tmp_path)


def test_a_day_without_any_value_of_a_boolean_category_goes_with_the_others(tmp_path):
    write_days(tmp_path / "rows", 3)
    for i in range(3):
        change(tmp_path, FIRST + timedelta(days=i), "c", lambda c: pc.equal(c, "x"))
    change(tmp_path, FIRST, "c", lambda c: pa.array([float("nan")] * len(c)))
    assert set(rows_of(tmp_path)["c"].to_pylist()) == {"true", "false", None}


OWN_DAYS = {
    "date": pa.array([date(2020, 1, 1)], pa.date32()),
    "text": pa.array(["2020-01-01"]),
    "codes": pa.array(["2020-01-01"]).dictionary_encode(),
    "midnight": pa.array([datetime(2020, 1, 1)], pa.timestamp("us")),
}


@pytest.mark.parametrize("form", OWN_DAYS)
def test_a_column_of_days_that_contradicts_its_folder_is_named(tmp_path, form):
    write_days(tmp_path / "rows", 3)
    for i, wrong in ((0, False), (1, True)):
        file = tmp_path / "rows" / f"day={FIRST + timedelta(days=i)}" / "part-0.parquet"
        table = pq.ParquetFile(file).read()
        own = OWN_DAYS[form].take(pa.array([0] * len(table)))
        pq.write_table(table.append_column("day", own), file)
        if not wrong:
            assert rows_of(tmp_path).num_rows == 900
    words = r"day=2020-01-02/part-0.parquet: its column day says 2020-01-01, its path 2020-01-02"
    with pytest.raises(SourceError, match=words):
        rows_of(tmp_path)


@pytest.mark.parametrize("value", ["Wed", 1, datetime(2020, 1, 9, 8, 30), None])
def test_a_column_of_the_partitions_name_that_holds_no_days_is_passed_over(tmp_path, value):
    write_days(tmp_path / "rows", 3)
    expected = rows_of(tmp_path)
    file = tmp_path / "rows" / f"day={FIRST}" / "part-0.parquet"
    table = pq.ParquetFile(file).read()
    pq.write_table(table.append_column("day", pa.array([value] * len(table))), file)
    assert rows_of(tmp_path).equals(expected)


def test_numbers_of_several_types_are_their_widest(tmp_path):
    write_days(tmp_path / "rows", 3)
    change(tmp_path, FIRST, "b", lambda c: pc.greater(c, 0))
    change(tmp_path, FIRST + timedelta(days=1), "b", lambda c: pc.floor(c).cast(pa.int64()))
    change(tmp_path, FIRST, "a", lambda c: pc.round(c).cast(pa.decimal128(38, 4)))
    table = rows_of(tmp_path)
    assert table.schema.field("b").type == table.schema.field("a").type == pa.float64()
    assert set(table["b"].slice(0, 10).to_pylist()) <= {0.0, 1.0}


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("b", lambda c: c.cast(pa.string()), "column 'b' is string in .*day=2020-01-02.*float in"),
        ("b", lambda c: pa.array([2**53 + 1] * len(c)), "column 'b' in .*day=2020-01-02.*90071992"),
        ("c", lambda c: pa.array([0.5] * len(c)), "day=2020-01-02/part-0.parquet: column 'c'"),
        ("c", lambda c: pa.array([b"\xff"] * len(c)), "day=2020-01-02/.*column 'c' .*UTF-8"),
        ("late", lambda c: c.cast(pa.string()), "column 'late' is string in .*day=2020-01-02"),
        ("event_time", lambda c: c.cast(pa.date32()), "day=2020-01-02/.*event_time is date32"),
    ],
)
def test_a_column_that_differs_is_named_with_day_and_file(tmp_path, name, make, words):
    write_days(tmp_path / "rows", 3)
    change(tmp_path, FIRST + timedelta(days=1), name, make)
    with pytest.raises(DataError, match=words):
        rows_of(tmp_path)


def test_hidden_files_are_passed_over_and_broken_ones_named(tmp_path):
    write_days(tmp_path / "rows", 3)
    expected = rows_of(tmp_path)
    folder = tmp_path / "rows" / f"day={FIRST}"
    for name in ("._part-0.parquet", ".part-1.parquet", "_part-2.parquet", "_SUCCESS"):
        (folder / name).write_bytes(b"not for you")
    assert rows_of(tmp_path).equals(expected)
    whole = (folder / "part-0.parquet").read_bytes()
    for broken in (b"", b"not Parquet at all", whole[: len(whole) // 2]):
        (folder / "part-1.parquet").write_bytes(broken)
        with pytest.raises(DataError, match=r"day=2020-01-01/part-1.parquet cannot be read"):
            rows_of(tmp_path)


def test_a_day_that_is_a_file_or_a_link_to_itself_is_named(tmp_path):
    write_days(tmp_path / "rows", 3)
    folder = tmp_path / "rows" / f"day={FIRST}"
    folder.rename(tmp_path / "kept")
    for plant in (Path.touch, lambda path: path.symlink_to(path.name)):
        plant(folder)
        with pytest.raises(SourceError, match=r"day=2020-01-01 cannot be listed as a folder"):
            rows_of(tmp_path)
        folder.unlink()


def test_a_pipe_among_the_files_is_named_and_not_waited_for(tmp_path):
    write_days(tmp_path / "rows", 3)
    os.mkfifo(tmp_path / "rows" / f"day={FIRST}" / "part-1.parquet")
    with pytest.raises(SourceError, match=r"day=2020-01-01/part-1.parquet is not a file"):
        rows_of(tmp_path)


def test_a_doubled_column_is_named(tmp_path):
    write_days(tmp_path / "rows", 3)
    file = tmp_path / "rows" / f"day={FIRST}" / "part-0.parquet"
    table = pq.ParquetFile(file).read()
    pq.write_table(table.append_column("a", table["a"]), file)
    with pytest.raises(DataError, match="more than one column a"):
        rows_of(tmp_path)


def sample(**columns) -> pa.Table:
    base = {"x": pa.array([1.0, None, 3.0]), "s": pa.array(["a", None, "long text"])}
    return pa.table({**base, **columns})


def test_the_hash_sees_content_and_not_layout():
    table = sample()
    expected = sha256_of_rows(table)
    chunked = pa.concat_tables([table.slice(0, 1), table.slice(1, 2)])
    assert sha256_of_rows(chunked) == expected
    assert sha256_of_rows(table.select(["s", "x"])) == expected
    padded = pa.concat_tables([sample(), sample(), sample()]).slice(3, 3)
    assert sha256_of_rows(padded.combine_chunks()) == expected
    for text in (pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())):
        assert sha256_of_rows(sample(s=table["s"].cast(text))) == expected


def test_the_hash_of_numbers_sees_their_values_and_not_their_type():
    def digest(values, kind):
        return sha256_of_rows(pa.table({"x": pa.array(values, kind)}), numeric=["x"])

    whole = {digest([1, None, 3], k) for k in (pa.int8(), pa.int64(), pa.float32(), pa.float64())}
    assert whole == {digest([1.0, float("nan"), 3.0], pa.float64())}
    assert digest([1, 0], pa.int8()) == digest([True, False], pa.bool_())
    assert digest([Decimal("0.5")], pa.decimal128(9, 2)) == digest([0.5], pa.float64())
    assert digest([0.1], pa.float64()) != digest([0.1], pa.float32())
    assert digest([2**53], pa.int64()) != digest([2**53 + 1], pa.int64())


@pytest.mark.parametrize(
    "other",
    [
        {"x": pa.array([1.0, 0.0, 3.0])},
        {"x": pa.array([1.0, float("nan"), 3.0])},
        {"x": pa.array([3.0, None, 1.0])},
        {"s": pa.array(["a", "", "long text"])},
        {"s": pa.array(["al", None, "ong text"])},
        {"x": pa.array([1.0, None, 3.0], type=pa.float32())},
        {"y": pa.array([1, 2, 3])},
    ],
)
def test_the_hash_sees_every_change(other):
    assert sha256_of_rows(sample(**other)) != sha256_of_rows(sample())


def test_the_hash_of_every_kind_of_column():
    instant = datetime(2013, 1, 1, tzinfo=UTC)
    table = pa.table(
        {
            "day": pa.array([date(2013, 1, 1), None]),
            "at": pa.array([instant, None], type=pa.timestamp("us", tz="UTC")),
            "flag": pa.array([True, None]),
            "small": pa.array([1, None], type=pa.int8()),
            "exact": pa.array([Decimal("1.5"), None], type=pa.decimal128(38, 4)),
            "clock": pa.array([1, None], type=pa.time32("s")),
            "void": pa.nulls(2),
        }
    )
    assert len(sha256_of_rows(table)) == 64
    assert sha256_of_rows(table.slice(0, 0)) != sha256_of_rows(table)
    other = table.set_column(4, "exact", [pa.array([Decimal("1.6"), None], pa.decimal128(38, 4))])
    assert sha256_of_rows(other) != sha256_of_rows(table)
    with pytest.raises(DataError, match="'pair' is list"):
        sha256_of_rows(pa.table({"pair": [[1, 2]]}))


def spec_that_names(folder, *change: str) -> Source:
    text = SPEC.replace(*change)
    assert text != SPEC
    return toy_run(folder, None, FIRST, spec=text).source


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('protected = ["c"]', 'protected = ["nosuch"]'), "line 37: [gate] protected: 'nosuch' is"),
        (('protected = ["c"]', 'watched = ["latee"]'), "did you mean 'late'?"),
        (('"a", "b"', '"a", "bb"'), "line 11: [features] numeric: 'bb' is no column"),
        (('"late"', '"y"'), "line 7: [source] label: 'y' is no column"),
    ],
)
def test_a_column_that_no_day_has_is_an_error_of_the_spec(tmp_path, change, words):
    write_days(tmp_path / "rows", 3)
    days = [FIRST + timedelta(days=i) for i in (0, 2)]
    with pytest.raises(ConfigError) as caught:
        spec_that_names(tmp_path, *change).check_columns(days)
    assert str(caught.value).startswith("toy.toml, line ")
    assert words in str(caught.value)
    assert "day=2020-01-03/part-0.parquet has a, b, c, event_time" in str(caught.value)


def test_a_column_that_some_days_lack_is_no_error_of_the_spec(tmp_path):
    write_days(tmp_path / "rows", 3)
    days = [FIRST + timedelta(days=i) for i in range(5)]
    file = tmp_path / "rows" / "day=2020-01-03" / "part-0.parquet"
    pq.write_table(pq.read_table(file, partitioning=None).drop_columns(["c"]), file)
    toy_source(tmp_path).check_columns(days)
    file.write_bytes(b"no Parquet")
    toy_source(tmp_path).check_columns(days)
    toy_source(tmp_path / "elsewhere").check_columns(days)  # no rows at all: no word about columns
