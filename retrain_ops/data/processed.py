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
    return pq.read_table(io.BytesIO(_bytes(workspace, window_end)))


def read_schema(workspace: Workspace, window_end: date) -> pa.Schema:
    """The columns that pandas makes of those rows: integers with gaps become floats.

    Raises:
        DataError: the file is gone.
    """
    parquet = pq.ParquetFile(io.BytesIO(_bytes(workspace, window_end)))
    groups = [parquet.metadata.row_group(i) for i in range(parquet.metadata.num_row_groups)]
    fields = []
    for place, field in enumerate(parquet.schema_arrow):
        known = [group.column(place).statistics for group in groups]
        gaps = any(s is None or not s.has_null_count or s.null_count for s in known)
        whole = pa.types.is_integer(field.type) or pa.types.is_boolean(field.type)
        fields.append(field.with_type(pa.float64()) if gaps and whole else field)
    return pa.schema(fields)


def _bytes(workspace: Workspace, window_end: date) -> bytes:
    path = workspace.processed_path(window_end)
    data = workspace.read(path)
    if data is None:
        raise DataError(f"{workspace.absolute(path)} is not there; run pull_data again")
    return data
