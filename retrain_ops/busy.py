"""What this process is busy with right now, so that whoever runs it can say so.

It costs a dictionary entry, and nothing is started for it: the command line looks every half
second and reports what lasts (`retrain_ops.cli.progress`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

_NUMBERS = count()
_BUSY: dict[int, tuple[float, str]] = {}


@contextmanager
def busy_with(doing: str) -> Iterator[None]:
    """Notes that what happens inside may take a while; one may lie within another."""
    number = next(_NUMBERS)
    _BUSY[number] = (time.monotonic(), doing)
    try:
        yield
    finally:
        _BUSY.pop(number, None)


def innermost() -> tuple[int, float, str] | None:
    """What was begun last and is not over: its number, for how many seconds, and what it is."""
    going_on = sorted(_BUSY.copy().items())
    if not going_on:
        return None
    number, (since, doing) = going_on[-1]
    return number, time.monotonic() - since, doing
