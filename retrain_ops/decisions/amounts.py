"""Models of amounts: the first champion beside a constant, and what the day's page shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypedDict, cast

import numpy as np
import numpy.typing as npt

from retrain_ops.decisions.judge import auc_lower_bound
from retrain_ops.decisions.record import (
    BootstrapGate,
    BootstrapReason,
    DayCounts,
)
from retrain_ops.decisions.rules import RulesRecord
from retrain_ops.stats.bounds import lower_bound
from retrain_ops.stats.cells import ALL_ROWS, day_cells
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.gates import metric_days
from retrain_ops.stats.paired import compare
from retrain_ops.stats.rounding import to_significant
from retrain_ops.stats.sums import Sums

Floats = npt.NDArray[np.float64]

TENTHS = 10
RESIDUAL_BINS = 10
"""To either side of the one around 0; the outermost are open."""
_OUTER = (1, 99)  # percentiles of the label, that far apart are all bins


def constant_rules(rules: GateRules) -> GateRules:
    """By which a first champion is held against a constant: those of the gate, but that any
    constant near the mean has no bias, so that a bias is no bar, and its root mean square is."""
    return replace(rules, metric="rmse", guards=()) if rules.metric == "bias" else rules


def constant_report(
    cells: Mapping[str, Mapping[str, DayCounts]],
    sums: Sums,
    rules: GateRules,
    *,
    constant: float | list[float] | None,
    above: int,
    auc: float | None,
    scores_usable: bool,
) -> BootstrapGate:
    """The first champion of a model of amounts: proven to tell rows above the median label from
    the others, which no constant does, and on these rows better than the best constant of the
    training days. Of classes it is those that are not of the most common one.

    That it is better is not asked to be proven: a week of days shows it of amounts with heavy
    tails only where the model is much better.

    Args:
        cells: `cells[column][level]`, with the constant in the champion's place.
        sums: of the metric of `rules`, as `cells`.
        rules: of `constant_rules`.
        constant: what it is.
        above: rows with a label above the median one.
        auc: of telling these from the others.
        scores_usable: the predictions are finite and not all the same.
    """
    metric = rules.scored_by
    days = metric_days(day_cells(cells[ALL_ROWS][ALL_ROWS]), metric, sums, ALL_ROWS, ALL_ROWS)
    paired = compare(days, metric)
    bound, error = lower_bound(paired, rules)
    ranks = auc_lower_bound(auc, min(above, paired.rows - above))
    gain = paired.difference is not None and paired.difference > 0
    better = scores_usable and gain and ranks is not None and ranks > 0.5
    lacking: BootstrapReason = "not_better_than_constant" if scores_usable else "scores_not_usable"
    return {
        "verdict": "pass" if better else "fail",
        "reason": "bootstrap" if better else lacking,
        "f1_champion": None,
        "f1_challenger": None,
        "difference": to_significant(paired.difference),
        "lower_bound": to_significant(bound),
        "auc_lower_bound": to_significant(ranks),
        "literal": None,
        "score_champion": to_significant(paired.score_champion),
        "score_challenger": to_significant(paired.score_challenger),
        "standard_error": to_significant(error),
        "rows": paired.rows,
        "days": paired.days,
        "constant": constant,
        "above": above,
        "rules": cast(RulesRecord, rules.to_json()),
    }


class Tenth(TypedDict):
    """A tenth of the rows, by what is predicted."""

    rows: int
    predicted: float
    label: float


class AmountPicture(TypedDict):
    """One model on a hold-out: mean label and mean prediction by tenth of the predictions, and
    how many residuals (label less prediction) lie around each multiple of `width`."""

    tenths: list[Tenth]
    width: float
    residuals: list[int]
    mean: float
    quantiles: list[float]


QUANTILES = (0.05, 0.5, 0.95)
"""Of the residuals."""


def picture(label: Floats, predicted: Floats | None) -> AmountPicture | None:
    """What the page shows of a model; None where there is none.

    Args:
        label: float64 (rows,), at least one.
        predicted: float64 (rows,), finite.
    """
    if predicted is None:
        return None
    residual = label - predicted
    width = _width(label)
    place = np.rint(residual / width).clip(-RESIDUAL_BINS, RESIDUAL_BINS).astype(np.int64)
    order = np.argsort(predicted, kind="stable")
    parts = (part for part in np.array_split(order, TENTHS) if len(part))
    return {
        "tenths": [
            {"rows": len(p), "predicted": _mean(predicted[p]), "label": _mean(label[p])}
            for p in parts
        ],
        "width": width,
        "residuals": np.bincount(place + RESIDUAL_BINS, minlength=2 * RESIDUAL_BINS + 1).tolist(),
        "mean": _mean(residual),
        "quantiles": _significant(np.quantile(residual, QUANTILES)),
    }


def _width(label: Floats) -> float:
    """A round part of the label's own range, so that two models have the same bins: 1, 2 or 5
    times a power of ten."""
    low, high = np.percentile(label, _OUTER)
    rough = (high - low) / (2 * RESIDUAL_BINS) or 1.0
    power = 10.0 ** np.floor(np.log10(rough))
    return float(next(f * power for f in (1.0, 2.0, 5.0, 10.0) if f * power >= rough * 0.999))


def _mean(values: Floats) -> float:
    return _significant([float(values.mean())])[0]


def _significant(values: Sequence[float] | Floats) -> list[float]:
    return [to_significant(float(v)) or 0.0 for v in values]
