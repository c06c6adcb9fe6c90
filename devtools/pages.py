"""Fenced blocks of a page that is executed, and how what they print is held against the page.

A block is fenced with a language and, where it is a file, the file's name: "python deal.py". A
block `shown` is what the commands before it print: its lines, in this order, with others between.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_BLOCK = re.compile(r"^```(\w+)(?: ([^\n]+))?\n(.*?)^```$", re.M | re.S)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, the name behind it, and the text."""

    language: str
    name: str
    text: str


@dataclass(slots=True)
class Played:
    """What running a page came to: commands, what failed or printed something else, seconds."""

    commands: int = 0
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0


def blocks(page: Path) -> list[Block]:
    """The blocks that have a language, in the page's order."""
    return [Block(m[1], m[2] or "", m[3]) for m in _BLOCK.finditer(page.read_text())]


def not_shown(shown: str, printed: str) -> str:
    """The first line of `shown` that `printed` has not after the ones before it, or ""."""
    left = iter(printed.splitlines())
    for line in filter(str.strip, shown.splitlines()):
        if not any(line in other for other in left):
            return line
    return ""


def play(page: Path, folder: Path, environment: Mapping[str, str]) -> Played:
    """Writes the page's files into `folder` and runs its commands there, in order."""
    played, printed, exports = Played(), "", ""
    for block in blocks(page):
        if block.language == "shown":
            if missing := not_shown(block.text, printed):
                played.failed.append(f"{missing!r} is not in\n{printed}")
        elif block.name and block.language != "sh":
            (folder / block.name).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.name).write_text(block.text)
        elif block.language == "sh" and not block.name:
            printed = ""
            for command in block.text.splitlines():
                if command.startswith("export "):
                    exports += _but_for(command, environment)
                    continue
                printed += _run(exports + command, folder, environment, played)
    return played


def _but_for(export: str, environment: Mapping[str, str]) -> str:
    """The names of an `export` that the caller does not set himself."""
    pairs = export.partition("#")[0].split()[1:]
    left = [pair for pair in pairs if pair.partition("=")[0] not in environment]
    return f"export {' '.join(left)}\n" if left else ""


def _run(command: str, folder: Path, environment: Mapping[str, str], played: Played) -> str:
    begun = time.monotonic()
    done = subprocess.run(
        ["sh", "-euc", command],
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    played.seconds += time.monotonic() - begun
    played.commands += 1
    if done.returncode:
        played.failed.append(f"{command}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout
