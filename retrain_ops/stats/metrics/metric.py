"""What the gate, the slices, the canary and the degraded trigger know of a metric.

A metric scores one model from a few totals that its rows were counted to, and says how much each
of them moves that score per unit. Influences add up: over the rows of a day they give the day's
share of the score, over all rows nothing, so standard errors by rows and by days, the paired
difference and the confidence sequence of a canary are the same for every metric
(:mod:`retrain_ops.stats.paired`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from retrain_ops.stats.sums import DaySums
    from retrain_ops.stats.tables import Levels, PairedRows

__all__ = ["Confusion", "Influence", "Metric", "Totals"]

Totals = tuple[int, ...]
"""Of one model: for decisions a `Confusion`, for scores negatives, positives and the sums of the
values of both (:mod:`retrain_ops.stats.metrics.scores`), for amounts the sums of values and of
bases (:mod:`retrain_ops.stats.metrics.amounts`), for classes rows by class
(:mod:`retrain_ops.stats.metrics.classes`)."""

Confusion = Totals
"""True negatives, false positives, false negatives, true positives: 2 * label + decision."""

Influence = tuple[list[int], int]
"""Per unit of each total: numerators, common denominator."""


class Metric(Protocol):
    """A score of one model."""

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
    def sign(self) -> int:
        """1 where more is better, -1 where less is; a difference is positive when it is better."""

    @property
    def rational(self) -> bool:
        """Whether `score` is exact; fixed point and roots are not."""

    @property
    def problem(self) -> str:
        """The problem whose models it judges, as `[model] problem` names it."""

    @property
    def kind(self) -> str | None:
        """The name of what is summed beside the joint counts; None for decisions."""

    @property
    def n_sums(self) -> int | None:
        """How many sums those are, per day and level; None where the classes say how many."""

    @property
    def ranks(self) -> bool:
        """Whether its sums are places among the rows of all days together, or of the classes of
        one pair of models, so that those of other rows do not add to them."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What the spec has set of it, beside the name, as plain data."""

    def count(self, rows: PairedRows, levels: Levels) -> list[DaySums]:
        """The sums of `kind` by level, of each day.

        Raises:
            DataError: a row has no value, or the rows are of another problem.
        """

    def totals(self, counts: Sequence[int], said: Sequence[int]) -> Totals:
        """One model's totals; `said` is `CHAMPION` or `CHALLENGER` of `retrain_ops.stats.cells`.

        `counts` are of a day or of many: eight joint counts, then the sums of `kind`.
        """

    def score(self, totals: Totals) -> Fraction | None:
        """The score; None where it is undefined, which is neither 0 nor 1."""

    def influence(self, totals: Totals) -> Influence:
        """What each total adds to the score per unit, less what the rows behind it take from it.

        The numerators times `totals` sum to zero. Only where `score` is defined.
        """

    def squares(
        self, counts: Sequence[int], champion: Influence, challenger: Influence
    ) -> Fraction:
        """The sum over rows of the squared difference of both influences."""
