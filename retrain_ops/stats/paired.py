"""Two models on the same rows: the score of both, their difference, and how sure that is.

Everything comes from counts per day (:mod:`retrain_ops.stats.cells`), in
exact rational arithmetic; the only floats are two square roots at the end.

What a metric's totals move its score by is the influence of the rows behind them
(:mod:`retrain_ops.stats.metrics`), and w, the challenger's less the
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
    N_CELLS,
    DayCells,
    count_where,
    total,
)
from retrain_ops.stats.metrics import F1, Influence, Metric

__all__ = ["PairedDifference", "compare", "score_by_days"]

_DISCORDANT = tuple(a != b for a, b in zip(CHAMPION, CHALLENGER, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """Score of the challenger less that of the champion, on the same rows; where less is better,
    the other way round, so that a positive difference is always the better one.

    Attributes:
        rows, positives, discordant: rows in all, with label 1, and on which the models disagree.
        days: days with at least one row.
        score_champion, score_challenger: in the metric; None where it is undefined (not 0 and
            not 1).
        f1_champion, f1_challenger: exact, whatever the metric; None when there is neither a
            positive nor a prediction, or no yes or no to predict.
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
    """What the counts of some days say about challenger against champion."""
    filled = [day for day in days if any(day)]
    counts = total(filled)
    cells = counts[:N_CELLS]
    champion, challenger = (metric.totals(counts, said) for said in (CHAMPION, CHALLENGER))
    old, new = metric.score(champion), metric.score(challenger)
    both_f1 = (old, new) if metric is F1 else _f1(counts, metric)
    row_error = day_error = difference = None
    if old is not None and new is not None:
        difference = metric.sign * (new - old)
        both = metric.influence(champion), metric.influence(challenger)
        row_error = math.sqrt(metric.squares(counts, *both))
        day_error = _day_error(_of_days(filled, metric, *both))
    return PairedDifference(
        rows=sum(cells),
        positives=count_where(cells, LABEL),
        discordant=count_where(cells, _DISCORDANT),
        days=len(filled),
        score_champion=old,
        score_challenger=new,
        f1_champion=both_f1[0],
        f1_challenger=both_f1[1],
        difference=difference,
        row_error=row_error,
        day_error=day_error,
    )


def _f1(counts: Sequence[int], metric: Metric) -> tuple[Fraction | None, Fraction | None]:
    """Beside a metric of the same decisions; models of other problems have none."""
    if metric.problem != "binary":
        return None, None
    return F1.score(F1.totals(counts, CHAMPION)), F1.score(F1.totals(counts, CHALLENGER))


def score_by_days(
    days: Sequence[Sequence[int]], said: Sequence[int], metric: Metric = F1
) -> tuple[float | None, float | None, int]:
    """One model's score, its standard error with days as the unit, and the number of days.

    Args:
        days: eight joint counts per day, and the sums of a metric that has any.
        said: `CHAMPION` or `CHALLENGER` of :mod:`retrain_ops.stats.cells`.
        metric: what to score by.
    """
    filled = [day for day in days if any(day)]
    totals = metric.totals(total(filled), said)
    score = metric.score(totals)
    if score is None:
        return None, None, len(filled)
    slopes, scale = metric.influence(totals)
    sums = [_dot(slopes, metric.totals(day, said)) for day in filled]
    return float(score), _day_error((sums, scale)), len(filled)


def _dot(slopes: Sequence[int], totals: Sequence[int]) -> int:
    return sum(slope * n for slope, n in zip(slopes, totals, strict=True))


def _of_days(
    filled: Sequence[Sequence[int]], metric: Metric, champion: Influence, challenger: Influence
) -> Influence:
    """The sum of w over each day: numerators and their common denominator."""
    (old, old_scale), (new, new_scale) = champion, challenger
    sums = [
        _dot(new, metric.totals(day, CHALLENGER)) * old_scale
        - _dot(old, metric.totals(day, CHAMPION)) * new_scale
        for day in filled
    ]
    return sums, old_scale * new_scale


def _day_error(of_days: Influence) -> float | None:
    sums, scale = of_days
    g = len(sums)
    if g < 2:
        return None
    assert sum(sums) == 0
    return math.sqrt(Fraction(g * sum(u * u for u in sums), (g - 1) * scale**2))
