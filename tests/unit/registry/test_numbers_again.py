"""A number that MLflow gives again, or a hash that a hand spoils: intents say whose they are."""

from __future__ import annotations

import contextlib
import json

import pytest

from devtools.doubles.registry_server import Client
from retrain_ops.errors import ConflictError
from retrain_ops.registry.events import INTENT_TAG, Intent, read_version
from retrain_ops.registry.registry import Registry
from tests.unit.registry.test_protocol import Paused, at_rest, candidate
from tests.unit.registry.test_registry import NOW, A, B, C, instant, promote, registered, world_with


def states(registry):
    return [(v.number, v.model_sha256, v.state, v.opened_at) for v in registry.versions()]


def given_again(server, registry):
    """Version 2 is deleted by hand, and the next day's model gets its number."""

    def others():
        server.delete_version("m", "2")
        assert candidate(registry, C).number == "2"

    return others


@pytest.mark.parametrize("state", ["shadow_passed", "failed", "expired", "rejected", "superseded"])
@pytest.mark.parametrize("before", range(5))
def test_what_a_late_writer_wanted_of_a_deleted_version_does_not_befall_its_successor(
    state, before
):
    server, registry = world_with(A)
    version = candidate(registry, B)
    late = Registry(client=Paused(server, before, given_again(server, registry)), name="m")
    closed_at = None if state == "shadow_passed" else NOW
    with contextlib.suppress(ConflictError):
        late.set_state(version, state, closed_at=closed_at)
    if late.client.before >= 0:
        given_again(server, registry)()
    registry.finish()
    assert states(registry)[1] == ("2", f"sha-{C}", "shadow", instant(C))
    at_rest(registry)


def test_who_wrote_to_another_version_says_so():
    server, registry = world_with(A)
    version = candidate(registry, B)
    late = Registry(client=Paused(server, 0, given_again(server, registry)), name="m")
    with pytest.raises(ConflictError, match="version 2 was deleted, and its number given again"):
        late.set_state(version, "shadow_passed")


def test_a_late_opening_does_not_open_the_successor():
    server, registry = world_with(A)
    version = registered(registry, B)

    def others():
        server.delete_version("m", "2")
        registered(registry, C)

    late = Registry(client=Paused(server, 0, others), name="m")
    with pytest.raises(ConflictError, match="was not opened"):
        late.open_shadow(version, opened_at=instant(B))
    assert states(registry)[1] == ("2", f"sha-{C}", "registered", None)
    at_rest(registry)


@pytest.mark.parametrize("spoilt", [None, "", "junk", "x" * 5000, '{"theirs": [1]}'])
@pytest.mark.parametrize("number", ["1", "2"])
def test_a_hash_that_a_hand_spoils_is_put_right_and_no_key_gets_a_second_version(spoilt, number):
    server, registry = world_with(A)
    candidate(registry, B)
    before = states(registry)
    hand = Client(server)
    if spoilt is None:
        hand.delete_model_version_tag("m", number, "model_sha256")
    else:
        hand.set_model_version_tag("m", number, "model_sha256", spoilt)
    assert not registry.verify().ok
    for day in (A, B):
        registered(registry, day)
    registry.finish()
    assert states(registry) == before
    assert server.versions["m", number].tags["model_sha256"] == before[int(number) - 1][1]
    at_rest(registry)


def test_intents_of_an_older_release_hold_no_hash_and_are_read():
    server, registry = world_with(A)
    version = candidate(registry, B)
    for name, text in dict(server.versions["m", "2"].tags).items():
        if name.startswith(INTENT_TAG):
            value = json.loads(text)
            del value["model_sha256"]
            Client(server).set_model_version_tag("m", "2", name, json.dumps(value))
    old = read_version(server.versions["m", "2"])
    assert old.junk == ()
    assert old.intent == version.intent
    assert Intent.from_json('{"state":"shadow","life":0}').model_sha256 == ""
    at_rest(registry)
    promote(registry, old)
    assert registry.snapshot().aliases["champion"] == "2"
    at_rest(registry)
