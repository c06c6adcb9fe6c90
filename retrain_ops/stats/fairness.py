"""Whether a model treats the groups of an attribute alike: rates, their gaps and ratios.

Definitions as in Fairlearn (between groups): demographic parity compares selection rates, equal
opportunity true positive rates, equalised odds the worse of true and false positive rates. The
four-fifths rule (29 CFR 1607.4(D)) is a screen on the selection ratio, no proof either way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retrain_ops.stats.bounds import as_float
from retrain_ops.stats.cells import CHALLENGER, LABEL, N_CELLS, count_cells
from retrain_ops.stats.distributions import normal_quantile, student_quantile
from retrain_ops.stats.labels import as_binary, whole_days
from retrain_ops.stats.slices import encode_levels

__all__ = ["FairnessReport", "Gap", "GroupRates", "fairness_from_cells", "fairness_report"]

FOUR_FIFTHS = 0.8
MIN_DAYS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRates:
    """One group; a rate without a denominator is None."""

    level: str
    rows: int
    selection_rate: float | None
    tpr: float | None
    fpr: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """The widest gap of one rate between two groups.

    Attributes:
        difference: greatest less least rate; ratio: least over greatest (None when both are 0).
        lowest, highest: the levels that have them (the first in order among equals).
        low, high: interval of the difference between these two levels. They were picked for being
            extreme, so zero outside it is a hint where there are many groups, not a test.
        unit: "day" when rows were summed per day (at least 5 days), else "row".
    """

    difference: float
    ratio: float | None
    lowest: str
    highest: str
    low: float
    high: float
    unit: Literal["day", "row"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessReport:
    """One model and one attribute. A measure is None when fewer than two groups have the rate.

    Attributes:
        groups: in order of level, a missing attribute last, as a group of its own.
        demographic_parity, equal_opportunity, false_positives: gaps of selection rate, TPR, FPR.
        equalised_odds_difference, equalised_odds_ratio: the worse of TPR and FPR.
        four_fifths: "pass" when the selection ratio is at least 0.8; "undecided" without a ratio.
        not_judged: levels that lack a rate, by name of the rate.
    """

    groups: tuple[GroupRates, ...]
    demographic_parity: Gap | None
    equal_opportunity: Gap | None
    false_positives: Gap | None
    equalised_odds_difference: float | None
    equalised_odds_ratio: float | None
    four_fifths: Literal["pass", "fail", "undecided"]
    not_judged: tuple[tuple[str, str], ...]


def fairness_report(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    group: Any,
    *,
    day: ArrayLike | None = None,
    confidence: float = 0.95,
) -> FairnessReport:
    """Compare the groups of one attribute.

    Args:
        y_true: labels, 0 or 1, length n.
        y_pred: decisions, 0 or 1, length n.
        group: n values; null is the group "(missing)".
        day: int[n] from 0, when rows of one day hang together; None takes rows as independent.
        confidence: of the two-sided intervals.

    Raises:
        DataError: labels or decisions other than 0 and 1, lengths that differ, negative days.
    """
    y, p = as_binary(y_true, "y_true"), as_binary(y_pred, "y_pred")
    codes, levels = encode_levels(group, "group", len(y))
    days = np.zeros(len(y), np.int32) if day is None else whole_days(day)
    n_days = int(days.max(initial=-1)) + 1
    cells = count_cells(days, codes, y, p, p, max(n_days, 1), len(levels))
    return fairness_from_cells(cells, levels, confidence=confidence)


def fairness_from_cells(
    cells: NDArray[np.int64], levels: Sequence[str], *, confidence: float = 0.95
) -> FairnessReport:
    """The same from joint counts, int64[days, levels, 8]; the challenger's decisions are judged."""
    table = np.asarray(cells)
    positive, selected = np.array(LABEL, dtype=bool), np.array(CHALLENGER, dtype=bool)
    everyone = np.ones(N_CELLS, dtype=bool)
    parts = {
        "selection_rate": (selected, everyone),
        "tpr": (selected & positive, positive),
        "fpr": (selected & ~positive, ~positive),
    }
    counts = {
        name: (table[..., top].sum(axis=-1), table[..., bottom].sum(axis=-1))
        for name, (top, bottom) in parts.items()
    }
    rates = {
        name: [
            Fraction(int(k), int(n)) if n else None
            for k, n in zip(k_d.sum(axis=0), n_d.sum(axis=0), strict=True)
        ]
        for name, (k_d, n_d) in counts.items()
    }
    gaps = {name: _gap(*counts[name], levels, rates[name], confidence) for name in parts}
    groups = tuple(
        GroupRates(
            level=level,
            rows=int(table[:, i].sum()),
            **{name: as_float(rates[name][i]) for name in parts},
        )
        for i, level in enumerate(levels)
    )
    return _report(groups, gaps, rates, levels)


def _report(
    groups: tuple[GroupRates, ...],
    gaps: dict[str, Gap | None],
    rates: dict[str, list[Fraction | None]],
    levels: Sequence[str],
) -> FairnessReport:
    parity, tpr, fpr = gaps["selection_rate"], gaps["tpr"], gaps["fpr"]
    ratio = parity.ratio if parity else None
    odds = [g for g in (tpr, fpr) if g is not None]
    ratios = [g.ratio for g in odds if g.ratio is not None]
    screened: Literal["pass", "fail", "undecided"] = "undecided"
    if ratio is not None:
        screened = "pass" if ratio >= FOUR_FIFTHS else "fail"
    return FairnessReport(
        groups=groups,
        demographic_parity=parity,
        equal_opportunity=tpr,
        false_positives=fpr,
        equalised_odds_difference=max(g.difference for g in odds) if len(odds) == 2 else None,
        equalised_odds_ratio=min(ratios) if len(ratios) == 2 else None,
        four_fifths=screened,
        not_judged=tuple(
            (name, level)
            for name, values in rates.items()
            for level, rate in zip(levels, values, strict=True)
            if rate is None
        ),
    )


def _gap(
    k: NDArray[np.int64],
    n: NDArray[np.int64],
    levels: Sequence[str],
    rates: list[Fraction | None],
    confidence: float,
) -> Gap | None:
    """From hits and rows per day and level, int64[days, levels] each."""
    known = [(rate, -i) for i, rate in enumerate(rates) if rate is not None]
    if len(known) < 2:
        return None
    least, most = min(rate for rate, _ in known), max(rate for rate, _ in known)
    at_least = max(i for rate, i in known if rate == least)
    at_most = max(i for rate, i in known if rate == most)
    low_level, high_level = -at_least, -at_most
    half, unit = _half_width(k, n, low_level, high_level, confidence)
    difference = float(most - least)
    return Gap(
        difference=difference,
        ratio=float(least / most) if most > 0 else None,  # of counts: four fifths can be met
        lowest=levels[low_level],
        highest=levels[high_level],
        low=max(-1.0, difference - half),
        high=min(1.0, difference + half),
        unit=unit,
    )


def _half_width(
    k: NDArray[np.int64], n: NDArray[np.int64], a: int, b: int, confidence: float
) -> tuple[float, Literal["day", "row"]]:
    """Half the interval of rate b - rate a.

    A day moves a rate k/n by u = (k_d - rate n_d) / n; the variance of the difference is
    G/(G-1) sum (u_b - u_a)^2 over its G days, and never below that of independent rows.
    """
    influence = np.zeros(len(k))
    row_variance = 0.0
    for level, sign in ((a, -1), (b, 1)):
        hits, rows = int(k[:, level].sum()), int(n[:, level].sum())
        rate = hits / rows
        row_variance += rate * (1 - rate) / rows
        influence += sign * (k[:, level] - rate * n[:, level]) / rows
    days = int(((n[:, a] + n[:, b]) > 0).sum())
    if days < MIN_DAYS:
        return normal_quantile(0.5 + confidence / 2) * math.sqrt(row_variance), "row"
    day_variance = days / (days - 1) * math.fsum(influence**2)
    error = math.sqrt(max(row_variance, day_variance))
    return student_quantile(0.5 + confidence / 2, days - 1) * error, "day"
