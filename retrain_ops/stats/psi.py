"""The population stability index, as a statistic: with its convention named and a p value.

PSI = sum (q - p) ln(q / p) over bins with shares p (reference) and q (current).
Bins empty on both sides say nothing and are dropped. What is done with a bin
that is empty on one side *is* the metric (on the same counts peers' rules give
0.2 to 70), so it has a name; the default adds Jeffreys' half count to every
bin of both samples, which also keeps the test at its level.

With s = 1/n + 1/m and B bins, PSI / s is about chi-square with B - 1 degrees
of freedom when nothing changed (Yurdakul & Naranjo, J. Risk Model Validation
2020): its mean (B - 1) s is what PSI shows from noise alone. That assumes
independent rows. Where rows come in days, whole days are permuted instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retrain_ops import _core
from retrain_ops.errors import ConfigError, DataError
from retrain_ops.stats.distributions import chi2_tail

__all__ = [
    "CONVENTIONS",
    "PsiResult",
    "day_permutation_p",
    "kept_bins",
    "noise_level",
    "pooled_bins",
    "psi",
    "psi_from_counts",
]

_PERMUTATION_STREAM = 0x7065726D  # "perm": no other use of a seed draws from this stream


def _shares(counts: Sequence[float]) -> list[float]:
    total = math.fsum(counts)
    return [c / total for c in counts]


def _jeffreys(counts: Sequence[int]) -> list[float]:
    return _shares([c + 0.5 for c in counts])


def _evidently(counts: Sequence[int]) -> list[float]:
    """Empty shares become 0.0001, or a millionth of the least share if that is smaller."""
    shares = _shares(counts)
    least = min(s for s in shares if s > 0)
    floor = 0.0001 if least > 0.0001 else least / 1e6
    return [s if s > 0 else floor for s in shares]


CONVENTIONS: dict[str, Callable[[Sequence[int]], list[float]]] = {
    "jeffreys": _jeffreys,
    "none": _shares,
    "evidently": _evidently,
    "deepchecks": lambda counts: [max(s, 0.01) for s in _shares(counts)],
    "scorecard": lambda counts: _shares([c or 0.9 for c in counts]),
}
"""How counts become shares, by name. All but the first are for those who migrate."""


def _count_vector(counts: ArrayLike, name: str) -> list[int]:
    vector = np.asarray(counts)
    if vector.ndim != 1 or vector.dtype.kind not in "iu" or (vector < 0).any():
        raise DataError(f"{name} must be one row of whole counts, none negative")
    return [int(c) for c in vector]


def kept_bins(reference: ArrayLike, current: ArrayLike) -> tuple[list[int], list[int]]:
    """Both count vectors without the bins that are empty on both sides."""
    a, b = _count_vector(reference, "reference"), _count_vector(current, "current")
    if len(a) != len(b):
        raise DataError(f"reference has {len(a)} bins, current has {len(b)}")
    if sum(a) == 0 or sum(b) == 0:
        raise DataError(f"{'current' if sum(a) else 'reference'} holds no rows: no PSI")
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x or y]
    return [x for x, _ in pairs], [y for _, y in pairs]


def pooled_bins(
    reference: ArrayLike, current: ArrayLike, least: int = 5
) -> tuple[list[int], list[int]]:
    """Both count vectors with small bins joined until each expects `least` rows on both sides.

    A bin expects its total times the smaller sample's share of all rows. The smallest bins are
    joined first, which leaves the most bins; ties go by place. What cannot reach `least` joins the
    last bin that did.
    """
    a, b = kept_bins(reference, current)
    n, m = sum(a), sum(b)
    order = sorted(range(len(a)), key=lambda i: (a[i] + b[i], i))
    pooled: list[tuple[int, int]] = []
    x = y = 0
    for i in order:
        x, y = x + a[i], y + b[i]
        if (x + y) * min(n, m) >= least * (n + m):
            pooled.append((x, y))
            x = y = 0
    if x + y:
        last = pooled.pop() if pooled else (0, 0)
        pooled.append((last[0] + x, last[1] + y))
    return [p[0] for p in pooled], [p[1] for p in pooled]


def psi_from_counts(
    reference: ArrayLike, current: ArrayLike, convention: str = "jeffreys"
) -> float:
    """PSI of two count vectors over the same bins (int[B] each).

    Infinite only under "none", when a bin is empty on one side.

    Raises:
        DataError: no rows on a side, or counts that do not fit each other.
        ConfigError: unknown convention.
    """
    if convention not in CONVENTIONS:
        known = ", ".join(CONVENTIONS)
        raise ConfigError(f"convention {convention!r} is unknown; there are {known}")
    a, b = kept_bins(reference, current)
    p, q = CONVENTIONS[convention](a), CONVENTIONS[convention](b)
    if min(*p, *q, 1.0) <= 0.0:
        return math.inf
    return math.fsum((y - x) * math.log(y / x) for x, y in zip(p, q, strict=True))


def noise_level(reference: ArrayLike, current: ArrayLike) -> float:
    """(B - 1) (1/n + 1/m): the PSI to expect of independent rows when nothing changed."""
    a, b = kept_bins(reference, current)
    return (len(a) - 1) * (1 / sum(a) + 1 / sum(b))


def day_permutation_p(
    reference: ArrayLike, current: ArrayLike, *, draws: int = 2000, seed: int
) -> float:
    """P value of PSI (jeffreys) when whole days are dealt at random to the two samples.

    Args:
        reference: int64[days of the reference, B], counts per day.
        current: int64[days now, B], over the same bins.
        draws: random deals; p is never below 1 / (draws + 1).
        seed: of the counter RNG; equal arguments give an equal p anywhere.

    Returns:
        (1 + deals with a PSI at least as large) / (draws + 1).

    Raises:
        DataError: no rows on a side, or counts that do not fit each other.
    """
    a, b = _day_table(reference, "reference"), _day_table(current, "current")
    if a.shape[1] != b.shape[1]:
        raise DataError(f"reference has {a.shape[1]} bins, current has {b.shape[1]}")
    if a.sum() == 0 or b.sum() == 0:
        raise DataError("reference or current holds no rows: no PSI")
    a, b = a[a.sum(axis=1) > 0], b[b.sum(axis=1) > 0]
    days = np.concatenate([a, b])
    days = days[:, days.sum(axis=0) > 0]
    chosen = _deal(len(days), len(b), draws, seed)
    observed = np.zeros((1, len(days)), dtype=np.int64)
    observed[0, len(a) :] = 1
    statistics = _psi_of_deals(np.concatenate([observed, chosen]), days)
    return _share_at_least(statistics)


def _share_at_least(statistics: NDArray[np.float64]) -> float:
    """P value of the first among the deals after it."""
    # Deals that are equal as sets of counts may differ in the last bits of a sum.
    at_least = int((statistics[1:] >= statistics[0] * (1 - 1e-9) - 1e-15).sum())
    return (1 + at_least) / len(statistics)


def _day_table(counts: ArrayLike, name: str) -> NDArray[np.int64]:
    table = np.asarray(counts)
    if table.ndim != 2 or table.dtype.kind not in "iu" or (table < 0).any():
        raise DataError(f"{name} must be a table [days, bins] of whole counts, none negative")
    return table.astype(np.int64)


def _deal(n_days: int, n_current: int, draws: int, seed: int) -> NDArray[np.int64]:
    """0/1 [draws, n_days], each row with `n_current` ones: the days with the least keys."""
    keys = _core.philox(seed, _PERMUTATION_STREAM, draws * n_days).reshape(draws, n_days)
    order = np.argsort(keys, axis=1, kind="stable")
    chosen = np.zeros((draws, n_days), dtype=np.int64)
    np.put_along_axis(chosen, order[:, :n_current], 1, axis=1)
    return chosen


def _psi_of_deals(chosen: NDArray[np.int64], days: NDArray[np.int64]) -> NDArray[np.float64]:
    """PSI (jeffreys) of each deal; counts stay integers until the shares."""
    current = chosen @ days
    return _jeffreys_psi(np.stack([days.sum(axis=0) - current, current]))


def _jeffreys_psi(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """PSI of each deal from [2, deals, bins]; bins empty on both sides are dropped."""
    kept = counts.sum(axis=0) > 0
    halves = counts + 0.5 * kept
    p, q = np.where(kept, halves / halves.sum(axis=2, keepdims=True), 1.0)
    result: NDArray[np.float64] = ((q - p) * np.log(q / p)).sum(axis=1)
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class PsiResult:
    """PSI of one column between two samples of independent rows.

    Attributes:
        psi: the index (Jeffreys).
        debiased: `psi` less what noise alone would show.
        p_value: of "nothing changed": chi-square over bins pooled until each expects 5 rows on
            both sides. Rows are dealt at random instead, 999 times, where that leaves fewer than
            two bins, and where a side has fewer than 10 rows to a quantile bin.
        verdict: "drift" when `p_value` < 0.05, else "no_drift"; "undecided" with one bin only.
        edges: float64 inner edges, or the levels of a categorical column as an object array.
        counts: int64[2, bins], reference and current: regular bins, then -inf, +inf, NaN
            (categorical: levels, unseen, missing).
    """

    psi: float
    debiased: float
    p_value: float
    verdict: Literal["drift", "no_drift", "undecided"]
    edges: NDArray[np.float64] | NDArray[np.object_]
    counts: NDArray[np.int64]


def psi(reference: ArrayLike, current: ArrayLike, n_bins: int = 10) -> PsiResult:
    """PSI between two columns, rows taken as independent.

    Args:
        reference: one column, as array, list, pandas or polars series or Arrow array. Numbers,
            booleans, times and dates (seconds since 1970) and durations (seconds): the bins are
            the exact quantiles of the finite values; NaN, -inf and +inf have bins of their own.
            Texts: one bin per level, plus unseen and missing.
        current: the sample to compare.
        n_bins: quantile bins; ties may leave fewer.

    Raises:
        DataError: no rows on a side, or columns that are not of one and the same kind.
    """
    a, b, numeric = _columns(reference, current)
    edges: NDArray[np.float64] | NDArray[np.object_]
    edges, counts = _numeric_counts(a, b, n_bins) if numeric else _category_counts(a, b)
    value = psi_from_counts(counts[0], counts[1])
    noise = noise_level(counts[0], counts[1])
    kept = int((counts.sum(axis=0) > 0).sum())
    p_value = 1.0
    if kept > 1:
        few = numeric and min(len(a), len(b)) < _ROWS_PER_BIN * n_bins
        p_value = _dealt_p(a, b, n_bins) if few else _row_p(counts)
    verdict: Literal["drift", "no_drift", "undecided"] = "undecided"
    if kept > 1:
        verdict = "drift" if p_value < 0.05 else "no_drift"
    return PsiResult(
        psi=value,
        debiased=value - noise,
        p_value=p_value,
        verdict=verdict,
        edges=edges,
        counts=counts,
    )


_ROW_DEALS = 999
_DEALT_ROWS = 1000
"""Most rows of a side that are dealt one by one. Rows are dealt when a side is small; the other is
then thinned evenly to this many: its own noise no longer counts."""
_ROWS_PER_BIN = 10
"""Quantile bins with fewer rows than this are too uneven in truth for chi-square."""


def _row_p(counts: NDArray[np.int64]) -> float:
    """P value of PSI for independent rows, from int64[2, B] over bins chosen beforehand."""
    a, b = pooled_bins(counts[0], counts[1])
    if len(a) > 1:
        scale = 1 / sum(a) + 1 / sum(b)
        return chi2_tail(psi_from_counts(a, b) / scale, len(a) - 1)
    rows = [_thinned(np.repeat(np.arange(len(side)), side)) for side in counts]
    bins = np.eye(counts.shape[1], dtype=np.int64)
    return day_permutation_p(bins[rows[0]], bins[rows[1]], draws=_ROW_DEALS, seed=0)


def _thinned(rows: NDArray[np.generic]) -> NDArray[np.generic]:
    return rows[:: max(1, -(-len(rows) // _DEALT_ROWS))]


def _dealt_p(reference: NDArray[np.float64], current: NDArray[np.float64], n_bins: int) -> float:
    """P value of PSI when rows are dealt at random and every deal makes bins of its own.

    Quantile bins follow the reference, which therefore fills them evenly by construction: with
    few rows to a bin, deals over the bins of the observed reference would call that a finding.
    """
    a, b = _thinned(reference), _thinned(current)
    values = np.concatenate([a, b])
    is_current = np.zeros((1, len(values)), dtype=np.int64)
    is_current[0, len(a) :] = 1
    deals = np.concatenate([is_current, _deal(len(values), len(b), _ROW_DEALS, seed=0)])
    return _share_at_least(_psi_of_rows(values, deals, n_bins))


def _psi_of_rows(
    values: NDArray[np.float64], is_current: NDArray[np.int64], n_bins: int
) -> NDArray[np.float64]:
    """PSI (jeffreys) of each deal (0/1 [deals, rows]) over the quantile bins of its reference."""
    order = np.argsort(values, kind="stable")
    values = values[order]
    sides = np.stack([1 - is_current[:, order], is_current[:, order]])
    finite = sides * np.isfinite(values)
    total = finite.sum(axis=2)
    # The exact edges' ranks, from 1, and where in `values` the reference's row of that rank lies.
    ranks = np.maximum(-(-np.arange(1, n_bins) * total[0][:, None] // n_bins), 1)
    places = np.argsort(finite[0] == 0, axis=1, kind="stable")
    edges = np.take_along_axis(places, ranks - 1, axis=1)
    end = np.searchsorted(values, values, side="right")[edges]  # equal values share a bin
    end = np.where(total[0][:, None] > 0, end, len(values))
    up_to = np.pad(np.cumsum(finite, axis=2), ((0, 0), (0, 0), (1, 0)))
    inner = np.take_along_axis(up_to, end[None], axis=2)
    bins = np.diff(inner, axis=2, prepend=0, append=total[:, :, None])
    others = [sides @ kind for kind in (values == -np.inf, values == np.inf, np.isnan(values))]
    return _jeffreys_psi(np.concatenate([bins, np.stack(others, axis=2)], axis=2))


def _numeric_counts(
    a: NDArray[np.float64], b: NDArray[np.float64], n_bins: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    edges = _core.quantile_edges(a, n_bins)
    both = [_core.drift_counts(v, np.zeros(len(v), dtype=np.int32), edges, 1)[0] for v in (a, b)]
    return edges, np.stack(both)


def _category_counts(a: Any, b: Any) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    from retrain_ops.data.categories import codes_of, levels_of

    levels = levels_of(a)
    both = []
    for column in (a, b):
        day = np.zeros(len(column), dtype=np.int32)
        both.append(_core.category_counts(codes_of(column, levels), day, len(levels), 1)[0])
    return np.array(levels, dtype=object), np.stack(both)


def _columns(reference: Any, current: Any) -> tuple[Any, Any, bool]:
    """Both samples as numbers, float64 [n], or both as texts; and whether they are numbers.

    The reference decides; where it holds nothing, the current sample does.
    """
    from retrain_ops.data.categories import as_column, kind_of, numbers, seconds, texts

    plain = [_floats(values) for values in (reference, current)]
    if plain[0] is not None and plain[1] is not None:
        return plain[0], plain[1], True
    names = ("reference", "current")
    columns = [as_column(v, n) for v, n in zip((reference, current), names, strict=True)]
    kinds = [kind_of(column) for column in columns]
    kind = kinds[0] if kinds[0] != "nothing" else kinds[1]
    zoned = {getattr(c.type, "tz", None) is not None for c in columns if kind_of(c) == "moment"}
    if len(zoned) > 1 or (kind in ("moment", "duration") and {*kinds} - {kind, "nothing"}):
        raise DataError(f"reference holds {columns[0].type}, current {columns[1].type}")
    readers: dict[str, Any] = {"number": numbers, "moment": seconds, "duration": seconds}
    read = readers.get(kind, texts)
    a, b = (read(column, name) for column, name in zip(columns, names, strict=True))
    if read is texts:
        return a, b, False
    return a.astype(np.float64, copy=False), b.astype(np.float64, copy=False), True


def _floats(values: Any) -> NDArray[np.float64] | None:
    """A plain array or list of numbers; None where a column has to be read."""
    if not isinstance(values, np.ndarray | list | tuple) or isinstance(values, np.ma.MaskedArray):
        return None
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "fiub":
        return None
    return array.astype(np.float64, copy=False)
