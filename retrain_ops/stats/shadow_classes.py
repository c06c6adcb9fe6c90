"""A shadow of models of several classes: how often they say another class, and how the share of
each class among what they say moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrain_ops.stats.psi import psi_from_counts
from retrain_ops.stats.shadow import Numbers, ShadowRules, View, number_of

__all__ = ["CLASSES", "class_shadow_counts", "sound"]

_COPIED = ("rows", "compared", "flips", "champion_bad", "challenger_bad", "challenger_distinct")
_NEAR = 1e-6  # of the sum of a row's probabilities to 1

Probabilities = NDArray[np.float64]


def sound(probability: Probabilities) -> NDArray[np.bool_]:
    """Which rows of float64 (rows, K) are probabilities: finite, none below 0, and 1 together."""
    whole = np.abs(probability.sum(axis=1) - 1) <= _NEAR
    return np.asarray(whole & (probability >= 0).all(axis=1))


def class_shadow_counts(
    champion: Probabilities,
    challenger: Probabilities,
    said: tuple[NDArray[np.int32], NDArray[np.int32]],
    n_classes: int,
) -> dict[str, Any]:
    """Both models on the same requests.

    Args:
        champion, challenger: float64 (rows, K) of its own K each.
        said: the class of each row by both, int32 (rows,), below `n_classes`.
        n_classes: of both models together.

    Returns:
        rows; champion_bad and challenger_bad: rows that are no probabilities; compared: rows with
        two good ones; flips: of these those on which they say another class;
        challenger_distinct: the challenger's rows are none (0), all equal (1) or differ (2);
        shares: how many compared rows each model says to be of each class, int64 (2, n_classes).
    """
    good = [sound(champion), sound(challenger)]
    both = good[0] & good[1]
    old, new = said[0][both], said[1][both]
    apart = bool(both.any()) and bool((np.ptp(challenger[both], axis=0) > 0).any())
    return {
        "rows": len(both),
        "compared": len(old),
        "flips": int(np.count_nonzero(old != new)),
        "champion_bad": int(np.count_nonzero(~good[0])),
        "challenger_bad": int(np.count_nonzero(~good[1])),
        "challenger_distinct": min(len(old), 1 + apart),
        "shares": np.array([np.bincount(x, minlength=n_classes) for x in (old, new)]),
    }


def _numbers(counts: Mapping[str, Any]) -> dict[str, float | int | None]:
    numbers: dict[str, float | int | None] = {name: counts[name] for name in _COPIED}
    n, (old, new) = counts["compared"], counts["shares"]
    numbers["flip_rate"] = counts["flips"] / n if n else None
    numbers["rate_change"] = int(np.abs(new - old).max()) / n if n else None
    numbers["score_psi"] = psi_from_counts(old, new) if n else None
    return numbers


def _failures(numbers: Numbers, rules: ShadowRules) -> dict[str, bool]:
    return {
        "flips": number_of(numbers, "flip_rate") > rules.max_flips,
        "class_rate": number_of(numbers, "rate_change") > rules.max_rate_change,
    }


def _warnings(numbers: Numbers, rules: ShadowRules) -> dict[str, bool]:
    return {
        "flips": number_of(numbers, "flip_rate") > rules.warn_flips,
        "score_psi": number_of(numbers, "score_psi") > rules.warn_score_psi,
    }


CLASSES = View(_numbers, _failures, _warnings)
"""By the class of the largest probability: flips, and `rate_change`, the largest change of the
share of a class among what is said; `score_psi` is that of these shares."""
