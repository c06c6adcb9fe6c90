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
        init_model: GBDTClassifier | None = None,
    ) -> GBDTClassifier:
        """Trains on X [n, F] (array or table) and labels y [n] of at most 256 kinds.

        `categorical_features` goes over the parameter of the same name. Arrays of float32 or
        float64 are read where they lie. `eval_set` = (X, y), or a list of one such pair, are rows
        to stop by (`early_stopping_rounds`), or to watch. `init_model` is an earlier fit to the
        same columns, which stays as it is: the new rounds come behind its own, begin at its scores,
        and know its classes and categories. On the same rows the result is one longer training.
        Raises InputError (a DataError and ValueError) for what cannot be trained on.
        """
        X = X if is_table(X) else as_matrix(X)
        labels = check_labels(y, rows_of(X, y))
        if init_model is None:
            number = self._take_classes(labels)
        else:
            self.classes_ = self._earlier(init_model).classes_
            number = self._number_of(labels)
        evaluation = None
        if (pair := one_pair(eval_set)) is not None:
            evaluation = (pair[0], self._target(self._numbers(*pair)), None)
        weight = self._weights(number, row_weights(sample_weight, len(number)))
        objective = "softmax" if len(self.classes_) > 2 else "binary"
        target = self._target(number)
        self._fit(X, target, weight, categorical_features, objective, evaluation, init_model)
        return self

    def refit_leaves(
        self, X: Any, y: Any, sample_weight: ArrayLike | None = None, *, gamma: float = 1.0
    ) -> GBDTClassifier:
        """Fits the leaves of all trees to X [n, F] and labels y [n]; splits stay.

        A leaf is anchored at its value v by H, the sum of the second derivatives of the rows it
        comes from, which the model's file holds. With the sums G', H' of the new rows:

            v' = (gamma (H + l2) v - learning_rate G') / (gamma H + H' + l2)

        and gamma H + H' is its H from then on (elastic weight consolidation, Kirkpatrick et al.
        2017). `gamma`, 0 to 1, is how much of the old rows still holds; at 0 only the splits do. A
        leaf that no row reaches keeps its value; so does the threshold. Raises InputError for a
        label that is no class and for other columns, ValueError with `monotonic_cst`.
        """
        X = X if is_table(X) else as_matrix(X)
        labels = check_labels(y, rows_of(X, y))
        self._fitted  # noqa: B018 - raises before the classes are asked for
        number = self._number_of(labels)
        weight = self._weights(number, row_weights(sample_weight, len(number)))
        self._refit(X, self._target(number), weight, gamma)
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
        init_model: GBDTRegressor | None = None,
    ) -> GBDTRegressor:
        """Trains on X [n, F] (array or table) and amounts y [n], float64.

        `categorical_features`, `eval_set` and `init_model` as in `GBDTClassifier.fit`. Raises
        InputError (a DataError and ValueError) for what cannot be trained on.
        """
        X = X if is_table(X) else as_matrix(X)
        target = check_amounts(y, rows_of(X, y))
        evaluation = None
        if (pair := one_pair(eval_set)) is not None:
            evaluation = (pair[0], check_amounts(pair[1], rows_of(*pair)), None)
        weight = row_weights(sample_weight, len(target))
        earlier = None if init_model is None else self._earlier(init_model)
        self._fit(X, target, weight, categorical_features, "squared_error", evaluation, earlier)
        return self

    def refit_leaves(
        self, X: Any, y: Any, sample_weight: ArrayLike | None = None, *, gamma: float = 1.0
    ) -> GBDTRegressor:
        """Fits the leaves of all trees to X [n, F] and amounts y [n]; splits stay.

        The formula, `gamma` and errors are those of `GBDTClassifier.refit_leaves`. At gamma 1 one
        tree gets the leaves that old and new rows together would have given it.
        """
        X = X if is_table(X) else as_matrix(X)
        target = check_amounts(y, rows_of(X, y))
        self._refit(X, target, row_weights(sample_weight, len(target)), gamma)
        return self
