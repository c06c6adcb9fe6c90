"""A canary that has done no harm for a while meets more of the traffic."""

from __future__ import annotations

from datetime import datetime, timedelta

from retrain_ops.registry.events import Event, Version, utc_instant
from retrain_ops.registry.tags import share_of, widenings
from retrain_ops.run import Run
from retrain_ops.stats.sequential import CanaryVerdict


def next_share(
    run: Run, candidate: Version, promotion: Event, verdict: CanaryVerdict, as_of: datetime
) -> float | None:
    """The share that an open canary may have from now on; None when it keeps its own.

    One step at a time, after `step_days` at the share it has. Without live requests the labels
    of as many days must have been judged.
    """
    rules = run.spec.canary
    share = share_of(candidate) or promotion.share or rules.share
    taken = widenings(candidate)
    since = taken[-1][1] if taken else utc_instant(promotion.effective_from)
    following = next((s for s in rules.steps if s > share), None)
    if verdict.action != "continue" or as_of - since < timedelta(days=rules.step_days):
        return None
    judged = int(verdict.numbers["days"] or 0) >= rules.step_days * (len(taken) + 1)
    return following if judged or run.spec.serving.log else None
