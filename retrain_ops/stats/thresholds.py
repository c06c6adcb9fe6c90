"""Where a decision threshold is put, on scores of models that did not see the row."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from retrain_ops import _core
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.metrics.decisions import BY_NAME, DecisionMetric, fbeta, net_benefit
from retrain_ops.stats.rules import require

log = logging.getLogger(__name__)

__all__ = ["RULES", "Threshold", "ThresholdRule", "threshold_of"]

ThresholdRule = Literal[
    "f1",
    "precision",
    "recall",
    "fbeta",
    "accuracy",
    "balanced_accuracy",
    "mcc",
    "jaccard",
    "specificity",
    "net_benefit",
    "fixed",
    "positive_rate",
    "recall_at_precision",
]
"""The best of a metric of decisions, or one that `threshold_value` says."""

Counts = NDArray[np.float64]
F1_OF_DECISIONS = BY_NAME["f1"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A rule of `[model] threshold`.

    Attributes:
        by: the rule.
        value: of "fixed" the threshold, of "positive_rate" the largest share of rows that are
            decided 1, of "recall_at_precision" the least precision.
        metric: what is best, of the other rules.
    """

    by: ThresholdRule = "f1"
    value: float | None = None
    metric: DecisionMetric = F1_OF_DECISIONS

    def check(self) -> None:
        """Raises ValueError where the value is missing, of no use, or impossible."""
        if self.by not in RULES:
            require(
                self.value is None,
                f'threshold_value: threshold = "{self.by}" has none; it is of {", ".join(RULES)}',
            )
            return
        require(self.value is not None, f'threshold_value: threshold = "{self.by}" needs one')
        inside = self.value is not None and 0 < self.value < 1
        require(inside, "threshold_value: must lie between 0 and 1")

    @property
    def fixed(self) -> float | None:
        """The threshold, where the spec says it."""
        return self.value if self.by == "fixed" else None

    def choose(self, score: NDArray[np.float64], label: NDArray[np.uint8]) -> float:
        """The threshold for these scores; scores from it on mean yes.

        Args:
            score: float64 (rows,), at least one.
            label: uint8 (rows,), 0 or 1.
        """
        if self.by == "f1":
            return float(_core.f1_threshold(score, label)[0])
        if self.fixed is not None:
            return self.fixed
        at, counts = _sweep(score, label)
        worth = _WORTH.get(self.by, _best)(self, counts)
        # From the highest score down: of equal ones the fewest rows are decided 1.
        return float(at[len(at) - 1 - int(np.argmax(worth[::-1]))])


def threshold_of(by: ThresholdRule, value: float | None, gate: GateRules) -> Threshold:
    """The rule with its metric, whose `beta` and `costs` are those of `[gate]`."""
    own = {"fbeta": fbeta(gate.beta), "net_benefit": net_benefit(gate.costs)}
    return Threshold(by, value, (BY_NAME | own).get(by, F1_OF_DECISIONS))


def _sweep(
    score: NDArray[np.float64], label: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], Counts]:
    """Each distinct score, ascending, and float64 [4, scores] confusion counts with it as the
    threshold: true and false negatives lie below it."""
    runs = _core.rank_runs(label, score)
    key = runs[:, 0]
    bits = np.where(key < 0, np.invert(key) ^ np.int64(-(2**63)), key)
    above = np.cumsum(runs[::-1, 1:], axis=0)[::-1].astype(np.float64)
    tp, fp = above[:, 0], above[:, 1]
    return bits.view(np.float64), np.stack([fp[0] - fp, fp, tp[0] - tp, tp])


def _best(rule: Threshold, counts: Counts) -> Counts:
    """The metric's score, minus infinity where it is undefined."""
    return rule.metric.scores(counts)


def _at_rate(rule: Threshold, counts: Counts) -> Counts:
    """The share of rows decided 1, as long as it is not above the value."""
    rate = (counts[1] + counts[3]) / counts[:, 0].sum()
    assert rule.value is not None
    if rate[-1] > rule.value:
        log.warning(
            "%g of the rows have the highest score out of fold, more than %g; taking that score",
            rate[-1],
            rule.value,
        )
    return np.where(rate <= rule.value, rate, -np.inf)


def _at_precision(rule: Threshold, counts: Counts) -> Counts:
    """Recall where precision is at least the value; where it never is, precision."""
    precision: Counts = counts[3] / (counts[1] + counts[3])
    assert rule.value is not None
    enough = precision >= rule.value
    if enough.any():
        return np.where(enough, counts[3], -np.inf)
    log.warning(
        "no threshold has a precision of %g out of fold; taking the one that comes closest, %.4f",
        rule.value,
        precision.max(),
    )
    return precision


_WORTH: Mapping[str, Callable[[Threshold, Counts], Counts]] = {
    "positive_rate": _at_rate,
    "recall_at_precision": _at_precision,
}
RULES = ("fixed", *_WORTH)
"""The rules that `threshold_value` belongs to."""
