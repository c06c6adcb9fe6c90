"""Metrics that a team gates on, one file per family, by name."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final, Literal

from retrain_ops.errors import DataError
from retrain_ops.stats.metrics.amounts import BY_NAME as AMOUNTS
from retrain_ops.stats.metrics.amounts import pinball
from retrain_ops.stats.metrics.classes import BY_NAME as CLASSES
from retrain_ops.stats.metrics.decisions import BY_NAME as DECISIONS
from retrain_ops.stats.metrics.decisions import Costs, fbeta, net_benefit
from retrain_ops.stats.metrics.metric import Confusion, Influence, Metric, Totals
from retrain_ops.stats.metrics.own import RowMetric, is_own, own_metric
from retrain_ops.stats.metrics.scores import BY_NAME as SCORES

__all__ = [
    "F1",
    "MEDIAN",
    "Confusion",
    "Costs",
    "Influence",
    "Metric",
    "MetricName",
    "MetricRef",
    "RowMetric",
    "Totals",
    "metric_named",
    "metric_of_record",
]

MetricName = Literal[
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
    "roc_auc",
    "average_precision",
    "ks",
    "log_loss",
    "brier",
    "mae",
    "rmse",
    "pinball",
    "bias",
    "r2",
    "mape",
    "smape",
    "macro_f1",
    "weighted_f1",
]

MetricRef = MetricName | str
"""One of ours by its name, or one of your own as "package.module:object"."""

MEDIAN: Final = Fraction(1, 2)
"""The quantile of the pinball loss where the spec names none."""

_BY_NAME: Mapping[str, Metric] = {**CLASSES, **DECISIONS, **SCORES, **AMOUNTS}

F1: Final[Metric] = _BY_NAME["f1"]
"""The default."""


@lru_cache(maxsize=64)
def metric_named(
    name: str,
    *,
    beta: Fraction = Fraction(1),
    costs: Costs | None = None,
    quantile: Fraction = MEDIAN,
    classes: bool = False,
) -> Metric:
    """The metric of a name; `beta`, `costs` and `quantile` are read by the one that has them, and
    with `classes` a name that a yes or no has too is that of several classes.

    Raises:
        KeyError: there is no such metric.
        ValueError: it is one of your own, and cannot be loaded or judged by.
    """
    if is_own(name):
        return own_metric(name)
    if classes and name in CLASSES:
        return CLASSES[name]
    if name == "fbeta":
        return fbeta(beta)
    if name == "net_benefit":
        return net_benefit(costs or Costs())
    if name == "pinball":
        return pinball(quantile)
    return _BY_NAME[name]


def metric_of_record(record: Mapping[str, Any] | None) -> Metric:
    """The metric that a record names, `{"name": ..., **arguments}`; F1 where it names none.

    Raises:
        DataError: it was one of your own, and cannot be loaded any more.
    """
    if record is None:
        return F1
    costs = record.get("costs")
    try:
        return metric_named(
            record["name"],
            beta=Fraction(record.get("beta", 1)),
            costs=None if costs is None else Costs(**costs),
            quantile=Fraction(record.get("quantile", MEDIAN)),
            classes=record.get("classes", "classes_of" in record),
        )
    except ValueError as problem:
        raise DataError(f"the record is judged by a {problem}") from problem
