"""The candidate's way from its shadow to `@champion`: approval, promotion, or its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from retrain_ops.errors import ConflictError, NotYet
from retrain_ops.registry.events import Event, State, Version, utc_instant
from retrain_ops.registry.tags import REJECTED_AT_TAG, instant_of
from retrain_ops.rollout import news
from retrain_ops.rollout.approval import (
    Answer,
    answer_of,
    approval_of,
    ask_and_wait,
    needs_approval,
    record_answer,
)
from retrain_ops.rollout.looks import record_look, said_first, shadow_end, withdraw_look
from retrain_ops.rollout.shadow import look_at_shadow
from retrain_ops.run import Run

CLOSING: Mapping[str, State] = {"rejected": "rejected", "expired": "expired"}


@dataclass(frozen=True, slots=True)
class ChampionResult:
    """`promoted`, `rejected`, `expired`, `behind`, or `idle` when nobody waits."""

    verdict: str
    candidate: str | None = None
    previous: str | None = None
    effective_from: str | None = None
    share: float | None = None

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


def settle(run: Run) -> None:
    """Settles every shadow whose nominal end lies at or before the run's instant.

    Nothing is then evaluated against a stale champion. What cannot be settled
    yet (traffic or approval missing) stays open for the rollout steps.
    """
    news.begin(run)
    run.registry.finish()
    candidate = run.registry.open_candidate()
    if candidate is None or candidate.state == "canary":
        return
    if candidate.opened_at is None or shadow_end(run, candidate) > run.instant:
        return
    try:
        look_at_shadow(run)
        promote_candidate(run)
    except NotYet:
        return


def promote_candidate(run: Run) -> ChampionResult:
    """Gives `@champion` to the candidate that passed its shadow and, if asked for, approval.

    Raises:
        NotYet: a person has to approve first.
    """
    run.registry.finish()
    candidate = run.registry.open_candidate()
    if candidate is None or candidate.state == "canary":
        return report_promotion(run)
    answer = answer_of(run, candidate, datetime.now(UTC))
    if answer is not None and answer.verdict == "rejected":
        # Whatever its shadow says; the command that rejected it may have died before closing.
        return _close(run, candidate, answer)
    if candidate.state != "shadow_passed":
        return ChampionResult("idle")
    answer = _answer(run, candidate)
    if answer is not None and answer.verdict != "approved":
        return _close(run, candidate, answer)
    bootstrap = run.registry.snapshot().newest is None
    event = run.registry.promote(
        candidate,
        kind="bootstrap" if bootstrap else "promote",
        effective_from=counts_from(run, candidate, answer, bootstrap=bootstrap),
        recorded_at=datetime.now(UTC),
        share=None if bootstrap else run.spec.canary.share,
    )
    if event is None:  # a newer window was promoted while this one waited
        result = ChampionResult("behind", candidate.number)
        with said_first(run, "promote_champion", result):
            run.registry.close(candidate, "expired", closed_at=datetime.now(UTC))
        return result
    return _promoted(run, event)


def report_promotion(run: Run) -> ChampionResult:
    """Reports what a run promoted that died before it could say so; else `idle`."""
    event = news.unreported(run, ("bootstrap", "promote"))
    return ChampionResult("idle") if event is None else _promoted(run, event)


def close_answered(run: Run, candidate: Version, answer: Answer) -> None:
    """Ends a candidacy that a person, or silence, has decided against.

    Raises:
        ConflictError: an event gave it `@champion` meanwhile; no record says otherwise then.
    """
    record_look(run, candidate, answer.at, "promotion", {"approval": answer.to_json()})
    try:
        run.registry.close(candidate, CLOSING[answer.verdict], closed_at=answer.at)
    except ConflictError:
        withdraw_look(run, candidate, answer.at, "promotion")
        raise


def _close(run: Run, candidate: Version, answer: Answer) -> ChampionResult:
    """What a step closes it says, also where an earlier step of its day did it."""
    record_answer(run, candidate, answer)  # one that was set by hand counts from now
    result = ChampionResult(CLOSING[answer.verdict], candidate.number)
    with said_first(run, "promote_champion", result):
        close_answered(run, candidate, answer)
    return result


def _answer(run: Run, candidate: Version) -> Answer | None:
    """The answer about the candidate, recorded; None when there is none and none is needed.

    Raises:
        NotYet: a person has to give it, and was asked.
    """
    answer = answer_of(run, candidate, datetime.now(UTC))
    if answer is not None:
        record_answer(run, candidate, answer)
    elif needs_approval(run):
        raise ask_and_wait(run, candidate)
    return answer


def _promoted(run: Run, event: Event) -> ChampionResult:
    """Records with the candidate how it took `@champion`, and reports it."""
    candidate = run.registry.version(event.version)
    content = {k: getattr(event, k) for k in ("kind", "effective_from", "share")}
    rejected_at = instant_of(candidate, REJECTED_AT_TAG)
    if rejected_at is not None:  # it came too late; who closed by it may have died there
        withdraw_look(run, candidate, rejected_at, "promotion")
    answer = approval_of(run, candidate, utc_instant(event.recorded_at))
    if answer is not None:
        content["approval"] = answer.to_json()
    record_look(run, candidate, utc_instant(event.effective_from), "promotion", content)
    news.report(run, event)
    return ChampionResult(
        verdict="promoted",
        candidate=event.version,
        previous=event.previous,
        effective_from=event.effective_from,
        share=event.share,
    )


def counts_from(
    run: Run, candidate: Version, answer: Answer | None, *, bootstrap: bool
) -> datetime:
    """max(instant + shadow, instant of approval); the bootstrap counts from its own instant."""
    if candidate.opened_at is None:
        raise ConflictError(f"version {candidate.number} passed a shadow that was never opened")
    if bootstrap:
        return candidate.opened_at
    end = shadow_end(run, candidate)
    return max(end, answer.at) if answer else end
