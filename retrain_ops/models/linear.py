"""Linear models with the scikit-learn calling convention; scikit-learn is not needed."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retrain_ops import _core
from retrain_ops.models.estimator import Classifier, Estimator, Regressor, row_weights
from retrain_ops.models.input import as_matrix, check_amounts, check_labels, is_table, rows_of

_Fitted = TypeVar("_Fitted", bound="_LinearRegressor")


@dataclass(kw_only=True, eq=False, repr=False)
class Linear(Estimator):
    """Parameters and coefficients of linear models, equal to the bit for any thread count.

    The least penalised loss is found by Newton's method, one pass over the rows a step. Numbers
    are standardised inside; a category has a slope for each level that fit saw, and a level that
    is missing or unknown adds nothing. A missing number counts as the mean of its column's
    training rows. Columns, with one for each level, times classes: at most 2,047.

    Parameters:
        fit_intercept: False for sums through the origin. The intercept is never penalised.
        standardize: the penalty is on slopes of numbers in standard deviations, so that units do
            not matter; False: on slopes as they are, as in scikit-learn.
        max_iter, tol: most passes over the rows; what the next step may still gain, as a share
            of the loss.
        categorical_features: as in `Boosting`.
        n_threads: 0 means all that the process may use; it changes no bit.
    """

    fit_intercept: bool = True
    standardize: bool = True
    max_iter: int = 100
    tol: float = 1e-10
    categorical_features: Any = None
    n_threads: int = 0

    @property
    def coef_names_(self) -> list[str]:
        """What each slope belongs to: a column, or `column=level`."""
        names = []
        for feature in self.model_.features:
            levels = [f"{feature.name}={level}" for level in feature.categories]
            names.extend([feature.name] if feature.kind == "numeric" else levels)
        return names

    @property
    def _core(self) -> _core.Model:
        return cast(_core.Model, self.model_.core)

    def _fit(
        self,
        X: Any,
        target: NDArray[np.float64],
        weight: NDArray[np.float64] | None,
        chosen: Any,
        objective: str,
        l2: float,
        classes: int = 0,
    ) -> None:
        """Fits to targets as the core wants them; `l2` is on half the sum of squared slopes."""
        chosen = self.categorical_features if chosen is None else chosen
        matrix, features = self._read(X, chosen)
        core, self.n_iter_, converged, _, _ = _core.linear_fit(
            matrix,
            target,
            [(f.name, f.kind, f.categories) for f in features],
            {
                "l2": l2,
                "tol": self.tol,
                "max_iter": self.max_iter,
                "standardize": bool(self.standardize),
                "fit_intercept": bool(self.fit_intercept),
            },
            objective,
            weight=weight,
            n_threads=self.n_threads,
            classes=classes,
        )
        self._take(core, X, [feature.name for feature in features])
        if not converged:
            warnings.warn(
                f"{type(self).__name__} has not converged in max_iter={self.max_iter} passes",
                _convergence_warning(),
                stacklevel=3,
            )


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
    ) -> LogisticRegression:
        """Fits to X [n, F] (array or table) and labels y [n] of at most 256 kinds.

        Raises InputError (a DataError and ValueError) or ValueError for what cannot be fitted,
        such as an infinity; warns where `max_iter` passes were too few.
        """
        X = X if is_table(X) else as_matrix(X)
        number = self._take_classes(check_labels(y, rows_of(X, y)))
        weight = self._weights(number, row_weights(sample_weight, len(number)))
        if not self.C > 0:
            raise ValueError(f"C must be positive, it is {self.C!r}")
        several = len(self.classes_) > 2
        self._fit(
            X,
            self._target(number).astype(np.float64),
            weight,
            categorical_features,
            "softmax" if several else "binary",
            1.0 / self.C,
            len(self.classes_) if several else 0,
        )
        return self

    @property
    def coef_(self) -> NDArray[np.float64]:
        """Slopes, float64 [1 or K, M], in the units of the columns."""
        return self._core.slopes

    @property
    def intercept_(self) -> NDArray[np.float64]:
        """Float64 [1 or K]."""
        return np.asarray(self._core.base_scores)


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
    ) -> _Fitted:
        """Fits to X [n, F] (array or table) and amounts y [n], float64 (Poisson: >= 0).

        Raises as `LogisticRegression.fit`.
        """
        X = X if is_table(X) else as_matrix(X)
        target = check_amounts(y, rows_of(X, y))
        weight = row_weights(sample_weight, len(target))
        l2 = _amount("alpha", self.alpha)
        if self._mean_loss:
            l2 *= len(target) if weight is None else float(np.sum(weight))
        self._fit(X, target, weight, categorical_features, self._objective, l2)
        return self

    @property
    def coef_(self) -> NDArray[np.float64]:
        """Slopes, float64 [M], in the units of the columns."""
        return np.asarray(self._core.slopes[0])

    @property
    def intercept_(self) -> float:
        """The sum where all slopes add nothing."""
        return self._core.base_scores[0]


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
