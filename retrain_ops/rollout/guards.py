"""What ends a canary at once on live requests, whatever its labels will say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from retrain_ops.comparison.live import LATENCY_CONFIDENCE, LivePairs, judge_live, live_pairs
from retrain_ops.registry.events import Version
from retrain_ops.rollout.looks import traffic_of
from retrain_ops.run import Run
from retrain_ops.stats.live_guards import broken_guards
from retrain_ops.stats.sequential import CanaryVerdict
from retrain_ops.stats.shadow import ShadowVerdict
from retrain_ops.stats.traffic import SAMPLE_RATIO_ALPHA

QUIET = timedelta(days=1)
"""A canary that has answered nobody, or was compared with nobody, for so long is not kept."""
LATELY = timedelta(days=1)
"""Guards are held against all requests of a canary, and against those of so long: a fault that
begins late must not hide behind sound days."""


@dataclass(frozen=True, slots=True, eq=False)
class Guards:
    """What live requests say of a canary: all since it began, and those of the newest day."""

    pairs: LivePairs
    whole: ShadowVerdict
    lately: ShadowVerdict
    broken: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether the newest day had enough requests to judge by, and no guard is broken."""
        return self.lately.verdict != "undecided" and not self.broken

    def record(self) -> Mapping[str, object]:
        """The evidence."""
        guards = {"whole": self.whole.to_json(), "lately": self.lately.to_json()}
        return {**traffic_of(self.pairs), "guards": guards}


def look_at_guards(
    run: Run, previous: Version, candidate: Version, since: datetime, as_of: datetime
) -> Guards:
    """The guards of a canary on what was answered in `[since, as_of)`.

    Raises:
        SourceError: the log cannot be read.
    """
    pairs = live_pairs(run, previous, candidate, since, max(as_of, since))
    doubt = {"old_confidence": 1 - LATENCY_CONFIDENCE}
    whole = lately = judge_live(run, previous, candidate, pairs, **doubt)
    broken = _broken(run, pairs, whole)
    if as_of - LATELY > since:
        newest = live_pairs(run, previous, candidate, as_of - LATELY, as_of)
        lately = judge_live(run, previous, candidate, newest, **doubt)
        broken |= _broken(run, newest, lately)
    broken |= {"sample_ratio": None} if pairs.sample_p < SAMPLE_RATIO_ALPHA else {}
    return Guards(pairs, whole, lately, tuple(broken))


def _broken(run: Run, pairs: LivePairs, verdict: ShadowVerdict) -> dict[str, None]:
    rules = run.spec.shadow, run.spec.canary
    counts = {"seen": pairs.seen, "matched": pairs.both.num_rows}
    return dict.fromkeys(broken_guards(verdict, *rules, **counts))


def guarded(run: Run, verdict: CanaryVerdict, guards: Guards, as_of: datetime) -> CanaryVerdict:
    """The verdict on the labels, unless a guard is broken, or nobody was answered or compared.

    Without traffic nothing is kept: it goes on, and is rolled back when its time is up.
    """
    if guards.broken:
        return replace(verdict, action="rollback", reason=", ".join(guards.broken))
    missing = _missing(guards.pairs, as_of)
    if not missing or verdict.action == "rollback":
        return verdict
    over = int(verdict.numbers["days_elapsed"] or 0) >= run.spec.canary.max_days
    return replace(verdict, action="rollback" if over else "continue", reason=missing)


def _missing(pairs: LivePairs, as_of: datetime) -> str:
    """What a day went without; empty when nothing."""
    seen = {"no_traffic": pairs.newest, "no_scores": pairs.compared}
    silent = (name for name, last in seen.items() if last is None or as_of - last > QUIET)
    return next(silent, "")
