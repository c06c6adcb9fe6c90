"""Who serves, and how that changes: the registered model of a spec on an MLflow server.

MLflow has no compare-and-set on aliases: the last writer wins. So every change
of `@champion` is an *event* with an epoch of its own. An epoch is claimed by
creating an experiment of that name, which has exactly one winner; the event is
then kept as a tag of the registered model, and the aliases follow the event of
the highest epoch. :mod:`retrain_ops.registry.protocol` decides; this file reads and
writes. A killed process is finished by whoever comes next, and a paused one that
wakes up late finds a higher epoch and writes that one's aliases instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from retrain_ops.errors import ConflictError
from retrain_ops.mlflow.client import MlflowClient
from retrain_ops.mlflow.requests import name_filter
from retrain_ops.registry.changes import Change, Promotion, Rollback
from retrain_ops.registry.claims import Claims, recording, settlement_of
from retrain_ops.registry.events import (
    CHAMPION,
    PREVIOUS,
    STATE_TAG,
    UNSERVED_STATES,
    Event,
    Intent,
    Snapshot,
    State,
    Version,
    World,
    fits,
    read_events,
    read_version,
    utc_text,
)
from retrain_ops.registry.protocol import (
    Write,
    after,
    closed,
    doubled,
    findings,
    follow,
    open_candidates,
    plan,
    settled,
)
from retrain_ops.registry.tags import share_of, widened_tag, widened_text, widenings

__all__ = ["Registry", "Serving", "Verification"]

FOLLOW_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Serving:
    """What a router needs: `share` of the traffic goes to `champion`, the rest to `previous`."""

    champion: str
    previous: str | None
    share: float
    epoch: int


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found: `findings` in words, and the writes that repair what can be repaired.

    `repaired` are the writes that were made. `ok` means that nothing is left.
    """

    epoch: int
    versions: int
    findings: tuple[str, ...]
    missing: tuple[Write, ...]
    repaired: tuple[Write, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether aliases, tags, events and versions agree."""
        return not self.findings and not self.missing

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "ok": self.ok,
            "epoch": self.epoch,
            "versions": self.versions,
            "findings": list(self.findings),
            "missing": [w.to_json() for w in self.missing],
            "repaired": [w.to_json() for w in self.repaired],
        }


@dataclass(frozen=True, slots=True)
class Registry:
    """The registered model `name` on an MLflow server."""

    client: MlflowClient
    name: str

    @property
    def claims(self) -> Claims:
        """The epochs of this model, each claimed by one event."""
        return Claims(self.client, self.name)

    # -- reading ---------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Aliases and events now; empty when the model is not registered yet."""
        model = self.client.get_registered_model(self.name)
        if model is None:
            return Snapshot(aliases={}, events=())
        events, junk = read_events(model.tags)
        return Snapshot(dict(model.aliases), events, model.creation_timestamp, junk)

    def versions(self) -> list[Version]:
        """Every version that retrain_ops registered, oldest first."""
        found = self.client.search_model_versions(name_filter(self.name))
        ours = [read_version(v) for v in found if "retrain_key" in v.tags]
        return sorted(ours, key=lambda v: int(v.number))

    def world(self) -> World:
        """Snapshot and versions: what the promotion protocol decides upon."""
        return World(snapshot=self.snapshot(), versions=tuple(self.versions()))

    def version(self, number: str) -> Version:
        """One version.

        Raises:
            ConflictError: it is gone, or was not registered by retrain_ops.
        """
        found = self.client.get_model_version(self.name, number)
        if found is None or "retrain_key" not in found.tags:
            raise ConflictError(
                f"version {number} of {self.name} is named by the audit events and is not in the "
                "registry (any more); restore it, or bootstrap the model anew under another name"
            )
        return read_version(found)

    def champion_as_of(self, instant: datetime) -> Version | None:
        """Who served at `instant`, by the audit events; `@champion` says only who does now."""
        event = self.snapshot().as_of(instant)
        return self.version(event.version) if event else None

    def version_page(self, number: str) -> str:
        """A version's own page in MLflow; model names need no quoting."""
        return f"{self.client.tracking_uri}/#/models/{self.name}/versions/{number}"

    def version_with(self, *, retrain_key: str, model_sha256: str) -> Version | None:
        """The version of a key with these bytes; the lowest one, should a race have made two."""
        same = (v for v in self.versions() if v.retrain_key == retrain_key)
        return next((v for v in same if v.model_sha256 == model_sha256), None)

    def open_candidate(self) -> Version | None:
        """The version whose shadow, approval or canary is under way; there is at most one."""
        return next(iter(open_candidates(self.world_of_versions())), None)

    def world_of_versions(self) -> World:
        """The versions alone, where aliases and events do not matter."""
        return World(snapshot=Snapshot({}, ()), versions=tuple(self.versions()))

    def serving(self, snapshot: Snapshot | None = None) -> Serving:
        """Who answers requests, and with which share, for a router that polls.

        `snapshot` spares a call where the caller has just read one.

        Raises:
            ConflictError: nobody was promoted, or an alias does not say what the
                event of the highest epoch says: a change is under way, or somebody
                moved it. Go on with what you have, and ask again.
        """
        snapshot = snapshot or self.snapshot()
        newest = snapshot.newest
        if newest is None:
            raise ConflictError(f"{self.name} has no champion yet: bootstrap it")
        named = (snapshot.aliases.get(CHAMPION), snapshot.aliases.get(PREVIOUS))
        # @previous is missing when its version was deleted: all traffic to the champion.
        if named not in ((newest.version, newest.previous), (newest.version, None)):
            raise ConflictError(
                f"@champion and @previous of {self.name} are {named}, epoch {newest.epoch} says "
                f"{(newest.version, newest.previous)}: a change is under way, or was made by "
                "hand (retrain-ops verify --repair)"
            )
        champion = self.version(newest.version)
        share = 1.0
        if champion.state == "canary" and named[1] is not None:
            share = share_of(champion) or newest.share or 1.0
        return Serving(newest.version, named[1], share, newest.epoch)

    # -- versions ----------------------------------------------------------

    def register(
        self, *, run_id: str, source: str, tags: Mapping[str, str], description: str
    ) -> Version:
        """The version of `tags["retrain_key"]` and `tags["model_sha256"]`, created at most once.

        An earlier version of the key with other bytes becomes `superseded` unless it ever
        served: a fix changes nothing silently. Bytes that come back after others had taken
        their place may be opened again. Should a race make two of the same bytes, the lower
        number stays: whoever made the other removes it, or `finish` does.
        """
        key, digest = tags["retrain_key"], tags["model_sha256"]
        known = self.version_with(retrain_key=key, model_sha256=digest)
        if known is None:
            known = self._create_version(run_id, source, tags, description)
        for other in self.versions():
            replaced = other.retrain_key == key and other.model_sha256 != digest
            if replaced and other.state in UNSERVED_STATES:
                self._stand(other, closed(other, "superseded", other.intent.opened_at))
        if known.state == "superseded":
            self._stand(known, Intent("registered", life=known.life + 1, model_sha256=digest))
            known = self.version(known.number)
        return known

    def _create_version(
        self, run_id: str, source: str, tags: Mapping[str, str], description: str
    ) -> Version:
        self.client.ensure_registered_model(self.name)
        intent = Intent("registered", model_sha256=tags["model_sha256"])
        made = read_version(
            self.client.create_model_version(
                self.name,
                source,
                run_id,
                tags={**tags, intent.tag: intent.to_json(), STATE_TAG: intent.state},
                description=description,
                key_tag=("model_sha256", tags["model_sha256"]),
            )
        )
        lowest = self.version_with(
            retrain_key=tags["retrain_key"], model_sha256=tags["model_sha256"]
        )
        if lowest is None or lowest.number == made.number:
            return made
        self.client.delete_model_version(self.name, made.number)
        return lowest

    def set_state(
        self, version: Version, state: State, *, closed_at: datetime | None = None
    ) -> None:
        """Moves a version on its way, with all that follows; a closing state keeps its time.

        Raises:
            ConflictError: its shadow is to have passed, and it has none; or another version
                has its number by now.
        """
        if state == "shadow_passed" and version.opened_at is None:
            raise _not_open(version)
        self._stand(version, closed(version, state, utc_text(closed_at) if closed_at else None))
        self.finish()
        if not fits(version.model_sha256, self.version(version.number).model_sha256):
            raise ConflictError(
                f"version {version.number} was deleted, and its number given again: the new one "
                f"did not become {state}; run this step again"
            )

    def _stand(self, version: Version, intent: Intent) -> None:
        """Writes the intent of a version; `finish` does the rest."""
        self.set_tag(version, intent.tag, intent.to_json())

    def set_tag(self, version: Version, key: str, value: str) -> None:
        """Writes a version tag unless it says so already."""
        if version.tags.get(key) != value:
            self.client.set_model_version_tag(self.name, version.number, key, value)

    def widen(self, version: Version, share: float, *, at: datetime) -> None:
        """Gives an open canary a larger share of the traffic, for good: nobody is moved back.

        Raises:
            ConflictError: its canary ended meanwhile.
        """
        tag = widened_tag(share)
        if tag not in {widened_tag(known) for known, _ in widenings(version)}:
            self.set_tag(version, tag, widened_text(version, at))
        self.finish()
        if self.version(version.number).state != "canary":
            raise ConflictError(
                f"the canary of version {version.number} ended before it had a share of {share:g}; "
                "run this step again"
            )

    def open_shadow(self, version: Version, *, opened_at: datetime) -> None:
        """Makes `version` the candidate: `@challenger`, shadow from `opened_at`.

        Raises:
            ConflictError: its bytes were superseded meanwhile, be it that they came back since.
        """
        intent = Intent("shadow", utc_text(opened_at), None, version.life, version.model_sha256)
        self._stand(version, intent)
        self.finish()
        found = self.version(version.number)
        if found.intent.opened_at != intent.opened_at:
            raise _not_open(found)

    def close(self, version: Version, state: State, *, closed_at: datetime) -> None:
        """Ends a candidacy that never reached `@champion`.

        Raises:
            ConflictError: an event gave it `@champion` meanwhile.
        """
        self.finish()
        self._refuse_promoted(version, state)
        self.set_state(version, state, closed_at=closed_at)
        self._refuse_promoted(version, state)  # claimed just before: the event holds

    def _refuse_promoted(self, version: Version, state: State) -> None:
        promotion = self.snapshot().promotion_of(version.number, version.model_sha256)
        if promotion is not None:
            raise ConflictError(
                f"version {version.number} took @champion by epoch {promotion.epoch} and cannot "
                f"become {state}; roll it back instead"
            )

    # -- promotion -----------------------------------------------------------

    def promote(
        self,
        version: Version,
        *,
        kind: Literal["bootstrap", "promote"],
        effective_from: datetime,
        recorded_at: datetime,
        share: float | None,
    ) -> Event | None:
        """The event by which `version` has `@champion`, made once; None behind a newer window.

        Raises:
            ConflictError: another promotion claimed the epoch (it was finished; run
                again), or the version was closed meanwhile.
        """
        return self.commit(Promotion(version, kind, effective_from, recorded_at, share))

    def rollback(
        self,
        failed: Version | str | None = None,
        *,
        effective_from: datetime,
        recorded_at: datetime,
    ) -> Event | None:
        """The event by which `failed` lost `@champion` to the champion it replaced, made once.

        None when another version serves since. `failed` may be the number of a version that was
        deleted; without it, it is the version that was promoted last, so that a repeated call
        finds its own event instead of going further back.

        Raises:
            ConfigError: `failed` never took `@champion`.
            ConflictError: `failed` replaced nobody, or another change is under way.
        """
        number = failed.number if isinstance(failed, Version) else failed
        return self.commit(Rollback(number, effective_from, recorded_at))

    def plan(self, change: Change) -> tuple[Write, ...]:
        """What making `change` would write now, in order; nothing is written.

        What others left half done is finished first, so it is part of the plan.
        """
        world = self.world()
        left = tuple(recording(world, e) for e in self.claims.unrecorded(world.snapshot))
        left += follow(after(world, left))
        world = after(world, left)
        event = None if change.done(world) else change.decide(world)
        if event is None:
            return left
        name = self.claims.name_of(world.snapshot, event.epoch)
        return (*left, *plan(world, event, (name, settlement_of(name))))

    def finish(self) -> tuple[Write, ...]:
        """Finishes what dead writers left: claims become events, then tags and aliases follow.

        Everything that changes the registry begins with it, so whoever comes next finishes what
        a killed process began. Returns what was written.
        """
        world = self.world()
        written: tuple[Write, ...] = ()
        for event in self.claims.unrecorded(world.snapshot):
            recorded = self._record(world.snapshot, event)
            self.claims.hide(self.claims.name_of(world.snapshot, event.epoch))
            written += (Write("event", recorded.tag, recorded.to_json()),)
        return written + self._follow(self.world() if written else world)

    def verify(self, *, repair: bool = False) -> Verification:
        """Compares aliases, tags, events, claims and versions; repairs what can be repaired."""
        repaired = self._repair() if repair else ()
        world = self.world()
        found, missing = self.claims.check(world)
        found += (*findings(world), *(f"{key} has two versions" for key in doubled(world.versions)))
        return Verification(
            epoch=world.snapshot.epoch,
            versions=len(world.versions),
            findings=found,
            missing=(*missing, *follow(after(world, missing))),
            repaired=repaired,
        )

    def _repair(self) -> tuple[Write, ...]:
        """Claims whose experiments were removed (`mlflow gc` does), then what `finish` writes."""
        missing = self.claims.missing(self.world())
        for write in missing:
            self._write(write)
        return missing + self.finish()

    # -- the states of the protocol ---------------------------------------------

    def commit(self, change: Change) -> Event | None:
        """Makes a change once: finish, decide, fence, re-read, follow, read back.

        The event is the one that holds, made now or found; None when the rules forbid one.

        What a dead process left is finished first: its claim, or this epoch would be
        lost to it, and the newest event, at whose tags nobody looks once another
        epoch stands above it. So who holds the model's lock meets no conflict.
        """
        self.finish()
        world = self.world()
        event = change.done(world)
        if event is not None:
            return event
        event = change.decide(world)
        if event is None:
            return None
        owner = self._record(world.snapshot, self.claims.claim(world.snapshot, event))
        self._follow(self.world())
        if not owner.same_intent(event):
            raise ConflictError(
                f"epoch {event.epoch} of {self.name} went to version {owner.version} "
                f"({owner.kind}); nothing else was changed, run this step again"
            )
        return owner

    def _record(self, before: Snapshot, owner: Event) -> Event:
        """Re-reads behind the fence and makes the claim the event that it is settled as.

        A late writer, whose epoch others have finished and passed, finds its tag
        written here. (The claim alone would not do: `mlflow gc` removes it.)
        """
        world = self.world()
        if world.snapshot.incarnation != before.incarnation:
            raise ConflictError(
                f"{self.name} was deleted and registered again while version {owner.version} was "
                "on its way; nothing was changed"
            )
        recorded = next((e for e in world.snapshot.events if e.epoch == owner.epoch), None)
        if recorded is not None:
            return recorded
        event = self.claims.settle(world.snapshot, settled(world, owner))
        self.client.set_registered_model_tag(self.name, event.tag, event.to_json())
        return event

    def _follow(self, world: World) -> tuple[Write, ...]:
        """Writes until nothing is left to write, and reads back; returns what it wrote."""
        written: tuple[Write, ...] = ()
        for _ in range(FOLLOW_ROUNDS):
            writes = follow(world)
            if not writes:
                return written
            for write in writes:
                self._write(write)
            written += writes
            world = self.world()
        raise ConflictError(
            f"aliases or tags of {self.name} keep changing under our hands: another writer does "
            "not hold the lock; run this step again when it is done"
        )

    def _write(self, write: Write) -> None:
        """One write; the fence's own two are made by `_fence` and `_record`."""
        if write.what == "event" and write.value is not None:
            self.client.set_registered_model_tag(self.name, write.name, write.value)
        elif write.what == "tag" and write.version is not None:
            if write.value is None:
                self.client.delete_model_version_tag(self.name, write.version, write.name)
            else:
                self.client.set_model_version_tag(self.name, write.version, write.name, write.value)
        elif write.what == "version":
            self.client.delete_model_version(self.name, write.name)
        elif write.what == "alias" and write.value is None:
            self.client.delete_registered_model_alias(self.name, write.name)
        elif write.what == "alias" and write.value is not None:
            self.client.set_registered_model_alias(self.name, write.name, write.value)
        elif write.what == "claim" and write.value is not None:
            self.claims.make(write.name, write.value)


def _not_open(version: Version) -> ConflictError:
    return ConflictError(
        f"version {version.number} is {version.state} and was not opened: another run has other "
        "bytes of its key; run this step again"
    )
