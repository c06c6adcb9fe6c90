"""Writers without a common lock that wake up late: what was decided holds."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from devtools.doubles.registry_server import Client
from retrain_ops.errors import ConflictError
from retrain_ops.registry.changes import Promotion
from retrain_ops.registry.events import CHAMPION, EVENT_TAG, utc_text
from retrain_ops.registry.protocol import closed
from retrain_ops.registry.registry import Registry
from tests.unit.registry.test_protocol import Paused, at_rest, candidate, claimed
from tests.unit.registry.test_registry import NOW, A, B, C, instant, promote, registered, world_with

PAUSES = range(14)  # more than a promotion makes writes


def reject_late(registry, version):
    """A rejection that was decided before the version was claimed, and is written now."""
    registry._stand(version, closed(version, "rejected", utc_text(NOW)))


def recorded():
    """Every value that the event tags of the model ever had, by tag."""
    values: dict[str, set[str]] = {}
    write = Client.set_registered_model_tag

    def set_registered_model_tag(self, name, key, value):
        if key.startswith(EVENT_TAG):
            values.setdefault(key, set()).add(value)
        write(self, name, key, value)

    return values, set_registered_model_tag


@pytest.mark.parametrize("before", PAUSES)
def test_a_claim_comes_to_one_event_whatever_those_who_finish_it_saw(before, monkeypatch):
    server, registry = world_with(A)
    version = candidate(registry, B)
    values, set_registered_model_tag = recorded()
    monkeypatch.setattr(Client, "set_registered_model_tag", set_registered_model_tag)

    def others():
        reject_late(registry, version)
        registry.finish()
        promote(registry, candidate(registry, C))

    late = Registry(client=Paused(server, before, others), name="m")
    with contextlib.suppress(ConflictError):
        promote(late, version)
    registry.finish()
    assert all(len(texts) == 1 for texts in values.values()), values
    kinds = [e.kind for e in registry.snapshot().events if e.version == "2"]
    promoted = "promote" in kinds
    assert (registry.version("2").state in ("canary", "promoted")) is promoted
    at_rest(registry)


def test_a_promotion_behind_the_fence_meets_the_void_that_another_settled():
    """It saw its version wait; the other one, later, saw it rejected, and was faster."""
    server, registry = world_with(A)
    version = candidate(registry, B)

    def others():
        reject_late(registry, version)
        registry.finish()

    late = Registry(client=Paused(server, 2, others), name="m")  # claim, hide, settle
    with pytest.raises(ConflictError, match="void"):
        promote(late, version)
    assert registry.snapshot().events[-1].kind == "void"
    assert registry.version("2").state == "rejected"
    assert registry.snapshot().aliases == {CHAMPION: "1"}
    at_rest(registry)


def test_a_settlement_says_what_an_event_was_whose_tag_a_hand_removed():
    server, registry = world_with(A)
    claimed(registry, B)
    registered(registry, B, digest="other")
    registry.finish()
    registered(registry, B)  # its bytes came back: it waits again
    void = registry.snapshot().events[-1]
    tags = {k: v for k, v in server.models["m"].tags.items() if k != void.tag}
    object.__setattr__(server.models["m"], "tags", tags)
    assert [w.value for w in registry.verify().missing if w.what == "event"] == [void.to_json()]
    registry.finish()
    assert registry.snapshot().events[-1] == void
    at_rest(registry)


@pytest.mark.parametrize("state", ["failed", "expired", "rejected", "superseded"])
def test_a_late_pass_does_not_open_again_what_was_closed(state):
    server, registry = world_with(A)
    version = candidate(registry, B)

    def others():
        registry.close(registry.version("2"), state, closed_at=NOW)

    late = Registry(client=Paused(server, 0, others), name="m")
    late.set_state(version, "shadow_passed")
    assert registry.version("2").state == state
    assert registry.open_candidate() is None
    at_rest(registry)


def test_a_late_superseding_does_not_make_a_rejected_version_one_that_may_come_back():
    server, registry = world_with(A)
    candidate(registry, B)

    def others():
        registry.close(registry.version("2"), "rejected", closed_at=NOW)

    fixing = Registry(client=Paused(server, 1, others), name="m")  # create, supersede
    registered(fixing, B, digest="other")
    assert registry.version("2").state == "rejected"
    assert registered(registry, B).state == "rejected"


def test_a_late_keeper_does_not_serve_what_was_rolled_back_nor_a_late_canary_begin_again():
    server, registry = world_with(A, B)
    canary = registry.version("2")

    def roll_back():
        registry.rollback("2", effective_from=instant(C), recorded_at=NOW)

    late = Registry(client=Paused(server, 0, roll_back), name="m")
    late.set_state(canary, "promoted", closed_at=NOW)
    assert registry.version("2").state == "rolled_back"
    at_rest(registry)
    server, registry = world_with(A, B)
    registry.set_state(registry.version("2"), "promoted", closed_at=instant(C))
    registry._stand(canary, canary.intent)
    registry.finish()
    assert registry.version("2").state == "promoted"
    assert registry.serving().share == 1.0
    at_rest(registry)


def test_a_rejection_that_came_after_the_claim_says_so():
    server, registry = world_with(A)
    version = candidate(registry, B)

    def others():
        promote(registry, version)

    late = Registry(client=Paused(server, 0, others), name="m")
    with pytest.raises(ConflictError, match="took @champion by epoch 2"):
        late.close(version, "rejected", closed_at=NOW)
    assert registry.version("2").state == "canary"
    at_rest(registry)


@pytest.mark.parametrize("before", PAUSES)
def test_a_late_promoter_of_a_candidacy_that_was_superseded_promotes_no_other_one(before):
    """Its bytes come back meanwhile and wait anew: they were not judged since."""
    server, registry = world_with(A)
    version = candidate(registry, B)

    def others():
        registered(registry, B, digest="other")
        registered(registry, B)

    late = Registry(client=Paused(server, before, others), name="m")
    with contextlib.suppress(ConflictError):
        promote(late, version)
    registry.finish()
    found = registry.version("2")
    serves = registry.snapshot().newest.version == "2"
    assert serves is (before >= 2)  # two writes of the claim, and then it looks again
    if serves:
        assert (found.state, found.opened_at) == ("canary", version.opened_at)
    else:
        assert (found.state, found.opened_at, found.life) == ("registered", None, 1)
    at_rest(registry)


def test_a_late_return_of_bytes_that_serve_by_now_leaves_them_their_opening():
    server, registry = world_with(A)
    version = candidate(registry, B)
    registered(registry, B, digest="other")

    def others():
        """Claimed and settled before they were superseded, recorded since."""
        claim = claimed_as(registry, version)
        registry.claims.settle(registry.snapshot(), claim)
        registry.finish()

    late = Registry(client=Paused(server, 0, others), name="m")
    registered(late, B)
    registry.finish()
    assert (registry.version("2").state, registry.version("2").opened_at) == ("canary", instant(B))
    at_rest(registry)


def claimed_as(registry, version):
    """The claim of a promoter that decided when `version` was as given."""
    world = registry.world()
    others = (v for v in world.versions if v.number != version.number)
    world = replace(world, versions=(*others, version))
    event = Promotion(version, "promote", instant(C), NOW, 0.1).decide(world)
    return registry.claims.claim(world.snapshot, event)


def test_an_opening_that_came_too_late_says_so_and_passes_no_shadow():
    """Superseded and registered again meanwhile: the opening was that of its former life."""
    server, registry = world_with(A)
    version = registered(registry, B)

    def others():
        registered(registry, B, digest="other")
        registered(registry, B)

    late = Registry(client=Paused(server, 0, others), name="m")
    with pytest.raises(ConflictError, match="version 2 is registered and was not opened"):
        late.open_shadow(version, opened_at=instant(B))
    with pytest.raises(ConflictError, match="version 2 is registered and was not opened"):
        registry.set_state(registry.version("2"), "shadow_passed")
    assert registry.open_candidate() is None
    at_rest(registry)
