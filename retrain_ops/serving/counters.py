"""What a server has done, for Prometheus: counts that only grow.

Every router has a small file of integers in the folder, mapped into its memory: any of them adds
all up, and a killed process loses none. A file whose router is gone is taken over by the next.
"""

from __future__ import annotations

import fcntl
import itertools
import mmap
import os
import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

STATUSES = (200, 400, 404, 405, 413, 415, 500, 503)
"""The statuses that the server answers with; anything else would be counted as 500."""
BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Upper ends of the buckets of seconds; one more bucket is open."""

ARMS = ("champion", "previous")
"""Who scores a row."""

_ROWS = len(STATUSES)
_NANOSECONDS = _ROWS + len(ARMS)
_BUCKETS = _NANOSECONDS + 1
_LOG = _BUCKETS + len(BOUNDS) + 1

LOG_COUNTS = {
    "log_requests_total": "Requests that are in the log.",
    "log_dropped_total": "Requests that were answered and are not in the log.",
    "log_bytes_total": "Bytes of the log, before it becomes Parquet.",
    "shadow_rows_total": "Rows scored by the model that did not answer them.",
    "shadow_failed_rows_total": "Rows that it could not score.",
    "shadow_dropped_total": "Requests that it was not asked about, or whose scores were lost.",
    "log_troubles_total": "Writes, syncs and opens of the log that failed.",
}
"""What the core counts of the log, in its order."""
LOG_ARMS = (*ARMS, "shadow")
_LATENCY = _LOG + len(LOG_COUNTS)
_HISTOGRAM = 1 + len(BOUNDS) + 1
_PACKED = _LATENCY + len(LOG_ARMS) * _HISTOGRAM
PACKED_COUNTS = {
    "log_rows_total": "Rows of the log that became Parquet.",
    "log_torn_bytes_total": "Bytes at the end of the log that a crash cut off.",
    "log_unread_total": "Requests of the log whose columns could not be read again.",
}
"""What is counted when segments become Parquet."""
WIDTH = _PACKED + len(PACKED_COUNTS)
"""Integers of one worker."""

_INDEX = {status: i for i, status in enumerate(STATUSES)}


class Counters:
    """The counts of this router, int64 [WIDTH], beside those of the others of its folder.

    Raises:
        OSError: the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file, self._own = _take_file(folder)
        self._single = self._own.data
        """The same integers: one of them is counted up twice as fast as in an array."""
        self._adding = threading.Lock()

    def close(self) -> None:
        """Leaves the file to the next router."""
        os.close(self._file)

    def add(self, status: int, rows: tuple[int, int], nanoseconds: int) -> None:
        """Counts an answer to a scoring request: its status, the rows of each arm, and time."""
        own = self._single
        with self._adding:
            own[_INDEX.get(status, _INDEX[500])] += 1
            own[_ROWS] += rows[0]
            own[_ROWS + 1] += rows[1]
            own[_NANOSECONDS] += nanoseconds
            own[_BUCKETS + bisect_left(BOUNDS, nanoseconds * 1e-9)] += 1

    @property
    def log(self) -> NDArray[np.int64]:
        """The part that the core counts in, shared memory."""
        return self._own[_LOG:_PACKED]

    def add_packed(self, rows: int, torn: int, unread: int) -> None:
        """Counts a segment that became Parquet."""
        with self._adding:
            self._own[_PACKED:WIDTH] += (rows, torn, unread)

    def render(self) -> str:
        """The counts as Prometheus reads them (text format 0.0.4)."""
        total = [int(n) for n in _all_of(self._folder).sum(axis=0)]
        lines = _head("requests_total", "counter", "Scoring requests by HTTP status.")
        lines += [
            f'retrain_ops_serving_requests_total{{status="{status}"}} {count}'
            for status, count in zip(STATUSES, total, strict=False)
        ]
        lines += _head(
            "rows_total",
            "counter",
            "Rows scored: by the champion, or by the one it replaced.",
        )
        lines += [
            f'retrain_ops_serving_rows_total{{arm="{arm}"}} {total[_ROWS + i]}'
            for i, arm in enumerate(ARMS)
        ]
        lines += _head("seconds", "histogram", "Time from a whole body to its answer.")
        lines += _histogram("seconds", "", total[_NANOSECONDS:_LOG])
        for start, counts in ((_LOG, LOG_COUNTS), (_PACKED, PACKED_COUNTS)):
            for i, (name, text) in enumerate(counts.items(), start):
                lines += [*_head(name, "counter", text), f"retrain_ops_serving_{name} {total[i]}"]
        lines += _head("scoring_seconds", "histogram", "Time to read and score a logged request.")
        for i, arm in enumerate(LOG_ARMS):
            first = _LATENCY + i * _HISTOGRAM
            part = total[first : first + _HISTOGRAM]
            lines += _histogram("scoring_seconds", f'arm="{arm}"', part)
        return "\n".join(lines) + "\n"


def _histogram(name: str, labels: str, counts: Sequence[int]) -> list[str]:
    """Nanoseconds, then the count of each bucket."""
    full, seen, lines = f"retrain_ops_serving_{name}", 0, []
    before = f"{labels}," if labels else ""
    for bound, count in zip((*BOUNDS, "+Inf"), counts[1:], strict=True):
        seen += count
        lines.append(f'{full}_bucket{{{before}le="{bound}"}} {seen}')
    end = f"{{{labels}}}" if labels else ""
    return [*lines, f"{full}_sum{end} {counts[0] * 1e-9:.9f}", f"{full}_count{end} {seen}"]


def render_gauges(values: Mapping[str, tuple[float, str]]) -> str:
    """Values and what they are, by name, as Prometheus reads them."""
    lines: list[str] = []
    for name, (value, text) in values.items():
        lines += [*_head(name, "gauge", text), f"retrain_ops_serving_{name} {value:g}"]
    return "\n".join(lines) + "\n"


def _head(name: str, kind: str, text: str) -> list[str]:
    full = f"retrain_ops_serving_{name}"
    return [f"# HELP {full} {text}", f"# TYPE {full} {kind}"]


def _take_file(folder: Path) -> tuple[int, NDArray[np.int64]]:
    """The first file that nobody has locked: its lock, and its counts in shared memory."""
    for number in itertools.count():
        path = folder / f"counters.{number}"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            continue
        os.ftruncate(file, WIDTH * 8)
        return file, np.frombuffer(mmap.mmap(file, WIDTH * 8), dtype=np.int64)
    raise AssertionError("numbers do not end")


def _all_of(folder: Path) -> NDArray[np.int64]:
    files = (np.fromfile(path, dtype=np.int64) for path in folder.glob("counters.*"))
    return np.array([counts for counts in files if len(counts) == WIDTH], dtype=np.int64)
