"""The rows of one retrain key, as pulled: one Parquet file of the workspace."""

from __future__ import annotations

import io
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq

from retrain_ops.errors import DataError
from retrain_ops.workspace import Workspace


def write_processed(workspace: Workspace, window_end: date, table: pa.Table) -> None:
    """Replaces the rows of the window that ends at `window_end`, whole."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    workspace.write(workspace.processed_path(window_end), sink.getvalue())


def read_processed(workspace: Workspace, window_end: date) -> pa.Table:
    """The rows that `write_processed` left.

    Raises:
        DataError: the file is gone.
    """
    return pq.read_table(_stored(workspace, window_end))


def open_processed(workspace: Workspace, window_end: date) -> pq.ParquetFile:
    """The same, to be read by columns and batches.

    Raises:
        DataError: the file is gone.
    """
    return pq.ParquetFile(_stored(workspace, window_end))


def _stored(workspace: Workspace, window_end: date) -> io.BytesIO:
    path = workspace.processed_path(window_end)
    data = workspace.read(path)
    if data is None:
        raise DataError(f"{workspace.absolute(path)} is not there; run pull_data again")
    return io.BytesIO(data)
