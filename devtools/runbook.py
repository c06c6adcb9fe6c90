"""The commands of docs/runbook.md, as they stand on the page.

A fenced block says after `sh` who can run it: `cli`, `airflow3`, `airflow2`. Its variables are the
shell's own, so a test runs the very text: it sets the names, and changes nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "runbook.md"
KINDS = ("cli", "airflow3", "airflow2")

_HEADING = re.compile(r"^## (.+)$")
_BLOCK = re.compile(r"^```sh (.+)$")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: under which heading, for whom, and its commands in order."""

    heading: str
    kinds: tuple[str, ...]
    commands: tuple[str, ...]


def blocks(kind: str) -> list[Block]:
    """The blocks for one kind of reader, in the page's order."""
    return [block for block in _all() if kind in block.kinds]


def names() -> set[str]:
    """The variables that the page asks to be set."""
    (block,) = blocks("names")
    return set(re.findall(r"(\w+)=", " ".join(block.commands)))


def variables_of(command: str) -> set[str]:
    """The variables that a command reads."""
    return set(re.findall(r"\$\{?(\w+)", command))


def run(command: str, variables: Mapping[str, str], *, timeout_s: float) -> tuple[int, str]:
    """Run a command as a shell would; its exit code and what it printed, the answer first."""
    done = subprocess.run(
        ["sh", "-euc", command],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def _all() -> list[Block]:
    found, heading, open_block = [], "", None
    for line in PAGE.read_text().splitlines():
        if open_block is not None:
            if line == "```":
                found.append(Block(heading, open_block[0], _commands(open_block[1])))
                open_block = None
            else:
                open_block[1].append(line)
        elif match := _HEADING.match(line):
            heading = match[1]
        elif match := _BLOCK.match(line):
            open_block = (tuple(match[1].split()), list[str]())
    return found


def _commands(lines: list[str]) -> tuple[str, ...]:
    """One command each; an `export` goes with every command after it, as in a shell."""
    exports, commands = "", []
    for text in "\n".join(lines).replace("\\\n", " ").splitlines():
        if text.startswith("export ") and lines[-1] != text:
            exports += f"{text}\n"
        else:
            commands.append(exports + text)
    return tuple(commands)
