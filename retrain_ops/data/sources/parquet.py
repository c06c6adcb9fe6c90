"""Parquet files: `[source] kind = "parquet"`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from retrain_ops.data.sources.files import FileFormat, FileSource, OpenFile
from retrain_ops.spec.spec import RetrainSpec


def _open(
    stream: pa.NativeFile, path: str, texts: Sequence[str], options: Mapping[str, str]
) -> OpenFile:
    file = pq.ParquetFile(stream)
    return OpenFile(file.schema_arrow, lambda columns: file.read(columns=columns))


PARQUET = FileFormat("Parquet", (".parquet",), _open)


def open_source(spec: RetrainSpec, version: str) -> FileSource:
    """The daily Parquet files of the spec; files have no versions."""
    return FileSource(spec, PARQUET)
