"""What ends a canary at once on live requests, whatever its labels will say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from retrain_ops.comparison.live import LivePairs, judge_live
from retrain_ops.registry.events import Version
from retrain_ops.run import Run
from retrain_ops.stats.sequential import CanaryVerdict
from retrain_ops.stats.traffic import SAMPLE_RATIO_ALPHA

QUIET = timedelta(days=1)
"""A canary that has answered nobody for so long has no traffic, and is not kept."""
NOT_HARM = "coverage"
"""Answers that the other model was not asked about: the log's trouble, not the canary's."""


def broken_guards(
    run: Run, previous: Version, candidate: Version, pairs: LivePairs
) -> tuple[str, ...]:
    """Which guards the canary breaks: those of `[shadow]` on requests that both models scored,
    and sample_ratio where the units that met it are not the share that the spec says."""
    verdict = judge_live(run, previous, candidate, pairs)
    found = verdict.reasons if verdict.verdict == "fail" else ()
    ratio = ("sample_ratio",) if pairs.sample_p < SAMPLE_RATIO_ALPHA else ()
    return (*(reason for reason in found if reason != NOT_HARM), *ratio)


def guarded(
    run: Run, verdict: CanaryVerdict, broken: Sequence[str], pairs: LivePairs, as_of: datetime
) -> CanaryVerdict:
    """The verdict on the labels, unless a guard is broken or there is no traffic.

    Without traffic nothing is kept: it goes on, and is rolled back when its time is up.
    """
    if broken:
        return replace(verdict, action="rollback", reason=", ".join(broken))
    silent = pairs.newest is None or as_of - pairs.newest > QUIET
    if not silent or verdict.action == "rollback":
        return verdict
    over = int(verdict.numbers["days_elapsed"] or 0) >= run.spec.canary.max_days
    return replace(verdict, action="rollback" if over else "continue", reason="no_traffic")
