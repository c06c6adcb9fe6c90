"""What the classifier and the regressor of gradient boosted trees have in common."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retrain_ops import _core
from retrain_ops.models.input import (
    InputError,
    as_matrix,
    categorical_columns,
    column_names,
    is_table,
    not_fitted,
)
from retrain_ops.models.tabular import Feature, TabularModel, encode, table_of
from retrain_ops.models.training import infer_features

_TRANSLATED = ("depth_wise", "max_depth")
_DEFAULTS = _core.gbdt_params({})
"""The core's table is the only one: `trainer = "gbdt"` starts from the same values."""
_CORE = tuple(name for name in _DEFAULTS if name not in _TRANSLATED)
_VALIDATION_STREAM = 0x76616C  # of the counter RNG: which rows early stopping holds out

Self = TypeVar("Self", bound="Boosting")


def _whole(name: str) -> int:
    return int(_DEFAULTS[name])


@dataclass(kw_only=True, eq=False, repr=False)
class Boosting:
    """Parameters, input and files of `GBDTClassifier` and `GBDTRegressor`.

    Parameters:
        n_estimators, learning_rate: rounds, and the share of each tree's step.
        max_leaf_nodes, max_depth (None or 0: no limit), min_samples_leaf, min_child_weight
            (sum of second derivatives), min_split_gain: when a tree stops growing.
        grow_policy: "lossguide" splits the leaf that gains most, "depthwise" the shallowest.
        l1_regularization, l2_regularization: on leaf values.
        colsample, subsample: share of columns and rows that each tree sees.
        max_bins: bins of a numeric column, at most 255.
        cat_smooth, cat_l2, min_data_per_group, max_cat_to_onehot, max_cat_threshold:
            categorical splits, with the meaning they have in LightGBM. A column's 255 most
            frequent categories are told apart; rarer ones count as missing.
        categorical_features: the columns whose values are categories, by name or position, as a
            mask of all columns, or "from_dtype" (pandas' category, polars' Categorical and Enum,
            Arrow's dictionaries). In an array they must hold whole numbers.
        monotonic_cst: {column: 1 (never falls), -1 (never rises)}, or one number for each
            column.
        early_stopping_rounds: stop after so many rounds without a better loss of the rows of
            `eval_set`, or of a `validation_fraction` of X drawn by the seed; 0 is off. Trees
            past the best round are dropped.
        n_threads: 0 means all that the process may use; it changes no bit.
        random_state: the seed; None is 0.
    """

    n_estimators: int = _whole("n_estimators")
    learning_rate: float = _DEFAULTS["learning_rate"]
    max_leaf_nodes: int = _whole("max_leaf_nodes")
    max_depth: int | None = None
    min_samples_leaf: int = _whole("min_samples_leaf")
    min_child_weight: float = _DEFAULTS["min_child_weight"]
    min_split_gain: float = _DEFAULTS["min_split_gain"]
    grow_policy: str = "lossguide"
    l1_regularization: float = _DEFAULTS["l1_regularization"]
    l2_regularization: float = _DEFAULTS["l2_regularization"]
    colsample: float = _DEFAULTS["colsample"]
    subsample: float = _DEFAULTS["subsample"]
    max_bins: int = _whole("max_bins")
    cat_smooth: float = _DEFAULTS["cat_smooth"]
    cat_l2: float = _DEFAULTS["cat_l2"]
    min_data_per_group: int = _whole("min_data_per_group")
    max_cat_to_onehot: int = _whole("max_cat_to_onehot")
    max_cat_threshold: int = _whole("max_cat_threshold")
    categorical_features: Any = None
    monotonic_cst: Mapping[Any, int] | Sequence[int] | None = None
    early_stopping_rounds: int = _whole("early_stopping_rounds")
    validation_fraction: float = 0.1
    n_threads: int = 0
    random_state: int | None = 0

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All parameters by name."""
        return {name: getattr(self, name) for name in signature(type(self)).parameters}

    def set_params(self: Self, **params: Any) -> Self:
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
            if not np.all(value == plain[name].default)
        }
        told = ", ".join(f"{k}={v!r}" for k, v in changed.items())
        return f"{type(self).__name__}({told})"

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

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "model_")

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may expect; called by scikit-learn alone."""
        utils: Any = import_module("sklearn.utils")
        return utils.Tags(
            estimator_type=None,
            target_tags=utils.TargetTags(required=True),
            input_tags=utils.InputTags(allow_nan=True),
        )

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

    def _fit(
        self,
        X: Any,
        target: NDArray[Any],
        weight: NDArray[np.float64] | None,
        categorical_features: Any,
        objective: str,
        evaluation: tuple[Any, ...] | None,
    ) -> None:
        """Trains on targets as the core wants them; `evaluation` = (X, target, weight)."""
        chosen = self.categorical_features if categorical_features is None else categorical_features
        names, categorical = _columns(X, chosen)
        features = _features(X, names, categorical)
        self._names, self._categorical = tuple(names), tuple(categorical)
        matrix: Any = X
        if is_table(X) or categorical:
            matrix = encode(table_of(X, names, categorical), features)
        rows = (matrix, target, weight)
        if evaluation is not None:
            evaluation = (self._matrix(evaluation[0], features), *evaluation[1:])
        elif self.early_stopping_rounds:
            rows, evaluation = self._hold_out(*rows)
        losses: list[float] = []
        core = _core.gbdt_train(
            rows[0],
            rows[1],
            weight=rows[2],
            features=[(f.name, f.kind, f.categories) for f in features],
            params=self._core_params(),
            seed=self._seed(),
            n_threads=self.n_threads,
            objective=objective,
            monotone=self._monotone(names),
            evaluation=None if evaluation is None else _without_none(evaluation),
            progress=None if evaluation is None else lambda *told: losses.append(told[3]),
        )
        self._keep(core, X, names, losses)

    def _keep(self, core: _core.Model, X: Any, names: list[str], losses: list[float]) -> None:
        self.model_ = TabularModel(core)
        self.n_features_in_ = len(names)
        self.n_iter_ = core.n_trees // len(core.base_scores)
        self.validation_losses_ = np.asarray(losses, dtype=np.float64)
        self.__dict__.pop("feature_names_in_", None)
        if is_table(X) and all(isinstance(name, str) for name in column_names(X)):
            self.feature_names_in_ = np.asarray(names, dtype=object)

    def _core_params(self) -> dict[str, Any]:
        if self.grow_policy not in ("lossguide", "depthwise"):
            raise ValueError(f'grow_policy is "lossguide" or "depthwise", not {self.grow_policy!r}')
        params = {name: getattr(self, name) for name in _CORE}
        depth_wise = int(self.grow_policy == "depthwise")
        return {**params, "max_depth": self.max_depth or 0, "depth_wise": depth_wise}

    def _seed(self) -> int:
        if self.random_state is None:
            return 0
        if isinstance(self.random_state, np.random.RandomState):
            return int(self.random_state.randint(2**31 - 1))
        return int(self.random_state)

    def _monotone(self, names: list[str]) -> list[int] | None:
        if self.monotonic_cst is None:
            return None
        if not isinstance(self.monotonic_cst, Mapping):
            return list(self.monotonic_cst)
        unknown = [name for name in self.monotonic_cst if str(name) not in names]
        if unknown:
            raise InputError(f"monotonic_cst names {unknown}, which are not among {names}")
        wanted = {str(name): value for name, value in self.monotonic_cst.items()}
        return [wanted.get(name, 0) for name in names]

    def _hold_out(
        self, matrix: Any, target: NDArray[Any], weight: NDArray[np.float64] | None
    ) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Rows to learn from, and those to stop by: a row's draw depends on its place alone."""
        if not 0 < self.validation_fraction < 1:
            raise ValueError("validation_fraction must lie between 0 and 1")
        draws = _core.philox(self._seed(), _VALIDATION_STREAM, len(target))
        held = draws < self.validation_fraction * 2.0**32
        if held.all() or not held.any():
            raise InputError(
                f"{len(target)} rows are too few to hold some out for early stopping; give eval_set"
            )
        parts = [
            (matrix[rows], target[rows], None if weight is None else weight[rows])
            for rows in (~held, held)
        ]
        return parts[0], parts[1]

    def _matrix(self, X: Any, features: Sequence[Feature]) -> Any:
        """X as the core reads it. Raises InputError for other columns than in fit."""
        count = len(features)
        if is_table(X):
            given = column_names(X)
            if len(given) != count and not set(self._names) <= {str(name) for name in given}:
                raise InputError(_other_columns(type(self).__name__, len(given), count))
            return encode(table_of(X, self._names, self._categorical), features)
        matrix = as_matrix(X)
        if matrix.shape[1] != count:
            raise InputError(_other_columns(type(self).__name__, matrix.shape[1], count))
        if self._categorical:
            return encode(table_of(matrix, self._names, self._categorical), features)
        return matrix

    def _predicted(self, X: Any) -> NDArray[np.float64]:
        """What the core says of X: [n], or [n, K]."""
        if not hasattr(self, "model_"):
            raise not_fitted(type(self).__name__)
        matrix = self._matrix(X, self.model_.features)
        return self.model_.core.predict(matrix, n_threads=self.n_threads)


def row_weights(sample_weight: ArrayLike | None, rows: int) -> NDArray[np.float64] | None:
    """Weights float64 [n] as the core wants them. Raises InputError for others."""
    if sample_weight is None:
        return None
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.ndim == 0:
        weight = np.full(rows, float(weight))
    if weight.shape != (rows,):
        raise InputError(f"sample_weight has the shape {weight.shape}, it must be ({rows},)")
    if not weight.any():
        raise InputError("every sample_weight is zero: there is no row to learn from")
    return weight


def _without_none(parts: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(part for part in parts if part is not None)


def _other_columns(estimator: str, given: int, expected: int) -> str:
    return f"X has {given} features, but {estimator} is expecting {expected} features as input"


def _columns(X: Any, categorical: Any) -> tuple[list[str], list[str]]:
    """Names of all columns and of the categorical ones, in column order."""
    named = is_table(X)
    names = [str(n) for n in column_names(X)] if named else [f"x{i}" for i in range(X.shape[1])]
    if not names:
        raise InputError(f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 "
                        "is required.")  # fmt: skip
    return names, categorical_columns(X, names, categorical)


def _features(X: Any, names: list[str], categorical: list[str]) -> list[Feature]:
    """In column order; categories are the values found in X."""
    if not categorical:
        return [Feature(name, "numeric") for name in names]
    numeric = tuple(name for name in names if name not in categorical)
    table = table_of(X, names, categorical)
    found = {f.name: f for f in infer_features(table, numeric, tuple(categorical))}
    return [found[name] for name in names]
