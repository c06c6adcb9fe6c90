"""Metrics of predicted amounts, from exact sums of what each row adds (csrc/evaluation/amounts.h).

A row has a value under each model, its loss, and a base, 1 for most metrics. A score is a
function of V / B, the sum of a model's values over that of the bases. Its influence is linear in
both: with v and b those of a row it is k (v - V / B b), so sums of v, b and of their products by
day and over all rows are all that standard errors need.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from retrain_ops.stats.amount_sums import POINT, Values, count_amounts
from retrain_ops.stats.cells import CHAMPION, N_CELLS
from retrain_ops.stats.metrics.metric import Influence, Totals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrain_ops.stats.sums import DaySums
    from retrain_ops.stats.tables import Levels, PairedRows

__all__ = ["BY_NAME", "Amounts", "pinball"]

LABEL_UNIT = "the label's"
"""The unit of a metric that is an amount itself: no default of a spec can know it."""

_ROOT_BITS = 128
_NO_INFLUENCE: Influence = ([0, 0], 1)

_LINEAR_SUMS, _CURVED_SUMS = 6, 9


def _mean(t: Totals) -> Fraction:
    return Fraction(t[0], t[1])


def _mean_influence(t: Totals) -> Influence:
    """By the value and the base of a row: 1 / B and -V / B^2."""
    v, b = t
    return [b, -v], b * b


def _root_of(t: Totals) -> int:
    """The root of V / B, in 2^-128."""
    return math.isqrt((t[0] << 2 * _ROOT_BITS) // t[1])


def _root(t: Totals) -> Fraction:
    return Fraction(_root_of(t), 1 << _ROOT_BITS)


def _root_influence(t: Totals) -> Influence:
    """That of the mean over twice the root; a model without any error has none."""
    v, b = t
    root = _root_of(t)
    if root == 0:
        return _NO_INFLUENCE
    return [b << _ROOT_BITS, -v << _ROOT_BITS], 2 * root * b * b


def _size(t: Totals) -> Fraction:
    return abs(Fraction(t[0], t[1]))


def _size_influence(t: Totals) -> Influence:
    v, b = t
    sign = (v > 0) - (v < 0)
    return [sign * b, -sign * v], b * b


def _explained(t: Totals) -> Fraction:
    return 1 - Fraction(t[0], t[1])


def _explained_influence(t: Totals) -> Influence:
    v, b = t
    return [-b, v], b * b


def _nothing(rows: PairedRows, levels: Levels) -> NDArray[np.float64]:
    return np.zeros(len(levels[1]))


def _mean_labels(rows: PairedRows, levels: Levels) -> NDArray[np.float64]:
    """The mean label of each level, over all days together: from one of them on, so that labels
    that are all equal have a mean that is equal to them."""
    codes, names = levels
    assert rows.target is not None
    some = np.zeros(len(names))
    some[codes] = rows.target
    totals = np.bincount(codes, weights=rows.target - some[codes], minlength=len(names))
    return some + totals / np.maximum(np.bincount(codes, minlength=len(names)), 1)


def _mean_label(label: NDArray[np.float64]) -> float:
    return float(label.mean())


def _median_label(label: NDArray[np.float64]) -> float:
    return float(np.median(label))


@dataclass(frozen=True, slots=True)
class Amounts:
    """A metric of predicted amounts.

    `values` names what a row adds; `of` and `slopes` make the score and its influence of V and
    B. Where they are not linear in V, `curved`, standard errors need three sums more. `constant`
    is what a model had to say that says the same for all rows, by their labels.
    """

    name: str
    title: str
    values: Values
    of: Callable[[Totals], Fraction] = _mean
    slopes: Callable[[Totals], Influence] = _mean_influence
    unit: str = LABEL_UNIT
    span: int | None = None
    sign: int = -1
    curved: bool = False
    at: Callable[[PairedRows, Levels], NDArray[np.float64]] = field(default=_nothing, compare=False)
    constant: Callable[[NDArray[np.float64]], float] = field(default=_mean_label, compare=False)
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    rational: bool = False
    problem: str = "regression"

    @property
    def kind(self) -> str:
        """The sums that it needs are its own."""
        return self.name

    @property
    def ranks(self) -> bool:
        """Whether a row's base depends on the other rows."""
        return self.values == "spread"

    @property
    def n_sums(self) -> int:
        """Of v under both models, b, dd, db, bb; where it is curved of vv, vd, vb as well."""
        return _CURVED_SUMS if self.curved else _LINEAR_SUMS

    def count(self, rows: PairedRows, levels: Levels) -> list[DaySums]:
        """By level, what both models add on each day."""
        codes, names = levels
        found = count_amounts(
            self.values,
            rows,
            codes,
            self.at(rows, levels),
            len(names),
            name=self.name,
        )
        return [[day[: self.n_sums] for day in level] for level in found]

    def totals(self, counts: Sequence[int], said: Sequence[int]) -> Totals:
        """One model's V, and B."""
        sums = counts[N_CELLS:] or (0,) * _LINEAR_SUMS
        return sums[0 if said == CHAMPION else 1], sums[2]

    def score(self, totals: Totals) -> Fraction | None:
        """None where the bases sum to zero: no row counts, or no label differs from another."""
        return self.of(totals) if totals[1] else None

    def influence(self, totals: Totals) -> Influence:
        """By value and by base."""
        return self.slopes(totals)

    def squares(
        self, counts: Sequence[int], champion: Influence, challenger: Influence
    ) -> Fraction:
        """Of h v + k d + e b, v the champion's value and d the difference of both models'."""
        sums = counts[N_CELLS:]
        dd, db, bb = sums[3:6]
        vv, vd, vb = sums[6:9] if self.curved else (0, 0, 0)
        (old, old_scale), (new, new_scale) = champion, challenger
        k, e = new[0] * old_scale, new[1] * old_scale - old[1] * new_scale
        h = k - old[0] * new_scale
        total = k * k * dd + e * e * bb + h * h * vv + 2 * (k * e * db + h * k * vd + h * e * vb)
        # Products are rounded once each: what is zero may come out a hair below.
        return max(Fraction(total << POINT, (old_scale * new_scale) ** 2), Fraction(0))


def pinball(quantile: Fraction) -> Amounts:
    """Pinball loss, whose least mean has a prediction at that quantile of the label.

    q (y - p) where the label y is at least what is predicted, else (1 - q) (p - y): Koenker and
    Bassett (1978), Econometrica 46.
    """
    q = float(quantile)

    def at(rows: PairedRows, levels: Levels) -> NDArray[np.float64]:
        return np.full(len(levels[1]), q)

    return Amounts(
        "pinball",
        f"pinball loss at {q:g}",
        "pinball",
        at=at,
        constant=lambda label: float(np.quantile(label, q)),
        arguments={"quantile": str(quantile)},
    )


BY_NAME: Mapping[str, Amounts] = {
    metric.name: metric
    for metric in (
        Amounts("mae", "MAE", "absolute", constant=_median_label),
        Amounts("rmse", "RMSE", "squared", of=_root, slopes=_root_influence, curved=True),
        Amounts("bias", "bias", "error", of=_size, slopes=_size_influence, curved=True),
        Amounts("mape", "MAPE", "percent", unit="share of the label", constant=_median_label),
        Amounts("smape", "sMAPE", "symmetric", unit="share", span=2, constant=_median_label),
        Amounts(
            "r2",
            "R2",
            "spread",
            of=_explained,
            slopes=_explained_influence,
            unit="share of the variance",
            sign=1,
            at=_mean_labels,
        ),
    )
}
"""The metrics that need nothing but their name."""
