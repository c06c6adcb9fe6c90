"""Two models on the same rows: F1 of both, their difference, and how sure that is.

Everything comes from joint counts per day (:mod:`retrain_ops.stats.cells`), in
exact rational arithmetic; the only floats are two square roots at the end.

F1 = T / D with T = 2 TP and D = sum(y + yhat). A row's influence on F1 is
phi = (2 y yhat - F1 (y + yhat)) / mean(y + yhat), and on the difference
w = phi_challenger - phi_champion; the influences of all rows sum to zero. With
n rows on G days and u_d the sum of w over day d, the standard error is the
larger of sqrt(sum w^2) / n (rows independent) and sqrt(G/(G-1) sum u_d^2) / n
(days independent). Rows of one day share its weather, so days decide.
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
    count_where,
    f1,
    f1_parts,
    total,
)

__all__ = ["PairedDifference", "compare"]

_DISCORDANT = tuple(a != b for a, b in zip(CHAMPION, CHALLENGER, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """F1(challenger) - F1(champion) on the same rows.

    Attributes:
        rows, positives, discordant: rows in all, with label 1, and on which the models disagree.
        days: days with at least one row.
        f1_champion, f1_challenger: exact; None when there is neither a positive nor a
            prediction (undefined, not 0 and not 1).
        difference: exact; None when either F1 is.
        row_error, day_error: standard errors; None when undefined (`day_error` also below 2 days).
    """

    rows: int
    positives: int
    discordant: int
    days: int
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


def compare(days: DayCells) -> PairedDifference:
    """What the joint counts of some days say about challenger against champion."""
    filled = [day for day in days if any(day)]
    counts = total(filled)
    champion, challenger = f1_parts(counts, CHAMPION), f1_parts(counts, CHALLENGER)
    row_error = day_error = difference = None
    f1_champion, f1_challenger = f1(counts, CHAMPION), f1(counts, CHALLENGER)
    if f1_champion is not None and f1_challenger is not None:
        difference = f1_challenger - f1_champion
        row_error, day_error = _errors(filled, counts, champion, challenger)
    return PairedDifference(
        rows=sum(counts),
        positives=count_where(counts, LABEL),
        discordant=count_where(counts, _DISCORDANT),
        days=len(filled),
        f1_champion=f1_champion,
        f1_challenger=f1_challenger,
        difference=difference,
        row_error=row_error,
        day_error=day_error,
    )


def _errors(
    filled: Sequence[Sequence[int]],
    counts: Sequence[int],
    champion: tuple[int, int],
    challenger: tuple[int, int],
) -> tuple[float, float | None]:
    """Row and day standard error.

    w = n (a_c / D_c^2 - a_m / D_m^2) with a = 2 y yhat D - T (y + yhat), so
    over the common denominator n / (D_c D_m)^2 every w is an integer and n
    cancels against the 1 / n of the mean.
    """
    weights = _influences(champion, challenger)
    squared = (champion[1] * challenger[1]) ** 4
    rows = sum(c * w * w for c, w in zip(counts, weights, strict=True))
    row_error = math.sqrt(Fraction(rows, squared))
    g = len(filled)
    if g < 2:
        return row_error, None
    sums = [sum(c * w for c, w in zip(day, weights, strict=True)) for day in filled]
    assert sum(sums) == 0
    day_error = math.sqrt(Fraction(g * sum(u * u for u in sums), (g - 1) * squared))
    return row_error, day_error


def _influences(champion: tuple[int, int], challenger: tuple[int, int]) -> list[int]:
    """Each cell's w, times (D_c D_m)^2 / n."""
    (t_m, d_m), (t_c, d_c) = champion, challenger
    return [
        (2 * y * c * d_c - t_c * (y + c)) * d_m**2 - (2 * y * m * d_m - t_m * (y + m)) * d_c**2
        for y, m, c in zip(LABEL, CHAMPION, CHALLENGER, strict=True)
    ]
