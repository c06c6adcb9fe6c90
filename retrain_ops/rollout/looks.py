"""The open candidate's way from `@challenger` to `@champion`, shared by the rollout steps.

Time is nominal: a shadow lasts from the instant of the window that opened it
for 24 h, whenever somebody looks. So delays do not add up, and a backfilled
window finds its traffic already there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import pyarrow as pa

from retrain_ops import _core
from retrain_ops.comparison.scoring import load_version, score
from retrain_ops.errors import ConflictError, NotYet
from retrain_ops.registry.events import SHADOW_DAYS_TAG, Event, Version, utc_instant, utc_text
from retrain_ops.rollout.approval import (
    Answer,
    answer_of,
    ask_and_wait,
    needs_approval,
    record_answer,
)
from retrain_ops.run import Run
from retrain_ops.spec.window import days_between
from retrain_ops.stats.shadow import ShadowVerdict, judge_shadow


def candidate_path(run: Run, candidate: Version, as_of: datetime) -> str:
    """Where a look at the candidate is recorded, whichever run looked."""
    name = f"rollout/as_of={utc_text(as_of).replace(':', '')}.json"
    return run.workspace.key_path(candidate.window_end, name)


def record_look(
    run: Run, candidate: Version, as_of: datetime, part: str, content: Mapping[str, Any]
) -> None:
    """Writes one part (`shadow`, `promotion` or `canary`) of the look at `as_of`."""
    path = candidate_path(run, candidate, as_of)
    record = run.workspace.read_json(path) or {}
    record.update({"candidate": candidate.retrain_key, "as_of": utc_text(as_of)})
    record[part] = dict(content)
    run.workspace.write_json(path, record)


def settle(run: Run) -> None:
    """Settles every shadow whose nominal end lies at or before the run's instant.

    Nothing is then evaluated against a stale champion. What cannot be settled
    yet (traffic or approval missing) stays open for the rollout steps.
    """
    candidate = run.registry.open_candidate()
    if candidate is None or candidate.state == "canary":
        run.registry.repair()
        return
    if candidate.opened_at is None or shadow_end(run, candidate) > run.instant:
        return
    try:
        look_at_shadow(run)
        promote_candidate(run)
    except NotYet:
        return


# -- shadow -------------------------------------------------------------------------


def shadow_end(run: Run, candidate: Version) -> datetime:
    """The nominal end of the shadow, extensions included."""
    assert candidate.opened_at is not None
    days = int(candidate.tags.get(SHADOW_DAYS_TAG, "1"))
    return candidate.opened_at + timedelta(hours=run.spec.shadow.hours) * days


@dataclass(frozen=True, slots=True)
class ShadowLook:
    """What a look at the open candidate found: `idle`, `pass` or `fail`."""

    verdict: str
    candidate: str | None = None
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def look_at_shadow(run: Run) -> ShadowLook:
    """Judges the candidate in shadow, if there is one whose time is up.

    Raises:
        NotYet: its shadow ends later.
    """
    candidate = run.registry.open_candidate()
    if candidate is None or candidate.state != "shadow" or candidate.opened_at is None:
        return ShadowLook(verdict="idle")
    champion = run.registry.snapshot().newest
    if champion is None:  # the bootstrap has nobody to be compared with
        run.registry.set_state(candidate, "shadow_passed")
        return ShadowLook(verdict="pass", candidate=candidate.number, reasons=("bootstrap",))
    verdict, end = _judge_until_decided(run, candidate, run.registry.version(champion.version))
    record_look(run, candidate, end, "shadow", verdict.to_json())
    if verdict.verdict == "pass":
        run.registry.set_state(candidate, "shadow_passed")
    else:
        run.registry.close(candidate, "failed", closed_at=end)
    return ShadowLook(
        verdict="pass" if verdict.verdict == "pass" else "fail",
        candidate=candidate.number,
        reasons=verdict.reasons,
        warnings=verdict.warnings,
    )


def _judge_until_decided(
    run: Run, candidate: Version, champion: Version
) -> tuple[ShadowVerdict, datetime]:
    """Extends by a day while rows are too few, up to the spec's limit."""
    assert candidate.opened_at is not None
    step = timedelta(hours=run.spec.shadow.hours)
    days = int(candidate.tags.get(SHADOW_DAYS_TAG, "1"))
    while True:
        end = candidate.opened_at + step * days
        if end > datetime.now(UTC):
            raise NotYet(
                f"the shadow of {candidate.retrain_key} ends at {utc_text(end)}", until=end
            )
        verdict = _judge(run, candidate, champion, end)
        if verdict.verdict != "undecided" or days >= run.spec.shadow.max_days:
            return verdict, end
        days += 1
        run.registry.set_tag(candidate, SHADOW_DAYS_TAG, str(days))


def _judge(run: Run, candidate: Version, champion: Version, end: datetime) -> ShadowVerdict:
    assert candidate.opened_at is not None
    requests = read_requests(run, since=candidate.opened_at, before=end)
    old, new = load_version(run, champion), load_version(run, candidate)
    counts = _core.shadow_counts(
        score(old, requests, n_threads=run.n_threads),
        score(new, requests, n_threads=run.n_threads),
        old.threshold,
        new.threshold,
        n_threads=run.n_threads,
    )
    # No latency: a replay would measure this machine's mood, and a verdict must replay.
    return judge_shadow(counts, run.spec.shadow)


def read_requests(run: Run, *, since: datetime, before: datetime) -> pa.Table:
    """Requests of `[since, before)`; a source day may lie a day to either side of its instants."""
    days = days_between(since.date() - timedelta(days=1), before.date() + timedelta(days=1))
    label = run.spec.source.label
    columns = (*run.spec.features.all, label)
    return run.source.read(days, columns=columns, before=before, since=since, allow_missing=True)


# -- promotion -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PromotionLook:
    """What came of a candidate after its shadow.

    `idle`, `promoted`, `rejected`, `expired` (nobody answered), or `behind` a newer champion.
    """

    verdict: str
    candidate: str | None = None
    event: Event | None = None


def promote_candidate(run: Run) -> PromotionLook:
    """Gives `@champion` to the candidate that passed its shadow and, if asked for, approval.

    Raises:
        NotYet: a person has to approve first.
    """
    # A promoter that was killed half-way has left tags and aliases behind its event.
    mended = run.registry.repair()
    candidate = run.registry.open_candidate()
    if mended and candidate is not None and candidate.state == "canary":
        event = run.registry.snapshot().promotion_of(candidate.number)
        answer = answer_of(run, candidate, datetime.now(UTC))
        if event is not None:
            return _promoted(run, candidate, event, answer)
        return PromotionLook(verdict="idle")
    if candidate is None or candidate.state != "shadow_passed":
        return PromotionLook(verdict="idle")
    answer = _answer(run, candidate)
    if answer is not None and answer.verdict != "approved":
        return close_answered(run, candidate, answer)
    bootstrap = run.registry.snapshot().newest is None
    event = run.registry.promote(
        candidate,
        kind="bootstrap" if bootstrap else "promote",
        effective_from=_effective_from(run, candidate, answer, bootstrap),
        recorded_at=datetime.now(UTC),
        share=None if bootstrap else run.spec.canary.share,
    )
    if event is None:  # a newer window was promoted while this one waited
        run.registry.close(candidate, "expired", closed_at=datetime.now(UTC))
        return PromotionLook(verdict="behind", candidate=candidate.number)
    return _promoted(run, candidate, event, answer)


def close_answered(run: Run, candidate: Version, answer: Answer) -> PromotionLook:
    """Ends a candidacy that a person, or silence, has decided against."""
    verdict: Literal["rejected", "expired"]
    verdict = "rejected" if answer.verdict == "rejected" else "expired"
    record_look(run, candidate, answer.at, "promotion", {"approval": answer.to_json()})
    run.registry.close(candidate, verdict, closed_at=answer.at)
    return PromotionLook(verdict=verdict, candidate=candidate.number)


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


def _promoted(run: Run, candidate: Version, event: Event, answer: Answer | None) -> PromotionLook:
    content = {k: getattr(event, k) for k in ("kind", "effective_from", "share")}
    if answer is not None:
        content["approval"] = answer.to_json()
    record_look(run, candidate, utc_instant(event.effective_from), "promotion", content)
    return PromotionLook(verdict="promoted", candidate=candidate.number, event=event)


def _effective_from(
    run: Run, candidate: Version, answer: Answer | None, bootstrap: bool
) -> datetime:
    """max(instant + shadow, instant of approval); the bootstrap counts from its own instant."""
    if candidate.opened_at is None:
        raise ConflictError(f"version {candidate.number} passed a shadow that was never opened")
    if bootstrap:
        return candidate.opened_at
    end = shadow_end(run, candidate)
    return max(end, answer.at) if answer else end


# -- matured traffic of a canary --------------------------------------------------------


def matured_days(run: Run, since: datetime, as_of: datetime) -> tuple[date, ...]:
    """Days from `since` whose labels were complete at `as_of`."""
    newest = as_of.date() - timedelta(days=run.spec.source.label_delay_days)
    first = since.date() - timedelta(days=1)
    return days_between(first, newest) if newest >= first else ()
