"""A standard error that borrows strength from earlier windows (empirical Bayes).

A week gives the spread between days with six degrees of freedom. How much larger it is than the
spread between rows, the design effect of days, is much the same from window to window, whatever
the models and the rows. So the effects of earlier windows make a prior, a scaled inverse
chi-square whose degrees of freedom say how alike they are, and the window's own effect is drawn
towards it:

    effect' = (d0 effect0 + d effect) / (d0 + d)        with t on d + d0 degrees of freedom

Smyth (2004), Statistical Applications in Genetics and Molecular Biology 3, article 3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from retrain_ops.stats.distributions import digamma, trigamma, trigamma_inverse
from retrain_ops.stats.paired import PairedDifference
from retrain_ops.stats.rounding import to_json_value, to_significant

__all__ = ["MIN_WINDOWS", "EarlierWindow", "Moderation", "earlier_window", "moderation_of"]

MIN_WINDOWS = 4
"""Earlier windows below which nothing is borrowed."""


@dataclass(frozen=True, slots=True)
class EarlierWindow:
    """A window that was judged before: its last day, its days, and its design effect."""

    window_end: str
    days: int
    design_effect: float


@dataclass(frozen=True, slots=True)
class Moderation:
    """What earlier windows say; `degrees` and `design_effect` are the prior's, 0 without one."""

    windows: tuple[EarlierWindow, ...]
    degrees: float
    design_effect: float

    def error_of(self, paired: PairedDifference) -> float | None:
        """The moderated standard error, never below that of rows."""
        rows, days = paired.row_error, paired.day_error
        if rows is None or days is None or not rows:
            return None
        own = paired.days - 1
        effect = (self.degrees * self.design_effect + own * (days / rows) ** 2) / (
            self.degrees + own
        )
        return rows * math.sqrt(max(1.0, effect))

    def to_json(self) -> dict[str, Any]:
        """Plain data, floats to 9 significant digits."""
        windows = [
            {"window_end": w.window_end, "days": w.days, "design_effect": w.design_effect}
            for w in self.windows
        ]
        plain = to_json_value(
            {"windows": windows, "degrees": self.degrees, "design_effect": self.design_effect}
        )
        assert isinstance(plain, dict)
        return plain


def earlier_window(window_end: str, paired: PairedDifference) -> EarlierWindow | None:
    """What later windows borrow from one; None where its spread is undefined or zero.

    The effect is rounded as the record has it, so that a replay computes with the same number.
    """
    if not paired.row_error or not paired.day_error:
        return None
    effect = to_significant((paired.day_error / paired.row_error) ** 2)
    assert effect is not None
    return EarlierWindow(window_end, paired.days, effect)


def moderation_of(windows: Sequence[EarlierWindow]) -> Moderation:
    """The prior of some windows that share no day, by the moments of their logarithms.

    With e = ln effect - digamma(d / 2) + ln(d / 2): trigamma(d0 / 2) is the variance of e less
    the mean of trigamma(d / 2), and ln effect0 the mean of e + digamma(d0 / 2) - ln(d0 / 2). No
    prior is surer than all of its windows together.
    """
    n = len(windows)
    if n < MIN_WINDOWS:
        return Moderation(tuple(windows), 0.0, 0.0)
    halves = [(w.days - 1) / 2 for w in windows]
    e = [
        math.log(w.design_effect) - digamma(h) + math.log(h)
        for w, h in zip(windows, halves, strict=True)
    ]
    mean = math.fsum(e) / n
    spread = math.fsum((x - mean) ** 2 for x in e) / (n - 1)
    excess = spread - math.fsum(map(trigamma, halves)) / n
    known = 2 * math.fsum(halves)
    degrees = min(known, 2 * trigamma_inverse(excess)) if excess > 0 else known
    effect = math.exp(mean + digamma(degrees / 2) - math.log(degrees / 2))
    return Moderation(tuple(windows), degrees, effect)
