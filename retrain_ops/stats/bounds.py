"""The one-sided bound of a paired difference, for the gate, its slices and its guards."""

from __future__ import annotations

from fractions import Fraction

from retrain_ops.stats.distributions import student_quantile
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.moderation import Moderation
from retrain_ops.stats.paired import PairedDifference

__all__ = ["as_float", "degrees", "lower_bound", "too_few_days"]


def degrees(paired: PairedDifference, rules: GateRules) -> int:
    """Degrees of freedom of the standard error."""
    return (paired.rows if rules.resample_unit == "row" else paired.days) - 1


def lower_bound(
    paired: PairedDifference, rules: GateRules, moderation: Moderation | None = None
) -> tuple[float | None, float | None]:
    """Lower confidence bound d - t SE, and SE; `moderation` lends both its prior.

    No bound where SE is zero: models that never disagree, or disagree in a way
    that leaves no spread at all, have shown nothing.
    """
    error = paired.standard_error(rules.resample_unit)
    df: float = degrees(paired, rules)
    if error and moderation is not None and moderation.degrees:
        error, df = moderation.error_of(paired), df + moderation.degrees
    if paired.difference is None or not error:
        return None, error
    quantile = student_quantile(rules.confidence, df)
    return float(paired.difference) - quantile * error, error


def too_few_days(paired: PairedDifference, rules: GateRules) -> bool:
    """Whether the rows lie on too few days to prove anything."""
    return rules.resample_unit == "day" and paired.days < rules.min_days


def as_float(x: Fraction | None) -> float | None:
    """None for None."""
    return None if x is None else float(x)
