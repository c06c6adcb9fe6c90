"""promote_champion: `@champion` moves, with the canary's share, after shadow and approval."""

from __future__ import annotations

from dataclasses import dataclass

from retrain_ops.rollout.looks import promote_candidate
from retrain_ops.run import Run


@dataclass(frozen=True, slots=True)
class ChampionResult:
    """`promoted`, `rejected`, `expired`, `behind`, or `idle` when nobody waits."""

    verdict: str
    candidate: str | None
    previous: str | None
    effective_from: str | None
    share: float | None

    @property
    def status(self) -> str:
        """`ok` when something was decided, `idle` otherwise."""
        return "idle" if self.verdict == "idle" else "ok"

    @property
    def summary(self) -> str:
        """One line for people."""
        if self.verdict == "idle":
            return "no candidate waits for promotion"
        if self.verdict != "promoted":
            return f"version {self.candidate}: {self.verdict}"
        share = "" if self.share is None else f", canary {self.share:.0%}"
        return f"version {self.candidate} is @champion from {self.effective_from}{share}"


def promote_champion(run: Run) -> ChampionResult:
    """Promotes the candidate that passed its shadow.

    Raises:
        NotYet: a person has to approve first.
        ConflictError: another promotion is under way.
    """
    look = promote_candidate(run)
    return ChampionResult(
        verdict=look.verdict,
        candidate=look.candidate,
        previous=look.event.previous if look.event else None,
        effective_from=look.event.effective_from if look.event else None,
        share=look.event.share if look.event else None,
    )
