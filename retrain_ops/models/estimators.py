"""Estimators with the scikit-learn calling convention; scikit-learn is not needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retrain_ops.models.boosting import Boosting, row_weights
from retrain_ops.models.input import (
    InputError,
    as_matrix,
    check_amounts,
    check_labels,
    is_table,
    one_pair,
    rows_of,
)

_MOST_CLASSES = 256


@dataclass(kw_only=True, eq=False, repr=False)
class GBDTClassifier(Boosting):
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

    class_weight: Mapping[Any, float] | str | None = None

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may expect; called by scikit-learn alone."""
        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier"
        tags.classifier_tags = import_module("sklearn.utils").ClassifierTags()
        return tags

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
        labels = check_labels(y, rows_of(X, y))
        self.classes_, number = np.unique(labels, return_inverse=True)
        if len(self.classes_) > _MOST_CLASSES:
            raise InputError(
                f"y has {len(self.classes_)} classes; at most {_MOST_CLASSES} can be told apart"
            )
        evaluation = None
        if (pair := one_pair(eval_set)) is not None:
            evaluation = (pair[0], self._target(self._numbers(*pair)), None)
        weight = self._weights(number, row_weights(sample_weight, len(labels)))
        objective = "softmax" if len(self.classes_) > 2 else "binary"
        self._fit(X, self._target(number), weight, categorical_features, objective, evaluation)
        return self

    def _target(self, number: NDArray[np.intp]) -> NDArray[Any]:
        """Classes as the core counts them; of two, or one, the last is the 1."""
        if len(self.classes_) > 2:
            return number.astype(np.float64)
        return np.asarray(number == len(self.classes_) - 1, dtype=np.float64)

    def _numbers(self, X: Any, y: Any) -> NDArray[np.intp]:
        """Places in `classes_` of labels that fit has seen."""
        found, number = np.unique(check_labels(y, rows_of(X, y)), return_inverse=True)
        place = {label: i for i, label in enumerate(self.classes_.tolist())}
        unseen = [label for label in found.tolist() if label not in place]
        if unseen:
            raise InputError(f"eval_set has the label {unseen[0]!r}, y has not")
        return np.array([place[label] for label in found.tolist()], dtype=np.intp)[number]

    def _weights(
        self, number: NDArray[np.intp], weight: NDArray[np.float64] | None
    ) -> NDArray[np.float64] | None:
        """Weights of rows times those of their classes; None when all are 1."""
        if self.class_weight is None:
            return weight
        each = np.ones(len(number)) if weight is None else weight
        if not isinstance(self.class_weight, Mapping):
            if self.class_weight != "balanced":
                raise InputError('class_weight is None, "balanced" or a dict of weights')
            total = np.bincount(number, each, len(self.classes_))
            of_class = total.sum() / (len(total) * np.maximum(total, 1e-300))
        else:
            classes = self.classes_.tolist()
            unknown = [key for key in self.class_weight if key not in classes]
            if unknown:
                raise InputError(f"class_weight has {unknown}, the classes are {classes}")
            of_class = np.array([float(self.class_weight.get(c, 1.0)) for c in classes])
        return np.asarray(each * of_class[number])

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities [n, K] in the order of `classes_` ([n, 1] of one class)."""
        found = self._predicted(X)
        if found.ndim == 2:
            return found
        if len(self.classes_) == 1:
            return np.ones((len(found), 1))
        return np.column_stack([1.0 - found, found])

    def predict(self, X: Any) -> NDArray[Any]:
        """The class of each row: the likeliest; of two, the second from its threshold on."""
        found = self._predicted(X)
        if found.ndim == 2:
            return np.asarray(self.classes_[np.argmax(found, axis=1)])
        chosen = (found >= self.model_.threshold).astype(np.intp)
        return np.asarray(self.classes_[np.minimum(chosen, len(self.classes_) - 1)])

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of rows whose class is predicted."""
        found = self.predict(X)
        right = found == check_labels(y, len(found))
        return float(np.average(right, weights=row_weights(sample_weight, len(found))))


@dataclass(kw_only=True, eq=False, repr=False)
class GBDTRegressor(Boosting):
    """Gradient boosted trees of the squared error, equal to the bit for any thread count.

    Parameters are those of `Boosting`. After fit: `model_` (the TabularModel),
    `n_features_in_`, `n_iter_` (rounds kept), `validation_losses_` (mean squared error of the
    rows to stop by, per round), `feature_importances_`, and `feature_names_in_` where X named
    its columns.
    """

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may expect; called by scikit-learn alone."""
        tags = super().__sklearn_tags__()
        tags.estimator_type = "regressor"
        tags.regressor_tags = import_module("sklearn.utils").RegressorTags()
        return tags

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

    def predict(self, X: Any) -> NDArray[np.float64]:
        """The amount of each row, float64 [n]."""
        return self._predicted(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R squared: 1 less the share of y's variance that is left."""
        found = self.predict(X)
        actual = check_amounts(y, len(found))
        given = row_weights(sample_weight, len(found))
        weight = np.ones(len(found)) if given is None else given
        left = np.sum(weight * (actual - found) ** 2)
        whole = np.sum(weight * (actual - np.average(actual, weights=weight)) ** 2)
        if whole == 0.0:
            return 1.0 if left == 0.0 else 0.0
        return float(1.0 - left / whole)
