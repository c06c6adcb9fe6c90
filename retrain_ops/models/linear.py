"""Linear models with the scikit-learn calling convention; scikit-learn is not needed."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retrain_ops import _core
from retrain_ops.models.estimator import Classifier, Estimator, Regressor, row_weights
from retrain_ops.models.input import (
    InputError,
    as_matrix,
    check_amounts,
    check_labels,
    is_table,
    rows_of,
)
from retrain_ops.models.tabular import Feature, TabularModel

_Fitted = TypeVar("_Fitted", bound="_LinearRegressor")


@dataclass(kw_only=True, eq=False, repr=False)
class Linear(Estimator):
    """Parameters and coefficients of linear models, equal to the bit for any thread count.

    The least penalised loss is found by Newton's method, one pass over the rows a step. Numbers
    are standardised inside; a category has a slope for each level that fit saw, and a level that
    is missing or unknown adds nothing. A missing number counts as the mean of its column's
    training rows. Columns, with one for each level, times classes: at most 2,047.

    `partial_fit` looks once at each row instead, in order, and can go on for ever: normalised
    adaptive gradients (Ross, Mineiro and Langford 2013), without a penalty. Its first rows say
    where columns lie and which levels they have, or after a fit how sure its slopes are; from
    then on the model's bytes depend on the rows alone, not on where calls cut them.

    `fit` can go on from an earlier one without its rows: `fit(X, y, anchor=earlier)` adds to the
    loss how surely the earlier fit held its slopes (elastic weight consolidation, Kirkpatrick et
    al. 2017, with exact second derivatives). Of least squares that remember everything, with
    `standardize=False`, the result is the fit to both tables. With `remember` set, `partial_fit`
    is that fit too, anchored at what this estimator has learnt so far: each batch weighs as much
    as its rows, the penalty counts once, and the bytes depend on where calls cut the rows.

    Parameters:
        fit_intercept: False for sums through the origin. The intercept is never penalised.
        standardize: the penalty is on slopes of numbers in standard deviations, so that units do
            not matter; False: on slopes as they are, as in scikit-learn.
        max_iter, tol: most passes over the rows; what the next step may still gain, as a share
            of the loss.
        categorical_features: as in `Boosting`.
        remember: what the model's file keeps for a fit or `partial_fit` after this one: "nothing",
            "diagonal" (the second derivative of each number) or "full" (all of them; its size is
            their square).
        gamma: how much of what the anchor knows still holds, 0 to 1 (online EWC, Schwarz et al.
            2018).
        learning_rate: of the steps of `partial_fit` that remembers nothing.
        n_threads: 0 means all that the process may use; it changes no bit.
    """

    fit_intercept: bool = True
    standardize: bool = True
    max_iter: int = 100
    tol: float = 1e-10
    categorical_features: Any = None
    remember: str = "nothing"
    gamma: float = 1.0
    learning_rate: float = 0.5
    n_threads: int = 0
    _kind: ClassVar[str] = "linear"

    @property
    def coef_names_(self) -> list[str]:
        """What each slope belongs to: a column, or `column=level`."""
        names = []
        for feature in self.model_.features:
            levels = [f"{feature.name}={level}" for level in feature.categories]
            names.extend([feature.name] if feature.kind == "numeric" else levels)
        return names

    def _fit(
        self,
        X: Any,
        target: NDArray[np.float64],
        weight: NDArray[np.float64] | None,
        chosen: Any,
        objective: str,
        l2: float,
        classes: int = 0,
        anchor: Linear | None = None,
    ) -> None:
        """Fits to targets as the core wants them; `l2` is on half the sum of squared slopes."""
        matrix, features = self._rows_to_fit(X, chosen, anchor)
        core, self.n_iter_, converged, _, _ = _core.linear_fit(
            matrix,
            target,
            [(f.name, f.kind, f.categories) for f in features],
            self._core_params(l2),
            objective,
            weight=weight,
            n_threads=self.n_threads,
            classes=classes,
            prior=None if anchor is None else self._prior(anchor, features),
            remember=self.remember,
        )
        self._take(core, X, [feature.name for feature in features])
        if not converged:
            warnings.warn(
                f"{type(self).__name__} has not converged in max_iter={self.max_iter} passes",
                _convergence_warning(),
                stacklevel=3,
            )

    def _prior(self, anchor: Linear, features: Sequence[Feature]) -> tuple[Any, ...]:
        """The anchor's slopes and second derivatives in the places of `features`."""
        core = anchor._fitted
        if core.precision is None:
            raise InputError('the anchor keeps no second derivatives: fit it with remember="full"')
        rows, precision = core.precision
        place = np.array(_places(anchor.model_.features, features), dtype=np.intp)
        count, width = len(core.base_scores), 1 + sum(max(1, len(f.categories)) for f in features)
        width -= sum(f.kind == "categorical" and not f.categories for f in features)
        slopes = np.zeros((count, width - 1))
        slopes[:, place] = core.slopes
        number = (np.arange(count)[:, None] * width + np.append(0, 1 + place)).ravel()
        whole = np.zeros((count * width, count * width))
        whole[np.ix_(number, number)] = precision
        centre = np.asarray(core.fills) * bool(self.fit_intercept)
        scores = np.asarray(core.base_scores)
        return scores, slopes.ravel(), centre, whole.ravel(), float(self.gamma), rows

    def _core_params(self, l2: float) -> dict[str, Any]:
        return {
            "l2": l2,
            "tol": self.tol,
            "max_iter": self.max_iter,
            "standardize": bool(self.standardize),
            "fit_intercept": bool(self.fit_intercept),
        }

    def _learn(
        self,
        X: Any,
        target: NDArray[np.float64],
        weight: NDArray[np.float64] | None,
        chosen: Any,
        objective: str,
        l2: float,
        classes: int = 0,
    ) -> None:
        """Learns from targets as the core wants them, after those of earlier calls."""
        if self.remember != "nothing":
            earlier = self if hasattr(self, "model_") else None
            self._fit(X, target, weight, chosen, objective, l2, classes, earlier)
            return
        rate = self.learning_rate
        if hasattr(self, "model_"):
            matrix = self._matrix(X, self.model_.features)
            core = _core.linear_learn(self._fitted, matrix, target, weight=weight, rate=rate)
            self.model_ = TabularModel(core)
            return
        chosen = self.categorical_features if chosen is None else chosen
        matrix, features = self._read(X, chosen)
        told = [(f.name, f.kind, f.categories) for f in features]
        blank = _core.linear_blank(told, self._core_params(0.0), objective, classes)
        core = _core.linear_learn(blank, matrix, target, weight=weight, rate=rate)
        self._take(core, X, [feature.name for feature in features])


def _places(old: Sequence[Feature], new: Sequence[Feature]) -> list[int]:
    """Where each slope of the old features stands among those of the new."""
    places, at = [], 0
    for before, after in zip(old, new, strict=True):
        if before.kind == "numeric":
            places.append(at)
            at += 1
        else:
            places += [at + after.categories.index(level) for level in before.categories]
            at += len(after.categories)
    return places


def _convergence_warning() -> type[Warning]:
    """scikit-learn's own where it is loaded."""
    theirs: Any = sys.modules.get("sklearn.exceptions")
    return RuntimeWarning if theirs is None else theirs.ConvergenceWarning


def _amount(name: str, value: float, *, least: float = 0.0) -> float:
    if not value >= least:
        raise ValueError(f"{name} must be {least:g} or more, it is {value!r}")
    return float(value)


@dataclass(kw_only=True, eq=False, repr=False)
class LogisticRegression(Classifier, Linear):
    """Logistic regression for two or more classes (one softmax), with an L2 penalty.

    The loss is C times the sum of log-losses plus half the sum of squared slopes, as in
    scikit-learn; C=float("inf") takes the penalty away. Other parameters are those of `Linear`,
    and `class_weight`: None, "balanced" or {label: weight}.

    After fit: `classes_`, `coef_` float64 [1 or K, M], `intercept_` [1 or K], `coef_names_` [M],
    `n_iter_` (steps), `model_` (the TabularModel), `n_features_in_`, and `feature_names_in_`
    where X named its columns. One class alone gives slopes of 0.
    """

    C: float = 1.0

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        categorical_features: Any = None,
        anchor: LogisticRegression | None = None,
    ) -> LogisticRegression:
        """Fits to X [n, F] (array or table) and labels y [n] of at most 256 kinds.

        `anchor` is an earlier fit that remembers, to the same columns: its classes and categories
        hold on. What it knows of is not penalised once more.

        Raises InputError (a DataError and ValueError) or ValueError for what cannot be fitted,
        such as an infinity; warns where `max_iter` passes were too few.
        """
        X = X if is_table(X) else as_matrix(X)
        labels = check_labels(y, rows_of(X, y))
        if anchor is None:
            number = self._take_classes(labels)
        else:
            self.classes_ = anchor.classes_
            number = self._number_of(labels)
        weight = self._weights(number, row_weights(sample_weight, len(number)))
        several = len(self.classes_) > 2
        self._fit(
            X,
            self._target(number).astype(np.float64),
            weight,
            categorical_features,
            "softmax" if several else "binary",
            self._l2(),
            len(self.classes_) if several else 0,
            anchor,
        )
        return self

    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        categorical_features: Any = None,
    ) -> LogisticRegression:
        """Learns from X [n, F] and labels y [n] after the rows of earlier calls.

        `classes` [K], all labels that may ever come, is needed in a first call. Raises
        InputError for a label that is none of them and for other columns than before, ValueError
        where `classes` is missing or not the same again.
        """
        X = X if is_table(X) else as_matrix(X)
        number = self._known_classes(check_labels(y, rows_of(X, y)), classes)
        weight = self._weights(number, row_weights(sample_weight, len(number)))
        several = len(self.classes_) > 2
        self._learn(
            X,
            self._target(number).astype(np.float64),
            weight,
            categorical_features,
            "softmax" if several else "binary",
            self._l2(),
            len(self.classes_) if several else 0,
        )
        return self

    def _l2(self) -> float:
        if not self.C > 0:
            raise ValueError(f"C must be positive, it is {self.C!r}")
        return 1.0 / self.C

    def _known_classes(self, labels: NDArray[Any], classes: ArrayLike | None) -> NDArray[np.intp]:
        """The place of each label among the classes, which the first call names."""
        if self.class_weight is not None and not isinstance(self.class_weight, Mapping):
            raise ValueError(
                'class_weight "balanced" needs all rows at once; give partial_fit {label: weight}'
            )
        if not hasattr(self, "model_"):
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            if not np.size(classes):
                raise ValueError("classes is empty: name all labels that may ever come")
            self.classes_ = np.unique(np.asarray(classes))
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes are {self.classes_.tolist()} since the first call")
        return self._number_of(labels)

    @property
    def coef_(self) -> NDArray[np.float64]:
        """Slopes, float64 [1 or K, M], in the units of the columns."""
        return self._fitted.slopes

    @property
    def intercept_(self) -> NDArray[np.float64]:
        """Float64 [1 or K]."""
        return np.asarray(self._fitted.base_scores)


class _LinearRegressor(Regressor, Linear):
    """Coefficients of one output, fitted to amounts."""

    alpha: float
    _objective: ClassVar[str]
    _mean_loss: ClassVar[bool]  # else the sum, against which a penalty weighs less

    def fit(
        self: _Fitted,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        categorical_features: Any = None,
        anchor: _Fitted | None = None,
    ) -> _Fitted:
        """Fits to X [n, F] (array or table) and amounts y [n], float64 (Poisson: >= 0).

        `anchor` as in `LogisticRegression.fit`; raises as `LogisticRegression.fit`.
        """
        X = X if is_table(X) else as_matrix(X)
        target = check_amounts(y, rows_of(X, y))
        weight = row_weights(sample_weight, len(target))
        l2 = _amount("alpha", self.alpha)
        if self._mean_loss:
            l2 *= len(target) if weight is None else float(np.sum(weight))
        objective = self._objective
        self._fit(X, target, weight, categorical_features, objective, l2, anchor=anchor)
        return self

    @property
    def coef_(self) -> NDArray[np.float64]:
        """Slopes, float64 [M], in the units of the columns."""
        return np.asarray(self._fitted.slopes[0])

    @property
    def intercept_(self) -> float:
        """The sum where all slopes add nothing."""
        return self._fitted.base_scores[0]


@dataclass(kw_only=True, eq=False, repr=False)
class LinearRegression(_LinearRegressor):
    """Least squares, with `alpha` times the sum of squared slopes added (ridge; 0: none).

    Other parameters are those of `Linear`. After fit: `coef_` float64 [M], `intercept_`,
    `coef_names_`, `n_iter_`, `model_`, `n_features_in_` and `feature_names_in_` as in
    `LogisticRegression`. A column that others already determine gets the slope 0.
    """

    alpha: float = 0.0
    _objective: ClassVar[str] = "squared_error"
    _mean_loss: ClassVar[bool] = False

    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        categorical_features: Any = None,
    ) -> LinearRegression:
        """Learns from X [n, F] and amounts y [n] after the rows of earlier calls.

        Raises InputError for other columns than before.
        """
        X = X if is_table(X) else as_matrix(X)
        target = check_amounts(y, rows_of(X, y))
        weight = row_weights(sample_weight, len(target))
        l2 = _amount("alpha", self.alpha)
        self._learn(X, target, weight, categorical_features, self._objective, l2)
        return self


@dataclass(kw_only=True, eq=False, repr=False)
class PoissonRegressor(_LinearRegressor):
    """Poisson regression of counts and other amounts >= 0, whose logarithm is linear.

    The loss is half the mean deviance plus `alpha` / 2 times the sum of squared slopes, as in
    scikit-learn. Other parameters are those of `Linear`; after fit as `LinearRegression`.
    """

    alpha: float = 1.0
    _objective: ClassVar[str] = "poisson"
    _mean_loss: ClassVar[bool] = True

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may expect; called by scikit-learn alone."""
        tags = super().__sklearn_tags__()
        tags.target_tags.positive_only = True
        return tags
