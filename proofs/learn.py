"""`retrain-ops learn`, killed at 50 points and run again: the bytes of every model and state."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

from devtools.worlds import STORIES, Prepared, World, facts, finish, points, writes_of

POINTS = 50
STORY = next(story for story in STORIES if story.name == "a day that learns")


def prove(folder: Path) -> dict[str, Any]:
    """Points spread evenly over before and after every write of the command."""
    prepared = Prepared(folder / "prepared")
    world = prepared.world(STORY)
    whole = world.copy(prepared.place())
    finish(whole, STORY)
    expected, writes = _found(whole), writes_of(world, STORY, prepared.place())
    possible = points(writes)
    chosen = [possible[i * len(possible) // POINTS] for i in range(POINTS)]
    differ = []
    for fault in chosen:
        killed = world.copy(folder / "played")
        killed.do(STORY.command, fault)
        finish(killed, STORY)
        if _found(killed) != expected:
            differ.append(fault)
        shutil.rmtree(folder / "played")
    models = sum(name.endswith(".rtm") for name in expected)
    return {"writes": writes, "kills": len(chosen), "models": models, "differ": len(differ),
            "shown": differ}  # fmt: skip


def _found(world: World) -> dict[str, Any]:
    """Every model file by its hash, what was left half written, and what else a kill changes."""
    root = world.folder / "workspace" / "toy"
    models = {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*.rtm")
    }
    return {**models, "torn": sorted(p.name for p in root.rglob("*.tmp")), "facts": facts(world)}
