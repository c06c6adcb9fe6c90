"""CSV and JSON lines: `[source] kind = "csv"` and `"jsonl"`.

A file is parsed whole, so a column's type comes from all of its rows. What a column is for says
how it is read: ids, categories and instants keep their characters, `007` stays `007`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.csv
import pyarrow.json

from retrain_ops.data.sources.files import FileFormat, FileSource, OpenFile
from retrain_ops.spec.source import CSV_OPTIONS
from retrain_ops.spec.spec import RetrainSpec

_LARGEST_BLOCK = 2**31 - 1


def _open_csv(
    stream: pa.NativeFile, path: str, texts: Sequence[str], options: Mapping[str, str]
) -> OpenFile:
    chosen = {**CSV_OPTIONS, **options}
    data = _content(stream, path)
    table = pyarrow.csv.read_csv(
        pa.BufferReader(data),
        read_options=pyarrow.csv.ReadOptions(block_size=_block_size(data)),
        parse_options=pyarrow.csv.ParseOptions(
            delimiter=chosen["delimiter"], newlines_in_values=True
        ),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(texts, pa.string()),
            null_values=sorted({"", chosen["null"]}),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    _check_closed(table, data)
    return OpenFile(table.schema, table.select)


def _check_closed(table: pa.Table, data: pa.Buffer) -> None:
    """A quote that nobody closes makes the rest of the file one text, which only the last cell of
    a row can hold without its row having too few.

    Raises:
        ArrowInvalid: the file's last cell is such a text.
    """
    if not table.num_rows or not pa.types.is_string(table.schema[-1].type):
        return
    text = table[-1][-1].as_py() or ""
    raw = b'"' + text.encode().replace(b'"', b'""')
    end = bytes(data[max(len(data) - len(raw), 0) :])
    if "\n" in text and text.strip("\r\n") and end == raw:
        first = text.partition("\n")[0]
        raise pa.ArrowInvalid(
            f"row {table.num_rows} opens a quote in column {table.column_names[-1]!r} that is "
            f"never closed, at {first[:40]!r}: close it, or the rows after it are lost"
        )


def _open_jsonl(
    stream: pa.NativeFile, path: str, texts: Sequence[str], options: Mapping[str, str]
) -> OpenFile:
    data = _content(stream, path)
    if not bytes(data).strip():  # nothing happened on that day
        return OpenFile(None, _no_rows)
    table = _read_json(data, None)
    # Arrow takes texts that read like instants for such, and drops their offset.
    times = [f.name for f in table.schema if pa.types.is_timestamp(f.type)]
    if times:
        table = _read_json(data, pa.schema([pa.field(name, pa.string()) for name in times]))
    return OpenFile(table.schema, table.select)


def _no_rows(columns: Sequence[str]) -> pa.Table:
    return pa.schema([pa.field(name, pa.null()) for name in columns]).empty_table()


def _read_json(data: pa.Buffer, schema: pa.Schema | None) -> pa.Table:
    return pyarrow.json.read_json(
        pa.BufferReader(data),
        read_options=pyarrow.json.ReadOptions(block_size=_block_size(data)),
        parse_options=pyarrow.json.ParseOptions(explicit_schema=schema, newlines_in_values=True),
    )


def _content(stream: pa.NativeFile, path: str) -> pa.Buffer:
    if path.endswith(".gz"):
        stream = pa.CompressedInputStream(stream, "gzip")
    return stream.read_buffer()


def _block_size(data: pa.Buffer) -> int:
    return min(len(data) + 1, _LARGEST_BLOCK)


CSV = FileFormat("CSV", (".csv", ".csv.gz"), _open_csv)
JSONL = FileFormat("JSON lines", (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz"), _open_jsonl)
_FORMATS = {"csv": CSV, "jsonl": JSONL}


def open_source(spec: RetrainSpec, version: str) -> FileSource:
    """The daily text files of the spec; files have no versions."""
    return FileSource(spec, _FORMATS[spec.source.kind])
