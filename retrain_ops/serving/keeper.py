"""The thread that keeps a router up to date: it looks at the state file, and may ask the registry.

Of all routers of a folder the one that holds its lock asks; when its process ends, the kernel
gives the lock to another one.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from retrain_ops.errors import text_of
from retrain_ops.serving.state import STATE_FILE, State, read_state, replace
from retrain_ops.serving.supervisor import Supervisor

FILE_EVERY_S = 0.05
ASK_EVERY_S = 1.0
JITTER = 0.2
FIRST_LOOK_S = 10.0
"""The longest wait for another process to ask for the first time."""
SILENT_S = 30.0
"""Nobody has asked the registry for so long: say so."""
LOCK_FILE, ASKED_FILE = "supervisor.lock", "asked.json"


class Keeper:
    """Calls `take(state)` whenever the state file changes.

    Args:
        folder: where the state lies; it is made.
        supervisor: asks the registry, in the one process that may.
        take: makes a state effective; what it raises is kept as `problem`, and tried again.
    """

    def __init__(self, folder: Path, supervisor: Supervisor, take: Callable[[State], None]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._supervisor, self._take = folder, supervisor, take
        self._lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retrain-ops-serving", daemon=True)
        self._asks, self._ask_at = False, 0.0
        self._taken: object = None
        self._state_problem: str | None = None

    @property
    def problem(self) -> str | None:
        """Why what serves may not be what the registry says; None when all is well."""
        return self._state_problem or _registry_problem(self._folder / ASKED_FILE)

    def start(self) -> None:
        """Looks once, then goes on in the background.

        In a folder that is new, the process that asks may still fetch the first model: the others
        wait for what it hears, rather than answer meanwhile that nobody serves.
        """
        asked = _stamp(self._folder / ASKED_FILE)
        self.look()
        if self._taken is None and not self._asks:
            self._await_asked(asked)
            self.look()
        self._thread.start()

    def _await_asked(self, before: object) -> None:
        """Until the process that asks has asked: the state, if there is one, is written by then."""
        deadline = time.monotonic() + FIRST_LOOK_S
        while _stamp(self._folder / ASKED_FILE) == before and time.monotonic() < deadline:
            time.sleep(FILE_EVERY_S)

    def close(self) -> None:
        """Ends the thread and lets another process ask."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        os.close(self._lock)

    def _run(self) -> None:
        while not self._stop.wait(FILE_EVERY_S):
            self.look()

    def look(self) -> None:
        """Asks the registry when it is time and this process may; takes a changed state."""
        if time.monotonic() >= self._ask_at:
            self._ask()
            self._ask_at = time.monotonic() + ASK_EVERY_S * random.uniform(1 - JITTER, 1 + JITTER)
        stamp = _stamp(self._folder / STATE_FILE)
        if stamp is not None and stamp != self._taken:
            self._read(stamp)

    def _ask(self) -> None:
        self._asks = self._asks or _take_lock(self._lock)
        if not self._asks:
            return
        found = None
        try:
            self._supervisor.look()
        except Exception as problem:
            found = text_of(problem)
        with suppress(OSError):
            replace(self._folder / ASKED_FILE, json.dumps({"problem": found}).encode(), sync=False)

    def _read(self, stamp: object) -> None:
        try:
            state = read_state(self._folder)
            if state is not None:
                self._take(state)
            self._taken, self._state_problem = stamp, None
        except Exception as problem:
            self._state_problem = text_of(problem)


def _take_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _stamp(path: Path) -> object:
    """Another one for every rename; None without a file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _registry_problem(path: Path) -> str | None:
    """What the last look at the registry came to, whoever looked."""
    try:
        problem: str | None = json.loads(path.read_bytes())["problem"]
        age = time.time() - path.stat().st_mtime
    except (OSError, ValueError, KeyError):
        return "nobody has asked the registry yet"
    return problem or (f"nobody asks the registry, for {age:.0f} s" if age > SILENT_S else None)
