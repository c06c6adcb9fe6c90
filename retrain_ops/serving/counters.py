"""What a server has done, for Prometheus: counts that only grow.

They lie in one array of integers, so that the workers of a server can have a line each of shared
memory, and any of them can answer for all.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

STATUSES = (200, 400, 404, 405, 413, 415, 500, 503)
"""The statuses that the server answers with; anything else would be counted as 500."""
BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""Upper ends of the buckets of seconds; one more bucket is open."""

_ROWS = len(STATUSES)
_NANOSECONDS = _ROWS + 1
_BUCKETS = _NANOSECONDS + 1
WIDTH = _BUCKETS + len(BOUNDS) + 1
"""Integers of one worker."""

_INDEX = {status: i for i, status in enumerate(STATUSES)}


class Counters:
    """The counts of all workers, int64 [workers, WIDTH], and the line of this one."""

    def __init__(self, table: NDArray[np.int64] | None = None, worker: int = 0) -> None:
        self._table = np.zeros((1, WIDTH), dtype=np.int64) if table is None else table
        self._own = self._table[worker]

    def add(self, status: int, rows: int, nanoseconds: int) -> None:
        """Counts an answer to a scoring request: its status, scored rows and time."""
        own = self._own
        own[_INDEX.get(status, _INDEX[500])] += 1
        own[_ROWS] += rows
        own[_NANOSECONDS] += nanoseconds
        own[_BUCKETS + bisect_left(BOUNDS, nanoseconds * 1e-9)] += 1

    def render(self) -> str:
        """The counts as Prometheus reads them (text format 0.0.4)."""
        total = [int(n) for n in self._table.sum(axis=0)]
        lines = _head("requests_total", "counter", "Scoring requests by HTTP status.")
        lines += [
            f'retrain_ops_serving_requests_total{{status="{status}"}} {count}'
            for status, count in zip(STATUSES, total, strict=False)
        ]
        lines += _head("rows_total", "counter", "Rows scored.")
        lines += [f"retrain_ops_serving_rows_total {total[_ROWS]}"]
        lines += _head("seconds", "histogram", "Time from a whole body to its answer.")
        seen = 0
        for bound, count in zip((*BOUNDS, "+Inf"), total[_BUCKETS:], strict=True):
            seen += count
            lines.append(f'retrain_ops_serving_seconds_bucket{{le="{bound}"}} {seen}')
        lines.append(f"retrain_ops_serving_seconds_sum {total[_NANOSECONDS] * 1e-9:.9f}")
        lines.append(f"retrain_ops_serving_seconds_count {seen}")
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str, text: str) -> list[str]:
    full = f"retrain_ops_serving_{name}"
    return [f"# HELP {full} {text}", f"# TYPE {full} {kind}"]
