"""Generated histories of actors that are killed, cut and paused leave a registry that agrees.

`python -m proofs histories` plays 10,000 against the double and 300 against real servers.
"""

from __future__ import annotations

import pytest

from devtools import histories
from devtools.operations import OPERATIONS
from retrain_ops.decisions import champion
from retrain_ops.registry import events, protocol
from retrain_ops.registry.events import CLOSED_TAG, INTENT_TAG, OPENED_TAG, STATE_TAG, Intent
from retrain_ops.registry.registry import Registry

SEEDS = range(300)
FOUND_SEEDS = (7056, 7969, 8225)  # each found a late writer that undid what others had decided
PLANTED_SEEDS = range(400)


def test_no_history_violates_what_must_be_true_of_a_registry():
    found = histories.search(SEEDS)
    assert found["violations"] == 0, found["shown"]
    assert min(found["ended"][how] for how in ("ProcessDied", "NetworkError")) > 100
    assert min(found[f"{n} actors"] for n in (1, 2, 3, 4)) > 20


def test_histories_that_once_found_a_late_writer():
    found = histories.search(FOUND_SEEDS)
    assert found["violations"] == 0, found["shown"]


def test_a_seed_gives_the_same_history_and_the_same_end():
    seed = next(s for s in SEEDS if histories.draw(s).actors == 3)
    history = histories.draw(seed)
    assert history == histories.draw(seed)
    assert histories.play_history(history) == histories.play_history(history)


def test_histories_hold_every_operation():
    drawn = {o.name for seed in SEEDS for o in histories.draw(seed).operations}
    assert drawn == set(OPERATIONS)


@pytest.mark.mlflow
def test_against_a_real_server(mlflow_server):
    found = histories.search_server(mlflow_server.url, range(3), "tested")
    assert found["violations"] == 0, found["shown"]


# -- planted faults: each was one of ours ---------------------------------------------------


def first_violation(words: str) -> str:
    """What the first history says that finds the fault."""
    for seed in PLANTED_SEEDS:
        found, _ = histories.play_history(histories.draw(seed))
        for told in found:
            if words in told:
                return told
    raise AssertionError(f"no history of {len(PLANTED_SEEDS)} found it")


def test_an_opening_of_two_writes_is_found(monkeypatch):
    """opened_at, then the state: a kill in between leaves what is open for ever to some."""
    read = events._read

    def read_shown(number, run_id, source, tags):
        tags = {k: v for k, v in tags.items() if not k.startswith(INTENT_TAG)}
        return read(number, run_id, source, tags)

    def shown_intent(tags, junk):
        return Intent(tags.get(STATE_TAG, "registered"), tags.get(OPENED_TAG), tags.get(CLOSED_TAG))

    def stand(self, version, intent):
        shown = {OPENED_TAG: intent.opened_at, CLOSED_TAG: intent.closed_at}
        for name, value in (shown | {STATE_TAG: intent.state}).items():
            if value is not None:
                self.set_tag(version, name, value)

    monkeypatch.setattr(events, "_read", read_shown)
    monkeypatch.setattr(events, "_shown_intent", shown_intent)
    monkeypatch.setattr(protocol, "_shown", lambda world: iter(()))
    monkeypatch.setattr(Registry, "_stand", stand)
    assert "registered, and opened" in first_violation("registered, and opened")


def test_a_champion_that_is_taken_for_behind_is_found(monkeypatch):
    """The pending claim is finished on the way, and nobody looks whose it was."""

    def commit(self, change):
        for event in self.claims.unrecorded(self.snapshot()):
            self._record(self.snapshot(), event)
        world = self.world()
        event = change.decide(world)
        if event is None:
            return None
        owner = self._record(world.snapshot, self.claims.claim(world.snapshot, event))
        self._follow(self.world())
        return owner

    def close(self, version, state, *, closed_at):
        self.set_state(version, state, closed_at=closed_at)

    monkeypatch.setattr(Registry, "finish", lambda self: ())
    monkeypatch.setattr(Registry, "commit", commit)
    monkeypatch.setattr(Registry, "close", close)
    assert first_violation("serves and is expired")


def test_a_champion_that_later_steps_ask_for_anew_is_found(monkeypatch):
    monkeypatch.setattr(
        champion, "champion_of_key", lambda run: run.registry.champion_as_of(run.instant)
    )
    assert "three champions" in first_violation("judged by three champions")
