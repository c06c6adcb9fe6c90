"""A command that was killed at any write ends, run again, where it ends undisturbed.

`python -m proofs kills` plays every write of every story; here a sample of each, and a kill in
the run that finishes what the first kill left.
"""

from __future__ import annotations

import random

import pytest

from devtools.worlds import STORIES, Prepared, differences, play, points, writes_of

KILLS = 2  # with a pair of each: 50 s of one core
STORY = {story.name: story for story in STORIES}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return Prepared(tmp_path_factory.mktemp("worlds"))


@pytest.mark.parametrize("name", STORY)
def test_a_killed_command_ends_where_it_ends_undisturbed(prepared, name):
    story, chance = STORY[name], random.Random(name)
    world = prepared.world(story)
    expected = play(world.copy(prepared.place()), story)
    possible = points(writes_of(world, story, prepared.place()))
    singles = [[fault] for fault in chance.sample(possible, min(KILLS, len(possible)))]
    twice = [chance.choice(possible), chance.choice(possible[: len(possible) // 2])]
    for faults in (*singles, twice):
        found = play(world.copy(prepared.place()), story, faults)
        assert differences(expected, found) == {}, faults


def test_a_command_that_forgets_what_it_left_is_found(prepared, monkeypatch):
    """A promoter that dies after its claim, and nobody who finishes the claims of others."""
    from retrain_ops.registry.registry import Registry

    story = STORY["promote by force"]
    world = prepared.world(story)
    expected = play(world.copy(prepared.place()), story)
    monkeypatch.setattr(Registry, "finish", lambda self: ())
    writes = writes_of(world, story, prepared.place())
    assert any(_differs(world, prepared, expected, fault) for fault in points(writes)[1::2])


def _differs(world, prepared, expected, fault):
    try:
        found = play(world.copy(prepared.place()), STORY["promote by force"], [fault])
    except RuntimeError:
        return True
    return differences(expected, found) != {}
