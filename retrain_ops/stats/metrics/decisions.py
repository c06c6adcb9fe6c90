"""Metrics of decisions, from true and false positives and negatives.

All but Matthews' coefficient are sums of ratios of two linear forms of the four counts, so their
scores are fractions, and so are the derivatives: of T / D by the count of cell k it is
(t_k D - T d_k) / D^2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from retrain_ops.stats.cells import CHALLENGER, CHAMPION, LABEL, N_CELLS, confusion
from retrain_ops.stats.metrics.metric import Confusion, Influence

if TYPE_CHECKING:
    from retrain_ops.stats.sums import DaySums
    from retrain_ops.stats.tables import Levels, PairedRows

__all__ = [
    "BY_NAME",
    "MATTHEWS",
    "Costs",
    "DecisionMetric",
    "Matthews",
    "Ratios",
    "fbeta",
    "net_benefit",
]

Form = tuple[int, int, int, int]
"""Factors of true negatives, false positives, false negatives and true positives."""

_BITS = 64
"""Binary places of a square root."""


def _value(form: Form, counts: Confusion) -> int:
    a, b, c, d = form
    tn, fp, fn, tp = counts
    return a * tn + b * fp + c * fn + d * tp


def _slopes(term: tuple[Form, Form], counts: Confusion) -> tuple[list[int], int]:
    """The derivatives of T / D: numerators, denominator."""
    top, bottom = term
    t, d = _value(top, counts), _value(bottom, counts)
    return [a * d - t * b for a, b in zip(top, bottom, strict=True)], d * d


class _OfDecisions:
    """What metrics of the eight joint counts share."""

    __slots__ = ()
    problem: ClassVar[str] = "binary"
    kind: ClassVar[str | None] = None
    n_sums: ClassVar[int] = 0
    sign: ClassVar[int] = 1
    ranks: ClassVar[bool] = False

    def count(self, rows: PairedRows, levels: Levels) -> list[DaySums]:
        """None beside the joint counts."""
        return [[[]] * rows.n_days for _ in levels[1]]

    def totals(self, counts: Sequence[int], said: Sequence[int]) -> Confusion:
        """One model's confusion matrix."""
        return confusion(counts[:N_CELLS], said)

    def squares(
        self, counts: Sequence[int], champion: Influence, challenger: Influence
    ) -> Fraction:
        """Rows of a cell have one influence."""
        (old, old_scale), (new, new_scale) = champion, challenger
        weights = [
            new[2 * y + c] * old_scale - old[2 * y + m] * new_scale
            for y, m, c in zip(LABEL, CHAMPION, CHALLENGER, strict=True)
        ]
        rows = sum(c * w * w for c, w in zip(counts[:N_CELLS], weights, strict=True))
        return Fraction(rows, (old_scale * new_scale) ** 2)


@dataclass(frozen=True, slots=True)
class Ratios(_OfDecisions):
    """The sum of T / D over `terms`, pairs of T and D; undefined where any D is zero."""

    name: str
    title: str
    terms: tuple[tuple[Form, Form], ...]
    unit: str = "share"
    span: int | None = 1
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    rational: bool = True

    def score(self, counts: Confusion) -> Fraction | None:
        """Exact; None where a denominator is zero."""
        found = [(_value(top, counts), _value(bottom, counts)) for top, bottom in self.terms]
        if any(d == 0 for _, d in found):
            return None
        first, *rest = (Fraction(t, d) for t, d in found)
        return sum(rest, first)

    def scores(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of many confusion matrices, float64 [4, n]; minus infinity where it is undefined."""
        total = np.zeros(counts.shape[1])
        for top, bottom in self.terms:
            d = np.asarray(bottom, np.float64) @ counts
            t = np.asarray(top, np.float64) @ counts
            total += np.divide(t, d, out=np.full_like(d, -np.inf), where=d != 0)
        return total

    def influence(self, counts: Confusion) -> Influence:
        """Derivatives over the common denominator of all terms."""
        first, *rest = self.terms
        total, common = _slopes(first, counts)
        for term in rest:
            own, scale = _slopes(term, counts)
            total = [x * scale + y * common for x, y in zip(total, own, strict=True)]
            common *= scale
        return total, common


@dataclass(frozen=True, slots=True)
class Matthews(_OfDecisions):
    """Matthews' correlation coefficient, (TP TN - FP FN) / sqrt(P N P' N').

    Matthews (1975), Biochimica et Biophysica Acta 405. P and N are the labels of either kind, P'
    and N' the decisions; undefined where one of the four is zero.
    """

    name: str = "mcc"
    title: str = "MCC"
    unit: str = "correlation"
    span: int | None = 2
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    rational: bool = False

    def score(self, counts: Confusion) -> Fraction | None:
        """To 64 binary places; exact where the root is whole."""
        product = math.prod(_margins(counts))
        if product == 0:
            return None
        return Fraction(_surplus(counts) << _BITS, _root(product))

    def scores(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of many confusion matrices, float64 [4, n]; minus infinity where it is undefined."""
        tn, fp, fn, tp = counts
        margins = np.sqrt((tn + fp) * (fn + tp)) * np.sqrt((tn + fn) * (fp + tp))
        found = np.full(len(margins), -np.inf)
        np.divide(tp * tn - fp * fn, margins, out=found, where=margins != 0)
        return found

    def influence(self, counts: Confusion) -> Influence:
        """Of S / R by the count of cell k: (dS/dk - S / 2 sum 1 / m over k's margins m) / R."""
        tn, fp, fn, tp = counts
        margins, surplus = _margins(counts), _surplus(counts)
        product = math.prod(margins)
        n, p, said_n, said_p = (product // margin for margin in margins)
        slopes = (tp, -fn, -fp, tn)
        shares = (n + said_n, n + said_p, p + said_n, p + said_p)
        own = [
            (2 * slope * product - surplus * share) << _BITS
            for slope, share in zip(slopes, shares, strict=True)
        ]
        return own, 2 * product * _root(product)


def _surplus(counts: Confusion) -> int:
    tn, fp, fn, tp = counts
    return tp * tn - fp * fn


def _margins(counts: Confusion) -> tuple[int, int, int, int]:
    """Rows with label 0 and 1, and with decision 0 and 1."""
    tn, fp, fn, tp = counts
    return tn + fp, fn + tp, tn + fn, fp + tp


def _root(product: int) -> int:
    return math.isqrt(product << 2 * _BITS)


MATTHEWS = Matthews()

_FOUND: Form = (0, 0, 0, 1)
_SPARED: Form = (1, 0, 0, 0)

DecisionMetric = Ratios | Matthews

BY_NAME: dict[str, DecisionMetric] = {
    metric.name: metric
    for metric in (
        Ratios("f1", "F1", (((0, 0, 0, 2), (0, 1, 1, 2)),), unit="F1"),
        Ratios("precision", "precision", ((_FOUND, (0, 1, 0, 1)),)),
        Ratios("recall", "recall", ((_FOUND, (0, 0, 1, 1)),)),
        Ratios("specificity", "specificity", ((_SPARED, (1, 1, 0, 0)),)),
        Ratios("accuracy", "accuracy", (((1, 0, 0, 1), (1, 1, 1, 1)),)),
        Ratios(
            "balanced_accuracy",
            "balanced accuracy",
            ((_FOUND, (0, 0, 2, 2)), (_SPARED, (2, 2, 0, 0))),
        ),
        Ratios("jaccard", "Jaccard index", ((_FOUND, (0, 1, 1, 1)),)),
        MATTHEWS,
    )
}
"""The metrics that need nothing but their name."""


def fbeta(beta: Fraction) -> Ratios:
    """F-beta, (1 + b^2) TP / ((1 + b^2) TP + b^2 FN + FP): recall counts b times as much."""
    p, q = (beta * beta).as_integer_ratio()
    form = ((0, 0, 0, p + q), (0, q, p, p + q))
    return Ratios("fbeta", f"F{float(beta):g}", (form,), arguments={"beta": str(beta)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a row of each cell costs, in money; a gain is below zero."""

    tn: Fraction = Fraction(0)
    fp: Fraction = Fraction(0)
    fn: Fraction = Fraction(0)
    tp: Fraction = Fraction(0)

    def __post_init__(self) -> None:
        for name in self.__slots__:
            object.__setattr__(self, name, Fraction(str(getattr(self, name))))


def net_benefit(costs: Costs) -> Ratios:
    """Minus the mean cost of a row."""
    each = (costs.tn, costs.fp, costs.fn, costs.tp)
    common = math.lcm(*(c.denominator for c in each))
    tn, fp, fn, tp = (int(-c * common) for c in each)
    return Ratios(
        "net_benefit",
        "net benefit",
        (((tn, fp, fn, tp), (common,) * 4),),
        unit="money per row",
        span=None,
        arguments={"costs": {n: str(getattr(costs, n)) for n in costs.__slots__}},
    )
