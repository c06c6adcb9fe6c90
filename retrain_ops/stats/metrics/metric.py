"""What the gate, the slices, the canary and the degraded trigger know of a metric.

A metric scores one model from what its rows were counted to, and says how much one more row of
a cell moves that score. Influences add up: over the rows of a day they give the day's share of
the score, over all rows nothing, so standard errors by rows and by days, the paired difference
and the confidence sequence of a canary are the same for every metric
(:mod:`retrain_ops.stats.paired`).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Protocol

__all__ = ["Confusion", "Metric"]

Confusion = tuple[int, int, int, int]
"""True negatives, false positives, false negatives, true positives: 2 * label + decision."""


class Metric(Protocol):
    """A score of one model's decisions; higher is better."""

    @property
    def name(self) -> str:
        """As the spec and the record write it."""

    @property
    def title(self) -> str:
        """As people read it."""

    @property
    def unit(self) -> str:
        """Unit of the score, and so of every margin of the spec."""

    @property
    def span(self) -> int | None:
        """The largest difference of two scores; None when only the spec's own numbers limit it."""

    @property
    def rational(self) -> bool:
        """Whether `score` is exact; a root is taken to 64 binary places."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the spec has set of it, beside the name, as plain data."""

    def score(self, counts: Confusion) -> Fraction | None:
        """The score; None where it is undefined, which is neither 0 nor 1."""

    def influence(self, counts: Confusion) -> tuple[list[int], int]:
        """The derivative of the score by the count of each cell: numerators, common denominator.

        The numerators times `counts` sum to zero. Only where `score` is defined.
        """
