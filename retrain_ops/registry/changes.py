"""Changes of `@champion`: each finds the event that made it, or decides the event to make."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from retrain_ops.errors import ConfigError
from retrain_ops.registry.events import Event, Version, World, utc_instant, utc_text
from retrain_ops.registry.protocol import next_promotion, next_rollback


class Change(Protocol):
    """What `Registry` commits, and what it can plan without writing."""

    def done(self, world: World) -> Event | None:
        """The event that made the change already."""

    def decide(self, world: World) -> Event | None:
        """The event that is to make it; None when the rules forbid it."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """`version` takes `@champion`."""

    version: Version
    kind: Literal["bootstrap", "promote"]
    effective_from: datetime
    recorded_at: datetime
    share: float | None

    def done(self, world: World) -> Event | None:
        """Its promotion."""
        return world.snapshot.promotion_of(self.version.number, self.version.model_sha256)

    def decide(self, world: World) -> Event | None:
        """None behind a newer window."""
        return next_promotion(
            world,
            world.find(self.version.number) or self.version,
            kind=self.kind,
            effective_from=self.effective_from,
            recorded_at=self.recorded_at,
            share=self.share,
        )


@dataclass(frozen=True, slots=True)
class Rollback:
    """`failed` loses `@champion`; None: the version that was promoted last."""

    failed: str | None
    effective_from: datetime
    recorded_at: datetime

    def done(self, world: World) -> Event | None:
        """The rollback that took it off."""
        promotion = world.snapshot.promotion_of(self._number(world))
        return world.snapshot.rollback_of(promotion) if promotion else None

    def decide(self, world: World) -> Event | None:
        """None when another version serves since."""
        number = self._number(world)
        promotion = world.snapshot.promotion_of(number)
        taken = utc_instant(promotion.effective_from) if promotion else self.effective_from
        if self.effective_from < taken <= self.recorded_at:  # one still to come may go
            raise ConfigError(
                f"version {number} took @champion at {utc_text(taken)}: a rollback cannot count "
                f"from {utc_text(self.effective_from)}, which lies before"
            )
        return next_rollback(
            world, number, effective_from=self.effective_from, recorded_at=self.recorded_at
        )

    def _number(self, world: World) -> str:
        newest = world.snapshot.newest
        number = self.failed or (newest.failed or newest.version if newest else None)
        if number is None:
            raise ConfigError("nobody has @champion: there is nothing to roll back")
        if world.snapshot.promotion_of(number) is None:
            raise ConfigError(
                f"version {number} never took @champion: there is nothing to roll back "
                "(`retrain-ops history` lists who did)"
            )
        return number
