"""Rows as a run may see them: request time in UTC, whatever the local clock does that night."""

from datetime import UTC, date, datetime, timedelta, timezone

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from devtools.synthetic import FIRST, toy_run, write_day, write_days
from retrain_ops.data.source import Source, day_index, sha256_of_rows
from retrain_ops.errors import DataError

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
    encoded = sample(s=table["s"].dictionary_encode())
    assert sha256_of_rows(encoded) != expected  # another type is another content


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
            "void": pa.nulls(2),
        }
    )
    assert len(sha256_of_rows(table)) == 64
    assert sha256_of_rows(table.slice(0, 0)) != sha256_of_rows(table)
