"""Kill -9 before and after every write of every command, and again in the finishing.

`KILLS_STORIES` (names, by comma) and `KILLS_PAIRS` (a number for each story, or "all") choose a
part of it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from devtools.worlds import (
    STORIES,
    Fault,
    Prepared,
    Story,
    World,
    differences,
    play,
    points,
    writes_of,
)

PAIRS = 40
SHOWN = 5


def pairs(world: World, story: Story, writes: int, wanted: int | None, place: Path) -> list[Any]:
    """A first kill, and one at a write of the run that finishes; all, or a seeded sample.

    A kill early in a command leaves the whole of it to be made: as many writes as the command
    has. Later ones leave fewer, and are asked for by a run.
    """
    chance = random.Random(story.name)
    first = points(writes)
    found: list[tuple[Fault, Fault]] = []
    for fault in first if wanted is None else chance.sample(first, min(wanted, len(first))):
        left = _left(world, story, fault, place)
        second = points(left)
        found += [(fault, f) for f in second] if wanted is None else []
        found += [(fault, chance.choice(second))] if wanted is not None and second else []
    return found


def _left(world: World, story: Story, fault: Fault, place: Path) -> int:
    """How many writes the run makes that finishes what the first kill left."""
    copied = world.copy(place)
    copied.do(story.command, fault)
    _, writes = copied.do(story.command)
    shutil.rmtree(place)
    return writes


def prove_story(
    prepared: Prepared, story: Story, wanted_pairs: int | None, folder: Path
) -> dict[str, Any]:
    """Plays the story once undisturbed, once for every point, and for pairs of points."""
    world = prepared.world(story)
    expected = play(world.copy(prepared.place()), story)
    writes = writes_of(world, story, prepared.place())
    singles: list[Sequence[Fault]] = [(fault,) for fault in points(writes)]
    place = folder / "played"
    doubles = pairs(world, story, writes, wanted_pairs, place)
    differ = {}
    for number, faults in enumerate((*singles, *doubles), 1):
        found = _played(world, story, faults, expected, place)
        if found:
            differ[str(faults)] = found
            print(f"{story.name} {faults}: {json.dumps(found, default=str)[:1500]}", flush=True)
        if number % 50 == 0:
            print(f"{story.name}: {number} points, {len(differ)} differ", flush=True)
    told = dict(list(differ.items())[:SHOWN])
    counts = {"writes": writes, "kills": len(singles), "pairs": len(doubles)}
    return {**counts, "differ": len(differ), "shown": told}


def _played(
    world: World, story: Story, faults: Sequence[Fault], expected: dict[str, Any], place: Path
) -> dict[str, Any]:
    try:
        return differences(expected, play(world.copy(place), story, faults))
    except RuntimeError as problem:
        return {"error": str(problem)}
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _chosen() -> Iterator[Story]:
    names = os.environ.get("KILLS_STORIES", "")
    wanted = names.split(",") if names else [story.name for story in STORIES]
    return (story for story in STORIES if story.name in wanted)


def prove(folder: Path) -> dict[str, Any]:
    """All stories, or the chosen ones; each is kept in a file of its own once it is done."""
    prepared = Prepared(folder / "prepared")
    text = os.environ.get("KILLS_PAIRS", str(PAIRS))
    wanted = None if text == "all" else int(text)
    found = {}
    for story in _chosen():
        found[story.name] = prove_story(prepared, story, wanted, folder)
        path = folder.parent / f"kills.{story.name.replace(' ', '_')}.json"
        path.write_text(json.dumps(found[story.name], indent=1, default=str) + "\n")
        print(f"== {story.name}: {found[story.name]}", flush=True)
    totals = {k: sum(s[k] for s in found.values()) for k in ("kills", "pairs", "differ")}
    return {**totals, "stories": found}
