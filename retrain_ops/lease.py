"""One writer at a time on an object store, which has no locks: Lamport's bakery with leases.

The stores that pyarrow reaches put, list and delete objects for all to see at once, and compare
nothing before they write. That is enough (L. Lamport, "A New Solution of Dijkstra's Concurrent
Programming Problem", CACM 17(8), 1974): who wants the lock says that it is choosing, takes the
number after the highest that it sees, and has the lock once nobody chooses or holds a lower one.
An object is written by one process only, so there is nothing to overwrite.

A process that dies leaves its objects behind. They expire when it has not touched them for
`LEASE_S`, by the store's own clock: the time that it gives to an object which is written now. A
process that lives touches its ticket from a thread, whatever else it does.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import pyarrow.fs as pafs

from retrain_ops.errors import BusyError

log = logging.getLogger(__name__)

LEASE_S = 120.0
BEAT_S = 15.0
POLL_S = 0.5


@contextmanager
def lease(filesystem: pafs.FileSystem, folder: str, *, patience_s: float) -> Iterator[None]:
    """Holds the lock whose objects lie in `folder`.

    Who is paused for longer than `LEASE_S` loses it to who waits, as one that died does.

    Raises:
        BusyError: others held it for `patience_s`; it names who, and how to free it.
    """
    ticket = Ticket(filesystem, folder)
    ended = threading.Event()
    beats = threading.Thread(target=_beat, args=(ticket, ended), daemon=True)
    try:
        ticket.take()
        beats.start()
        _wait(ticket, patience_s)
        yield
    finally:
        ended.set()
        if beats.ident is not None:
            beats.join()
        ticket.drop()


class Ticket:
    """The objects of one process that wants the lock, or has it."""

    def __init__(self, filesystem: pafs.FileSystem, folder: str) -> None:
        self.filesystem = filesystem
        self.id = uuid.uuid4().hex
        since = datetime.now(UTC).isoformat(timespec="seconds")
        self.owner = {"host": socket.gethostname(), "pid": os.getpid(), "since": since}
        self.choosers, self.tickets = f"{folder}/choosing", f"{folder}/tickets"
        self.number = 0

    @property
    def choosing(self) -> str:
        """Says that a number is being chosen: nobody enters who may have missed it."""
        return f"{self.choosers}/{self.id}"

    @property
    def path(self) -> str:
        """The ticket; the order of the names is the order of entering."""
        return f"{self.tickets}/{self.number:012d}-{self.id}"

    def take(self) -> None:
        """Takes the number after the highest.

        Who was paused over it for so long that others took it for dead takes another one: the
        numbers that it saw are those of another time.
        """
        while True:
            self._put(self.choosing)
            self.number = 1 + max((_number(i) for i in self._listed(self.tickets)), default=0)
            self._put(self.path)
            if self._is_there(self.choosing):
                return self._delete(self.choosing)
            self._delete(self.path)

    def ahead(self) -> list[pafs.FileInfo]:
        """The objects of those that come first; what has expired is removed.

        Choosers are listed before tickets: one that is done choosing in between has a ticket.
        """
        choosing = self._listed(self.choosers)
        tickets = {info.path: info for info in self._listed(self.tickets)}
        own = tickets.get(self.path)
        if own is None:  # paused for so long that others took it for dead
            self.take()
            return self.ahead()
        ahead = [*choosing, *(info for path, info in tickets.items() if path < self.path)]
        if expired := [i for i in ahead if own.mtime_ns - i.mtime_ns > LEASE_S * 1e9]:
            self._remove(expired)
            return self.ahead()  # one that was choosing may have a ticket by now
        return ahead

    def touch(self) -> bool:
        """Says that this process lives; False when others have taken it for dead."""
        alive = self._is_there(self.path)
        if alive:
            self._put(self.path)
        return alive

    def drop(self) -> None:
        """Leaves nothing behind; what cannot be deleted now expires."""
        for path in (self.choosing, self.path):
            with suppress(OSError):
                self._delete(path)

    def holder_of(self, info: pafs.FileInfo) -> str:
        """Whose object it is, in words."""
        try:
            with self.filesystem.open_input_stream(info.path) as stream:
                owner = json.loads(stream.read())
            return f"process {owner['pid']} on {owner['host']}, since {owner['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "a process that has just left it"

    def _remove(self, expired: list[pafs.FileInfo]) -> None:
        for info in expired:
            log.warning("%s has expired: %s is gone", info.path, self.holder_of(info))
            self._delete(info.path)

    def _listed(self, folder: str) -> list[pafs.FileInfo]:
        found = self.filesystem.get_file_info(pafs.FileSelector(folder, allow_not_found=True))
        return [info for info in found if info.type == pafs.FileType.File]

    def _is_there(self, path: str) -> bool:
        return bool(self.filesystem.get_file_info(path).type == pafs.FileType.File)

    def _put(self, path: str) -> None:
        with self.filesystem.open_output_stream(path) as stream:
            stream.write(json.dumps(self.owner).encode())

    def _delete(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self.filesystem.delete_file(path)


def _number(info: pafs.FileInfo) -> int:
    number = str(info.base_name).partition("-")[0]
    return int(number) if number.isdigit() else 0


def _beat(ticket: Ticket, ended: threading.Event) -> None:
    """Until the lock is given back. A store that cannot be reached for a while is asked again."""
    while not ended.wait(BEAT_S):
        try:
            if not ticket.touch():
                log.warning("%s was lost: this process had been paused for too long", ticket.path)
        except OSError as problem:
            log.warning("%s cannot be renewed: %s", ticket.path, problem)


def _wait(ticket: Ticket, patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    logged = False
    while ahead := ticket.ahead():
        holder = ticket.holder_of(ahead[0])
        if time.monotonic() >= deadline:
            raise BusyError(
                f"{ahead[0].path} was held by {holder}, for {patience_s:.0f} s: wait for it or end "
                "it, then run this step again. Should it be gone, the lock is free "
                f"{LEASE_S:.0f} s after its end; delete that object to free it now"
            )
        if not logged:
            log.info("%s is held by %s: waiting up to %.0f s", ahead[0].path, holder, patience_s)
            logged = True
        time.sleep(POLL_S)
