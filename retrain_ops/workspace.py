"""Where the files of a run lie, and how they are replaced whole or not at all.

Everything a run writes lies at an address made of model name and window end::

    <root>/<model>/window_end=<date>/<step>.json, decision.json, model.rtm, ...
    <root>/data/processed/<model>/window_end=<date>/part-0.parquet

A write of equal bytes writes nothing. A write of other bytes replaces the file
in one step and keeps the old one under ``attempts/``.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs

from retrain_ops.errors import BusyError, DataError

log = logging.getLogger(__name__)

LOCK_PATIENCE_S = 900.0


def canonical_json(value: Mapping[str, Any]) -> bytes:
    """JSON whose bytes depend on the content alone; NaN and infinities are refused."""
    text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def open_filesystem(uri: str) -> tuple[pafs.FileSystem, str]:
    """The filesystem and the path within it; a plain path is the local disk."""
    if "://" in uri:
        filesystem, path = pafs.FileSystem.from_uri(uri)
        return filesystem, path.rstrip("/")
    return pafs.LocalFileSystem(), str(Path(uri).absolute())


@dataclass(frozen=True, slots=True)
class Workspace:
    """The files of one model below a root that may be a folder or an object store."""

    filesystem: pafs.FileSystem
    root: str
    model: str

    @classmethod
    def open(cls, uri: str, model: str) -> Workspace:
        """The workspace at `uri`: a folder, or any URI that pyarrow understands."""
        filesystem, root = open_filesystem(uri)
        return cls(filesystem=filesystem, root=root, model=model)

    @property
    def is_local(self) -> bool:
        """Whether files can be locked and synced by the operating system."""
        return isinstance(self.filesystem, pafs.LocalFileSystem)

    def key_path(self, window_end: date, name: str) -> str:
        """A file of one retrain key."""
        return f"{self.model}/window_end={window_end.isoformat()}/{name}"

    def processed_path(self, window_end: date) -> str:
        """The rows of one retrain key."""
        folder = f"data/processed/{self.model}/window_end={window_end.isoformat()}"
        return f"{folder}/part-0.parquet"

    def absolute(self, path: str) -> str:
        """The path as the filesystem knows it."""
        return f"{self.root}/{path}"

    def exists(self, path: str) -> bool:
        """Whether the file is there."""
        info = self.filesystem.get_file_info(self.absolute(path))
        return bool(info.type == pafs.FileType.File)

    def read(self, path: str) -> bytes | None:
        """The file's bytes, or None when it is not there."""
        if not self.exists(path):
            return None
        with self.filesystem.open_input_stream(self.absolute(path)) as stream:
            return bytes(stream.read())

    def read_json(self, path: str) -> dict[str, Any] | None:
        """The JSON object in a file, or None when it is not there.

        Raises:
            DataError: the file is there and is not a JSON object.
        """
        data = self.read(path)
        if data is None:
            return None
        try:
            value = json.loads(data)
        except ValueError as problem:
            raise DataError(f"{self.absolute(path)} is not JSON: {problem}") from problem
        if not isinstance(value, dict):
            raise DataError(f"{self.absolute(path)} does not hold a JSON object")
        return value

    def write(self, path: str, data: bytes) -> bool:
        """Replaces the file whole; False when it held these bytes already."""
        old = self.read(path)
        if old == data:
            return False
        if old is not None:
            self._keep(path, old)
        self._replace(path, data)
        return True

    def write_json(self, path: str, value: Mapping[str, Any]) -> bool:
        """`write` of the canonical JSON."""
        return self.write(path, canonical_json(value))

    def overwrite_json(self, path: str, value: Mapping[str, Any]) -> None:
        """Replaces a record of circumstances, of which no old one is kept."""
        self._replace(path, canonical_json(value))

    def list_keys(self) -> list[date]:
        """The window ends that have files, oldest first."""
        selector = pafs.FileSelector(self.absolute(self.model), allow_not_found=True)
        names = (i.base_name for i in self.filesystem.get_file_info(selector))
        ends = (n.removeprefix("window_end=") for n in names if n.startswith("window_end="))
        return sorted(date.fromisoformat(e) for e in ends)

    def _keep(self, path: str, old: bytes) -> None:
        """An earlier record of the same key, named by its content."""
        folder, _, name = path.rpartition("/")
        digest = hashlib.sha256(old).hexdigest()[:12]
        kept = f"{folder}/attempts/{digest}-{name}"
        if not self.exists(kept) and not name.endswith(".parquet"):
            self._replace(kept, old)

    def _replace(self, path: str, data: bytes) -> None:
        target = self.absolute(path)
        self.filesystem.create_dir(target.rpartition("/")[0], recursive=True)
        if self.is_local:
            _replace_local(Path(target), data)
        else:  # object stores publish an object when its stream closes, never before
            with self.filesystem.open_output_stream(target) as stream:
                stream.write(data)

    @contextmanager
    def lock(self, *, patience_s: float = LOCK_PATIENCE_S) -> Iterator[None]:
        """One writer per model on this machine.

        The kernel drops the lock with its process, so a killed run leaves none
        behind. Workspaces on object stores have no lock of their own: there the
        orchestrator's pool or concurrency slot serialises, and the registry's
        epochs stop whoever slips through.

        Raises:
            BusyError: another run held the lock for `patience_s`.
        """
        if not self.is_local:
            yield
            return
        folder = Path(self.absolute(self.model))
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _acquire(handle, folder, patience_s)
            yield
        finally:
            os.close(handle)


def _acquire(handle: int, folder: Path, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    told = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as problem:
            if time.monotonic() >= deadline:
                raise BusyError(
                    f"another run has held {folder}/.lock for {patience_s:.0f} s; "
                    "wait for it or end it, then run this step again"
                ) from problem
        if not told:
            log.info("another run holds %s/.lock: waiting up to %.0f s", folder, patience_s)
            told = True
        time.sleep(0.05)


def _replace_local(target: Path, data: bytes) -> None:
    """Write aside, sync, rename, sync the folder: after a power cut it is old or new."""
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(aside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
