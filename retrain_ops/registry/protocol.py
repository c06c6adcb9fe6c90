"""The promotion protocol without a network: events, versions, and what must be written next.

A change of `@champion` goes through these states, and a dead process may leave
any of them behind::

    read      aliases, events and versions, in two requests
    decide    the next event, or none (a newer window was promoted, it does not serve)
    fence     claim the next epoch: a create that has exactly one winner
    re-read   settle what the claim comes to: the event, or void if its version was closed or
              deleted meanwhile; a create with one winner again, whose value becomes a tag
    follow    version tags, @previous, @champion, @challenger, in that order
    read back until nothing is left to write

The tag of the highest epoch is the truth about `@champion`; about each version it is
its *intent*: one tag that says where the version stands, whole, and that no tag of an
earlier state comes up against. :func:`follow` lists
what must still be written so that the registry says what its events and intents say:
data, before anything is written, so it is the dry run, the replay after a crash and
the repair alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from retrain_ops.errors import ConflictError
from retrain_ops.registry.events import (
    CHALLENGER,
    CHAMPION,
    CLOSED_TAG,
    OPENED_TAG,
    PREVIOUS,
    REPLACES_TAG,
    SERVED_STATES,
    SHARE_TAG,
    STATE_TAG,
    UNSERVED_STATES,
    Event,
    Intent,
    State,
    Version,
    World,
    utc_text,
)
from retrain_ops.registry.tags import share_of, share_shown, spoilt

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
        opened_at=version.intent.opened_at,
    )


def _served_before(world: World, newest: Event | None) -> str | None:
    """The champion that is replaced; if it was deleted, the one before it."""
    numbers = (newest.version, newest.previous) if newest else ()
    return next((n for n in numbers if world.holder(n) is not None), None)


def next_rollback(
    world: World, failed: str, *, effective_from: datetime, recorded_at: datetime
) -> Event | None:
    """The event that gives `@champion` back to the champion that `failed` replaced.

    None when `failed` does not serve. A predecessor that was deleted or rolled back gives way
    to the one before it.

    Raises:
        ConflictError: there is nobody to go back to.
    """
    snapshot = world.snapshot
    if snapshot.newest is None or snapshot.newest.version != failed:
        return None
    target = next(_predecessors(world, failed), None)
    if target is None:
        number = snapshot.predecessor_of(failed)
        raise ConflictError(
            f"version {failed} was the first champion: there is none to go back to; promote "
            "another version instead"
            if number is None
            else f"version {number}, which version {failed} replaced, is not in the registry any "
            "more, nor is any champion before it; promote another version instead"
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


def _predecessors(world: World, number: str) -> Iterator[Version]:
    """The champions before `number` that may serve again, newest first."""
    seen = {number}
    before = world.snapshot.predecessor_of(number)
    while before is not None and before not in seen:
        seen.add(before)
        version = world.holder(before)
        if version is not None and version.state != "rolled_back":
            yield version
        before = world.snapshot.predecessor_of(before)


def settled(world: World, event: Event) -> Event:
    """`event` as it may be recorded after the fence: itself, or void.

    Void when its version was deleted, or its candidacy closed, be it to begin another one.
    Two that finish a claim may see different worlds: the first one's answer is claimed.
    """
    version = world.find(event.version)
    alive = event.means(version)
    if version is not None and event.promotes:
        alive = alive and version.state in UNSERVED_STATES | SERVED_STATES
        alive = alive and event.opened_at in (None, version.intent.opened_at)
    if alive:
        return event
    return voided(event)


def voided(event: Event) -> Event:
    """The event of the same claim that changes nothing."""
    return replace(event, kind="void", share=None, failed=None)


# -- following -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Write:
    """One thing to be written; `value` None removes it.

    `what` is `claim` (an experiment), `event` (a tag of the model), `tag` (of
    `version`), `alias`, `version` (a spare one, which is only ever removed), or
    `artefact`: a file of `version`, whose `value` is its SHA-256.
    """

    what: Literal["claim", "event", "tag", "alias", "version", "artefact"]
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
    return (
        *_hashes(world),
        *_superseded(world),
        *_states(world),
        *_second_candidates(world),
        *_shown(world),
        *_aliases(world),
    )


def _hashes(world: World) -> Iterator[Write]:
    """The hash of a version that a hand removed: its intents or its promotion say what it was."""
    for version in world.versions:
        promotion = world.snapshot.promotion_of(version.number)
        known = version.model_sha256 or (promotion.model_sha256 if promotion else "")
        if version.tags.get("model_sha256", "") != known:
            yield Write("tag", "model_sha256", known, version.number)


def after(world: World, writes: Iterable[Write]) -> World:
    """The world once `writes` of tags, events and aliases are made."""
    for write in writes:
        if write.what == "event" and write.value is not None:
            world = world.with_event(Event.from_json(write.value))
        elif write.what == "alias":
            aliases = _with(world.snapshot.aliases, write)
            world = replace(world, snapshot=replace(world.snapshot, aliases=aliases))
        elif write.what in ("tag", "version"):
            versions = (_after(version, write) for version in world.versions)
            world = replace(world, versions=tuple(v for v in versions if v is not None))
    return world


def _after(version: Version, write: Write) -> Version | None:
    if version.number != write.version:
        return version
    return None if write.what == "version" else version.with_tags(_with(version.tags, write))


def _with(pairs: Mapping[str, str], write: Write) -> dict[str, str]:
    left = {k: v for k, v in pairs.items() if k != write.name}
    return left if write.value is None else {**left, write.name: write.value}


def open_candidates(world: World) -> tuple[Version, ...]:
    """Versions whose shadow, approval or canary is under way; the first is *the* candidate."""
    found = (v for v in world.versions if v.is_open)
    last = datetime.max.replace(tzinfo=UTC)
    return tuple(sorted(found, key=lambda v: (v.state != "canary", v.opened_at or last)))


def moved(version: Version, intent: Intent) -> Iterator[Write]:
    """A version comes to stand elsewhere: the intent, then what shows it."""
    if version.tags.get(intent.tag) != intent.to_json():
        yield Write("tag", intent.tag, intent.to_json(), version.number)
    yield from _effects(version, intent)


def closed(version: Version, state: State, closed_at: str | None) -> Intent:
    """Where a version stands that is closed; what was never open has no time of its closing."""
    return replace(version.intent, state=state, closed_at=closed_at)


def _effects(version: Version, intent: Intent) -> Iterator[Write]:
    """The tags for people and routers; state last: a version that says closed must say when."""
    share = version.tags.get(SHARE_TAG)
    shown = {
        SHARE_TAG: "1" if share is not None and intent.state == "promoted" else share,
        OPENED_TAG: intent.opened_at,
        CLOSED_TAG: intent.closed_at,
        STATE_TAG: intent.state,
    }
    for name, value in shown.items():
        if version.tags.get(name) != value:
            yield Write("tag", name, value, version.number)


def _shown(world: World) -> Iterator[Write]:
    """What a dead writer's intent, or a hand in the tags, has left to be shown."""
    gone = _moving(world)
    for version in world.versions:
        cut_short = not version.has_intent and version.state != version.tags.get(STATE_TAG)
        for name in version.unreadable:
            yield Write("tag", name, None, version.number)
        if version.number in gone:
            continue
        if cut_short or version.unreadable:
            yield from moved(version, version.intent)
        elif version.has_intent:
            yield from _effects(version, version.intent)


def _moving(world: World) -> set[str | None]:
    """Versions that the rules before move: what they say now does not count any more."""
    return {w.version for w in (*_superseded(world), *_states(world), *_second_candidates(world))}


def _superseded(world: World) -> Iterator[Write]:
    """One version per key and bytes, and one per key that may still come to serve.

    Of equal bytes the lowest number stays (unless a higher one serves), of different bytes the
    newest. A spare of equal bytes, made by a create whose answer was lost or by two at once, is
    removed if it never was a candidate.
    """
    keepers: dict[tuple[str, str], Version] = {}
    for version in sorted(world.versions, key=lambda v: not _serves(world, v)):
        keepers.setdefault((version.retrain_key, version.model_sha256), version)
    last = {v.retrain_key: v for v in world.versions if v in keepers.values() and _waits(v)}
    for version in world.versions:
        stays = keepers[version.retrain_key, version.model_sha256] is version
        stays = stays and last.get(version.retrain_key) is version
        if not _waits(version) or stays:
            continue
        double = keepers[version.retrain_key, version.model_sha256] is not version
        if double and version.opened_at is None and not _serves(world, version):
            yield Write("version", version.number, None, version.number)
        else:
            yield from moved(version, closed(version, "superseded", version.intent.opened_at))


def _serves(world: World, version: Version) -> bool:
    """Whether it served or, by an event whose effects are still to come, will."""
    promotion = world.snapshot.promotion_of(version.number, version.model_sha256)
    return version.state in SERVED_STATES or promotion is not None


def _waits(version: Version) -> bool:
    return version.state in UNSERVED_STATES


def _states(world: World) -> Iterator[Write]:
    """What happened to each version that an event names."""
    snapshot = world.snapshot
    for version in world.versions:
        promotion = snapshot.promotion_of(version.number, version.model_sha256)
        undone = snapshot.rollback_of(promotion) if promotion else None
        if undone is not None and version.state != "rolled_back":
            yield from moved(version, closed(version, "rolled_back", undone.effective_from))
        elif undone is None and promotion is not None:
            yield from _promoted(version, promotion, snapshot.successor_of(promotion))


def _promoted(version: Version, promotion: Event, ended: Event | None) -> Iterator[Write]:
    if version.state in ("promoted", "rolled_back"):
        return
    if promotion.share is not None and ended is None:
        shown, share = share_shown(version), share_of(version) or promotion.share
        if shown is None or shown < share:
            yield Write("tag", SHARE_TAG, f"{share:g}", version.number)
        if version.state != "canary" or version.closed_at is not None:
            # Closed after the fence: that came too late.
            yield from moved(version, _served(version, promotion, "canary", None))
        return
    # A canary that another champion replaced was never judged: it served, and is closed.
    at = (ended or promotion).effective_from
    yield from moved(version, _served(version, promotion, "promoted", at))


def _served(version: Version, promotion: Event, state: State, closed_at: str | None) -> Intent:
    """Its promotion says since when it was open, whatever a late writer made of it."""
    intent = closed(version, state, closed_at)
    return replace(intent, opened_at=promotion.opened_at or intent.opened_at)


def _second_candidates(world: World) -> Iterator[Write]:
    """Two unlocked runs may each have opened one: the one that was opened first stays."""
    gone = {w.version for w in (*_superseded(world), *_states(world)) if _leaves(w)}
    still = [v for v in open_candidates(world) if v.number not in gone]
    for version in still[1:]:
        if version.state != "canary":
            yield from moved(version, closed(version, "expired", version.intent.opened_at))


def _leaves(write: Write) -> bool:
    """Whether by this write a version stops waiting."""
    return write.what == "version" or write.name == STATE_TAG


def _aliases(world: World) -> Iterator[Write]:
    """@previous before @champion; @challenger names the candidate, or nobody of ours."""
    snapshot = world.snapshot
    newest = snapshot.newest
    if newest is not None:
        yield from _alias(world, PREVIOUS, newest.previous)
        if world.holder(newest.version) is not None:
            yield from _alias(world, CHAMPION, newest.version)
    closing = {w.version for w in (*_superseded(world), *_states(world)) if _leaves(w)}
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


def plan(world: World, event: Event, claims: tuple[str, ...]) -> tuple[Write, ...]:
    """All that recording `event` will write, in order, before any of it is written."""
    fence = (
        *(Write("claim", name, event.to_json()) for name in claims),
        Write("event", event.tag, event.to_json()),
    )
    return (*fence, *follow(world.with_event(event)))


# -- checking ------------------------------------------------------------------------


def findings(world: World) -> tuple[str, ...]:
    """What is wrong at rest and no repair can know how to fix, in words."""
    snapshot, found = world.snapshot, []
    newest = snapshot.newest
    if newest is None and CHAMPION in snapshot.aliases:
        found.append("@champion is set and no event says so: bootstrap, or remove the alias")
    if newest is not None and world.holder(newest.version) is None:
        found.append(f"the champion, version {newest.version}, was deleted: roll it back")
    found += [f"the tag {tag} holds no event: remove it" for tag in snapshot.junk]
    for version in world.versions:
        promotion = snapshot.promotion_of(version.number, version.model_sha256)
        if version.state in SERVED_STATES and promotion is None:
            found.append(f"version {version.number} is {version.state} and no event promoted it")
        if version.state == "canary" and promotion and world.holder(promotion.previous) is None:
            found.append(
                f"version {promotion.previous}, which the canary of version {version.number} is "
                "compared with, was deleted: the next watch_canary keeps the canary"
            )
        found += [_odd(version, tag) for tag in (*version.junk, *spoilt(version))]
    return tuple(found)


def _odd(version: Version, tag: str) -> str:
    """A tag that holds what we do not write there, and what to do about it."""
    end = version.window_end.isoformat()
    right = {"retrain_key": f"set it to <model>/{end}", "execution_date": f"set it to {end}"}
    return (
        f"version {version.number}: the tag {tag} holds {version.tags[tag][:80]!r}, which "
        f"retrain_ops does not write there; {right.get(tag, 'set it right or remove it')}"
    )


def doubled(versions: Iterable[Version]) -> tuple[str, ...]:
    """Keys of which more than one version is not superseded and carries the same bytes."""
    seen: dict[tuple[str, str], int] = {}
    for version in versions:
        if version.state != "superseded":
            identity = (version.retrain_key, version.model_sha256)
            seen[identity] = seen.get(identity, 0) + 1
    return tuple(sorted(key for (key, _), count in seen.items() if count > 1))
