"""What a challenger has forgotten: champion and challenger on the seasons before their windows."""

from __future__ import annotations

from typing import TypedDict

__all__ = ["SeasonRecord"]


class SeasonRecord(TypedDict):
    """Scores of the spec's metric on the memory's judging rows of one month or quarter.

    `change` is above zero where the challenger is the better one. A season that is not `judged`
    has too few rows or positives for a bound.
    """

    rows: int
    champion: float | None
    challenger: float | None
    change: float | None
    judged: bool
