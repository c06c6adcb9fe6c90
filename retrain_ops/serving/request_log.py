"""The request log of a process: what it answers, and segments that become Parquet.

The core appends to segments in the serving folder, `log/<time>-<writer>.log`, which belong to one
process each; of all routers of a folder the one that holds the lock turns closed ones into Parquet.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import re
import threading
from datetime import UTC, datetime
from pathlib import Path

from retrain_ops.data.segments import open_log
from retrain_ops.errors import text_of
from retrain_ops.serving.compaction import compact, expire
from retrain_ops.serving.counters import BOUNDS, Counters
from retrain_ops.spec.spec import RetrainSpec

COMPACT_EVERY_S = 10.0
LOCK_FILE = "compact.lock"
LONGEST_ID = 128
VISIBLE = re.compile(rb"[!-~]+")


class RequestLog:
    """Logs the answers of this process, and takes its turn at closed segments.

    Args:
        spec: names the columns, the request id and where the Parquet goes.
        folder: of the model's servers on this host.
        counters: what happens is counted there.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, spec: RetrainSpec, folder: Path, counters: Counters) -> None:
        self._spec, self._counters = spec, counters
        self._folder = folder / "log"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.problem: str | None = None
        self._prefix, self._made = os.urandom(12).hex().encode() + b"-", itertools.count()
        waiting = max(32 * 2**20, 2 * spec.serving.max_body)
        segment_s = spec.serving.segment_s
        self.core = open_log(
            self._folder, counters.log, BOUNDS, segment_s=segment_s, waiting_bytes=waiting
        )
        self._compact_every_s = min(COMPACT_EVERY_S, segment_s)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retrain-ops-log", daemon=True)
        self._thread.start()

    def id_of(self, request_id: bytes | None) -> bytes:
        """The id of a request; a new one when it has none of 1 to 128 visible ASCII characters."""
        if request_id and len(request_id) <= LONGEST_ID and VISIBLE.fullmatch(request_id):
            return request_id
        return b"%s%x" % (self._prefix, next(self._made))

    def close(self) -> None:
        """Ends the log; its segment is Parquet afterwards, if the disk takes it."""
        self._stop.set()
        self._thread.join()
        self.core.close()
        self.compact()
        os.close(self._lock)

    def _run(self) -> None:
        while not self._stop.wait(self._compact_every_s):
            self.compact()

    def compact(self) -> None:
        """Turns closed segments into Parquet and removes old days, unless another process does."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        try:
            for done in compact(self._spec, self._folder):
                self._counters.add_packed(done.rows, done.torn_bytes, done.unread)
            expire(self._spec, datetime.now(UTC).date())
            self.problem = None
        except Exception as problem:
            self.problem = f"the request log does not become Parquet: {text_of(problem)}"
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
