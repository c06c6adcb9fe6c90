"""What every estimator has: parameters, input, files, and scikit-learn's questions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retrain_ops import _core
from retrain_ops.models.input import (
    InputError,
    as_matrix,
    categorical_columns,
    check_amounts,
    check_labels,
    column_names,
    is_table,
    not_fitted,
)
from retrain_ops.models.tabular import Feature, TabularModel, encode, table_of
from retrain_ops.models.training import infer_features

_MOST_CLASSES = 256
Self = TypeVar("Self", bound="Estimator")


class Estimator:
    """Parameters are the fields of the dataclass; `model_` is what fit has made."""

    n_threads: int
    categorical_features: Any
    model_: TabularModel
    _kind: ClassVar[str]  # of the model that fit makes

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

    def to_bytes(self) -> bytes:
        """The model file."""
        return self.model_.to_bytes()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model file."""
        self.model_.save(path)

    def to_onnx(self, *, ml_opset: int = 5) -> bytes:
        """The model for ONNX runtimes, as `TabularModel.to_onnx`; classes are their numbers."""
        return self.model_.to_onnx(ml_opset=ml_opset)

    def to_lightgbm(self) -> str:
        """The model for `lightgbm.Booster(model_str=...)`, as `TabularModel.to_lightgbm`."""
        return self.model_.to_lightgbm()

    def go_on_from(self, model: TabularModel) -> None:
        """Takes what a model of this kind has learnt, so that this estimator goes on from it.

        Of a classifier the labels are 0, 1 and so on. Raises TypeError for another kind.
        """
        if model.kind != self._kind or model.amounts != isinstance(self, Regressor):
            raise TypeError(f"{type(self).__name__} cannot go on from a model of {model.objective}")
        self.model_ = model
        self._names = tuple(f.name for f in model.features)
        self._categorical = tuple(f.name for f in model.features if f.kind == "categorical")
        self.n_features_in_ = len(self._names)
        if isinstance(self, Classifier):
            classifier: Classifier = self
            classifier.classes_ = np.arange(max(len(self._fitted.base_scores), 2))

    @property
    def _fitted(self) -> _core.Model:
        if not hasattr(self, "model_"):
            raise not_fitted(type(self).__name__)
        return cast(_core.Model, self.model_.core)

    def _read(self, X: Any, chosen: Any) -> tuple[Any, list[Feature]]:
        """X of a fit as the core reads it, and its features; `chosen` names the categorical."""
        names, categorical = _columns(X, chosen)
        features = _features(X, names, categorical)
        self._names, self._categorical = tuple(names), tuple(categorical)
        if is_table(X) or categorical:
            return encode(table_of(X, names, categorical), features), features
        return X, features

    def _read_more(self, X: Any) -> list[Feature]:
        """The features of an earlier call, with the categories of X alone."""
        return _features(X, list(self._names), list(self._categorical))

    def _rows_to_fit(
        self, X: Any, chosen: Any, earlier: Estimator | None
    ) -> tuple[Any, list[Feature]]:
        """X as the core reads it, and its features, those of an earlier fit included."""
        if earlier is self:
            features = self._known_features(self, self._read_more(X))
            return self._matrix(X, features), features
        chosen = self.categorical_features if chosen is None else chosen
        matrix, features = self._read(X, chosen)
        if earlier is None:
            return matrix, features
        features = self._known_features(earlier, features)
        return self._matrix(X, features), features

    def _known_features(self, earlier: Estimator, features: Sequence[Feature]) -> list[Feature]:
        """Features with the categories of both fits. Raises InputError for other columns."""
        old = earlier.model_.features
        if [(f.name, f.kind) for f in old] != [(f.name, f.kind) for f in features]:
            raise InputError(
                f"the earlier fit was to {[f.name for f in old]}, in this order and of the same "
                f"kinds; X has {[f.name for f in features]}"
            )
        levels = (
            tuple(sorted({*a.categories, *b.categories}, key=str.encode))
            for a, b in zip(old, features, strict=True)
        )
        return [Feature(f.name, f.kind, of) for f, of in zip(features, levels, strict=True)]

    def _take(self, core: _core.Model, X: Any, names: list[str]) -> None:
        self.model_ = TabularModel(core)
        self.n_features_in_ = len(names)
        self.__dict__.pop("feature_names_in_", None)
        if is_table(X) and all(isinstance(name, str) for name in column_names(X)):
            self.feature_names_in_ = np.asarray(names, dtype=object)

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


@dataclass(kw_only=True, eq=False, repr=False)
class Classifier(Estimator):
    """Labels: classes, their weights, probabilities and decisions."""

    class_weight: Mapping[Any, float] | str | None = None

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may expect; called by scikit-learn alone."""
        tags = super().__sklearn_tags__()
        tags.estimator_type = "classifier"
        tags.classifier_tags = import_module("sklearn.utils").ClassifierTags()
        return tags

    def _take_classes(self, labels: NDArray[Any]) -> NDArray[np.intp]:
        """Keeps the classes, sorted; the place of each label among them."""
        self.classes_, number = _two_kinds(labels) or np.unique(labels, return_inverse=True)
        if len(self.classes_) > _MOST_CLASSES:
            raise InputError(
                f"y has {len(self.classes_)} classes; at most {_MOST_CLASSES} can be told apart"
            )
        return np.asarray(number)

    def _number_of(self, labels: NDArray[Any]) -> NDArray[np.intp]:
        """The place of each label. Raises InputError for one that is no class."""
        place = np.searchsorted(self.classes_, labels)
        unknown = labels[self.classes_[np.minimum(place, len(self.classes_) - 1)] != labels]
        if len(unknown):
            found = np.unique(unknown).tolist()
            raise InputError(f"y has {found}, the classes are {self.classes_.tolist()}")
        return place

    def _target(self, number: NDArray[np.intp]) -> NDArray[Any]:
        """Classes as the core counts them; of two, or one, the last is the 1."""
        if len(self.classes_) > 2:
            return number.astype(np.float64)
        return np.asarray(number == len(self.classes_) - 1, dtype=np.float64)

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


class Regressor(Estimator):
    """Amounts."""

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may expect; called by scikit-learn alone."""
        tags = super().__sklearn_tags__()
        tags.estimator_type = "regressor"
        tags.regressor_tags = import_module("sklearn.utils").RegressorTags()
        return tags

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


def _two_kinds(labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]] | None:
    """What np.unique finds of numbers of two kinds, without sorting them; None of others."""
    if labels.dtype.kind not in "biuf" or not len(labels):
        return None
    kinds = np.array([labels.min(), labels.max()])
    last = labels == kinds[1]
    if kinds[0] == kinds[1] or not (last | (labels == kinds[0])).all():
        return None
    return kinds, last.astype(np.intp)


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
