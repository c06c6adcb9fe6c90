"""Days of a source, kept in scratch until all have been seen: a column's type is that of all
days together, so the first cannot be written before the last is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from tempfile import SpooledTemporaryFile, gettempdir
from typing import IO

import pyarrow as pa

from retrain_ops.data.canonical import joined

IN_MEMORY = 1 << 24
"""Bytes from which on scratch lies on disk: most days of most models stay below."""


def scratch() -> IO[bytes]:
    """A file for rows on their way, which goes when it is closed."""
    return SpooledTemporaryFile(max_size=IN_MEMORY)


@contextmanager
def full_disk_named() -> Iterator[None]:
    """Within it scratch is written: a disk that is full does not say which."""
    try:
        yield
    except OSError as problem:
        why = f"{problem.strerror or problem} (days of the source wait there, see TMPDIR)"
        raise OSError(problem.errno, why, gettempdir()) from problem


@dataclass(frozen=True, slots=True)
class _Piece:
    """Where some rows of a day lie in the file, and where they came from."""

    where: str
    schema: pa.Schema
    begin: int
    size: int


@dataclass(slots=True)
class Spool:
    """Rows by day in `file`, which is scratch; `numeric` as in :func:`joined`."""

    file: IO[bytes]
    numeric: Sequence[str]
    _pieces: dict[date, list[_Piece]] = field(default_factory=dict)

    def add(self, day: date, where: str, table: pa.Table) -> None:
        """Keeps some rows of a day, behind those that it has."""
        begin = self.file.seek(0, 2)
        with full_disk_named(), pa.ipc.new_stream(self.file, table.schema) as stream:
            stream.write_table(table)
        piece = _Piece(where, table.schema, begin, self.file.tell() - begin)
        self._pieces.setdefault(day, []).append(piece)

    @property
    def days(self) -> set[date]:
        """The days that have rows, or at least a place for them."""
        return set(self._pieces)

    def tables(self) -> Iterator[pa.Table]:
        """The rows of each day, oldest first, in the order they were added; all of one schema.

        Raises:
            SourceError: two places have types that do not go together.
        """
        if not self._pieces:
            return
        pieces = [piece for day in sorted(self._pieces) for piece in self._pieces[day]]
        whole = joined([(p.where, p.schema.empty_table()) for p in pieces], self.numeric)
        for day in sorted(self._pieces):
            parts = [(piece.where, self._read(piece)) for piece in self._pieces[day]]
            yield joined([("", whole), *parts], self.numeric)

    def _read(self, piece: _Piece) -> pa.Table:
        self.file.seek(piece.begin)
        return pa.ipc.open_stream(self.file.read(piece.size)).read_all()
