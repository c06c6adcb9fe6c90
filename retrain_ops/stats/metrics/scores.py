"""Metrics of scores, from what each row adds under both models (csrc/evaluation/paired.h).

A row has a value: its loss, or its place among the other rows. Four totals make a model's score:
negatives, positives, and the sum of the values of either. Within a class an influence is linear
in the value, k v - c, so the sums of a day and of the squared differences of both models' values
are all that standard errors need; k is the same for both models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from retrain_ops.errors import DataError
from retrain_ops.stats.cells import CHAMPION, LABEL, N_CELLS, count_where
from retrain_ops.stats.metrics.metric import Influence, Totals
from retrain_ops.stats.sums import N_SUMS, count_sums

if TYPE_CHECKING:
    from retrain_ops.stats.sums import DaySums
    from retrain_ops.stats.tables import Levels, PairedRows

__all__ = ["BY_NAME", "Scores"]

_LOSS = 1 << 40
_PRECISION = 1 << 46
"""Fixed point of losses and of average precision."""


def _ratio(top: int, bottom: int) -> Fraction | None:
    return Fraction(top, bottom) if bottom else None


def _mean(t: Totals) -> Fraction | None:
    """The mean value of a row."""
    n0, n1, v0, v1 = t
    return _ratio(v0 + v1, (n0 + n1) * _LOSS)


def _mean_influence(t: Totals) -> Influence:
    n, v = t[0] + t[1], t[2] + t[3]
    return [-v, -v, n, n], n * n * _LOSS


def _auc(t: Totals) -> Fraction | None:
    """Positives' values count twice the pairs that they win."""
    n0, n1, _, v1 = t
    return _ratio(v1, 2 * n0 * n1)


def _auc_influence(t: Totals) -> Influence:
    """DeLong's placements: a positive's wins over n0, a negative's over n1, less their mean."""
    n0, n1, v0, v1 = t
    return [v0 * n1, -v1 * n0, -n0 * n1, n0 * n1], 2 * n0 * n0 * n1 * n1


def _average_precision(t: Totals) -> Fraction | None:
    """What rows add to each other's precision cancels: precision at each positive is left."""
    _, n1, v0, v1 = t
    return _ratio(v0 + v1, n1 * _PRECISION)


def _average_precision_influence(t: Totals) -> Influence:
    _, n1, v0, v1 = t
    return [0, -(v0 + v1), n1, n1], n1 * n1 * _PRECISION


def _ks(t: Totals) -> Fraction | None:
    """True less false positive rate at the score where it is largest."""
    n0, n1, v0, v1 = t
    return Fraction(v1, n1) - Fraction(v0, n0) if n0 and n1 else None


def _ks_influence(t: Totals) -> Influence:
    """The score that is best stays so under small changes, so it counts as fixed."""
    n0, n1, v0, v1 = t
    return [v0 * n1 * n1, -v1 * n0 * n0, -n0 * n1 * n1, n1 * n0 * n0], n0 * n0 * n1 * n1


@dataclass(frozen=True, slots=True)
class Scores:
    """A metric of scores; `name` is its kind of sums as well."""

    name: str
    title: str
    of: Callable[[Totals], Fraction | None]
    slopes: Callable[[Totals], Influence]
    unit: str = "share"
    span: int | None = 1
    sign: int = 1
    rational: bool = True
    ranks: bool = True
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    problem: str = "binary"
    n_sums: int = N_SUMS

    @property
    def kind(self) -> str:
        """The sums that it needs."""
        return self.name

    def count(self, rows: PairedRows, levels: Levels) -> list[DaySums]:
        """By level, what both models' scores add on each day."""
        if rows.scores is None:
            raise DataError(f"{self.name} is a metric of scores: it needs those of both models")
        codes, names = levels
        found: list[DaySums] = [
            *count_sums(
                self.name,
                rows.day,
                codes,
                rows.label,
                *rows.scores,
                rows.n_days,
                len(names),
                n_threads=rows.n_threads,
            )
        ]
        return found

    def totals(self, counts: Sequence[int], said: Sequence[int]) -> Totals:
        """Negatives, positives, and the sums of the model's values over both."""
        cells, sums = counts[:N_CELLS], counts[N_CELLS:] or (0,) * 6
        positives = count_where(cells, LABEL)
        first = 0 if said == CHAMPION else 2
        return sum(cells) - positives, positives, sums[first], sums[first + 1]

    def score(self, totals: Totals) -> Fraction | None:
        """None without a row of a class that it needs."""
        return self.of(totals)

    def influence(self, totals: Totals) -> Influence:
        """Per row of either class, and per unit of its value."""
        return self.slopes(totals)

    def squares(
        self, counts: Sequence[int], champion: Influence, challenger: Influence
    ) -> Fraction:
        """Of k d + e, d the difference of a row's values: k^2 sum d^2 + 2 k e sum d + n e^2."""
        (old, scale), (new, _) = champion, challenger
        old_sums, new_sums = (counts[N_CELLS + first :][:2] for first in (0, 2))
        squared = counts[N_CELLS + 4 :]
        positives = count_where(counts[:N_CELLS], LABEL)
        rows = sum(counts[:N_CELLS]) - positives, positives
        total = 0
        for c in (0, 1):
            k, e, d = new[2 + c], new[c] - old[c], new_sums[c] - old_sums[c]
            total += k * k * squared[c] + 2 * k * e * d + rows[c] * e * e
        return Fraction(total, scale * scale)


BY_NAME: Mapping[str, Scores] = {
    metric.name: metric
    for metric in (
        Scores("roc_auc", "ROC AUC", _auc, _auc_influence, unit="AUC"),
        Scores(
            "average_precision",
            "average precision",
            _average_precision,
            _average_precision_influence,
            rational=False,
        ),
        Scores("ks", "KS distance", _ks, _ks_influence),
        Scores(
            "log_loss",
            "log-loss",
            _mean,
            _mean_influence,
            unit="nats",
            span=None,
            sign=-1,
            rational=False,
            ranks=False,
        ),
        Scores(
            "brier",
            "Brier score",
            _mean,
            _mean_influence,
            unit="squared probability",
            sign=-1,
            rational=False,
            ranks=False,
        ),
    )
}
