"""Estimators with the scikit-learn calling convention; scikit-learn is not needed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from inspect import signature
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from retrain_ops import _core
from retrain_ops.models.input import (
    InputError,
    as_matrix,
    check_labels,
    column_names,
    is_table,
    not_fitted,
    whole_numbers,
)
from retrain_ops.models.tabular import TabularModel, as_table, encode
from retrain_ops.models.training import infer_features

_NOT_CORE = ("class_weight", "n_threads", "random_state")


class GBDTClassifier:
    """Gradient boosted trees for two classes, equal to the bit for any thread count.

    Parameters are those of DEFAULT_PARAMS (with the defaults that suit general data, not
    the trainer's), and `class_weight` (None, "balanced" or {label: weight}), `n_threads`
    (0: all that the process may use), `random_state` (the seed; None is 0).

    After fit: `classes_` (the labels, sorted), `model_` (the TabularModel),
    `n_features_in_`, `feature_importances_`, and `feature_names_in_` where X named its
    columns. A weight of 0 equals the row's absence; below 65,536 rows a whole weight equals
    that many copies of the row (rows are drawn and counted singly: set subsample=1 and
    min_samples_leaf=1 for it to hold exactly).
    """

    def __init__(
        self,
        *,
        n_estimators: int = 100,
        learning_rate: float = 0.1,
        max_leaf_nodes: int = 31,
        max_depth: int = 0,
        min_samples_leaf: int = 20,
        min_child_weight: float = 1e-3,
        min_split_gain: float = 0.0,
        l2_regularization: float = 0.0,
        colsample: float = 1.0,
        subsample: float = 1.0,
        max_bins: int = 255,
        cat_smooth: float = 10.0,
        cat_l2: float = 10.0,
        min_data_per_group: int = 100,
        max_cat_to_onehot: int = 4,
        max_cat_threshold: int = 32,
        class_weight: Mapping[Any, float] | str | None = None,
        n_threads: int = 0,
        random_state: int | None = 0,
    ):
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_leaf_nodes = max_leaf_nodes
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.min_child_weight = min_child_weight
        self.min_split_gain = min_split_gain
        self.l2_regularization = l2_regularization
        self.colsample = colsample
        self.subsample = subsample
        self.max_bins = max_bins
        self.cat_smooth = cat_smooth
        self.cat_l2 = cat_l2
        self.min_data_per_group = min_data_per_group
        self.max_cat_to_onehot = max_cat_to_onehot
        self.max_cat_threshold = max_cat_threshold
        self.class_weight = class_weight
        self.n_threads = n_threads
        self.random_state = random_state

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All parameters by name."""
        return {name: getattr(self, name) for name in signature(type(self)).parameters}

    def set_params(self, **params: Any) -> GBDTClassifier:
        """Changes parameters by name and returns the estimator."""
        unknown = sorted(set(params) - set(signature(type(self)).parameters))
        if unknown:
            raise ValueError(f"unknown parameters {unknown}; known are {list(self.get_params())}")
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        plain = signature(type(self)).parameters
        changed = {
            name: value
            for name, value in self.get_params().items()
            if value is not plain[name].default and value != plain[name].default
        }
        return f"GBDTClassifier({', '.join(f'{k}={v!r}' for k, v in changed.items())})"

    def __getstate__(self) -> dict[str, Any]:
        """Parameters, arrays, and the model as the bytes of its file: nothing that runs."""
        state = dict(self.__dict__)
        if "model_" in state:
            state["model_"] = self.model_.to_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "model_" in state:
            self.model_ = TabularModel(_core.Model.from_bytes(state["model_"]))

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may expect; called by scikit-learn alone."""
        utils: Any = import_module("sklearn.utils")
        return utils.Tags(
            estimator_type="classifier",
            target_tags=utils.TargetTags(required=True),
            classifier_tags=utils.ClassifierTags(multi_class=False),
            input_tags=utils.InputTags(allow_nan=True),
        )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        categorical_features: Sequence[int | str] = (),
    ) -> GBDTClassifier:
        """Trains on X [n, F] (array or table) and labels y [n] of at most two kinds.

        `categorical_features` names columns, or gives their positions; in an array
        they must hold whole numbers. Arrays of float32 or float64 are read where they lie.
        Raises InputError (a DataError and ValueError) for what cannot be trained on.
        """
        named = is_table(X)
        X = X if named else as_matrix(X)
        names, categorical = _columns(X, categorical_features)
        labels = check_labels(y, X.shape[0] if hasattr(X, "shape") else len(y))
        self.classes_, number = np.unique(labels, return_inverse=True)
        if len(self.classes_) > 2:
            raise InputError(
                "Only binary classification is supported. The type of the target is multiclass: "
                f"two classes are needed, not {len(self.classes_)}"
            )
        if named or categorical:
            table = _as_table(X, names, categorical)
            numeric = tuple(name for name in names if name not in categorical)
            found = {f.name: f for f in infer_features(table, numeric, tuple(categorical))}
            inferred = [found[name] for name in names]
            features = [(f.name, f.kind, f.categories) for f in inferred]
            matrix: Any = encode(table, inferred)
        else:
            features, matrix = [(name, "numeric", ()) for name in names], X
        core = _core.gbdt_train(
            matrix,
            number == len(self.classes_) - 1,
            features=features,
            params={k: v for k, v in self.get_params().items() if k not in _NOT_CORE},
            seed=self._seed(),
            n_threads=self.n_threads,
            weight=self._weights(number, sample_weight),
        )
        self.model_ = TabularModel(core)
        self.n_features_in_ = len(names)
        self._names, self._categorical = tuple(names), tuple(categorical)
        self.__dict__.pop("feature_names_in_", None)
        if named and all(isinstance(name, str) for name in column_names(X)):
            self.feature_names_in_ = np.asarray(names, dtype=object)
        return self

    def _seed(self) -> int:
        if self.random_state is None:
            return 0
        if isinstance(self.random_state, np.random.RandomState):
            return int(self.random_state.randint(2**31 - 1))
        return int(self.random_state)

    def _weights(
        self, number: NDArray[np.intp], sample_weight: ArrayLike | None
    ) -> NDArray[np.float64] | None:
        """Weights of rows times those of their classes; None when all are 1."""
        weight = None
        if sample_weight is not None:
            weight = np.asarray(sample_weight, dtype=np.float64)
            if weight.ndim == 0:
                weight = np.full(len(number), float(weight))
            if weight.shape != number.shape:
                raise InputError(
                    f"sample_weight has the shape {weight.shape}, it must be {number.shape}"
                )
            if not weight.any():
                raise InputError("every sample_weight is zero: there is no row to learn from")
        if self.class_weight is None:
            return weight
        each = np.ones(len(number)) if weight is None else weight
        if isinstance(self.class_weight, str):
            if self.class_weight != "balanced":
                raise ValueError('class_weight is None, "balanced" or a dict of weights')
            total = np.bincount(number, each, len(self.classes_))
            of_class = total.sum() / (len(total) * np.maximum(total, 1e-300))
        else:
            of_class = np.array([float(self.class_weight.get(c, 1.0)) for c in self.classes_])
        return np.asarray(each * of_class[number])

    def _scores(self, X: Any) -> NDArray[np.float64]:
        if not hasattr(self, "model_"):
            raise not_fitted(type(self).__name__)
        if is_table(X):
            given = column_names(X)
            if len(given) != self.n_features_in_ and not set(self._names) <= set(given):
                raise InputError(
                    f"X has {len(given)} features, but {type(self).__name__} is expecting "
                    f"{self.n_features_in_} features as input"
                )
            table = _as_table(X, list(self._names), list(self._categorical))
            return self.model_.predict_proba(table, n_threads=self.n_threads)
        matrix = as_matrix(X)
        if matrix.shape[1] != self.n_features_in_:
            raise InputError(
                f"X has {matrix.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input"
            )
        if self._categorical:
            table = _as_table(matrix, list(self._names), list(self._categorical))
            return self.model_.predict_proba(table, n_threads=self.n_threads)
        return self.model_.core.predict(matrix, n_threads=self.n_threads)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities [n, 2] in the order of `classes_` ([n, 1] of one class)."""
        yes = self._scores(X)
        if len(self.classes_) == 1:
            return np.ones((len(yes), 1))
        return np.column_stack([1.0 - yes, yes])

    def predict(self, X: Any) -> NDArray[Any]:
        """The class of each row: the second where its probability reaches threshold."""
        chosen = (self._scores(X) >= self.model_.threshold).astype(np.intp)
        return np.asarray(self.classes_[np.minimum(chosen, len(self.classes_) - 1)])

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of rows whose class is predicted."""
        return float(np.average(self.predict(X) == np.asarray(y), weights=sample_weight))

    @property
    def feature_importances_(self) -> NDArray[np.float64]:
        """Share of the whole gain by feature, float64 [F]; zeros without any split."""
        if not hasattr(self, "model_"):
            raise AttributeError("feature_importances_ needs a fitted estimator")
        gain = self.model_.importance("gain")
        return gain / gain.sum() if gain.sum() > 0 else gain

    def to_bytes(self) -> bytes:
        """The model file."""
        return self.model_.to_bytes()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model file."""
        self.model_.save(path)


def _columns(X: Any, categorical: Sequence[int | str]) -> tuple[list[str], list[str]]:
    """Names of all columns and of the categorical ones, in column order."""
    named = is_table(X)
    names = [str(n) for n in column_names(X)] if named else [f"x{i}" for i in range(X.shape[1])]
    if not names:
        raise InputError(f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 "
                        "is required.")  # fmt: skip
    chosen = {names[c] if isinstance(c, (int, np.integer)) else c for c in categorical}
    missing = sorted(chosen - set(names))
    if missing:
        raise InputError(f"categorical_features {missing} are not among the columns {names}")
    return names, [name for name in names if name in chosen]


def _as_table(X: Any, names: list[str], categorical: list[str]) -> pa.Table:
    if is_table(X):
        if "pandas" in sys.modules and hasattr(X, "rename"):
            X = X.set_axis([str(name) for name in X.columns], axis=1)
        return as_table(X, names)
    columns = [
        whole_numbers(X[:, i], name) if name in categorical else pa.array(X[:, i])
        for i, name in enumerate(names)
    ]
    return pa.table(columns, names=names)
