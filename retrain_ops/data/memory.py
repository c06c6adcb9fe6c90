"""A sample of every day before a window: what a training replays, and what is held against it.

A day's sample lies at ``<model>/memory/<recipe>/<day>.parquet``, where the recipe is the hash of
what says how it is drawn. It is made once, from the source, and is from then on what that day
was. Which samples a window saw, with their hashes, is in `memory.json` of its key: a re-run sees
the same days, whatever other runs have added since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
from numpy.typing import NDArray

from retrain_ops import _core
from retrain_ops.data.categories import texts
from retrain_ops.data.labels import labelled, labels_of
from retrain_ops.data.processed import ParquetRows
from retrain_ops.data.reference import slice_levels
from retrain_ops.data.source import Source, day_index, sha256_of_rows, text_parts, within
from retrain_ops.data.spool import scratch
from retrain_ops.data.window_rows import LATEST, pulled_columns
from retrain_ops.errors import DataError
from retrain_ops.spec.memory import MemoryTable
from retrain_ops.spec.spec import RetrainSpec
from retrain_ops.spec.window import DAY, Window
from retrain_ops.workspace import Workspace, canonical_json

__all__ = ["MEMORY_FILE", "Memory", "labelled_day", "recall", "recalled"]

MEMORY_FILE = "memory.json"
_KEY = b"retrain_ops.rows"


@dataclass(frozen=True, slots=True)
class Memory:
    """The rows of all days that a window remembers, oldest first.

    `hashes` is uint64 (rows,), of the request ids; `cells` int64 (rows,), one code for each day,
    label and stratum.
    """

    table: pa.Table
    hashes: NDArray[np.uint64]
    cells: NDArray[np.int64]

    @property
    def replays(self) -> NDArray[np.bool_]:
        """Which rows may train, bool (rows,); the others judge and never do."""
        return np.asarray((self.hashes & np.uint64(1)) == 0, np.bool_)

    def replayed(self, most: int, order: NDArray[np.float64] | None = None) -> pa.Table:
        """At most so many rows to train on: of each cell its share, smallest hashes first, or the
        smallest of `order`, float64 (rows,)."""
        rows = np.flatnonzero(self.replays)
        first = self.hashes if order is None else order
        chosen = rows[_share_of_each(first[rows], self.cells[rows], most)]
        return self.table.take(pa.array(np.sort(chosen)))

    def judging(self, before: date) -> pa.Table:
        """The rows that no training has replayed, of days before `before`."""
        old = np.array(self.table[DAY].to_numpy() < np.datetime64(before), np.bool_)
        return self.table.filter(pa.array(~self.replays & old))


def recall(source: Source, workspace: Workspace, window: Window) -> Memory | None:
    """The memory of a window, None where it has no row; samples that lack are made, and all are
    noted in its key.

    Raises:
        SourceError: a day that the key's memory had is neither kept nor in the source.
    """
    spec = source.spec
    folder = _folder(spec, workspace)
    days = _days(source, workspace, window, folder)
    lacking = [day for day in days if not workspace.is_sound(_path(folder, day))]
    for table in source.read_by_day(lacking, columns=pulled_columns(spec)) if lacking else ():
        _keep(workspace, folder, table[DAY][0].as_py(), sample_of_day(table, spec))
    tables = {day: _read(workspace, _path(folder, day)) for day in days}
    kept = {day.isoformat(): sha256_of_rows(t, spec.features.numeric) for day, t in tables.items()}
    workspace.write_json(_key_path(workspace, window), {"recipe": _recipe(spec), "days": kept})
    return _memory(spec, list(tables.values()))


def recalled(spec: RetrainSpec, workspace: Workspace, window: Window) -> Memory | None:
    """The memory that `recall` has noted in a window's key.

    Raises:
        DataError: there is none, or one of its samples is gone.
    """
    days = _noted(spec, workspace, window)
    if days is None:
        raise DataError(f"{_key_path(workspace, window)} is not there; run train again")
    folder = _folder(spec, workspace)
    return _memory(spec, [_read(workspace, _path(folder, day)) for day in days])


def sample_of_day(table: pa.Table, spec: RetrainSpec) -> pa.Table:
    """The labelled rows of a day that stay, in their order."""
    table = labelled_day(table, spec)
    most = _rules(spec).capacity
    chosen = _share_of_each(_hashes(table, spec), _cells(table, spec), most)
    return table.take(pa.array(np.sort(chosen)))


def labelled_day(table: pa.Table, spec: RetrainSpec) -> pa.Table:
    """The rows of one day, of at least one, that have a label and lie within it in some time zone:
    the same whichever run asks."""
    day = table[DAY][0].as_py()
    end = datetime.combine(day, time(), tzinfo=UTC) + LATEST
    return labelled(within(table, spec.source.event_time, None, end), spec)


def _share_of_each(first: NDArray[Any], cells: NDArray[np.int64], most: int) -> NDArray[np.intp]:
    """Which rows to keep, at most so many: of each cell as large a share as of every other.

    Row r of the n of a cell, by `first`, comes at (r + 1/2) / n; whoever comes first is kept. A
    smaller `most` keeps a part of what a larger one does.
    """
    order = np.lexsort((first, cells))
    _, begin, count = np.unique(cells[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(begin, count)
    place = np.empty(len(order), np.float64)
    place[order] = (2 * rank + 1) / (2 * np.repeat(count, count))
    return np.lexsort((first, place))[:most]


def _rules(spec: RetrainSpec) -> MemoryTable:
    assert spec.memory is not None, "nobody asks for the memory of a spec without [memory]"
    return spec.memory


def _hashes(table: pa.Table, spec: RetrainSpec) -> NDArray[np.uint64]:
    """SipHash of the request ids: no order of rows and no other column can bend it."""
    name = spec.source.request_id
    ids = texts(table[name], name).cast(pa.large_string()).combine_chunks()
    lengths, characters = text_parts(ids)
    return _core.siphashes(_KEY, characters, np.concatenate([[0], np.cumsum(lengths)]))


def _cells(table: pa.Table, spec: RetrainSpec) -> NDArray[np.int64]:
    """A code for each day, label of a yes or no, and level of each stratum."""
    labels = labels_of(spec)
    parts = [day_index(table)[0]] if table.num_rows else []
    if labels.is_rate:
        parts.append(labels.values(table, spec.source.label))
    parts += [slice_levels(table, name)[1] for name in _rules(spec).strata]
    codes = np.zeros(table.num_rows, np.int64)
    for part in parts:
        codes = np.unique(codes * (int(part.max(initial=0)) + 2) + part, return_inverse=True)[1]
    return codes.astype(np.int64)


def _recipe(spec: RetrainSpec) -> str:
    """Of two specs with equal recipes the samples are equal."""
    rules, source = _rules(spec), spec.source
    how = {
        "columns": sorted({source.request_id, source.event_time, *pulled_columns(spec)}),
        "label": source.label,
        "request_id": source.request_id,
        "problem": spec.model.problem,
        "capacity": rules.capacity,
        "strata": list(rules.strata),
    }
    return hashlib.sha256(canonical_json(how)).hexdigest()


def _folder(spec: RetrainSpec, workspace: Workspace) -> str:
    return f"{workspace.model}/memory/{_recipe(spec)[:16]}"


def _path(folder: str, day: date) -> str:
    return f"{folder}/{day.isoformat()}.parquet"


def _key_path(workspace: Workspace, window: Window) -> str:
    return workspace.key_path(window.end, MEMORY_FILE)


def _noted(spec: RetrainSpec, workspace: Workspace, window: Window) -> list[date] | None:
    """The days that the key's memory has; None where no run of this recipe has noted any."""
    known = workspace.recover_json(_key_path(workspace, window), {"recipe": str, "days": dict})
    if known is None or known["recipe"] != _recipe(spec):
        return None
    return [date.fromisoformat(day) for day in sorted(known["days"])]


def _days(source: Source, workspace: Workspace, window: Window, folder: str) -> list[date]:
    """Those of the key; else all before the window that are kept or that the source still has."""
    noted = _noted(source.spec, workspace, window)
    if noted is not None:
        return noted
    first = window.train[0]
    oldest = first - timedelta(days=_rules(source.spec).days)
    return sorted(d for d in {*source.days(), *_kept(workspace, folder)} if oldest <= d < first)


def _kept(workspace: Workspace, folder: str) -> Iterable[date]:
    selector = pafs.FileSelector(workspace.absolute(folder), allow_not_found=True)
    files = workspace.filesystem.get_file_info(selector)
    names = (i.base_name for i in files if i.type == pafs.FileType.File)
    return (date.fromisoformat(n[:10]) for n in names if n[10:] == ".parquet")


def _keep(workspace: Workspace, folder: str, day: date, table: pa.Table) -> None:
    with scratch() as file:
        pq.write_table(table, file, compression="zstd")
        workspace.write_file(_path(folder, day), file)


def _read(workspace: Workspace, path: str) -> pa.Table:
    file = workspace.opened(path)
    if file is None:
        raise DataError(f"{workspace.absolute(path)} is not there; run train again")
    with file:
        return ParquetRows(file).table()


def _memory(spec: RetrainSpec, tables: Sequence[pa.Table]) -> Memory | None:
    if not tables or not any(table.num_rows for table in tables):
        return None
    table = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    return Memory(table, _hashes(table, spec), _cells(table, spec))
