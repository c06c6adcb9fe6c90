"""Distances and tests of two rows of counts over the same bins, beside PSI.

Shares are raw (no half counts): each of these is finite with empty bins. Tests assume
independent rows; where rows come in days, `day_permutation_p` is the one to ask.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from numpy.typing import ArrayLike

from retrain_ops.errors import ConfigError
from retrain_ops.stats.distributions import chi2_tail, noncentral_chi2_tail
from retrain_ops.stats.psi import kept_bins, pooled_bins, psi_from_counts

__all__ = [
    "Chi2Result",
    "Distances",
    "chi2_homogeneity",
    "distances",
    "psi_tolerance_p",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distances:
    """How far two discrete distributions p and q are apart; all zero when they are equal.

    Attributes:
        js_divergence: Jensen-Shannon with base-2 logarithms, 0 to 1.
        hellinger: sqrt(1 - sum sqrt(p q)), 0 to 1.
        total_variation: half of sum |p - q|, 0 to 1.
        l_infinity: the largest |p - q|.
    """

    js_divergence: float
    hellinger: float
    total_variation: float
    l_infinity: float

    @property
    def js_distance(self) -> float:
        """Square root of the divergence in nats, what SciPy calls the Jensen-Shannon distance."""
        return math.sqrt(self.js_divergence * math.log(2))


def distances(reference: ArrayLike, current: ArrayLike) -> Distances:
    """All distances of two count vectors (int[B] each).

    Raises:
        DataError: no rows on a side, or counts that do not fit each other.
    """
    a, b = kept_bins(reference, current)
    n, m = sum(a), sum(b)
    pairs = [(x / n, y / m) for x, y in zip(a, b, strict=True)]
    gaps = [abs(Fraction(x, n) - Fraction(y, m)) for x, y in zip(a, b, strict=True)]
    js = math.fsum(_half(p, (p + q) / 2) + _half(q, (p + q) / 2) for p, q in pairs)
    # sum (sqrt p - sqrt q)^2 / 2 does not cancel where 1 - sum sqrt(p q) would.
    hellinger = math.fsum((math.sqrt(p) - math.sqrt(q)) ** 2 for p, q in pairs) / 2
    return Distances(
        js_divergence=max(0.0, js),
        hellinger=math.sqrt(hellinger),
        total_variation=float(sum(gaps) / 2),
        l_infinity=float(max(gaps)),
    )


def _half(p: float, middle: float) -> float:
    return 0.5 * p * math.log2(p / middle) if p > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chi2Result:
    """Chi-square test that two samples share one distribution.

    `bins` is what was left after pooling; below 2 there is no test and p_value is None.
    """

    statistic: float
    df: int
    p_value: float | None
    bins: int


def chi2_homogeneity(reference: ArrayLike, current: ArrayLike, *, pool: bool = True) -> Chi2Result:
    """Two-sample chi-square test: both samples vary.

    A goodness-of-fit test against the reference's shares would take them as known and, with
    samples of equal size, reject a true null in half of all cases.

    Args:
        reference: int[B] counts of independent rows.
        current: int[B] counts of others.
        pool: first join the least bins until each expects at least 5 rows on both sides.

    Raises:
        DataError: no rows on a side, or counts that do not fit each other.
    """
    a, b = pooled_bins(reference, current) if pool else kept_bins(reference, current)
    n, m = sum(a), sum(b)
    # (x m - y n)^2 / (n m (x + y)) summed: the usual statistic with its fractions cleared.
    terms = [Fraction((x * m - y * n) ** 2, n * m * (x + y)) for x, y in zip(a, b, strict=True)]
    statistic, df = float(sum(terms)), len(a) - 1
    p_value = chi2_tail(statistic, df) if df > 0 else None
    return Chi2Result(statistic=statistic, df=df, p_value=p_value, bins=len(a))


def psi_tolerance_p(
    reference: ArrayLike, current: ArrayLike, *, tolerance: float = 0.2
) -> float | None:
    """P value of "the true PSI is at most `tolerance`", rows independent.

    With s = 1/n + 1/m, PSI / s is about non-central chi-square with B - 1 degrees of freedom and
    non-centrality tolerance / s. Bins are pooled as in `chi2_homogeneity`; None when fewer than
    two are left.

    Raises:
        DataError: no rows on a side, or counts that do not fit each other.
        ConfigError: a negative tolerance.
    """
    if not tolerance >= 0:
        raise ConfigError(f"tolerance is {tolerance}, it cannot be negative")
    a, b = pooled_bins(reference, current)
    if len(a) < 2:
        return None
    scale = 1 / sum(a) + 1 / sum(b)
    value = psi_from_counts(a, b)
    return noncentral_chi2_tail(value / scale, len(a) - 1, tolerance / scale)
