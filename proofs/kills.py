"""Kill -9 before and after every write of every command, and again in the finishing.

`KILLS_PAIRS` is how many second kills follow each first one (1), or "all". `KILLS_STORIES` (names,
by comma) and `KILLS_PART` ("2/4": of each story the second quarter) choose a part of it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devtools.worlds import (
    STORIES,
    Fault,
    Prepared,
    Story,
    differences,
    facts,
    finish,
    play,
    points,
    writes_of,
)

PAIRS = 1
SHOWN = 5


class Kills:
    """The points of a story, each played; where a world ends otherwise than undisturbed."""

    def __init__(self, prepared: Prepared, story: Story, folder: Path) -> None:
        self.world, self.story = prepared.world(story), story
        self.place = folder / "played"
        self.expected = play(self.world.copy(prepared.place()), story)
        self.writes = writes_of(self.world, story, prepared.place())
        self.differ: dict[str, Any] = {}
        self.kills, self.pairs = 0, 0

    def prove(self, pairs: int | None, part: int, parts: int) -> dict[str, Any]:
        """Every point, and for each so many in the run that finishes; None: all of those.

        A kill early in a command leaves the whole of it to be made, a later one less: how much
        is seen when the kill alone is played.
        """
        for fault in points(self.writes)[part::parts]:
            left = points(self._play(fault))
            chance = random.Random(f"{self.story.name} {fault}")
            self.kills += 1
            for second in left if pairs is None else chance.sample(left, min(pairs, len(left))):
                self._play(fault, second)
                self.pairs += 1
        shown = dict(list(self.differ.items())[:SHOWN])
        counts = {"writes": self.writes, "kills": self.kills, "pairs": self.pairs}
        return {**counts, "differ": len(self.differ), "shown": shown}

    def _play(self, *faults: Fault) -> int:
        """How many writes the run made that finished."""
        world, writes, found = self.world.copy(self.place), 0, {}
        try:
            for fault in faults:
                world.do(self.story.command, fault)
            writes = finish(world, self.story)
            found = differences(self.expected, facts(world))
        except RuntimeError as problem:
            found = {"error": str(problem)}
        finally:
            shutil.rmtree(self.place, ignore_errors=True)
        if found:
            self.differ[str(faults)] = found
            told = json.dumps(found, default=str)[:1500]
            print(f"{self.story.name} {faults}: {told}", flush=True)
        return writes


def _chosen() -> Iterator[Story]:
    names = os.environ.get("KILLS_STORIES", "")
    wanted = names.split(",") if names else [story.name for story in STORIES]
    return (story for story in STORIES if story.name in wanted)


def prove(folder: Path) -> dict[str, Any]:
    """All stories, or the chosen ones; each is kept in a file of its own once it is done."""
    prepared = Prepared(folder / "prepared")
    text = os.environ.get("KILLS_PAIRS", str(PAIRS))
    wanted = None if text == "all" else int(text)
    part, parts = map(int, os.environ.get("KILLS_PART", "1/1").split("/"))
    found = {}
    for story in _chosen():
        found[story.name] = Kills(prepared, story, folder).prove(wanted, part - 1, parts)
        name = f"kills.{story.name.replace(' ', '_')}.{part}_of_{parts}.json"
        path = folder.parent / name
        path.write_text(json.dumps(found[story.name], indent=1, default=str) + "\n")
        print(f"== {story.name}: {found[story.name]}", flush=True)
    totals = {k: sum(s[k] for s in found.values()) for k in ("kills", "pairs", "differ")}
    return {**totals, "stories": found}
