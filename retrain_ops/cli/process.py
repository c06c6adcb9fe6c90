"""How a command meets its process: signals that end it, and streams that nobody reads."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from retrain_ops.errors import interruptions_shown

SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
AGAIN_S = 0.1
EXIT_SIGNAL = 128  # and the signal's number, as shells say it


class Cancelled(KeyboardInterrupt):
    """A signal ended the command. C calls look for it every 50 ms and return with it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"cancelled by signal {number} ({signal.Signals(number).name})")
        self.exit_code = EXIT_SIGNAL + number


@contextmanager
def cancellable() -> Iterator[None]:
    """Within it SIGTERM, SIGHUP and SIGINT raise `Cancelled` in the main thread.

    Signals that the process was started to ignore, as by `nohup`, stay ignored. Python loses an
    exception that is raised in a destructor or a weak reference's callback, so a timer raises it
    again until somebody handles it; while it is handled, further signals change nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    first: list[int] = []

    def cancel(number: int, frame: object) -> None:
        if not first:
            first.append(number)
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S, AGAIN_S)
        if not _is_handled():
            raise Cancelled(first[0])

    now = {number: signal.getsignal(number) for number in (*SIGNALS, signal.SIGALRM)}
    before = {number: now[number] for number in now if now[number] not in (signal.SIG_IGN, None)}
    try:
        for number in before:
            signal.signal(number, cancel)
        with interruptions_shown():
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_handled() -> bool:
    """Whether the code that a signal met is already at work on a `Cancelled`."""
    problem = sys.exception()
    while problem is not None and not isinstance(problem, Cancelled):
        problem = problem.__context__
    return problem is not None


def open_streams() -> None:
    """Gives a process that was started without standard streams empty ones.

    Otherwise the next file that is opened becomes standard error, and gets its lines.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def write(stream: IO[Any], text: str) -> OSError | None:
    """Writes; returns why that was not possible, a full disk perhaps.

    A reader that has gone, as `head` does, is no failure of ours.
    """
    try:
        stream.write(text)
        stream.flush()
    except OSError as problem:
        # What is left in the buffer goes nowhere, so the exit finds nothing to complain about.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return None if isinstance(problem, BrokenPipeError) else problem
    return None
