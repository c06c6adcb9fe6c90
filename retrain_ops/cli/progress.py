"""A line on standard error for whoever wonders why nothing happens."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from retrain_ops.busy import innermost
from retrain_ops.cli.process import write

SILENT_S = 2.0
AGAIN_S = 10.0
LOOK_S = 0.5


@contextmanager
def progress() -> Iterator[None]:
    """Within it what takes two seconds is reported, and every ten seconds from then on."""
    over = threading.Event()
    watcher = threading.Thread(target=_watch, args=(over,), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _watch(over: threading.Event) -> None:
    reported: dict[int, float] = {}
    while not over.wait(LOOK_S):
        found = innermost()
        if found is None:
            continue
        number, seconds, doing = found
        if seconds >= reported.get(number, SILENT_S - AGAIN_S) + AGAIN_S:
            reported[number] = seconds
            # At a terminal a step's line is open.
            begin = "\n" if sys.stderr.isatty() else ""
            write(sys.stderr, f"{begin}retrain-ops: {doing}, {seconds:.0f} s\n")
