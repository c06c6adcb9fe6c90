"""Closed segments of the request log to Parquet by day, each exactly once.

A segment becomes one file per day and kind, named after it, and is removed afterwards: whoever is
killed in between writes the same bytes to the same place again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retrain_ops.data.live_log import ANSWERS, SHADOWS
from retrain_ops.data.segments import read_segment
from retrain_ops.spec.spec import RetrainSpec

EXPIRED = ".expired"
"""Ends the name of a day that is being removed."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """What became of a segment: `unread` requests have no columns, `torn_bytes` were cut off."""

    rows: int
    torn_bytes: int
    unread: int


def compact(spec: RetrainSpec, folder: Path) -> Iterator[Compacted]:
    """Turns the segments of a folder that nobody writes to into Parquet, oldest first.

    One whose end was cut off is kept as `*.torn` beside its sound rows.

    Args:
        spec: the columns, the request id, the event time, and `[serving] log`.
        folder: of the segments.

    Raises:
        OSError: the disk or the log's folder cannot be used; the segment stays.
    """
    for part in folder.glob(".*.part"):
        with closed(part) as file:
            if file is not None:
                part.unlink()  # whoever made it died before it had its name
    for path in sorted(folder.glob("*.log")):
        with closed(path) as file:
            if file is None:
                continue
            done = _compact(spec, path, _read(file))
            if done.torn_bytes:
                path.rename(path.with_suffix(".torn"))
            else:
                path.unlink()
            yield done


@contextmanager
def closed(path: Path) -> Iterator[int | None]:
    """The file, locked; None while its writer lives."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        yield None
    else:
        yield file
    finally:
        os.close(file)


def _read(file: int) -> bytes:
    with open(file, "rb", closefd=False) as stream:
        return stream.read()


def _compact(spec: RetrainSpec, path: Path, data: bytes) -> Compacted:
    segment = read_segment(spec, data)
    tables = {ANSWERS: segment.answers, SHADOWS: segment.shadows}
    for kind, table in tables.items():
        _write_days(spec, table, Path(spec.serving.log) / kind, path.stem)
    rows = sum(table.num_rows for table in tables.values())
    return Compacted(rows, segment.torn_bytes, segment.unread)


def _write_days(spec: RetrainSpec, table: pa.Table, folder: Path, name: str) -> None:
    """A file per UTC day."""
    days = pc.cast(table[spec.source.event_time], pa.date32())
    for day in pc.unique(days).to_pylist():
        part = table.filter(pc.equal(days, pa.scalar(day, pa.date32())))
        place = folder / f"{spec.source.partition}={day.isoformat()}"
        place.mkdir(parents=True, exist_ok=True)
        _write_whole(part, place / f"{name}.parquet")


def expire(spec: RetrainSpec, today: date) -> None:
    """Removes the days of the log that `[serving] keep_days` before `today` (UTC) do not hold.

    A day goes in one rename, so that nobody reads half of one.

    Raises:
        OSError: the log's folder cannot be used.
    """
    if not spec.serving.keep_days:
        return
    first = (today - timedelta(days=spec.serving.keep_days)).isoformat()
    prefix = f"{spec.source.partition}="
    for kind in (ANSWERS, SHADOWS):
        folder = Path(spec.serving.log) / kind
        for left in folder.glob(f".{prefix}*{EXPIRED}"):
            shutil.rmtree(left)
        for day in folder.glob(f"{prefix}????-??-??"):
            if day.name.removeprefix(prefix) < first:
                shutil.rmtree(day.rename(day.with_name(f".{day.name}{EXPIRED}")))


def _write_whole(table: pa.Table, path: Path) -> None:
    part = path.with_name(f".{path.name}.part")
    few = [f.name for f in table.schema if not pa.types.is_floating(f.type)]
    with part.open("wb") as file:  # numbers that hardly repeat gain nothing from a dictionary
        pq.write_table(table, file, compression="zstd", use_dictionary=few)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
