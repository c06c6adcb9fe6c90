"""Estimators with the scikit-learn calling convention; scikit-learn is not needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retrain_ops.models.boosting import Boosting
from retrain_ops.models.estimator import Classifier, Regressor, row_weights
from retrain_ops.models.input import (
    InputError,
    as_matrix,
    check_amounts,
    check_labels,
    is_table,
    one_pair,
    rows_of,
)


@dataclass(kw_only=True, eq=False, repr=False)
class GBDTClassifier(Classifier, Boosting):
    """Gradient boosted trees for two or more classes, equal to the bit for any thread count.

    Parameters are those of `Boosting`, and `class_weight`: None, "balanced" or
    {label: weight}. More than two classes share one softmax, a tree each per round.

    After fit: `classes_` (the labels, sorted), `model_` (the TabularModel), `n_features_in_`,
    `n_iter_` (rounds kept), `validation_losses_` (log-loss of the rows to stop by, per round),
    `feature_importances_`, and `feature_names_in_` where X named its columns. A weight of 0
    equals the row's absence; below 65,536 rows a whole weight equals that many copies of the
    row (rows are drawn and counted singly: set subsample=1 and min_samples_leaf=1 for it to
    hold exactly).
    """

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        categorical_features: Any = None,
        eval_set: Any = None,
    ) -> GBDTClassifier:
        """Trains on X [n, F] (array or table) and labels y [n] of at most 256 kinds.

        `categorical_features` goes over the parameter of the same name. Arrays of float32 or
        float64 are read where they lie. `eval_set` = (X, y), or a list of one such pair, are rows
        to stop by (`early_stopping_rounds`), or to watch.
        Raises InputError (a DataError and ValueError) for what cannot be trained on.
        """
        X = X if is_table(X) else as_matrix(X)
        number = self._take_classes(check_labels(y, rows_of(X, y)))
        evaluation = None
        if (pair := one_pair(eval_set)) is not None:
            evaluation = (pair[0], self._target(self._numbers(*pair)), None)
        weight = self._weights(number, row_weights(sample_weight, len(number)))
        objective = "softmax" if len(self.classes_) > 2 else "binary"
        self._fit(X, self._target(number), weight, categorical_features, objective, evaluation)
        return self

    def _numbers(self, X: Any, y: Any) -> NDArray[np.intp]:
        """Places in `classes_` of labels that fit has seen."""
        found, number = np.unique(check_labels(y, rows_of(X, y)), return_inverse=True)
        place = {label: i for i, label in enumerate(self.classes_.tolist())}
        unseen = [label for label in found.tolist() if label not in place]
        if unseen:
            raise InputError(f"eval_set has the label {unseen[0]!r}, y has not")
        return np.array([place[label] for label in found.tolist()], dtype=np.intp)[number]


@dataclass(kw_only=True, eq=False, repr=False)
class GBDTRegressor(Regressor, Boosting):
    """Gradient boosted trees of the squared error, equal to the bit for any thread count.

    Parameters are those of `Boosting`. After fit: `model_` (the TabularModel),
    `n_features_in_`, `n_iter_` (rounds kept), `validation_losses_` (mean squared error of the
    rows to stop by, per round), `feature_importances_`, and `feature_names_in_` where X named
    its columns.
    """

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        categorical_features: Any = None,
        eval_set: Any = None,
    ) -> GBDTRegressor:
        """Trains on X [n, F] (array or table) and amounts y [n], float64.

        `categorical_features` and `eval_set` as in `GBDTClassifier.fit`. Raises InputError
        (a DataError and ValueError) for what cannot be trained on.
        """
        X = X if is_table(X) else as_matrix(X)
        target = check_amounts(y, rows_of(X, y))
        evaluation = None
        if (pair := one_pair(eval_set)) is not None:
            evaluation = (pair[0], check_amounts(pair[1], rows_of(*pair)), None)
        weight = row_weights(sample_weight, len(target))
        self._fit(X, target, weight, categorical_features, "squared_error", evaluation)
        return self
