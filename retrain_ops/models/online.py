"""A batch learnt by a linear model after those of before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrain_ops.models.linear import LinearRegression, LogisticRegression
from retrain_ops.models.tabular import TabularModel
from retrain_ops.models.training import TrainingData, check_finite
from retrain_ops.spec.learn import LearnTable
from retrain_ops.spec.train import full_params

__all__ = ["learn_batch"]


def learn_batch(
    model: TabularModel | None,
    data: TrainingData,
    *,
    params: Mapping[str, object],
    rules: LearnTable,
    n_threads: int,
) -> TabularModel:
    """The model after one more batch; None begins. Its bytes are the same for any team.

    `params` are those of the trainers "logistic" and "linear". Row by row, levels of a category
    that the first batch did not have add nothing; remembered fits take new ones in. Raises
    ConfigError for parameters, DataError for data.
    """
    check_finite(data)
    table = data.table.select([*data.numeric, *data.categorical])
    given = _given(data, params, rules, n_threads)
    l2 = float(given.pop("l2"))
    if data.problem == "binary":
        logistic = LogisticRegression(C=1.0 / l2 if l2 else float("inf"), **given)
        if model is not None:
            logistic.go_on_from(model)
        return logistic.partial_fit(table, data.label, classes=[0, 1]).model_
    linear = LinearRegression(alpha=l2, **given)
    if model is not None:
        linear.go_on_from(model)
    return linear.partial_fit(table, data.label).model_


def _given(
    data: TrainingData, params: Mapping[str, object], rules: LearnTable, n_threads: int
) -> dict[str, Any]:
    full = full_params(params, "logistic")
    return {
        **full,
        "max_iter": int(full["max_iter"]),
        "remember": rules.remember,
        "gamma": rules.gamma,
        "learning_rate": rules.learning_rate,
        "categorical_features": list(data.categorical),
        "n_threads": n_threads,
    }
