"""A person's word before `@champion` moves: asked once, answered once, or expired.

All of it is in the tags of the candidate's version, whoever asked and whichever way the answer
came: a form of the orchestrator, `retrain-ops approve`, or the tag set by hand. Approval is the
one thing that runs on the wall clock: a person has the spec's days from the moment of the
question, however late a candidate was found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from retrain_ops.decisions.record import (
    PairedRecord,
    compared,
    metric_of,
    recover_decision,
    scores_of,
)
from retrain_ops.errors import NotYet
from retrain_ops.notify import send
from retrain_ops.registry.events import APPROVAL_TAG, ASKED_AT_TAG, Version, utc_text
from retrain_ops.registry.tags import APPROVED_AT_TAG, instant_of
from retrain_ops.run import Run

APPROVAL_POLL = timedelta(minutes=15)
TOLD_TAG = "retrain.approval_told"
UNNAMED = "unnamed"  # who set the tag by hand; MLflow does not say
Verdict = Literal["approved", "rejected", "expired"]
GIVEN: Mapping[str, Verdict] = {"approved": "approved", "rejected": "rejected"}
EXPIRY = "on_expiry"  # who approves when nobody has answered and the spec says so


@dataclass(frozen=True, slots=True)
class Answer:
    """What was decided about a candidate, by whom, and since when it counts."""

    verdict: Verdict
    by: str
    at: datetime

    def to_json(self) -> dict[str, str]:
        """As it stands in the rollout record."""
        return {"verdict": self.verdict, "by": self.by, "at": utc_text(self.at)}


def needs_approval(run: Run) -> bool:
    """Whether the spec asks a person; the first champion is a person's act already."""
    return run.spec.rollout.approval == "required" and run.registry.snapshot().newest is not None


def awaiting_answer(run: Run) -> Version | None:
    """The candidate that a person has to decide about now, if there is one."""
    candidate = run.registry.open_candidate()
    if candidate is None or candidate.state != "shadow_passed" or not needs_approval(run):
        return None
    return candidate if answer_of(run, candidate, datetime.now(UTC)) is None else None


def answer_of(run: Run, candidate: Version, now: datetime) -> Answer | None:
    """What its tags say, or the spec about silence; None while there is time to answer.

    A tag that was set by hand says neither who nor when: it counts from when it is first seen.
    """
    given = candidate.tags.get(APPROVAL_TAG, "").strip().lower()
    if given in GIVEN:
        return _given(candidate, GIVEN[given], now)
    expires = expires_at(run, candidate)
    if expires is None or now < expires:
        return None
    approves = run.spec.rollout.on_expiry == "approve"
    return Answer("approved" if approves else "expired", EXPIRY, expires)


def _given(candidate: Version, verdict: Verdict, now: datetime) -> Answer:
    at = instant_of(candidate, f"retrain.{verdict}_at")
    by = candidate.tags.get(f"retrain.{verdict}_by", UNNAMED)
    return Answer(verdict, by, at or now)


def approval_of(run: Run, candidate: Version, at: datetime) -> Answer | None:
    """What let a candidate that was promoted at `at` pass; a rejection came too late for that."""
    answer = answer_of(run, candidate, at)
    if answer is None or answer.verdict != "rejected":
        return answer
    return _given(candidate, "approved", at) if APPROVED_AT_TAG in candidate.tags else None


def expires_at(run: Run, candidate: Version) -> datetime | None:
    """When silence becomes an answer; None before anybody was asked."""
    asked = instant_of(candidate, ASKED_AT_TAG)
    return asked + timedelta(days=run.spec.rollout.approval_days) if asked else None


def give_answer(
    run: Run, candidate: Version, *, approved: bool, by: str, at: datetime | None = None
) -> Answer:
    """Records a person's answer and reports it; the first one stands, and is what is returned.

    Of two that are given at once it is the one that is read back.
    """
    at = at or datetime.now(UTC)
    given = answer_of(run, run.registry.version(candidate.number), at)
    answer = given or Answer("approved" if approved else "rejected", by or UNNAMED, at)
    record_answer(run, candidate, answer)
    if given is None:
        answer = answer_of(run, run.registry.version(candidate.number), at) or answer
        send(_reported(run, candidate, answer), webhook_url=run.webhook_url)
    return answer


def _reported(run: Run, candidate: Version, answer: Answer) -> str:
    day = candidate.window_end.isoformat()
    return f"[{answer.verdict}] {run.model} {day}: version {candidate.number}, by {answer.by}"


def record_answer(run: Run, candidate: Version, answer: Answer) -> None:
    """Makes the tags say it; an expired candidate shows by its state alone."""
    if answer.verdict == "expired":
        return
    run.registry.set_tag(candidate, f"retrain.{answer.verdict}_by", answer.by)
    run.registry.set_tag(candidate, f"retrain.{answer.verdict}_at", utc_text(answer.at))
    # Last: until it is there, nothing has been answered, and a killed front end may ask again.
    run.registry.set_tag(candidate, APPROVAL_TAG, answer.verdict)


# -- asking ------------------------------------------------------------------------------


def ask(run: Run, candidate: Version, *, link: str | None = None) -> datetime:
    """Begins the wait of a candidate and asks on Slack, once; returns when the wait expires.

    Args:
        run: the run that found it, which holds the model's lock.
        candidate: that waits for an answer.
        link: where to answer; by default the version's page in MLflow.
    """
    now = datetime.now(UTC)
    if instant_of(candidate, ASKED_AT_TAG) is None:
        run.registry.set_tag(candidate, ASKED_AT_TAG, utc_text(now))
        candidate = run.registry.version(candidate.number)
    expires = expires_at(run, candidate)
    assert expires is not None
    if run.webhook_url and TOLD_TAG not in candidate.tags:
        # Before the message: a killed run must not ask twice. A refused one is sent next time.
        run.registry.set_tag(candidate, TOLD_TAG, utc_text(now))
        page = link or run.registry.version_page(candidate.number)
        text = question(run, candidate, expires, page)
        if not send(text, webhook_url=run.webhook_url):
            run.client.delete_model_version_tag(run.model, candidate.number, TOLD_TAG)
    return expires


def ask_and_wait(run: Run, candidate: Version) -> NotYet:
    """The wait of a step that cannot go on without an answer."""
    expires = ask(run, candidate)
    return NotYet(
        f"version {candidate.number} ({candidate.retrain_key}) waits for approval until "
        f"{utc_text(expires)}: retrain-ops approve or reject, or set its tag {APPROVAL_TAG} to "
        "approved or rejected",
        until=min(datetime.now(UTC) + APPROVAL_POLL, expires),
    )


def question(run: Run, candidate: Version, expires: datetime, link: str) -> str:
    """The message: what waits, on what evidence, until when, where and how to answer."""
    closes = run.spec.rollout.on_expiry == "close"
    silence = "it is closed" if closes else "it is promoted"
    return "\n".join(
        [
            f"[APPROVAL] {run.model} {candidate.window_end.isoformat()}: version "
            f"{candidate.number} passed its shadow. Promote it?",
            *evidence(run, candidate),
            f"Without an answer by {utc_text(expires)} {silence}.",
            f"Answer: {link}",
            f"or: retrain-ops approve --version {candidate.number} --by NAME (or reject); "
            f"or set the version's tag {APPROVAL_TAG} to approved or rejected",
        ]
    )


def evidence(run: Run, candidate: Version) -> Iterator[str]:
    """What its decision found: scores on all rows, and on every level of the protected slices."""
    decision = recover_decision(run.workspace, candidate.window_end)
    gate = compared(decision) if decision else None
    if gate is None:
        return
    title = metric_of(gate).title
    yield f"all rows: {_scores(gate, title)}, lower bound {_shown(gate['lower_bound'])}"
    for level in gate["slices"]:
        if level["role"] == "protected":
            judged = level["verdict"] if not level["reason"] else level["reason"]
            title = metric_of(gate, level["column"]).title
            yield f"{level['column']}={level['level']}: {_scores(level, title)} ({judged})"


def _scores(found: PairedRecord, title: str) -> str:
    champion, challenger = scores_of(found)
    return f"{title} {_shown(champion)} -> {_shown(challenger)} on {found['rows']} rows"


def _shown(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4f}"
