"""Two models on the same rows: the score of both, their difference, and how sure that is.

Everything comes from joint counts per day (:mod:`retrain_ops.stats.cells`), in
exact rational arithmetic; the only floats are two square roots at the end.

The derivative of a metric by the count of a cell is the influence of a row
there (:mod:`retrain_ops.stats.metrics`), and w, the challenger's less the
champion's, that on the difference; the influences of all rows sum to zero.
With G days and u_d the sum of w over day d, the standard error is the larger of
sqrt(sum w^2) (rows independent) and sqrt(G/(G-1) sum u_d^2) (days
independent). Rows of one day share its weather, so days decide.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from retrain_ops.stats.cells import (
    CHALLENGER,
    CHAMPION,
    LABEL,
    DayCells,
    confusion,
    count_where,
    total,
)
from retrain_ops.stats.metrics import F1, Confusion, Metric

__all__ = ["PairedDifference", "compare", "score_by_days"]

_DISCORDANT = tuple(a != b for a, b in zip(CHAMPION, CHALLENGER, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """Score of the challenger less that of the champion, on the same rows.

    Attributes:
        rows, positives, discordant: rows in all, with label 1, and on which the models disagree.
        days: days with at least one row.
        score_champion, score_challenger: in the metric; None where it is undefined (not 0 and
            not 1).
        f1_champion, f1_challenger: exact, whatever the metric; None when there is neither a
            positive nor a prediction.
        difference: None when either score is.
        row_error, day_error: standard errors; None when undefined (`day_error` also below 2 days).
    """

    rows: int
    positives: int
    discordant: int
    days: int
    score_champion: Fraction | None
    score_challenger: Fraction | None
    f1_champion: Fraction | None
    f1_challenger: Fraction | None
    difference: Fraction | None
    row_error: float | None
    day_error: float | None

    def standard_error(self, unit: str = "day") -> float | None:
        """The larger of both errors (`unit="day"`), or the row error alone (`unit="row"`)."""
        if unit == "row":
            return self.row_error
        if self.row_error is None or self.day_error is None:
            return None
        return max(self.row_error, self.day_error)


def compare(days: DayCells, metric: Metric = F1) -> PairedDifference:
    """What the joint counts of some days say about challenger against champion."""
    filled = [day for day in days if any(day)]
    counts = total(filled)
    champion, challenger = confusion(counts, CHAMPION), confusion(counts, CHALLENGER)
    old, new = metric.score(champion), metric.score(challenger)
    both_f1 = (old, new) if metric is F1 else (F1.score(champion), F1.score(challenger))
    row_error = day_error = difference = None
    if old is not None and new is not None:
        difference = new - old
        weights, scale = _influences(metric, champion, challenger)
        row_error, day_error = _errors(filled, counts, weights, scale)
    return PairedDifference(
        rows=sum(counts),
        positives=count_where(counts, LABEL),
        discordant=count_where(counts, _DISCORDANT),
        days=len(filled),
        score_champion=old,
        score_challenger=new,
        f1_champion=both_f1[0],
        f1_challenger=both_f1[1],
        difference=difference,
        row_error=row_error,
        day_error=day_error,
    )


def score_by_days(
    days: Sequence[Sequence[int]], said: Sequence[int], metric: Metric = F1
) -> tuple[float | None, float | None, int]:
    """One model's score, its standard error with days as the unit, and the number of days.

    Args:
        days: eight joint counts per day.
        said: `CHAMPION` or `CHALLENGER` of :mod:`retrain_ops.stats.cells`.
        metric: what to score by.
    """
    filled = [day for day in days if any(day)]
    counts = confusion(total(filled), said)
    score = metric.score(counts)
    if score is None:
        return None, None, len(filled)
    slopes, scale = metric.influence(counts)
    weights = [slopes[2 * y + p] for y, p in zip(LABEL, said, strict=True)]
    return float(score), _day_error(filled, weights, scale), len(filled)


def _errors(
    filled: Sequence[Sequence[int]], counts: Sequence[int], weights: Sequence[int], scale: int
) -> tuple[float, float | None]:
    """Row and day standard error; a row of a cell has the influence `weights` / `scale`."""
    rows = sum(c * w * w for c, w in zip(counts, weights, strict=True))
    return math.sqrt(Fraction(rows, scale**2)), _day_error(filled, weights, scale)


def _day_error(filled: Sequence[Sequence[int]], weights: Sequence[int], scale: int) -> float | None:
    g = len(filled)
    if g < 2:
        return None
    sums = [sum(c * w for c, w in zip(day, weights, strict=True)) for day in filled]
    assert sum(sums) == 0
    return math.sqrt(Fraction(g * sum(u * u for u in sums), (g - 1) * scale**2))


def _influences(
    metric: Metric, champion: Confusion, challenger: Confusion
) -> tuple[list[int], int]:
    """Each cell's w: numerators and their common denominator."""
    old, old_scale = metric.influence(champion)
    new, new_scale = metric.influence(challenger)
    weights = [
        new[2 * y + c] * old_scale - old[2 * y + m] * new_scale
        for y, m, c in zip(LABEL, CHAMPION, CHALLENGER, strict=True)
    ]
    return weights, old_scale * new_scale
