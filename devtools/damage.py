"""Files of a workspace that a disk, a hand or a copy damaged: what the next command makes of them.

A world that ran for some days is copied, one of its files is damaged, and the day of that file is
run again, after people have looked at what is there. The end is held against the same commands in
an undamaged world.
"""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

from devtools.synthetic import SPEC
from devtools.worlds import (
    BOOTSTRAP,
    CHANGED,
    FIRST_DAY,
    OFFLINE,
    PROMOTION,
    Command,
    Prepared,
    World,
    day,
    differences,
    facts,
)

LOOKS: tuple[Command, ...] = (("status",), ("verify",), ("explain",), ("replay-decision",))
LAST = CHANGED.replace(day=CHANGED.day + 2)
CONTENT = ("decision.json", "model.rtm", "reference.json", "report.json", "drift_counts.json")
TRACEBACK = re.compile(r"Traceback|Segmentation|ended by itself")

Change = Callable[[Path, random.Random], None]


def _flip(path: Path, chance: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(5 if data else 0):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(bytes(data))


def _cut(path: Path, chance: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: chance.randrange(path.stat().st_size or 1)])


def _folder(path: Path, _: random.Random) -> None:
    path.unlink()
    path.mkdir()


def _gone(path: Path, _: random.Random) -> None:
    path.unlink()


def _other(content: bytes, *, hashed: bool) -> Change:
    """Other content; where no hash says so it is as an older release left its files."""

    def change(path: Path, _: random.Random) -> None:
        path.write_bytes(content)
        if not hashed:
            (path.parent / "sha256" / f"{path.name}.sha256").unlink(missing_ok=True)

    return change


TYPES = b'{"attempt": "x", "steps": [1], "champion": 5, "gate": 1}'
CHANGES: dict[str, Change] = {
    "five bits flipped": _flip,
    "cut": _cut,
    "emptied": _other(b"", hashed=True),
    "a folder in its place": _folder,
    "gone": _gone,
    "other JSON": _other(b"[1, 2]", hashed=True),
    "an empty object, no hash": _other(b"{}", hashed=False),
    "other types, no hash": _other(TYPES, hashed=False),
}
JSON_ONLY = ("other JSON", "an empty object, no hash", "other types, no hash")


def kind_of(path: Path) -> str:
    """Files of one kind are damaged in turn: the name without what tells keys and looks apart."""
    name = re.sub(r"as_of=[^.]*|^[0-9a-f]{12}-", "*", path.name)
    return f"{path.parent.name}/{name}" if path.parent.name in ("sha256", "attempts") else name


def cases(files: list[Path]) -> Iterator[tuple[str, Path, str]]:
    """For ever: each kind in turn, its files and its changes in turn."""
    kinds: dict[str, list[Path]] = {}
    for path in sorted(files):
        kinds.setdefault(kind_of(path), []).append(path)
    number = 0
    while True:
        for kind, paths in sorted(kinds.items()):
            names = [n for n in CHANGES if kind.endswith(".json") or n not in JSON_ONLY]
            yield kind, paths[number % len(paths)], names[number % len(names)]
        number += 1


class Damaged:
    """Worlds of one beginning, each with one damaged file."""

    def __init__(self, folder: Path) -> None:
        self.prepared = Prepared(folder / "prepared")
        commands = (FIRST_DAY, PROMOTION, day(LAST.replace(day=LAST.day - 1)), day(LAST))
        self.world = self.prepared.after(SPEC, commands)
        self.folder = folder
        root = self.world.folder / "workspace"
        self.files = [
            p.relative_to(root) for p in root.rglob("*") if p.is_file() and p.name != ".lock"
        ]
        self.expected = {end: self._undamaged(end) for end in self._days()}

    def _days(self) -> set[date]:
        return {_day_of(path) for path in self.files}

    def _undamaged(self, end: date) -> dict[str, Any]:
        world = self.world.copy(self.prepared.place())
        self._commands(world, end)
        return self._end(world, end)

    def play(self, path: Path, change: str, seed: int) -> tuple[str, str]:
        """("mended", "named" or "wrong", in words what is)."""
        world, end = self.world.copy(self.folder / "played"), _day_of(path)
        try:
            CHANGES[change](world.folder / "workspace" / path, random.Random(seed))
            code, told = self._commands(world, end)
            if TRACEBACK.search(told):
                return "wrong", told[-600:]
            differ = differences(self.expected[end], self._end(world, end))
            if not differ:
                return "mended", ""
            named = code != 0 and path.name in told and "run" in told
            return ("named" if named else "wrong"), f"{code} {differ} {told[-600:]}"[:1500]
        finally:
            shutil.rmtree(self.folder / "played")

    def _commands(self, world: World, end: date) -> tuple[int, str]:
        """What people look at, the day again, the newest one: the last code, all that was said."""
        again = day(end, *(("--bootstrap",) if end == BOOTSTRAP else ()))
        told, code = "", 0
        for command in (*LOOKS, again, *(() if end == LAST else (day(LAST),))):
            if command[0] in OFFLINE:
                command = (*command, "--date", end.isoformat())
            code, text = said(world, command)
            told += text
        return code, told

    def _end(self, world: World, end: date) -> dict[str, Any]:
        root = world.folder / "workspace" / "toy"
        bytes_of = {
            str(p.relative_to(root)): p.read_bytes()
            for p in root.glob("window_end=*/*")
            if p.name in CONTENT
        }
        return {**facts(world), "bytes": bytes_of}


def said(world: World, command: Command) -> tuple[int, str]:
    """A command of a person: its code, and what it wrote to stderr."""
    path = world.folder / "stderr"
    kept = os.dup(2)
    try:
        with open(path, "wb") as file:
            os.dup2(file.fileno(), 2)
            code, _ = world.do(command)
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    return code, path.read_text(errors="replace")


def _day_of(path: Path) -> date:
    """The day that makes a file anew; the newest one for those of the model."""
    found = re.search(r"window_end=(\d{4}-\d\d-\d\d)", str(path))
    return date.fromisoformat(found[1]) if found else LAST
