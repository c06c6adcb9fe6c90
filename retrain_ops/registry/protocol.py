"""The promotion protocol without a network: events, versions, and what must be written next.

A change of `@champion` goes through these states, and a dead process may leave
any of them behind::

    read      aliases, events and versions, in two requests
    decide    the next event, or none (a newer window was promoted, it does not serve)
    fence     claim the next epoch: a create that has exactly one winner
    re-read   the event becomes a tag; void if its version was closed or deleted meanwhile
    follow    version tags, @previous, @champion, @challenger, in that order
    read back until nothing is left to write

The tag of the highest epoch is the truth. :func:`follow` lists what the registry
must still be told so that it says what its events say: data, before anything is
written, so it is the dry run, the replay after a crash and the repair alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from retrain_ops.errors import ConflictError
from retrain_ops.registry.events import (
    CHALLENGER,
    CHAMPION,
    CLOSED_TAG,
    PREVIOUS,
    REPLACES_TAG,
    SERVED_STATES,
    SHARE_TAG,
    STATE_TAG,
    UNSERVED_STATES,
    Event,
    State,
    Version,
    World,
    utc_text,
)

# -- deciding ------------------------------------------------------------------------


def next_promotion(
    world: World,
    version: Version,
    *,
    kind: Literal["bootstrap", "promote"],
    effective_from: datetime,
    recorded_at: datetime,
    share: float | None,
) -> Event | None:
    """The event that gives `@champion` to `version`; None when a newer window had it.

    A version of the newest window itself may only follow the one it was opened
    to replace (`REPLACES_TAG`).
    """
    snapshot = world.snapshot
    newest, window = snapshot.newest, snapshot.newest_promoted_window()
    if window is not None and version.window_end <= window:
        replaced = version.tags.get(REPLACES_TAG)
        if newest is None or replaced != newest.version or version.window_end < window:
            return None
    return Event(
        epoch=snapshot.epoch + 1,
        kind=kind,
        version=version.number,
        previous=_served_before(world, newest),
        window_end=version.window_end.isoformat(),
        effective_from=utc_text(effective_from),
        recorded_at=utc_text(recorded_at),
        share=share,
        model_sha256=version.model_sha256,
    )


def _served_before(world: World, newest: Event | None) -> str | None:
    """The champion that is replaced; if it was deleted, the one before it."""
    numbers = (newest.version, newest.previous) if newest else ()
    return next((n for n in numbers if world.holder(n) is not None), None)


def next_rollback(
    world: World, failed: str, *, effective_from: datetime, recorded_at: datetime
) -> Event | None:
    """The event that gives `@champion` back to whom `failed` replaced; None if it does not serve.

    Raises:
        ConflictError: there is nobody to go back to.
    """
    snapshot = world.snapshot
    if snapshot.newest is None or snapshot.newest.version != failed:
        return None
    number = snapshot.predecessor_of(failed)
    target = world.holder(number)
    if target is None:
        raise ConflictError(
            f"version {failed} was the first champion: there is none to go back to; promote "
            "another version instead"
            if number is None
            else f"version {number}, which version {failed} replaced, is not in the registry any "
            "more; promote another version instead"
        )
    return Event(
        epoch=snapshot.epoch + 1,
        kind="rollback",
        version=target.number,
        previous=snapshot.predecessor_of(target.number),
        window_end=target.window_end.isoformat(),
        effective_from=utc_text(effective_from),
        recorded_at=utc_text(recorded_at),
        failed=failed,
        model_sha256=target.model_sha256,
    )


def settled(world: World, event: Event) -> Event:
    """`event` as it may be recorded after the fence: itself, or void.

    Whoever finishes a dead promoter's claim comes to the same answer, since
    closing a version (or deleting it) is for ever.
    """
    version = world.find(event.version)
    alive = version is not None and event.model_sha256 in ("", version.model_sha256)
    if version is not None and event.promotes:
        alive = alive and version.state in UNSERVED_STATES | {"canary", "promoted"}
    if alive:
        return event
    return replace(event, kind="void", share=None, failed=None)


# -- following -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Write:
    """One thing to be written; `value` None removes it.

    `what` is `claim` (an experiment), `event` (a tag of the model), `tag` (of
    `version`) or `alias`.
    """

    what: Literal["claim", "event", "tag", "alias"]
    name: str
    value: str | None
    version: str | None = None

    def to_json(self) -> dict[str, str | None]:
        """As plain data, for people and logs."""
        return {"write": self.what, "name": self.name, "value": self.value, "of": self.version}


def follow(world: World) -> tuple[Write, ...]:
    """What must still be written so that tags and aliases say what the events say.

    Empty at rest. The share stands on a version before any alias names it, so no
    router sees a canary at 100 % first.
    """
    return (*_superseded(world), *_states(world), *_second_candidates(world), *_aliases(world))


def open_candidates(world: World) -> tuple[Version, ...]:
    """Versions whose shadow, approval or canary is under way; the first is *the* candidate."""
    found = (v for v in world.versions if v.is_open)
    last = datetime.max.replace(tzinfo=UTC)
    return tuple(sorted(found, key=lambda v: (v.state != "canary", v.opened_at or last)))


def _moved(version: Version, state: State, closed_at: str | None) -> Iterator[Write]:
    """State last: a version that says closed must say when."""
    if closed_at is not None and version.tags.get(CLOSED_TAG) != closed_at:
        yield Write("tag", CLOSED_TAG, closed_at, version.number)
    yield Write("tag", STATE_TAG, state, version.number)


def _superseded(world: World) -> Iterator[Write]:
    """One version per key and bytes, and one per key that may still come to serve.

    Of equal bytes the lowest number stays (unless a higher one serves), of
    different bytes the newest.
    """
    keepers: dict[tuple[str, str], Version] = {}
    for version in sorted(world.versions, key=lambda v: v.state not in SERVED_STATES):
        keepers.setdefault((version.retrain_key, version.model_sha256), version)
    last = {v.retrain_key: v for v in world.versions if v in keepers.values() and _waits(v)}
    for version in world.versions:
        stays = keepers[version.retrain_key, version.model_sha256] is version
        stays = stays and last.get(version.retrain_key) is version
        if _waits(version) and not stays:
            opened = utc_text(version.opened_at) if version.opened_at else None
            yield from _moved(version, "superseded", opened)


def _waits(version: Version) -> bool:
    return version.state in UNSERVED_STATES


def _states(world: World) -> Iterator[Write]:
    """What happened to each version that an event names."""
    snapshot = world.snapshot
    for version in world.versions:
        promotion = snapshot.promotion_of(version.number, version.model_sha256)
        undone = snapshot.rollback_of(promotion) if promotion else None
        if undone is not None and version.state != "rolled_back":
            yield from _moved(version, "rolled_back", undone.effective_from)
        elif undone is None and promotion is not None:
            yield from _promoted(version, promotion, snapshot.successor_of(promotion))


def _promoted(version: Version, promotion: Event, ended: Event | None) -> Iterator[Write]:
    if version.state in ("promoted", "rolled_back"):
        return
    if promotion.share is not None and ended is None:
        if SHARE_TAG not in version.tags:
            yield Write("tag", SHARE_TAG, f"{promotion.share:g}", version.number)
        if CLOSED_TAG in version.tags:  # closed after the fence: that came too late
            yield Write("tag", CLOSED_TAG, None, version.number)
        if version.state != "canary":
            yield Write("tag", STATE_TAG, "canary", version.number)
        return
    # A canary that another champion replaced was never judged: it served, and is closed.
    if SHARE_TAG in version.tags:
        yield Write("tag", SHARE_TAG, "1", version.number)
    yield from _moved(version, "promoted", (ended or promotion).effective_from)


def _second_candidates(world: World) -> Iterator[Write]:
    """Two unlocked runs may each have opened one: the one that was opened first stays."""
    gone = {w.version for w in (*_superseded(world), *_states(world)) if w.name == STATE_TAG}
    still = [v for v in open_candidates(world) if v.number not in gone]
    for version in still[1:]:
        if version.state != "canary":
            opened = utc_text(version.opened_at) if version.opened_at else None
            yield from _moved(version, "expired", opened)


def _aliases(world: World) -> Iterator[Write]:
    """@previous before @champion; @challenger names the candidate, or nobody of ours."""
    snapshot = world.snapshot
    newest = snapshot.newest
    if newest is not None:
        yield from _alias(world, PREVIOUS, newest.previous)
        if world.holder(newest.version) is not None:
            yield from _alias(world, CHAMPION, newest.version)
    closing = {w.version for w in (*_superseded(world), *_states(world)) if w.name == STATE_TAG}
    waiting = [v for v in open_candidates(world) if _waits(v) and v.state != "registered"]
    waiting = [v for v in waiting if v.number not in closing]
    current = snapshot.aliases.get(CHALLENGER)
    if waiting and current != waiting[0].number:
        yield Write("alias", CHALLENGER, waiting[0].number)
    elif not waiting and world.find(current) is not None:
        yield Write("alias", CHALLENGER, None)


def _alias(world: World, alias: str, number: str | None) -> Iterator[Write]:
    """A version that was deleted takes its aliases with it."""
    wanted = number if world.holder(number) is not None else None
    if world.snapshot.aliases.get(alias) != wanted:
        yield Write("alias", alias, wanted)


def plan(world: World, event: Event, claim: str) -> tuple[Write, ...]:
    """All that recording `event` will write, in order, before any of it is written."""
    fence = (
        Write("claim", claim, event.to_json()),
        Write("event", event.tag, event.to_json()),
    )
    return (*fence, *follow(world.with_event(event)))


# -- checking ------------------------------------------------------------------------


def findings(world: World) -> tuple[str, ...]:
    """What is wrong at rest and what no repair can know how to mend, in words."""
    snapshot, told = world.snapshot, []
    newest = snapshot.newest
    if newest is None and CHAMPION in snapshot.aliases:
        told.append("@champion is set and no event says so: bootstrap, or remove the alias")
    if newest is not None and world.holder(newest.version) is None:
        told.append(f"the champion, version {newest.version}, was deleted: roll it back")
    epochs = [e.epoch for e in snapshot.events]
    if epochs != list(range(1, len(epochs) + 1)):
        told.append(f"the epochs {epochs} have gaps: somebody removed events")
    for version in world.versions:
        promotion = snapshot.promotion_of(version.number, version.model_sha256)
        if version.state in SERVED_STATES and promotion is None:
            told.append(f"version {version.number} is {version.state} and no event promoted it")
    return tuple(told)


def doubled(versions: Iterable[Version]) -> tuple[str, ...]:
    """Keys of which more than one version is not superseded and carries the same bytes."""
    seen: dict[tuple[str, str], int] = {}
    for version in versions:
        if version.state != "superseded":
            identity = (version.retrain_key, version.model_sha256)
            seen[identity] = seen.get(identity, 0) + 1
    return tuple(sorted(key for (key, _), count in seen.items() if count > 1))
