"""Limits that a challenger must meet besides being better: time, rows, labels, size, calibration,
what it has forgotten.

Each check is off by default and is recorded only when it is on, with the facts
it judged, so that it can be judged again from the record alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from retrain_ops.stats.rules import exactly

if TYPE_CHECKING:
    from retrain_ops.stats.gate_rules import GateRules

__all__ = ["SCORE_QUANTUM", "Check", "CheckName", "calibration_error", "run_checks"]

CheckName = Literal[
    "cooldown", "holdout_rows", "label_coverage", "model_size", "calibration", "forgetting"
]

SCORE_QUANTUM = 2**-30
"""Sums of scores are whole multiples of this, so that they merge exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One limit.

    Attributes:
        name: which.
        verdict: pass, fail, or undecided where the evidence is missing.
        value, limit: what was found, and the rule.
        needed, unit: how much more of what (rows, days) would change the verdict; None when
            nothing that comes with time would.
        facts: what was judged.
    """

    name: CheckName
    verdict: Literal["pass", "fail", "undecided"]
    value: float | int | None
    limit: float | int
    facts: Mapping[str, Any]
    needed: int | None = None
    unit: str | None = None


def run_checks(
    rules: GateRules, *, rows: int, days: int, facts: Mapping[str, Mapping[str, Any]]
) -> tuple[Check, ...]:
    """The checks that `rules` turns on, in the order of the record.

    Args:
        rules: the `[gate]` table.
        rows, days: labelled hold-out rows, and days with any.
        facts: by check name; a check that is on and has no facts is undecided.
    """
    known = {name: facts.get(name, {}) for name in _CHECKS}
    known["holdout_rows"] = {"rows": rows, "days": days}
    known["label_coverage"] = {**known["label_coverage"], "days": days}
    return tuple(
        check(known[name], limit)
        for name, (key, check) in _CHECKS.items()
        if (limit := getattr(rules, key))
    )


def _cooldown(facts: Mapping[str, Any], limit: float) -> Check:
    """Whole days since the newest promotion took effect."""
    promoted, instant = facts.get("promoted_at"), facts.get("instant")
    days = None
    if promoted and instant:
        days = (datetime.fromisoformat(instant) - datetime.fromisoformat(promoted)).days
    short = days is not None and days < limit
    return Check(
        name="cooldown",
        verdict="fail" if short else "pass",  # no promotion yet: nothing to wait for
        value=days,
        limit=int(limit),
        facts=facts,
        needed=int(limit) - days if short and days is not None else None,
        unit="days" if short else None,
    )


def _holdout_rows(facts: Mapping[str, Any], limit: float) -> Check:
    rows = int(facts["rows"])
    short = rows < limit
    return Check(
        name="holdout_rows",
        verdict="undecided" if short else "pass",
        value=rows,
        limit=int(limit),
        facts=facts,
        needed=int(limit) - rows if short else None,
        unit="rows" if short else None,
    )


def _label_coverage(facts: Mapping[str, Any], limit: float) -> Check:
    """Labelled rows / rows of the hold-out; the labels that are missing may be the bad ones."""
    labelled, requests = facts.get("labelled"), facts.get("requests")
    share = labelled / requests if labelled is not None and requests else None
    short = share is None or share < limit
    missing = None
    if short and requests and labelled is not None:
        missing = max(1, math.ceil(exactly(limit) * requests) - labelled)
    return Check(
        name="label_coverage",
        verdict="undecided" if short else "pass",
        value=share,
        limit=limit,
        facts=facts,
        needed=missing,
        unit="rows" if missing is not None else None,
    )


def _model_size(facts: Mapping[str, Any], limit: float) -> Check:
    size = facts.get("bytes")
    verdict: Literal["pass", "fail", "undecided"] = "undecided"
    if size is not None:
        verdict = "fail" if size > limit else "pass"
    return Check(name="model_size", verdict=verdict, value=size, limit=int(limit), facts=facts)


def _calibration(facts: Mapping[str, Any], limit: float) -> Check:
    error = None
    if facts:
        error = calibration_error(facts["count"], facts["positives"], facts["score_sum"])
    verdict: Literal["pass", "fail", "undecided"] = "undecided"
    if error is not None:
        verdict = "fail" if error > limit else "pass"
    return Check(name="calibration", verdict=verdict, value=error, limit=limit, facts=facts)


def _forgetting(facts: Mapping[str, Any], limit: float) -> Check:
    """The largest drop in a past season; where none can be judged there is nothing to forget."""
    changes = [s["change"] for s in facts.values() if s["judged"] and s["change"] is not None]
    worst = -min(changes) if changes else None
    failed = worst is not None and worst > limit
    verdict: Literal["pass", "fail"] = "fail" if failed else "pass"
    return Check(name="forgetting", verdict=verdict, value=worst, limit=limit, facts=facts)


def calibration_error(
    count: Sequence[int], positives: Sequence[int], score_sum: Sequence[int]
) -> float | None:
    """Expected calibration error: sum over bins of |positives - sum of scores| / rows.

    Naeini, Cooper and Hauskrecht (AAAI 2015), on bins of equal width; `score_sum` in
    multiples of `SCORE_QUANTUM`. None without rows.
    """
    rows = sum(count)
    if rows == 0:
        return None
    per_row = round(1 / SCORE_QUANTUM)
    apart = sum(abs(p * per_row - s) for p, s in zip(positives, score_sum, strict=True))
    return apart / per_row / rows


_CHECKS = {
    "cooldown": ("cooldown_days", _cooldown),
    "holdout_rows": ("min_holdout_rows", _holdout_rows),
    "label_coverage": ("min_label_coverage", _label_coverage),
    "model_size": ("max_model_bytes", _model_size),
    "calibration": ("max_calibration_error", _calibration),
    "forgetting": ("max_forgetting", _forgetting),
}
