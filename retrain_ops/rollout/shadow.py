"""The candidate's shadow: real requests scored by both models, judged when its time is up."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from retrain_ops.comparison.scoring import load_version
from retrain_ops.errors import NotYet
from retrain_ops.problems import Scored, problem_of
from retrain_ops.registry.events import SHADOW_DAYS_TAG, Version, utc_text
from retrain_ops.rollout.looks import read_requests, record_look
from retrain_ops.run import Run
from retrain_ops.stats.shadow import ShadowVerdict


@dataclass(frozen=True, slots=True)
class ShadowResult:
    """`pass`, `fail`, or `idle` when no candidate is in shadow."""

    verdict: str
    candidate: str | None = None
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

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


def look_at_shadow(run: Run) -> ShadowResult:
    """Judges the candidate in shadow, if there is one whose time is up.

    The result is recorded before it takes effect: a run that dies in between judges again, one
    that dies after it says again what it found.

    Raises:
        NotYet: its shadow ends later.
    """
    candidate = run.registry.open_candidate()
    if candidate is None or candidate.state != "shadow" or candidate.opened_at is None:
        return ShadowResult(verdict="idle")
    champion = run.registry.snapshot().newest
    if champion is None:  # the bootstrap has nobody to be compared with
        result = ShadowResult("pass", candidate.number, reasons=("bootstrap",))
        end = candidate.opened_at
    else:
        replaced = run.registry.version(champion.version)
        verdict, end = _judge_until_decided(run, candidate, replaced)
        record_look(run, candidate, end, "shadow", verdict.to_json())
        word = "pass" if verdict.verdict == "pass" else "fail"
        result = ShadowResult(word, candidate.number, verdict.reasons, verdict.warnings)
    run.workspace.write_json(run.path("shadow_test.json"), asdict(result))
    if result.verdict == "pass":
        run.registry.set_state(candidate, "shadow_passed")
    else:
        run.registry.close(candidate, "failed", closed_at=end)
    return result


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
    problem = problem_of(run.spec)
    old, new = (
        Scored(problem.scores(model, requests, n_threads=run.n_threads), model.threshold)
        for model in (load_version(run, champion), load_version(run, candidate))
    )
    # No latency: a replay would measure this machine's mood, and a verdict must replay.
    return problem.shadow(old, new, run.spec.shadow, n_threads=run.n_threads)
