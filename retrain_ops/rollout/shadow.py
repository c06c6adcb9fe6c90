"""The candidate's shadow: real requests scored by both models, judged when its time is up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from retrain_ops.comparison.live import SETTLES, judge_live, live_pairs
from retrain_ops.comparison.scoring import load_version
from retrain_ops.errors import NotYet
from retrain_ops.problems import problem_of
from retrain_ops.registry.events import SHADOW_DAYS_TAG, Version, utc_text
from retrain_ops.registry.tags import shadow_days
from retrain_ops.rollout.looks import read_requests, record_look, said_first, traffic_of
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
        verdict, end, traffic = _judge_until_decided(run, candidate, replaced)
        record_look(run, candidate, end, "shadow", {**verdict.to_json(), **traffic})
        word = "pass" if verdict.verdict == "pass" else "fail"
        result = ShadowResult(word, candidate.number, verdict.reasons, verdict.warnings)
    with said_first(run, "shadow_test", result):
        if result.verdict == "pass":
            run.registry.set_state(candidate, "shadow_passed")
        else:
            run.registry.close(candidate, "failed", closed_at=end)
    return result


def _judge_until_decided(
    run: Run, candidate: Version, champion: Version
) -> tuple[ShadowVerdict, datetime, Mapping[str, object]]:
    """Extends by a day while rows are too few, up to the spec's limit."""
    assert candidate.opened_at is not None
    step = timedelta(hours=run.spec.shadow.hours)
    days = shadow_days(candidate)
    while True:
        end = candidate.opened_at + step * days
        known = end + SETTLES if run.spec.serving.log else end
        if known > datetime.now(UTC):
            raise NotYet(
                f"the shadow of {candidate.retrain_key} ends at {utc_text(end)}", until=known
            )
        verdict, traffic = judge_once(run, candidate, champion, end)
        if verdict.verdict != "undecided" or days >= run.spec.shadow.max_days:
            return verdict, end, traffic
        days += 1
        run.registry.set_tag(candidate, SHADOW_DAYS_TAG, str(days))


def judge_once(
    run: Run, candidate: Version, champion: Version, end: datetime
) -> tuple[ShadowVerdict, Mapping[str, object]]:
    """The verdict on requests up to `end`, and what the record says of live ones; nothing where
    rows of the source are replayed."""
    assert candidate.opened_at is not None
    if run.spec.serving.log:
        pairs = live_pairs(run, champion, candidate, candidate.opened_at, end)
        return judge_live(run, champion, candidate, pairs), traffic_of(pairs)
    requests = read_requests(run, since=candidate.opened_at, before=end)
    problem = problem_of(run.spec)
    old, new = (
        problem.scored(load_version(run, version), requests, n_threads=run.n_threads)
        for version in (champion, candidate)
    )
    # No latency: a replay would measure this machine's mood, and a verdict must replay.
    return problem.shadow(old, new, run.spec.shadow, n_threads=run.n_threads), {}
