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

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from retrain_ops.errors import ConflictError, RemoteError
from retrain_ops.mlflow.client import MlflowClient
from retrain_ops.mlflow.requests import name_filter
from retrain_ops.registry.events import (
    CHALLENGER,
    CHAMPION,
    CLOSED_TAG,
    OPENED_TAG,
    PREVIOUS,
    SHARE_TAG,
    STATE_TAG,
    UNSERVED_STATES,
    Event,
    Snapshot,
    State,
    Version,
    World,
    read_events,
    read_version,
    utc_text,
)
from retrain_ops.registry.protocol import (
    Write,
    doubled,
    findings,
    follow,
    next_promotion,
    next_rollback,
    open_candidates,
    plan,
    settled,
)

__all__ = ["Registry", "Serving", "Verification"]

CLAIM_TAG = "retrain.claim"
FOLLOW_ROUNDS = 8

Decide = Callable[[World], Event | None]


@dataclass(frozen=True, slots=True)
class Serving:
    """What a router needs: `share` of the traffic goes to `champion`, the rest to `previous`."""

    champion: str
    previous: str | None
    share: float
    epoch: int


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found: `findings` in words, and the writes that mend what can be mended.

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

    # -- reading ---------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """Aliases and events now; empty when the model is not registered yet.

        Raises:
            ConflictError: a tag that should hold an event holds something else.
        """
        model = self.client.get_registered_model(self.name)
        if model is None:
            return Snapshot(aliases={}, events=())
        return Snapshot(
            aliases=dict(model.aliases),
            events=read_events(model.tags),
            incarnation=model.creation_timestamp,
        )

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

    def serving(self) -> Serving:
        """Who answers requests, and with which share, for a router that polls.

        Raises:
            ConflictError: nobody was promoted, or an alias does not say what the
                event of the highest epoch says: a change is under way, or somebody
                moved it. Go on with what you have, and ask again.
        """
        snapshot = self.snapshot()
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
            share = float(champion.tags.get(SHARE_TAG, "1"))
        return Serving(newest.version, named[1], share, newest.epoch)

    # -- versions ----------------------------------------------------------

    def register(
        self, *, run_id: str, source: str, tags: Mapping[str, str], description: str
    ) -> Version:
        """The version of `tags["retrain_key"]` and `tags["model_sha256"]`, created at most once.

        An earlier version of the key with other bytes becomes `superseded`
        unless it ever served: a fix changes nothing silently. Should a race make
        two of the same bytes, the lower one stays.
        """
        key, digest = tags["retrain_key"], tags["model_sha256"]
        known = self.version_with(retrain_key=key, model_sha256=digest)
        if known is None:
            self.client.ensure_registered_model(self.name)
            created = self.client.create_model_version(
                self.name,
                source,
                run_id,
                tags={**tags, STATE_TAG: "registered"},
                description=description,
                key_tag=("model_sha256", digest),
            )
            lowest = self.version_with(retrain_key=key, model_sha256=digest)
            known = lowest or read_version(created)
        for other in self.versions():
            replaced = other.retrain_key == key and other.number != known.number
            if replaced and other.state in UNSERVED_STATES:
                self.set_state(other, "superseded", closed_at=other.opened_at)
        return known

    def set_state(
        self, version: Version, state: State, *, closed_at: datetime | None = None
    ) -> None:
        """Records where a version is on its way; a closing state keeps its nominal time."""
        if closed_at is not None:
            self.set_tag(version, CLOSED_TAG, utc_text(closed_at))
        self.set_tag(version, STATE_TAG, state)

    def set_tag(self, version: Version, key: str, value: str) -> None:
        """Writes a version tag unless it says so already."""
        if version.tags.get(key) != value:
            self.client.set_version_tag(self.name, version.number, key, value)

    def open_shadow(self, version: Version, *, opened_at: datetime) -> None:
        """Makes `version` the candidate: `@challenger`, shadow from `opened_at`."""
        self.set_tag(version, OPENED_TAG, utc_text(opened_at))
        self.set_state(version, "shadow")
        self.client.set_alias(self.name, CHALLENGER, version.number)

    def close(self, version: Version, state: State, *, closed_at: datetime) -> None:
        """Ends a candidacy that never reached `@champion`."""
        self.set_state(version, state, closed_at=closed_at)
        if self.snapshot().aliases.get(CHALLENGER) == version.number:
            self.client.delete_alias(self.name, CHALLENGER)

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
        """Moves `@champion` to `version`, once; None when a newer window was promoted before.

        Raises:
            ConflictError: another promotion claimed the epoch (it was finished; run
                again), or the version was closed meanwhile.
        """

        def decide(world: World) -> Event | None:
            return next_promotion(
                world,
                world.find(version.number) or version,
                kind=kind,
                effective_from=effective_from,
                recorded_at=recorded_at,
                share=share,
            )

        world = self.world()
        done = world.snapshot.promotion_of(version.number, version.model_sha256)
        if done is not None:
            self._follow(world)
            return done
        return self._commit(world, decide)

    def rollback(
        self, failed: Version | str, *, effective_from: datetime, recorded_at: datetime
    ) -> Event | None:
        """Gives `@champion` back to whom `failed` replaced; None when it does not serve.

        Calling it again changes nothing: `failed` no longer serves then. `failed`
        may be the number of a version that was deleted.

        Raises:
            ConflictError: `failed` replaced nobody, or another change is under way.
        """
        number = failed if isinstance(failed, str) else failed.number

        def decide(world: World) -> Event | None:
            return next_rollback(
                world, number, effective_from=effective_from, recorded_at=recorded_at
            )

        return self._commit(self.world(), decide)

    def plan(self, decide: Decide) -> tuple[Write, ...]:
        """What `_commit(decide)` would write now, in order; nothing is written."""
        world = self.world()
        event = decide(world)
        if event is None:
            return follow(world)
        return plan(world, event, self.claim_name(world.snapshot, event.epoch))

    def repair(self) -> bool:
        """Makes tags and aliases say what the events say; True when they did not."""
        return bool(self._follow(self.world()))

    def verify(self, *, repair: bool = False) -> Verification:
        """Compares aliases, tags, events, claims and versions; mends what can be mended."""
        world = self.world()
        told, missing = self._check_claims(world)
        for write in missing if repair else ():
            self._write(write)
        repaired = missing if repair else ()
        if repair:
            repaired += self._follow(self.world())
            world = self.world()
            told, missing = self._check_claims(world)
        told += (*findings(world), *(f"{key} has two versions" for key in doubled(world.versions)))
        return Verification(
            epoch=world.snapshot.epoch,
            versions=len(world.versions),
            findings=told,
            missing=(*missing, *follow(world)),
            repaired=repaired,
        )

    def claim_name(self, snapshot: Snapshot, epoch: int) -> str:
        """The experiment whose creation claims an epoch.

        A model that was deleted and registered again counts from 1 again; the
        time of its creation keeps it from meeting the claims of the earlier one.
        """
        return f"retrain_ops/{self.name}/{snapshot.incarnation}/epoch/{epoch:06d}"

    # -- the states of the protocol ---------------------------------------------

    def _commit(self, world: World, decide: Decide) -> Event | None:
        """decide, fence, re-read, follow, read back; the caller has read `world`.

        What a dead process left is finished first: its claim, or this epoch would be
        lost to it, and the newest event, at whose tags nobody looks once another
        epoch stands above it. So who holds the model's lock meets no conflict.
        """
        pending = self._claimed(world.snapshot, world.snapshot.epoch + 1)
        if pending is not None:
            self._record(world.snapshot, pending)
            world = self.world()
        if self._follow(world):
            world = self.world()
        event = decide(world)
        if event is None:
            return None
        owner = self._record(world.snapshot, self._fence(world, event))
        self._follow(self.world())
        if not owner.same_intent(event):
            raise ConflictError(
                f"epoch {event.epoch} of {self.name} went to version {owner.version} "
                f"({owner.kind}); nothing else was changed, run this step again"
            )
        return owner

    def _fence(self, world: World, event: Event) -> Event:
        """The event that owns the epoch: ours if the create below had us as its winner."""
        name = self.claim_name(world.snapshot, event.epoch)
        try:
            claim = self.client.create_experiment(name, tags={CLAIM_TAG: event.to_json()})
        except RemoteError as problem:
            if getattr(problem, "error_code", None) != "RESOURCE_ALREADY_EXISTS":
                raise
            owner = self._claimed(world.snapshot, event.epoch)
            if owner is None:
                raise ConflictError(
                    f"the experiment {name} exists and is no claim; rename it, then run again"
                ) from problem
            return owner
        # A deleted experiment keeps its name taken and stays out of people's way in the UI.
        self.client.delete_experiment(claim)
        return event

    def _claimed(self, snapshot: Snapshot, epoch: int) -> Event | None:
        """The event that the claim of an epoch carries; None without a claim."""
        found = self.client.get_experiment(self.claim_name(snapshot, epoch))
        if found is None or CLAIM_TAG not in found.tags:
            return None
        if found.lifecycle_stage == "active":  # its maker died before hiding it
            self.client.delete_experiment(found.experiment_id)
        return Event.from_json(found.tags[CLAIM_TAG])

    def _record(self, before: Snapshot, owner: Event) -> Event:
        """Re-reads behind the fence and makes the claim an event; the tag that is there wins.

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
        event = settled(world, owner)
        self.client.set_model_tag(self.name, event.tag, event.to_json())
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
            self.client.set_model_tag(self.name, write.name, write.value)
        elif write.what == "tag" and write.version is not None:
            if write.value is None:
                self.client.delete_version_tag(self.name, write.version, write.name)
            else:
                self.client.set_version_tag(self.name, write.version, write.name, write.value)
        elif write.what == "alias" and write.value is None:
            self.client.delete_alias(self.name, write.name)
        elif write.what == "alias" and write.value is not None:
            self.client.set_alias(self.name, write.name, write.value)
        elif write.what == "claim":
            tags = {CLAIM_TAG: write.value or ""}
            self.client.delete_experiment(self.client.create_experiment(write.name, tags=tags))

    def _check_claims(self, world: World) -> tuple[tuple[str, ...], tuple[Write, ...]]:
        """Events and claims must tell the same story: (findings, writes that mend the rest)."""
        told: list[str] = []
        missing: list[Write] = []
        snapshot = world.snapshot
        for event in snapshot.events:
            claim = self._claimed(snapshot, event.epoch)
            if claim is None:
                name = self.claim_name(snapshot, event.epoch)
                missing.append(Write("claim", name, event.to_json()))
            elif claim != event and event != settled(world, claim):
                told.append(f"epoch {event.epoch} was claimed by another event than its tag says")
        pending = self._claimed(snapshot, snapshot.epoch + 1) if snapshot.incarnation else None
        if pending is not None:  # its promoter died between fence and event
            event = settled(world, pending)
            missing.append(Write("event", event.tag, event.to_json()))
        return tuple(told), tuple(missing)
