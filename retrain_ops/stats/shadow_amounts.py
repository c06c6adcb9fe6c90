"""A shadow of models that predict amounts: how far apart they are, in units of what the champion
itself tells rows apart by.

Two models of the same days differ less from each other than a row differs from the mean row; one
that is further away than several times that, or moves the mean as far, answers another question.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrain_ops import _core
from retrain_ops.stats.amount_sums import POINT, Values, count_amounts
from retrain_ops.stats.psi import psi_from_counts
from retrain_ops.stats.shadow import Numbers, ShadowRules, View, number_of
from retrain_ops.stats.tables import paired_amounts

__all__ = ["AMOUNTS", "LARGEST", "amount_counts"]

LARGEST = 2.0**78
"""What is further from zero is no amount that could be summed."""

_BINS = 20
_COPIED = ("rows", "compared", "champion_bad", "challenger_bad", "challenger_distinct")
_MEANS = ("mean_champion", "mean_challenger", "mean_difference", "spread", "score_psi")

Amounts = NDArray[np.float64]


def amount_counts(champion: Amounts, challenger: Amounts, *, n_threads: int = 0) -> dict[str, Any]:
    """Both models on the same requests, float64 (rows,).

    Returns:
        rows; champion_bad and challenger_bad: predictions that are not finite, or beyond
        `LARGEST`; compared: rows with two good ones; challenger_distinct: these are none (0), all
        equal (1) or differ (2); and of the compared rows the mean predictions, the mean distance
        between both, the champion's mean distance from its mean (`spread`), and the PSI of the
        predictions over the champion's quantiles. None where no row was compared.
    """
    good = [np.abs(x) <= LARGEST for x in (champion, challenger)]
    both = good[0] & good[1]
    old, new = champion[both], challenger[both]
    rows = len(champion)
    counts: dict[str, Any] = {
        "rows": rows,
        "compared": len(old),
        "champion_bad": rows - int(good[0].sum()),
        "challenger_bad": rows - int(good[1].sum()),
        "challenger_distinct": min(len(new), 1 + bool(len(new) and np.ptp(new) > 0)),
    }
    return counts | (_means(old, new, n_threads) if len(old) else dict.fromkeys(_MEANS))


def _means(old: Amounts, new: Amounts, n_threads: int) -> dict[str, float]:
    ones = np.ones(len(old))
    mean_old, mean_new = _mean_values("given", ones, old, new, n_threads)
    apart, spread = _mean_values("absolute", old, new, mean_old * ones, n_threads)
    edges = _core.quantile_edges(old, _BINS)
    day = np.zeros(len(old), np.int32)
    bins = [_core.drift_counts(x, day, edges, 1, n_threads=n_threads)[0] for x in (old, new)]
    psi = psi_from_counts(*bins)
    return dict(zip(_MEANS, (mean_old, mean_new, apart, spread, psi), strict=True))


def _mean_values(
    values: Values, target: Amounts, first: Amounts, second: Amounts, n_threads: int
) -> tuple[float, float]:
    """The means of what both columns add, from exact sums."""
    day = np.zeros(len(target), np.int32)
    rows = paired_amounts(day, 1, target, (first, second), n_threads=n_threads)
    ((sums,),) = count_amounts(values, rows, day, np.zeros(1), 1, name="shadow")
    scale = len(target) << POINT
    return sums[0] / scale, sums[1] / scale


def _numbers(counts: Mapping[str, Any]) -> dict[str, float | int | None]:
    numbers: dict[str, float | int | None] = {n: counts[n] for n in (*_COPIED, *_MEANS)}
    spread = counts["spread"]
    numbers |= {"difference": None, "mean_change": None}
    if spread:
        change = counts["mean_challenger"] - counts["mean_champion"]
        numbers["difference"] = counts["mean_difference"] / spread
        numbers["mean_change"] = change / spread
    return numbers


def _failures(numbers: Numbers, rules: ShadowRules) -> dict[str, bool]:
    return {
        "difference": number_of(numbers, "difference") > rules.max_difference,
        "mean_change": abs(number_of(numbers, "mean_change")) > rules.max_mean_change,
    }


def _warnings(numbers: Numbers, rules: ShadowRules) -> dict[str, bool]:
    return {
        "difference": number_of(numbers, "difference") > rules.warn_difference,
        "score_psi": number_of(numbers, "score_psi") > rules.warn_score_psi,
        "champion_constant": numbers["spread"] == 0,
    }


AMOUNTS = View(_numbers, _failures, _warnings)
"""By predicted amounts: `difference`, the mean distance of both predictions, and `mean_change`,
both in units of `spread`."""
