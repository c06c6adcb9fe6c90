"""Epochs: who may make the next change of `@champion`, decided by a create with one winner.

A claim is an experiment that is named by model and epoch and carries the whole event. MLflow
creates a name once, whoever asks; a deleted experiment keeps its name taken and stays out of
people's way in the UI. What the claim comes to, its event or void, is claimed the same way: two
that finish it may have seen different worlds, and no two values are ever written for one epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

from retrain_ops.errors import ConflictError, RemoteError
from retrain_ops.mlflow.client import TAKEN, MlflowClient
from retrain_ops.registry.events import Event, Snapshot, World
from retrain_ops.registry.protocol import Write, settled, voided

CLAIM_TAG = "retrain.claim"


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of the registered model `model`."""

    client: MlflowClient
    model: str

    def name_of(self, snapshot: Snapshot, epoch: int) -> str:
        """The experiment whose creation claims an epoch.

        A model that was deleted and registered again counts from 1 again; the
        time of its creation keeps it from meeting the claims of the earlier one.
        """
        return f"retrain_ops/{self.model}/{snapshot.incarnation}/epoch/{epoch:06d}"

    def holder(self, snapshot: Snapshot, epoch: int) -> Event | None:
        """The event that an epoch is claimed by, as it was settled; None without a claim."""
        name = self.name_of(snapshot, epoch)
        claim = self._held_by(name)
        return (self._held_by(settlement_of(name)) or claim) if claim else None

    def _held_by(self, name: str) -> Event | None:
        found = self.client.get_experiment_by_name(name)
        if found is None or CLAIM_TAG not in found.tags:
            return None
        return Event.from_json(found.tags[CLAIM_TAG])

    def claim(self, snapshot: Snapshot, event: Event) -> Event:
        """The event that owns the epoch: `event` itself if the create had it as its winner.

        Raises:
            ConflictError: an experiment of that name exists and is no claim.
        """
        return self._win(self.name_of(snapshot, event.epoch), event)

    def settle(self, snapshot: Snapshot, event: Event) -> Event:
        """What a claim comes to: `event`, unless another that finished it was first."""
        return self._win(settlement_of(self.name_of(snapshot, event.epoch)), event)

    def _win(self, name: str, event: Event) -> Event:
        try:
            self.make(name, event.to_json())
        except RemoteError as problem:
            if getattr(problem, "error_code", None) != TAKEN:
                raise
            owner = self._held_by(name)
            if owner is None:
                raise ConflictError(
                    f"the experiment {name} exists and is no claim; rename it, then run again"
                ) from problem
            self.hide(name)
            return owner
        return event

    def make(self, name: str, text: str) -> None:
        """Creates a claim, out of sight."""
        self.client.delete_experiment(self.client.create_experiment(name, tags={CLAIM_TAG: text}))

    def hide(self, name: str) -> None:
        """Puts a claim out of sight, should its maker have died before it could."""
        found = self.client.get_experiment_by_name(name)
        if found is not None and found.lifecycle_stage == "active":
            self.client.delete_experiment(found.experiment_id)

    def unrecorded(self, snapshot: Snapshot) -> tuple[Event, ...]:
        """Events that their claims alone still hold: the tag was not written yet, or was lost.

        As they were claimed: whether one is void is seen when it is recorded, not before.
        """
        found = [held for epoch in snapshot.lost if (held := self.holder(snapshot, epoch))]
        epoch = snapshot.epoch + 1
        while snapshot.incarnation and (held := self.holder(snapshot, epoch)):
            found.append(held)
            epoch += 1
        return tuple(found)

    def missing(self, world: World) -> tuple[Write, ...]:
        """Claims to be made for events that have none."""
        return self._made_up(world.snapshot, self._held(world.snapshot))

    def check(self, world: World) -> tuple[tuple[str, ...], tuple[Write, ...]]:
        """Events and claims must agree: (findings, writes that repair the rest)."""
        snapshot, unrecorded = world.snapshot, self.unrecorded(world.snapshot)
        held = self._held(snapshot)
        findings = [
            f"epoch {event.epoch} was claimed by another event than its tag says"
            for event in snapshot.events
            if not _fits(event, held[event.epoch])
        ]
        restored = {event.epoch for event in unrecorded}
        findings += [
            f"epoch {epoch} is gone, and so is its claim: somebody removed both"
            for epoch in snapshot.lost
            if epoch not in restored
        ]
        events = (recording(world, event) for event in unrecorded)
        return tuple(findings), (*self._made_up(snapshot, held), *events)

    def _held(self, snapshot: Snapshot) -> dict[int, Event | None]:
        return {event.epoch: self.holder(snapshot, event.epoch) for event in snapshot.events}

    def _made_up(self, snapshot: Snapshot, held: dict[int, Event | None]) -> tuple[Write, ...]:
        return tuple(
            Write("claim", self.name_of(snapshot, event.epoch), event.to_json())
            for event in snapshot.events
            if held[event.epoch] is None
        )


def settlement_of(name: str) -> str:
    """The experiment that says what the claim of this name came to."""
    return f"{name}/settled"


def recording(world: World, claim: Event) -> Write:
    """What records a claim."""
    return Write("event", claim.tag, settled(world, claim).to_json())


def _fits(event: Event, claim: Event | None) -> bool:
    return claim is None or event in (claim, voided(claim))
