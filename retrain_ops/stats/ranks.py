"""Rank statistics of scores and samples: integers in C, one rounding at the end here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retrain_ops import _core
from retrain_ops.errors import DataError
from retrain_ops.stats.distributions import kolmogorov_tail, normal_quantile, normal_tail
from retrain_ops.stats.labels import as_binary, as_floats, as_numbers

__all__ = [
    "DelongResult",
    "KsResult",
    "average_precision",
    "delong_test",
    "ks_test",
    "roc_auc",
    "wasserstein_distance",
]


def _scores(values: ArrayLike, name: str) -> NDArray[np.float32] | NDArray[np.float64]:
    """float32 stays what it is: its ties are ties of the model, and half the memory."""
    array = as_numbers(values, name)
    return array if array.dtype == np.float32 else array.astype(np.float64, copy=False)


def roc_auc(y_true: ArrayLike, y_score: ArrayLike, *, n_threads: int = 0) -> float:
    """Area under the ROC curve: P(positive scores higher) + half P(tie), correctly rounded.

    Args:
        y_true: labels 0 or 1, one dimension (bool, integers or floats).
        y_score: numbers of the same length; infinities are ranked, NaN is refused. float32
            scores are ranked as they are, everything else as float64.
        n_threads: 0 = as many as useful. The result is the same for any number.

    Returns:
        The area; NaN when a class is absent, since no pair can then be compared.

    Raises:
        DataError: other labels, NaN scores, or lengths that differ.
    """
    y = as_binary(y_true, "y_true")
    try:
        u2, n_pos, n_neg = _core.roc_auc(y, _scores(y_score, "y_score"), n_threads=n_threads)
    except ValueError as problem:
        raise DataError(str(problem)) from problem
    # Python divides integers of any size with one correct rounding.
    return u2 / (2 * n_pos * n_neg) if n_pos and n_neg else math.nan


def average_precision(y_true: ArrayLike, y_score: ArrayLike, *, n_threads: int = 0) -> float:
    """Area under the precision-recall steps: sum of (recall_k - recall_(k-1)) precision_k.

    Thresholds are the distinct scores, falling; equal scores are one step. The sum runs in the
    order of scores with its rounding error carried along, so rows may come in any order.
    Arguments and errors as `roc_auc`; NaN without a positive label.
    """
    y = as_binary(y_true, "y_true")
    scores = _scores(y_score, "y_score")
    try:
        weighted, n_pos, _ = _core.average_precision(y, scores, n_threads=n_threads)
    except ValueError as problem:
        raise DataError(str(problem)) from problem
    return weighted / n_pos if n_pos else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class DelongResult:
    """Two AUCs of the same rows, and whether they differ.

    Attributes:
        auc_a, auc_b: exact areas, rounded once.
        variance_a, variance_b, covariance: DeLong's, rational until rounded once.
        z: (auc_a - auc_b) / its standard error. With a standard error of zero: 0 when the areas
            are equal, else an infinity.
        p_value: two-sided, normal.
    """

    auc_a: float
    auc_b: float
    variance_a: float
    variance_b: float
    covariance: float
    z: float
    p_value: float

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Two-sided normal interval of auc_a - auc_b."""
        variance = max(0.0, self.variance_a + self.variance_b - 2 * self.covariance)
        half = normal_quantile(0.5 + confidence / 2) * math.sqrt(variance)
        return self.auc_a - self.auc_b - half, self.auc_a - self.auc_b + half


def delong_test(
    y_true: ArrayLike, score_a: ArrayLike, score_b: ArrayLike, *, n_threads: int = 0
) -> DelongResult:
    """DeLong's paired test of two models' AUC, rows taken as independent.

    DeLong, DeLong & Clarke-Pearson, Biometrics 44 (1988), by ranks (Sun & Xu 2014). Placements
    are doubled ranks, so sums and products are integers and the result does not depend on the
    order of rows or the number of threads.

    Args:
        y_true: labels 0 or 1, length n, at least two of each.
        score_a: scores of one model, length n; no NaN.
        score_b: scores of the other, same rows; no NaN.
        n_threads: 0 = as many as useful.

    Raises:
        DataError: fewer than two rows of a class, other labels, NaN, lengths that differ.
    """
    y = as_binary(y_true, "y_true")
    scores = [as_floats(score_a, "score_a"), as_floats(score_b, "score_b")]
    try:
        n_pos, n_neg, pos, neg = _core.delong_sums(y, *scores, n_threads=n_threads)
    except ValueError as problem:
        raise DataError(str(problem)) from problem
    if min(n_pos, n_neg) < 2:
        raise DataError(f"DeLong needs two rows of each class; there are {n_pos} and {n_neg}")
    return _delong_from_sums(n_pos, n_neg, pos, neg)


def _delong_from_sums(
    n_pos: int, n_neg: int, pos: Sequence[int], neg: Sequence[int]
) -> DelongResult:
    """A positive's placement is 2 n_neg V10, a negative's 2 n_pos (1 - V01).

    Cov(AUC_a, AUC_b) = cov(V10_a, V10_b) / n_pos + cov(V01_a, V01_b) / n_neg.
    """

    def part(sums: Sequence[int], i: int, j: int, product: int, n: int, other: int) -> Fraction:
        return Fraction(n * sums[product] - sums[i] * sums[j], n * n * (n - 1) * 4 * other * other)

    def covariance(i: int, j: int, product: int) -> Fraction:
        return part(pos, i, j, product, n_pos, n_neg) + part(neg, i, j, product, n_neg, n_pos)

    auc = [Fraction(pos[k], 2 * n_pos * n_neg) for k in (0, 1)]
    aa, bb, ab = covariance(0, 0, 2), covariance(1, 1, 3), covariance(0, 1, 4)
    difference, variance = auc[0] - auc[1], aa + bb - 2 * ab
    if variance > 0:
        z = float(difference) / math.sqrt(variance)
    else:
        z = math.copysign(math.inf, difference) if difference else 0.0
    return DelongResult(
        auc_a=float(auc[0]),
        auc_b=float(auc[1]),
        variance_a=float(aa),
        variance_b=float(bb),
        covariance=float(ab),
        z=z,
        p_value=min(1.0, 2 * normal_tail(abs(z))),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KsResult:
    """The Kolmogorov-Smirnov distance of two samples, exact, and how rare it is by chance.

    `method`: "exact" (all interleavings, n m at most 1e6) or "asymptotic".
    """

    statistic: float
    p_value: float
    method: Literal["exact", "asymptotic"]


Alternative = Literal["two-sided", "greater", "less"]


def ks_test(
    a: ArrayLike, b: ArrayLike, *, alternative: Alternative = "two-sided", n_threads: int = 0
) -> KsResult:
    """Two-sample Kolmogorov-Smirnov test, rows taken as independent.

    Args:
        a: numbers without NaN, at least one.
        b: likewise.
        alternative: "greater": the distribution function of `a` lies above that of `b`.
        n_threads: 0 = as many as useful.

    Returns:
        The p value is of samples without ties (with ties it is too large, which is safe).

    Raises:
        DataError: an empty sample, or NaN.
    """
    n, m, above, below, _ = _distance(a, b, n_threads)
    gap = {"greater": above, "less": below}.get(alternative, max(above, below))
    statistic = gap / (n * m)
    if n * m <= 1_000_000:
        two_sided = alternative == "two-sided"
        p_value = _ks_exact(n, m, gap, two_sided)
        return KsResult(statistic=statistic, p_value=p_value, method="exact")
    root = math.sqrt(n * m / (n + m)) * statistic
    both_sides = alternative == "two-sided"
    p_value = kolmogorov_tail(root) if both_sides else math.exp(-2 * root * root)
    return KsResult(statistic=statistic, p_value=p_value, method="asymptotic")


def _ks_exact(n: int, m: int, gap: int, two_sided: bool) -> float:
    """Share of the interleavings of n and m whose path somewhere reaches the gap.

    Hodges (1958): `kept[j]` is the share of paths to (i, j) that stayed inside. The last step to
    (i, j) came from (i - 1, j) with weight i / (i + j), else from (i, j - 1).
    """
    if gap <= 0:
        return 1.0
    kept = [0.0] * (m + 1)
    for i in range(n + 1):
        for j in range(m + 1):
            here = i * m - j * n
            if here >= gap or (two_sided and -here >= gap):
                kept[j] = 0.0
            elif i + j == 0:
                kept[j] = 1.0
            else:
                left = kept[j - 1] * j if j else 0.0
                kept[j] = (kept[j] * i + left) / (i + j)
    return min(1.0, max(0.0, 1.0 - kept[m]))


def wasserstein_distance(
    a: ArrayLike,
    b: ArrayLike,
    a_weights: ArrayLike | None = None,
    b_weights: ArrayLike | None = None,
    *,
    n_threads: int = 0,
) -> float:
    """Wasserstein-1 (earth mover's) distance: the area between two distribution functions.

    Args:
        a: numbers without NaN, at least one; the result has their unit.
        b: likewise.
        a_weights: masses of the values of `a`, positive in sum, none negative; default equal.
        b_weights: likewise of `b`.
        n_threads: 0 = as many as useful; used without weights.

    Raises:
        DataError: an empty sample, NaN, or weights that do not fit.
    """
    if a_weights is None and b_weights is None:
        return _distance(a, b, n_threads)[4]
    both = [_weighted(a, a_weights, "a"), _weighted(b, b_weights, "b")]
    points = np.unique(np.concatenate([x for x, _ in both]))
    shares = []
    for x, w in both:
        order = np.argsort(x, kind="stable")
        mass = np.concatenate([[0.0], np.cumsum(w[order])])
        shares.append(mass[np.searchsorted(x[order], points[:-1], side="right")] / mass[-1])
    return math.fsum(np.diff(points) * np.abs(shares[0] - shares[1]))


def _weighted(
    values: ArrayLike, weights: ArrayLike | None, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x = as_floats(values, f"sample {name}")
    w = np.ones(len(x)) if weights is None else as_floats(weights, f"{name}_weights")
    if x.shape != w.shape or np.isnan(x).any() or not (w >= 0).all() or not 0 < w.sum() < math.inf:
        raise DataError(f"{name}: one weight per value, none negative or NaN, and a positive sum")
    return x, w


def _distance(a: ArrayLike, b: ArrayLike, n_threads: int) -> tuple[int, int, int, int, float]:
    """n, m, D+ n m, D- n m, Wasserstein-1."""
    x, z = as_floats(a, "sample a"), as_floats(b, "sample b")
    if x.size == 0 or z.size == 0:
        raise DataError(f"sample {'b' if x.size else 'a'} is empty: there is no distance")
    try:
        above, below, moved = _core.sample_distance(x, z, n_threads=n_threads)
    except ValueError as problem:
        raise DataError(str(problem)) from problem
    return len(x), len(z), above, below, moved
