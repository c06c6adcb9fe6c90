"""The holes of a promotion without compare-and-set, each shut: late writers, hands, other lives."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import timedelta

import pytest

from devtools.doubles.registry_server import Client, ProcessDied, Server
from retrain_ops.errors import ConflictError
from retrain_ops.registry.changes import Promotion
from retrain_ops.registry.events import EVENT_TAG, REPLACES_TAG, STATE_TAG, Event, Intent, utc_text
from retrain_ops.registry.protocol import follow, next_promotion
from retrain_ops.registry.registry import Registry
from tests.unit.registry.test_registry import NOW, A, B, C, instant, promote, registered, world_with


class Paused(Client):
    """Stops before its n-th write, lets `meanwhile` happen, and goes on as if nothing had."""

    def __init__(self, server: Server, before: int, meanwhile) -> None:
        super().__init__(server)
        self.before, self.meanwhile = before, meanwhile

    def __getattribute__(self, name):
        method = super().__getattribute__(name)
        if not name.startswith(("set_", "create_", "delete_")):
            return method

        def write(*args, **kwargs):
            if self.before == 0:
                self.meanwhile()
            self.before -= 1
            return method(*args, **kwargs)

        return write


def candidate(registry, day):
    version = registered(registry, day)
    registry.open_shadow(version, opened_at=instant(day))
    return registry.version(version.number)


def at_rest(registry) -> None:
    found = registry.verify()
    assert found.ok, found.to_json()
    newest = registry.snapshot().newest
    assert registry.snapshot().aliases["champion"] == newest.version


def test_a_promoter_paused_before_any_write_and_overtaken_changes_nothing_for_good():
    paused = 0
    for before in range(12):
        server, registry = world_with(A)
        version = candidate(registry, B)

        def others():
            promote(registry, registry.version(version.number))  # noqa: B023
            registry.set_state(registry.version("2"), "promoted", closed_at=NOW)  # noqa: B023
            promote(registry, candidate(registry, C))  # noqa: B023

        late = Registry(client=Paused(server, before, others), name="m")
        try:
            promote(late, version)
        except ConflictError:
            paused += 1
        if registry.snapshot().epoch == 2:
            break  # fewer writes than that: nobody was paused
        assert registry.snapshot().aliases == {"champion": "3", "previous": "2"}, before
        at_rest(registry)
    assert before >= 7


def test_a_late_rollback_does_not_undo_what_came_after_it():
    for before in range(8):
        server, registry = world_with(A, B)

        def others():
            registry.rollback("2", effective_from=instant(C), recorded_at=NOW)  # noqa: B023
            promote(registry, candidate(registry, C))  # noqa: B023

        late = Registry(client=Paused(server, before, others), name="m")
        with contextlib.suppress(ConflictError):
            late.rollback("2", effective_from=instant(C), recorded_at=NOW)
        if registry.snapshot().epoch == 3:
            break
        assert registry.snapshot().aliases == {"champion": "3", "previous": "1"}
        assert registry.version("2").state == "rolled_back"
        at_rest(registry)
    assert before >= 4


def test_a_model_registered_anew_does_not_meet_the_claims_of_its_former_life():
    server, registry = world_with(A, B)
    server.delete_model("m")
    first = registered(registry, C)
    promote(registry, first)
    assert registry.snapshot().aliases == {"champion": "1"}
    assert registry.snapshot().newest.window_end == C.isoformat()
    at_rest(registry)


def test_a_promoter_that_slept_through_a_new_life_of_the_model_changes_nothing():
    server, registry = world_with(A)
    version = candidate(registry, B)

    def rebirth():
        server.delete_model("m")
        registered(registry, C)

    late = Registry(client=Paused(server, 0, rebirth), name="m")
    with pytest.raises(ConflictError, match="registered again"):
        promote(late, version)
    assert registry.snapshot().events == ()


def test_a_version_closed_between_decision_and_fence_spends_its_epoch_and_serves_nobody():
    server, registry = world_with(A)
    version = candidate(registry, B)

    def close():
        registry.close(registry.version(version.number), "rejected", closed_at=NOW)

    late = Registry(client=Paused(server, 0, close), name="m")
    with pytest.raises(ConflictError, match="void"):
        promote(late, version)
    assert registry.snapshot().aliases == {"champion": "1"}
    assert registry.version("2").state == "rejected"
    assert (registry.snapshot().epoch, registry.snapshot().newest.epoch) == (2, 1)
    assert registry.champion_as_of(instant(C)).number == "1"
    promote(registry, candidate(registry, C))
    assert registry.snapshot().aliases == {"champion": "3", "previous": "1"}
    at_rest(registry)


def test_a_claim_whose_version_was_deleted_does_not_block_the_model_for_ever():
    server, registry = world_with(A)
    version = candidate(registry, B)
    with pytest.raises(ProcessDied):
        promote(Registry(client=Client(server, die_after=0), name="m"), version)
    server.delete_version("m", "2")
    promote(registry, candidate(registry, C))
    assert [e.kind for e in registry.snapshot().events] == ["bootstrap", "void", "promote"]
    assert registry.snapshot().newest.window_end == C.isoformat()
    at_rest(registry)


def test_a_deleted_champion_is_told_and_can_be_rolled_back():
    server, registry = world_with(A, B)
    server.delete_version("m", "2")
    assert any("was deleted" in text for text in registry.verify(repair=True).findings)
    registry.rollback("2", effective_from=instant(C), recorded_at=NOW)
    assert registry.snapshot().aliases == {"champion": "1"}
    at_rest(registry)


def test_the_number_of_a_deleted_champion_that_is_given_again_means_another_version():
    server, registry = world_with(A, B)
    server.delete_version("m", "2")
    other = candidate(registry, C)
    assert other.number == "2"
    assert registry.version("2").state == "shadow"
    registry.finish()
    assert registry.snapshot().aliases == {"challenger": "2", "previous": "1"}
    promote(registry, other)
    assert registry.snapshot().newest.window_end == C.isoformat()
    assert registry.snapshot().aliases["champion"] == "2"
    at_rest(registry)


def test_what_a_dead_promoter_left_is_finished_before_the_next_epoch():
    """Above a higher epoch nobody looks at its tags: the version would stay open for ever."""
    server, registry = world_with(A)
    version = candidate(registry, B)
    event = next_promotion(
        registry.world(),
        version,
        kind="promote",
        effective_from=instant(B),
        recorded_at=NOW,
        share=0.1,
    )
    Client(server).set_registered_model_tag("m", event.tag, event.to_json())  # and then it died
    promote(registry, registered(registry, C))
    registry.verify(repair=True)  # no claim was made above
    assert registry.version("2").state == "promoted"
    assert [v.number for v in registry.versions() if v.is_open] == ["3"]
    at_rest(registry)


@pytest.mark.parametrize("alias", ["champion", "previous", "challenger"])
@pytest.mark.parametrize("to", ["1", "2", "3", None])
def test_an_alias_moved_by_hand_is_found_and_put_back(alias, to):
    server, registry = world_with(A, B)
    candidate(registry, C)
    registry.finish()
    before = registry.snapshot().aliases
    hand = Client(server)
    hand.delete_registered_model_alias(
        "m", alias
    ) if to is None else hand.set_registered_model_alias("m", alias, to)
    moved = registry.snapshot().aliases != before
    assert registry.verify().ok is not moved
    assert bool(registry.verify(repair=True).repaired) is moved
    assert registry.snapshot().aliases == before


def test_a_router_refuses_aliases_that_the_highest_epoch_does_not_name():
    server, registry = world_with(A, B)
    serving = registry.serving()
    assert (serving.champion, serving.previous, serving.share, serving.epoch) == ("2", "1", 0.1, 2)
    Client(server).set_registered_model_alias("m", "champion", "1")
    with pytest.raises(ConflictError, match="epoch 2 says"):
        registry.serving()
    registry.finish()
    registry.rollback("2", effective_from=instant(C), recorded_at=NOW)
    assert (registry.serving().champion, registry.serving().share) == ("1", 1.0)


def test_nobody_promoted_is_no_champion():
    _, registry = world_with()
    registered(registry, A)
    with pytest.raises(ConflictError, match="no champion yet"):
        registry.serving()
    Client(registry.client.server).set_registered_model_alias("m", "champion", "1")
    assert "no event says so" in registry.verify().findings[0]


def test_of_two_versions_with_equal_bytes_the_lowest_stays():
    server, registry = world_with(A)
    first = candidate(registry, B)
    late = replace(server.versions["m", "2"], version="3", tags={**first.tags, STATE_TAG: "shadow"})
    server.versions["m", "3"] = late  # a create whose answer, and whose commit, came late
    assert registry.verify().findings == ("m/2013-08-12 has two versions",)
    assert registered(registry, B).number == "2"
    assert registry.verify(repair=True).ok
    assert registry.version("3").state == "superseded"
    assert registry.snapshot().aliases["challenger"] == "2"


def claimed(registry, day):
    """A promoter that died right after it claimed its epoch."""
    version = candidate(registry, day)
    change = Promotion(version, "promote", instant(C), NOW, 0.1)
    world = registry.world()
    return registry.claims.claim(world.snapshot, change.decide(world))


def test_who_read_before_a_version_was_there_does_not_void_the_claim_that_names_it():
    server, registry = world_with(A)

    class Late(Client):
        """Has read versions; others register and claim before it reads claims."""

        def get_experiment_by_name(self, name):
            if registry.snapshot().epoch == 1 and len(registry.versions()) == 1:
                claimed(registry, B)
            return super().get_experiment_by_name(name)

    Registry(client=Late(server), name="m").finish()
    assert registry.snapshot().newest.version == "2"
    at_rest(registry)


def test_a_void_epoch_fits_its_claim_although_its_version_waits_again():
    _, registry = world_with(A)
    claimed(registry, B)
    registered(registry, B, digest="other")  # supersedes the one that was claimed
    registry.finish()
    assert registry.snapshot().events[-1].kind == "void"
    assert registered(registry, B).state == "registered"  # its bytes came back
    assert registry.verify(repair=True).ok


def test_a_spare_version_whose_maker_died_before_removing_it_leaves_no_trace():
    server, registry = world_with(A)
    first = registered(registry, B)
    spare = replace(server.versions["m", first.number], version="3")
    server.versions["m", "3"] = spare
    assert registered(registry, B).number == first.number  # the same command, run again
    registry.finish()
    assert [v.number for v in registry.versions()] == ["1", "2"]


def test_of_two_open_candidates_the_first_opened_stays():
    _, registry = world_with(A)
    candidate(registry, B)
    candidate(registry, C)
    assert registry.verify(repair=True).ok
    assert [v.number for v in registry.versions() if v.is_open] == ["2"]
    assert registry.version("3").state == "expired"
    assert registry.snapshot().aliases["challenger"] == "2"


def test_a_claim_without_event_is_finished_and_an_event_without_claim_is_claimed():
    server, registry = world_with(A)
    version = candidate(registry, B)
    with pytest.raises(ProcessDied):
        promote(Registry(client=Client(server, die_after=0), name="m"), version)
    assert not registry.verify().ok
    assert registry.verify(repair=True).ok
    assert registry.snapshot().aliases == {"champion": "2", "previous": "1"}
    server.experiments.clear()  # mlflow gc
    assert [w.what for w in registry.verify().missing] == ["claim", "claim"]
    assert registry.verify(repair=True).ok


def test_a_late_claim_of_an_epoch_whose_claim_was_cleaned_away_loses_to_the_event():
    server, registry = world_with(A)
    version = candidate(registry, B)

    def others():
        promote(registry, registered(registry, C))
        server.experiments.clear()

    late = Registry(client=Paused(server, 0, others), name="m")
    with pytest.raises(ConflictError, match="went to version 3"):
        promote(late, version)
    assert registry.snapshot().aliases == {"champion": "3", "previous": "1"}


def test_a_served_version_is_replaced_only_when_a_person_says_so():
    server, registry = world_with(A, B)
    registry.set_state(registry.version("2"), "promoted", closed_at=instant(C))
    fixed = registered(registry, B, digest="fixed")
    assert promote(registry, fixed) is None
    Client(server).set_model_version_tag("m", fixed.number, REPLACES_TAG, "2")
    registry.open_shadow(registry.version(fixed.number), opened_at=instant(B))
    promote(registry, registry.version(fixed.number))
    assert registry.snapshot().aliases == {"champion": "3", "previous": "2"}
    at_rest(registry)
    registry.rollback("3", effective_from=instant(C), recorded_at=NOW)
    assert registry.snapshot().aliases == {"champion": "2", "previous": "1"}
    at_rest(registry)


def test_the_newest_event_counts_although_an_older_one_takes_effect_later():
    _, registry = world_with(A)
    late = registered(registry, B)
    registry.promote(
        late,
        kind="promote",
        effective_from=instant(C) + timedelta(days=9),
        recorded_at=NOW,
        share=0.1,
    )
    promote(registry, registered(registry, C))
    snapshot = registry.snapshot()
    assert snapshot.as_of(instant(B) + timedelta(days=1)).version == "1"
    assert snapshot.as_of(instant(C) + timedelta(days=2)).version == "3"
    assert snapshot.as_of(instant(C) + timedelta(days=20)).version == "3"


def test_a_plan_lists_every_write_and_makes_none():
    server, registry = world_with(A)
    version = candidate(registry, B)
    writes = server.writes

    change = Promotion(version, "promote", NOW, NOW, 0.1)
    planned = registry.plan(change)
    assert server.writes == writes
    told = [(w.what, w.name.split("/")[-1], w.value, w.version) for w in planned[3:]]
    assert [w.what for w in planned[:3]] == ["claim", "claim", "event"]
    assert told == [
        ("tag", "retrain.canary_share", "0.1", "2"),
        ("tag", "retrain.intent.0.canary", replace(version.intent, state="canary").to_json(), "2"),
        ("tag", "retrain.state", "canary", "2"),
        ("alias", "previous", "1", None),
        ("alias", "champion", "2", None),
        ("alias", "challenger", None, None),
    ]
    promote(registry, version)
    assert server.writes == writes + len(planned) + 2  # claims are hidden once made
    assert follow(registry.world()) == ()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"epoch": 1}', "null", "{", "of epoch 1"])
def test_a_tag_that_is_no_event_is_named_and_blocks_nothing(text):
    server, registry = world_with(A)
    if text == "of epoch 1":
        text = server.models["m"].tags[f"{EVENT_TAG}000001"]
    Client(server).set_registered_model_tag("m", f"{EVENT_TAG}000007", text)
    assert f"the tag {EVENT_TAG}000007 holds no event: remove it" in registry.verify().findings
    promote(registry, candidate(registry, B))
    assert registry.snapshot().aliases["champion"] == "2"


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("retrain.state", "perhaps"),
        ("retrain.opened_at", "yesterday"),
        ("retrain.closed_at", "2013-08-12"),
        ("retrain.canary_share", "a tenth"),
        ("retrain.intent.0.canary", "{}"),
        ("retrain.intent.0.canary", '{"state": "canary", "life": "first"}'),
        ("retrain.intent.0.canary", Intent("rejected").to_json()),
        ("retrain.intent.0.rejected", "null"),
        ("retrain.intent.", "{}"),
    ],
)
def test_junk_in_a_tag_of_a_version_is_named_repaired_and_blocks_nothing(tag, value):
    server, registry = world_with(A)
    version = candidate(registry, B)
    promote(registry, version)
    before = dict(server.versions["m", "2"].tags)
    Client(server).set_model_version_tag("m", "2", tag, value)
    found = registry.verify()
    assert any(w.version == "2" for w in found.missing), found.to_json()
    assert registry.serving().champion == "2"
    registry.verify(repair=True)
    assert dict(server.versions["m", "2"].tags) == before
    at_rest(registry)


def test_a_version_of_no_day_is_named():
    server, registry = world_with(A)
    for tag in ("execution_date", "retrain_key"):
        Client(server).set_model_version_tag("m", "1", tag, "m/someday")
    with pytest.raises(ConflictError, match="version 1: its tags execution_date"):
        registry.versions()


def test_members_of_a_later_version_of_us_are_ignored():
    event = Event(1, "promote", "2", "1", B.isoformat(), utc_text(NOW), utc_text(NOW), share=0.5)
    text = event.to_json().replace("{", '{"new":1,', 1)
    assert Event.from_json(text) == event


@pytest.mark.parametrize("epochs", [(1,), (2,), (1, 2), (2, 3), (1, 2, 3)])
def test_removed_events_come_back_from_their_claims_in_one_repair(epochs):
    server, registry = world_with(A, B)
    registry.set_state(registry.version("2"), "promoted", closed_at=NOW)
    promote(registry, candidate(registry, C))
    before = dict(server.models["m"].tags)
    left = {k: v for k, v in before.items() if int(k.removeprefix(EVENT_TAG)) not in epochs}
    server.models["m"] = replace(server.models["m"], tags=left)
    assert [w.name for w in registry.verify().missing if w.what == "event"] == [
        f"{EVENT_TAG}{epoch:06d}" for epoch in epochs
    ]
    registry.verify(repair=True)
    assert server.models["m"].tags == before
    at_rest(registry)


def test_an_event_that_was_removed_with_its_claim_is_named():
    server, registry = world_with(A, B)
    tags = dict(server.models["m"].tags)
    del tags[f"{EVENT_TAG}000001"]
    server.models["m"] = replace(server.models["m"], tags=tags)
    server.experiments = {k: v for k, v in server.experiments.items() if "000001" not in k}
    told = registry.verify().findings
    assert any("epoch 1 is gone, and so is its claim" in text for text in told)
    assert any("no event promoted it" in text for text in told)
