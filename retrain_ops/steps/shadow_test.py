"""shadow_test: real requests scored by both models; waits until the shadow's nominal end."""

from __future__ import annotations

from dataclasses import dataclass

from retrain_ops.rollout.looks import look_at_shadow
from retrain_ops.run import Run


@dataclass(frozen=True, slots=True)
class ShadowResult:
    """`pass`, `fail`, or `idle` when no candidate is in shadow."""

    verdict: str
    candidate: str | None
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def status(self) -> str:
        """`ok` for a verdict, `idle` otherwise."""
        return "idle" if self.verdict == "idle" else "ok"

    @property
    def summary(self) -> str:
        """One line for people."""
        if self.verdict == "idle":
            return "no candidate in shadow"
        why = f" ({'; '.join(self.reasons)})" if self.reasons else ""
        return f"shadow of version {self.candidate}: {self.verdict}{why}"


def shadow_test(run: Run) -> ShadowResult:
    """Judges the open candidate's shadow.

    Raises:
        NotYet: the shadow ends later.
    """
    look = look_at_shadow(run)
    return ShadowResult(
        verdict=look.verdict,
        candidate=look.candidate,
        reasons=look.reasons,
        warnings=look.warnings,
    )
