"""The rows of one retrain key, as pulled: one Parquet file of the workspace, day after day.

A row group holds rows of one day, so that a step reads the days and columns that it needs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from retrain_ops.data.labels import rows_of_days
from retrain_ops.errors import DataError
from retrain_ops.spec.window import DAY
from retrain_ops.workspace import Workspace


class ParquetRows:
    """Rows in a Parquet file, of which a column is read when it is asked for: `rows[name]`."""

    def __init__(self, file: IO[bytes] | pa.NativeFile) -> None:
        self._file = pq.ParquetFile(file)

    @property
    def schema(self) -> pa.Schema:
        """Names and types."""
        return self._file.schema_arrow

    @property
    def column_names(self) -> list[str]:
        """Names in their order."""
        return list(self.schema.names)

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return int(self._file.metadata.num_rows)

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        return self._file.read(columns=[name])[name]

    def table(
        self, days: Sequence[date] | None = None, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Those rows and columns; None: all of them."""
        if days is None:
            return self._file.read(columns=columns)
        groups = [i for i in range(self._file.num_row_groups) if self._may_hold(i, set(days))]
        wanted = None if columns is None else [DAY, *(c for c in columns if c != DAY)]
        return rows_of_days(self._file.read_row_groups(groups, columns=wanted), tuple(days))

    def _may_hold(self, group: int, days: set[date]) -> bool:
        known = self._statistics(group, DAY)
        return known is None or any(known.min <= day <= known.max for day in days)

    def has_gaps(self, name: str) -> bool:
        """Whether values of a column are null, or may be."""
        known = [self._statistics(i, name) for i in range(self._file.num_row_groups)]
        return any(s is None or not s.has_null_count or s.null_count > 0 for s in known)

    def _statistics(self, group: int, name: str) -> Any:
        return self._file.metadata.row_group(group).column(self.schema.names.index(name)).statistics


def write_processed(workspace: Workspace, window_end: date, rows: IO[bytes]) -> None:
    """Replaces the rows of the window that ends at `window_end` by those of a Parquet file."""
    workspace.write_file(workspace.processed_path(window_end), rows)


@contextmanager
def open_processed(workspace: Workspace, window_end: date) -> Iterator[ParquetRows]:
    """The rows that `write_processed` left.

    Raises:
        DataError: the file is gone.
        DamagedError: it is not what was written.
    """
    path = workspace.processed_path(window_end)
    file = workspace.opened(path)
    if file is None:
        raise DataError(f"{workspace.absolute(path)} is not there; run pull_data again")
    with file:
        yield ParquetRows(file)


def read_processed(
    workspace: Workspace,
    window_end: date,
    *,
    days: Sequence[date] | None = None,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """Rows of some days and columns as a table; None: all of them. Raises as `open_processed`."""
    with open_processed(workspace, window_end) as rows:
        table = rows.table(days, columns)
    pa.default_memory_pool().release_unused()  # of what was decompressed: twice the table
    return table


def read_schema(workspace: Workspace, window_end: date) -> pa.Schema:
    """The columns that pandas makes of those rows: integers with gaps become floats.

    Raises as `open_processed`.
    """
    with open_processed(workspace, window_end) as rows:
        return pa.schema([_as_in_pandas(rows, field) for field in rows.schema])


def _as_in_pandas(rows: ParquetRows, field: pa.Field) -> pa.Field:
    whole = pa.types.is_integer(field.type) or pa.types.is_boolean(field.type)
    return field.with_type(pa.float64()) if whole and rows.has_gaps(field.name) else field
