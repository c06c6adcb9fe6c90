"""The promotion protocol: every interruption is replayed to the same end."""

from datetime import UTC, date, datetime, timedelta

import pytest

from devtools.doubles.registry_server import Client, ProcessDied, Server
from retrain_ops.errors import ConflictError
from retrain_ops.registry.events import SHARE_TAG, utc_instant, utc_text
from retrain_ops.registry.registry import Registry

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def instant(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 2, tzinfo=UTC)


def registered(registry: Registry, day: date, digest: str = ""):
    tags = {
        "retrain_key": f"m/{day}",
        "execution_date": day.isoformat(),
        "model_sha256": digest or f"sha-{day}",
    }
    return registry.register(run_id="r1", source="s", tags=tags, description="d")


def promote(registry: Registry, version, share=0.1):
    first = registry.snapshot().newest is None
    return registry.promote(
        version,
        kind="bootstrap" if first else "promote",
        effective_from=instant(version.window_end) + timedelta(days=0 if first else 1),
        recorded_at=NOW,
        share=None if first else share,
    )


def world_with(*days: date) -> tuple[Server, Registry]:
    server = Server()
    registry = Registry(client=Client(server), name="m")
    for day in days:
        version = registered(registry, day)
        registry.open_shadow(version, opened_at=instant(day))
        promote(registry, registry.version(version.number))
    return server, registry


A, B, C = date(2013, 8, 5), date(2013, 8, 12), date(2013, 8, 19)


def test_instants_survive_tags():
    assert utc_text(instant(A)) == "2013-08-05T02:00:00Z"
    assert utc_instant(utc_text(instant(A))) == instant(A)


def test_a_version_is_registered_once_per_key_and_bytes():
    _, registry = world_with()
    assert registered(registry, A).number == registered(registry, A).number == "1"
    again = registered(registry, A, digest="fixed")
    assert again.number == "2"
    assert registry.version("1").state == "superseded"


def test_a_served_version_is_never_superseded_silently():
    _, registry = world_with(A)
    registered(registry, A, digest="fixed")
    assert registry.version("1").state == "promoted"
    assert registry.snapshot().aliases["champion"] == "1"


def test_promotion_moves_both_aliases_and_tags_the_share_first():
    server, registry = world_with(A, B)
    aliases = registry.snapshot().aliases
    assert (aliases["champion"], aliases["previous"]) == ("2", "1")
    assert "challenger" not in aliases
    assert server.versions["m", "2"].tags[SHARE_TAG] == "0.1"
    assert registry.version("2").state == "canary"


def test_promoting_again_changes_nothing():
    server, registry = world_with(A, B)
    before = (server.models["m"], server.versions["m", "2"])
    promote(registry, registry.version("2"))
    assert (server.models["m"], server.versions["m", "2"]) == before


def test_an_older_window_never_takes_champion():
    _, registry = world_with(A, C)
    late = registered(registry, B)
    assert promote(registry, late) is None
    assert registry.snapshot().aliases["champion"] == "2"


def test_rollback_goes_to_whom_the_failed_one_replaced_and_not_back():
    _, registry = world_with(A, B)
    failed = registry.version("2")
    event = registry.rollback(failed, effective_from=instant(C), recorded_at=NOW)
    assert event is not None
    assert event.version == "1"
    aliases = registry.snapshot().aliases
    assert aliases["champion"] == "1"
    assert "previous" not in aliases
    assert registry.version("2").state == "rolled_back"
    assert registry.rollback(failed, effective_from=instant(C), recorded_at=NOW) == event
    assert registry.rollback(effective_from=instant(C), recorded_at=NOW) == event
    assert registry.snapshot().aliases["champion"] == "1"


def test_a_rolled_back_version_never_takes_an_alias_again():
    _, registry = world_with(A, B)
    registry.rollback(registry.version("2"), effective_from=instant(C), recorded_at=NOW)
    promote(registry, registry.version("2"))
    assert registry.snapshot().aliases["champion"] == "1"
    assert registry.version("2").state == "rolled_back"


def test_the_first_champion_cannot_be_rolled_back():
    _, registry = world_with(A)
    with pytest.raises(ConflictError, match="first champion"):
        registry.rollback(registry.version("1"), effective_from=instant(B), recorded_at=NOW)


def test_champion_as_of_an_instant_comes_from_the_events():
    _, registry = world_with(A, B)
    before = registry.champion_as_of(instant(B) + timedelta(hours=23))
    after = registry.champion_as_of(instant(B) + timedelta(hours=24))
    assert registry.champion_as_of(instant(A) - timedelta(seconds=1)) is None
    assert before is not None
    assert after is not None
    assert (before.number, after.number) == ("1", "2")


def test_an_alias_that_somebody_moved_by_hand_is_repaired():
    server, registry = world_with(A, B)
    Client(server).set_registered_model_alias("m", "champion", "1")
    assert registry.finish()
    assert registry.snapshot().aliases["champion"] == "2"
    assert not registry.finish()


def state_of(server: Server):
    model = server.models["m"]
    versions = {n: v.tags for (_, n), v in server.versions.items()}
    return model.aliases, versions, sorted(model.tags)


def test_a_promotion_killed_after_any_write_is_finished_by_its_replay():
    finished, _ = world_with(A, B)
    kills = 0
    for writes in range(40):
        server, registry = world_with(A)
        version = registered(registry, B)
        registry.open_shadow(version, opened_at=instant(B))
        version = registry.version(version.number)
        try:
            promote(Registry(client=Client(server, die_after=writes), name="m"), version)
        except ProcessDied:
            kills += 1
        else:
            break
        promote(registry, registry.version(version.number))
        assert state_of(server) == state_of(finished), f"killed after write {writes}"
    assert kills >= 6


def test_a_rollback_killed_after_any_write_is_finished_by_its_replay():
    finished, registry = world_with(A, B)
    registry.rollback(registry.version("2"), effective_from=instant(C), recorded_at=NOW)
    kills = 0
    for writes in range(40):
        server, registry = world_with(A, B)
        failed = registry.version("2")
        dying = Registry(client=Client(server, die_after=writes), name="m")
        try:
            dying.rollback(failed, effective_from=instant(C), recorded_at=NOW)
        except ProcessDied:
            kills += 1
        else:
            break
        registry.rollback(registry.version("2"), effective_from=instant(C), recorded_at=NOW)
        assert state_of(server) == state_of(finished), f"killed after write {writes}"
    assert kills >= 5


def test_a_dead_promoter_is_finished_by_the_next_one_which_meets_no_conflict():
    server, registry = world_with(A)
    first, second = registered(registry, B), registered(registry, C)
    with pytest.raises(ProcessDied):
        promote(Registry(client=Client(server, die_after=0), name="m"), first)
    promote(registry, second)
    assert [e.version for e in registry.snapshot().events] == ["1", "2", "3"]
    assert registry.snapshot().aliases == {"champion": "3", "previous": "2"}
