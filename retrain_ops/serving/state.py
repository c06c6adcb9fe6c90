"""`state.json`: who serves, written by the one process that asks the registry, read by all.

The file is replaced in one rename, beside the models that it names by their SHA-256. It outlives
every process: a server that starts while the registry is down serves what served last.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from retrain_ops.errors import CorruptError

STATE_FILE = "state.json"


@dataclass(frozen=True, slots=True)
class Named:
    """A version and the SHA-256 of its model."""

    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class State:
    """Who serves `model`: `share` of the units meet the champion, the others the previous one.

    `shadow` answers nobody, and scores what was answered. `changes` are the newest changes of
    champion, `(when, what)` each, for people.
    """

    model: str
    epoch: int
    champion: Named
    previous: Named | None
    share: float
    shadow: Named | None = None
    changes: tuple[tuple[str, str], ...] = ()

    @property
    def arms(self) -> tuple[Named, ...]:
        """The versions that score."""
        return tuple(a for a in (self.champion, self.previous, self.shadow) if a is not None)


def model_path(folder: Path, sha256: str) -> Path:
    """Where a model lies."""
    return folder / f"{sha256}.rtm"


def read_state(folder: Path) -> State | None:
    """The state; None before the first.

    Raises:
        CorruptError: the file is not one that `write_state` has written.
    """
    try:
        text = (folder / STATE_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        found = json.loads(text)
        previous, shadow = found["previous"], found.get("shadow")
        return State(
            model=str(found["model"]),
            epoch=int(found["epoch"]),
            champion=Named(**found["champion"]),
            previous=None if previous is None else Named(**previous),
            share=float(found["share"]),
            shadow=None if shadow is None else Named(**shadow),
            changes=tuple((str(at), str(what)) for at, what in found.get("changes", ())),
        )
    except (ValueError, KeyError, TypeError) as problem:
        raise CorruptError(f"{folder / STATE_FILE} is damaged: remove it") from problem


def write_state(folder: Path, state: State) -> None:
    """Replaces the state, then removes the models that it does not name."""
    replace(folder / STATE_FILE, json.dumps(asdict(state), indent=1).encode())
    _keep_only(folder, (arm.sha256 for arm in state.arms))


def replace(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Writes a file whole, in one rename; with `sync` to the disk."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(data)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    os.replace(part, path)


def _keep_only(folder: Path, named: Iterable[str]) -> None:
    wanted = {model_path(folder, sha256) for sha256 in named}
    for path in set(folder.glob("*.rtm")) - wanted:
        path.unlink(missing_ok=True)
