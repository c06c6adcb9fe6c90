"""Guards: further metrics of which a challenger must be shown not to lose too much.

On all rows, by the same counts and at the same confidence as the gate's own bound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from retrain_ops.stats.bounds import as_float, lower_bound, too_few_days
from retrain_ops.stats.cells import DayCells
from retrain_ops.stats.gate_rules import GateRules, Guard
from retrain_ops.stats.metrics import Metric
from retrain_ops.stats.paired import PairedDifference, compare
from retrain_ops.stats.rounding import to_json_value

__all__ = ["GuardVerdict", "exact_text", "judge_guards", "stopped_by"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardVerdict:
    """One guard on all rows.

    `verdict`: pass = shown not to lose more than `max_drop` (in mode "literal": the bare
    difference does not), fail = not shown, undecided = `reason` is undefined (a score, or no
    spread at all) or too_few_days. Numbers as in the gate, in the guard's metric.
    """

    metric: Metric
    max_drop: Fraction
    verdict: Literal["pass", "fail", "undecided"]
    reason: Literal["", "not_shown", "undefined", "too_few_days"]
    score_champion: Fraction | None
    score_challenger: Fraction | None
    difference: float | None
    standard_error: float | None
    lower_bound: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain data, floats to 9 significant digits."""
        values: dict[str, object] = {n: getattr(self, n) for n in self.__slots__}
        values["metric"] = self.metric.name
        for name in ("score_champion", "score_challenger"):
            values[f"{name}_exact"] = exact_text(getattr(self, name), self.metric)
            values[name] = as_float(getattr(self, name))
        plain = to_json_value(values)
        assert isinstance(plain, dict)
        return plain


def exact_text(score: Fraction | None, metric: Metric) -> str | None:
    """A score as the fraction it is; None where it is undefined, or a root."""
    return str(score) if score is not None and metric.rational else None


def judge_guards(
    days_of: Callable[[Metric], DayCells], rules: GateRules
) -> tuple[GuardVerdict, ...]:
    """The guards of the table, in its order; `days_of` gives what a metric judges of all rows."""
    return tuple(_judge(guard, days_of, rules) for guard in rules.guards)


def _judge(guard: Guard, days_of: Callable[[Metric], DayCells], rules: GateRules) -> GuardVerdict:
    metric = rules.named(guard.metric)
    days = days_of(metric)
    paired = compare(days, metric)
    bound, error = lower_bound(paired, rules)
    verdict, reason = _decide(guard, paired, bound, rules)
    return GuardVerdict(
        metric=metric,
        max_drop=guard.max_drop,
        verdict=verdict,
        reason=reason,
        score_champion=paired.score_champion,
        score_challenger=paired.score_challenger,
        difference=as_float(paired.difference),
        standard_error=error,
        lower_bound=bound,
    )


def _decide(
    guard: Guard, paired: PairedDifference, bound: float | None, rules: GateRules
) -> tuple[
    Literal["pass", "fail", "undecided"], Literal["", "not_shown", "undefined", "too_few_days"]
]:
    if paired.difference is None:
        return "undecided", "undefined"
    if rules.mode == "literal":
        return ("fail", "not_shown") if paired.difference < -guard.max_drop else ("pass", "")
    if too_few_days(paired, rules):
        return "undecided", "too_few_days"
    if bound is None:
        return "undecided", "undefined"
    return ("pass", "") if bound > -guard.max_drop else ("fail", "not_shown")


def stopped_by(guards: Sequence[GuardVerdict]) -> tuple[Literal["fail", "undecided"], str] | None:
    """What guards make of a challenger that would pass; a fail first, as no evidence undoes it."""
    verdicts = {guard.verdict for guard in guards}
    if "fail" in verdicts:
        return "fail", "guard_regression"
    return ("undecided", "guard_undecided") if "undecided" in verdicts else None
