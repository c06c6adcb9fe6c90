"""Where the files of a run lie, and how they are replaced whole or not at all.

Everything a run writes lies at an address made of model name and window end::

    <root>/<model>/window_end=<date>/<step>.json, decision.json, model.rtm, ...
    <root>/data/processed/<model>/window_end=<date>/part-0.parquet

A write of equal bytes writes nothing. A write of other bytes replaces the file
in one step and keeps the old one under ``attempts/``.

Beside every file of content lies its SHA-256, ``sha256/<name>.sha256``, and what is
read is checked against it. What does not fit (a disk, a hand, a copy that was cut)
is damaged: a run sets it aside under ``attempts/``, names it, and makes it anew.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import pyarrow as pa
import pyarrow.fs as pafs

from retrain_ops.busy import busy_with
from retrain_ops.errors import BusyError, ConfigError, DamagedError
from retrain_ops.lease import lease

log = logging.getLogger(__name__)

LOCK_PATIENCE_S = 900.0
_WRONG_PLACE = (errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.EACCES, errno.EPERM, errno.EROFS)
SHA256 = re.compile(r"[0-9a-f]{64}")
KEY_FOLDER = re.compile(r"window_end=(\d{4}-\d\d-\d\d)")

PIECE = 1 << 20
OTHER_SHA256 = "its SHA-256 is not the one it was written with"

Shape = Mapping[str, type | tuple[type, ...]]


def canonical_json(value: Mapping[str, Any]) -> bytes:
    """JSON whose bytes depend on the content alone; NaN and infinities are refused."""
    text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def open_filesystem(uri: str) -> tuple[pafs.FileSystem, str]:
    """The filesystem and the path within it; a plain path is the local disk.

    Raises:
        ConfigError: the URI names no filesystem that pyarrow knows.
    """
    if "://" not in uri:
        return pafs.LocalFileSystem(), str(Path(uri).absolute())
    try:
        filesystem, path = pafs.FileSystem.from_uri(uri)
    except pa.ArrowInvalid as problem:
        text = f"{uri} names no place for files: {problem}; write a folder, s3://, gs:// or abfs://"
        raise ConfigError(text) from problem
    return filesystem, path.rstrip("/")


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
        """The file's bytes, or None when it is not there.

        Raises:
            DamagedError: they are not what was written, or something else is in its place.
        """
        data = self._raw(path)
        known = self._digests(path) if data is not None else ()
        if data is not None and known and hashlib.sha256(data).hexdigest() not in known:
            raise self._damaged(path, OTHER_SHA256)
        return data

    def read_json(self, path: str, shape: Shape = MappingProxyType({})) -> dict[str, Any] | None:
        """The JSON object in a file, or None when it is not there.

        Args:
            path: the file.
            shape: members that it must have, with their types.

        Raises:
            DamagedError: the file is there and holds something else.
        """
        return self._parse(path, self.read(path), shape)

    def read_as_it_is(self, path: str) -> bytes | None:
        """`read` without the hash: for a reader that compares what is there with what should be."""
        return self._raw(path)

    def read_json_as_it_is(self, path: str) -> dict[str, Any] | None:
        """`read_json` without the hash."""
        return self._parse(path, self._raw(path), {})

    def _parse(self, path: str, data: bytes | None, shape: Shape) -> dict[str, Any] | None:
        if data is None:
            return None
        try:
            value = json.loads(data)
        except (ValueError, RecursionError) as problem:
            raise self._damaged(path, f"it is not JSON ({problem})") from problem
        if not isinstance(value, dict):
            raise self._damaged(path, "it does not hold a JSON object")
        for name, kind in shape.items():
            if name not in value or not isinstance(value[name], kind):
                raise self._damaged(path, f"its {name!r} is not of the type that is written")
        return value

    def is_sound(self, path: str) -> bool:
        """Whether the file is there and is what was written; one without a hash may be anything.

        What is damaged is set aside.
        """
        try:
            return self._checked_sha256(path) is not None and bool(self._digests(path))
        except DamagedError as problem:
            self._set_aside(path, problem)
            return False

    def opened(self, path: str) -> pa.NativeFile | None:
        """`read` of a file that may be larger than memory: open for reading, or None."""
        if self._checked_sha256(path) is None:
            return None
        return self.filesystem.open_input_file(self.absolute(path))

    def recover(self, path: str) -> bytes | None:
        """`read`; what is damaged is set aside and counts as not there: it is made anew."""
        try:
            return self.read(path)
        except DamagedError as problem:
            self._set_aside(path, problem)
            return None

    def recover_json(self, path: str, shape: Shape = MappingProxyType({})) -> dict[str, Any] | None:
        """`read_json`; what is damaged is set aside and counts as not there."""
        try:
            return self.read_json(path, shape)
        except DamagedError as problem:
            self._set_aside(path, problem)
            return None

    def write(self, path: str, data: bytes) -> bool:
        """Replaces the file whole; False when it held these bytes already."""
        try:
            old = self._raw(path)
        except DamagedError as problem:
            self._set_aside(path, problem)
            old = None
        # First: a process that dies between the two leaves the old file, which is listed too.
        before = None if old is None else hashlib.sha256(old).hexdigest()
        self._note_digests(path, hashlib.sha256(data).hexdigest(), before)
        if old == data:
            return False
        if old is not None:
            self._keep(path, old)
        self._replace(path, data)
        return True

    def write_file(self, path: str, content: IO[bytes]) -> bool:
        """`write` of what a file holds, piece by piece; no old file is kept."""
        try:
            old = self._sha256(path)
        except DamagedError as problem:
            self._set_aside(path, problem)
            old = None
        digest = hashlib.sha256()
        for piece in _read_pieces(content):
            digest.update(piece)
        new = digest.hexdigest()
        self._note_digests(path, new, old)
        if old == new:
            return False
        self._replace(path, _read_pieces(content))
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
        return sorted(date.fromisoformat(m[1]) for n in names if (m := KEY_FOLDER.fullmatch(n)))

    # -- what was written, and what is damaged ----------------------------------------

    def _raw(self, path: str) -> bytes | None:
        with self._stream(path) as stream:
            return None if stream is None else bytes(stream.read())

    def _sha256(self, path: str) -> str | None:
        with self._stream(path) as stream:
            return None if stream is None else hashlib.file_digest(stream, "sha256").hexdigest()

    @contextmanager
    def _stream(self, path: str) -> Iterator[pa.NativeFile | None]:
        info = self.filesystem.get_file_info(self.absolute(path))
        if info.type == pafs.FileType.NotFound:
            yield None
            return
        if info.type != pafs.FileType.File:
            raise self._damaged(path, "it is no file")
        try:
            with self.filesystem.open_input_stream(self.absolute(path)) as stream:
                yield stream
        except OSError as problem:
            raise self._damaged(path, f"it cannot be read ({problem})") from problem

    def _checked_sha256(self, path: str) -> str | None:
        found = self._sha256(path)
        known = self._digests(path) if found is not None else ()
        if known and found not in known:
            raise self._damaged(path, OTHER_SHA256)
        return found

    def _digests(self, path: str) -> tuple[str, ...]:
        """The hashes that the file may have; none when an earlier release wrote it.

        A list that holds no hash is damaged itself, and says nothing against the file.
        """
        try:
            data = self._raw(_digest_path(path)) or b""
        except DamagedError:
            return ()
        return tuple(w for w in data.decode("ascii", "replace").split() if SHA256.fullmatch(w))

    def _note_digests(self, path: str, new: str, old: str | None) -> None:
        """The hash of what is to be written, and of what is there."""
        if new == old and self._digests(path)[:1] == (new,):
            return
        wanted = [new] if old is None else list(dict.fromkeys((new, old)))
        self._replace(_digest_path(path), ("\n".join(wanted) + "\n").encode())

    def _damaged(self, path: str, what: str) -> DamagedError:
        return DamagedError(
            f"{self.absolute(path)} is damaged: {what}; run its day again, which makes it anew"
        )

    def set_aside(self, path: str, what: str) -> None:
        """Gets a file out of the way that its reader found damaged, in a word why."""
        self._set_aside(path, self._damaged(path, what))

    def _set_aside(self, path: str, problem: DamagedError) -> None:
        """Out of the way and kept: somebody may want to see what happened to it."""
        folder, _, name = path.rpartition("/")
        aside = f"{folder}/attempts/damaged-{time.time_ns()}-{name}"
        log.warning("%s (set aside as %s)", problem, self.absolute(aside))
        try:
            self.filesystem.create_dir(self.absolute(f"{folder}/attempts"), recursive=True)
            self.filesystem.move(self.absolute(path), self.absolute(aside))
        except OSError as refused:
            log.warning("%s could not be set aside: %s", self.absolute(path), refused)

    def _keep(self, path: str, old: bytes) -> None:
        """An earlier record of the same key, named by its content."""
        folder, _, name = path.rpartition("/")
        kept = f"{folder}/{earlier_attempt(name, hashlib.sha256(old).hexdigest())}"
        if not self.exists(kept) and not name.endswith(".parquet"):
            self._replace(kept, old)

    def _replace(self, path: str, data: bytes | Iterable[bytes]) -> None:
        target = self.absolute(path)
        if self.is_local and Path(target).is_dir():
            self.set_aside(path, "it is a folder")
        self.filesystem.create_dir(target.rpartition("/")[0], recursive=True)
        if self.is_local:
            replace_file(Path(target), data)
        else:  # object stores publish an object when its stream closes, never before
            with self.filesystem.open_output_stream(target) as stream:
                for piece in _pieces(data):
                    stream.write(piece)

    @contextmanager
    def lock(self, *, patience_s: float = LOCK_PATIENCE_S) -> Iterator[None]:
        """One writer per model in this workspace.

        In a folder the kernel drops the lock with its process; on an object store it is a
        :func:`~retrain_ops.lease.lease`, which expires when its process is gone. Workspaces
        that share a registry share no lock: there its claims have one winner each.

        Raises:
            BusyError: another run held the lock for `patience_s`.
            ConfigError: there can be no folder, or nothing may be written there.
        """
        if not self.is_local:
            objects = self.absolute(f"{self.model}/.lock")
            with lease(self.filesystem, objects, patience_s=patience_s):
                yield
            return
        folder = Path(self.absolute(self.model))
        handle = _open_lock(folder)
        try:
            with busy_with(f"waiting for another run, which holds {folder}/.lock"):
                _acquire(handle, folder, patience_s)
            yield
        finally:
            os.close(handle)


def _open_lock(folder: Path) -> int:
    """Makes the model's folder and its lock file; the file's descriptor."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        if problem.errno not in _WRONG_PLACE:
            raise
        raise ConfigError(
            f"the workspace cannot be at {folder.parent}: {problem.filename}: {problem.strerror}; "
            "name another by --workspace or RETRAIN_OPS_WORKSPACE"
        ) from problem


def earlier_attempt(name: str, sha256: str) -> str:
    """Where a key keeps a file of these bytes once others have taken its place."""
    return f"attempts/{sha256[:12]}-{name}"


def _digest_path(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/sha256/{name}.sha256"


def _acquire(handle: int, folder: Path, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    logged = False
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
        if not logged:
            log.info("another run holds %s/.lock: waiting up to %.0f s", folder, patience_s)
            logged = True
        time.sleep(0.05)


def _read_pieces(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    return iter(partial(file.read, PIECE), b"")


def _pieces(data: bytes | Iterable[bytes]) -> Iterable[bytes]:
    return (data,) if isinstance(data, bytes) else data


def replace_file(target: Path, data: bytes | Iterable[bytes]) -> None:
    """Write aside, sync, rename, sync the folder: after a power cut it is old or new."""
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(aside, "wb") as file:
            file.writelines(_pieces(data))
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, target)
    except OSError as problem:  # a full disk does not say which
        why = problem.strerror or str(problem)
        raise OSError(problem.errno, why, str(target)) from problem
    finally:
        aside.unlink(missing_ok=True)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
