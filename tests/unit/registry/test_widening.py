"""A canary's share only grows, whoever writes it and whenever they wake up."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest

from devtools.doubles.registry_server import Client, ProcessDied
from retrain_ops.errors import ConflictError
from retrain_ops.registry.events import SHARE_TAG
from retrain_ops.registry.registry import Registry
from retrain_ops.registry.tags import WIDENED_TAG, widened_text, widenings
from tests.unit.registry.test_protocol import Paused, at_rest
from tests.unit.registry.test_registry import NOW, A, B, C, instant, promote, registered, world_with


@pytest.fixture
def canary():
    return world_with(A, B)


def share(registry):
    return registry.serving().share


def test_a_canary_grows_and_says_since_when(canary):
    _, registry = canary
    assert share(registry) == 0.1
    for part in (0.5, 0.25, 0.5):  # repeated, or late: nothing gets smaller
        registry.widen(registry.version("2"), part, at=NOW)
        assert share(registry) == 0.5
    assert registry.version("2").tags[SHARE_TAG] == "0.5"
    assert widenings(registry.version("2")) == ((0.25, NOW), (0.5, NOW))
    at_rest(registry)


def test_the_first_instant_of_a_share_stands(canary):
    _, registry = canary
    for hours in (0, 1):
        registry.widen(registry.version("2"), 0.5, at=NOW + timedelta(hours=hours))
    assert widenings(registry.version("2")) == ((0.5, NOW),)


def test_routers_see_the_larger_share_while_a_late_writer_shows_the_smaller_one(canary):
    server, registry = canary
    version = registry.version("2")

    def others():
        registry.widen(registry.version("2"), 0.5, at=NOW)

    class Watched(Paused):
        def set_model_version_tag(self, *args):
            super().set_model_version_tag(*args)
            seen.append(share(registry))

    seen: list[float] = []
    Registry(client=Watched(server, 1, others), name="m").widen(version, 0.25, at=NOW)
    assert seen[0] == 0.25
    assert set(seen[1:]) == {0.5}
    assert registry.version("2").tags[SHARE_TAG] == "0.5"
    at_rest(registry)


@pytest.mark.parametrize("writes", range(3))
def test_a_killed_widening_is_finished_by_whoever_comes_next(canary, writes):
    server, registry = canary
    dying = Registry(client=Client(server, die_after=writes), name="m")
    with contextlib.suppress(ProcessDied):
        dying.widen(registry.version("2"), 0.5, at=NOW)
    assert share(registry) == 0.5
    registry.finish()
    assert registry.version("2").tags[SHARE_TAG] == "0.5"
    at_rest(registry)


def test_a_canary_that_ended_is_not_widened(canary):
    _, registry = canary
    version = registry.version("2")
    registry.rollback(version, effective_from=NOW, recorded_at=NOW)
    with pytest.raises(ConflictError, match="ended before"):
        registry.widen(version, 0.5, at=NOW)
    assert share(registry) == 1.0
    assert registry.snapshot().aliases["champion"] == "1"
    at_rest(registry)


def test_a_canary_that_is_kept_has_all(canary):
    _, registry = canary
    registry.widen(registry.version("2"), 0.5, at=NOW)
    registry.set_state(registry.version("2"), "promoted", closed_at=NOW)
    assert registry.version("2").tags[SHARE_TAG] == "1"
    assert share(registry) == 1.0
    at_rest(registry)


def test_the_next_canary_begins_with_its_own_share(canary):
    _, registry = canary
    registry.widen(registry.version("2"), 0.5, at=NOW)
    registry.set_state(registry.version("2"), "promoted", closed_at=NOW)
    registry.open_shadow(registered(registry, C), opened_at=instant(C))
    promote(registry, registry.version("3"))
    assert share(registry) == 0.1


JUNK = ("", "junk", "[]", "0.5", '{"at": "soon"}', '{"at": "2026-01-01T00:00:00Z"}', "[" * 5000)


@pytest.mark.parametrize("text", JUNK)
def test_a_tag_that_a_hand_spoilt_widens_nobody_and_is_named(canary, text):
    _, registry = canary
    registry.client.set_model_version_tag("m", "2", f"{WIDENED_TAG}0.9", text)
    assert share(registry) == 0.1
    (found,) = registry.verify().findings
    assert f"{WIDENED_TAG}0.9 holds" in found
    registry.widen(registry.version("2"), 0.9, at=NOW)
    assert share(registry) == 0.9
    at_rest(registry)


@pytest.mark.parametrize("name", ["2", "-0.5", "0.50", "nan", "inf", "half", ""])
def test_a_share_that_is_none_is_named(canary, name):
    _, registry = canary
    text = widened_text(registry.version("2"), NOW)
    registry.client.set_model_version_tag("m", "2", f"{WIDENED_TAG}{name}", text)
    assert share(registry) == 0.1
    assert not registry.verify().ok


def test_a_late_widening_of_a_deleted_version_says_nothing_of_the_new_one_of_its_number(canary):
    _, registry = canary
    text = widened_text(registry.version("1"), NOW)  # other bytes
    registry.client.set_model_version_tag("m", "2", f"{WIDENED_TAG}0.5", text)
    assert share(registry) == 0.1
