"""Linear models against scikit-learn's and statsmodels' coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from sklearn import linear_model as theirs
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from retrain_ops.models import LinearRegression, LogisticRegression, PoissonRegressor

EXACT: dict[str, Any] = {"standardize": False, "tol": 1e-15}
ROWS = 3000
RNG = np.random.default_rng(7)
X = RNG.normal(size=(ROWS, 6)) * [1, 10, 0.1, 3, 1, 50] + [0, 5, 0, -2, 3, 0]
ETA = X[:, 0] - 0.08 * X[:, 1] + 4 * X[:, 2] - 0.4
LABEL = (RNG.random(ROWS) < 1 / (1 + np.exp(-ETA))).astype(int)
KIND = np.array(["a", "b", "c"])[
    np.argmax(np.outer(ETA, [1, 0, -1]) + RNG.gumbel(size=(ROWS, 3)), 1)
]
AMOUNT = ETA + RNG.normal(size=ROWS)
COUNT = RNG.poisson(np.exp(0.3 * ETA)).astype(float)
WEIGHT = RNG.integers(0, 4, ROWS).astype(float)


def same(ours: Any, coef: NDArray[Any], intercept: Any) -> None:
    np.testing.assert_allclose(ours.coef_, coef, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(ours.intercept_, intercept, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("c", [0.01, 1.0, 100.0])
def test_logistic_coefficients_are_scikit_learns(c: float, weight: NDArray[Any] | None) -> None:
    peer = theirs.LogisticRegression(C=c, solver="newton-cholesky", tol=1e-13, max_iter=1000)
    peer.fit(X, LABEL, sample_weight=weight)
    ours = LogisticRegression(C=c, **EXACT).fit(X, LABEL, sample_weight=weight)
    same(ours, peer.coef_, peer.intercept_)
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=1e-10)


def test_balanced_classes_weigh_the_same_as_scikit_learns() -> None:
    peer = theirs.LogisticRegression(
        class_weight="balanced", solver="newton-cholesky", tol=1e-13, max_iter=1000
    ).fit(X, LABEL)
    ours = LogisticRegression(class_weight="balanced", **EXACT).fit(X, LABEL)
    same(ours, peer.coef_, peer.intercept_)


def test_softmax_coefficients_are_scikit_learns() -> None:
    peer = theirs.LogisticRegression(solver="newton-cholesky", tol=1e-13, max_iter=1000)
    peer.fit(X, KIND)
    ours = LogisticRegression(**EXACT).fit(X, KIND)
    same(ours, peer.coef_, peer.intercept_ - peer.intercept_.mean())
    np.testing.assert_array_equal(ours.predict(X), peer.predict(X))


def test_standardised_slopes_are_those_behind_a_scaler() -> None:
    pipe = make_pipeline(
        StandardScaler(),
        theirs.LogisticRegression(solver="newton-cholesky", tol=1e-13, max_iter=1000),
    ).fit(X, LABEL)
    ours = LogisticRegression(tol=1e-15).fit(X, LABEL)
    scaler, peer = pipe[0], pipe[1]
    coef = peer.coef_ / scaler.scale_
    same(ours, coef, peer.intercept_ - coef @ scaler.mean_)


def test_without_a_penalty_coefficients_are_statsmodels() -> None:
    design = sm.add_constant((X - X.mean(0)) / X.std(0))
    peer = sm.Logit(LABEL, design).fit(disp=False, method="newton", tol=1e-14, maxiter=100)
    ours = LogisticRegression(C=float("inf"), tol=1e-15).fit(X, LABEL)
    np.testing.assert_allclose(ours.coef_[0], peer.params[1:] / X.std(0), rtol=1e-9)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_least_squares_are_scikit_learns(weight: NDArray[Any] | None) -> None:
    plain = theirs.LinearRegression().fit(X, AMOUNT, sample_weight=weight)
    ours = LinearRegression(standardize=False).fit(X, AMOUNT, sample_weight=weight)
    same(ours, plain.coef_, plain.intercept_)
    ridge = theirs.Ridge(alpha=30.0, solver="cholesky").fit(X, AMOUNT, sample_weight=weight)
    ours = LinearRegression(alpha=30.0, standardize=False).fit(X, AMOUNT, sample_weight=weight)
    same(ours, ridge.coef_, ridge.intercept_)
    through = theirs.LinearRegression(fit_intercept=False).fit(X, AMOUNT)
    ours = LinearRegression(fit_intercept=False).fit(X, AMOUNT)
    same(ours, through.coef_, 0.0)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_poisson_coefficients_are_scikit_learns(alpha: float, weight: NDArray[Any] | None) -> None:
    centre = X - X.mean(0)  # theirs loses digits far from zero
    peer = theirs.PoissonRegressor(alpha=alpha, solver="newton-cholesky", tol=1e-13, max_iter=500)
    peer.fit(centre, COUNT, sample_weight=weight)
    ours = PoissonRegressor(alpha=alpha, **EXACT).fit(centre, COUNT, sample_weight=weight)
    same(ours, peer.coef_, peer.intercept_)
    np.testing.assert_allclose(ours.predict(centre), peer.predict(centre), rtol=1e-9)


def test_categories_are_one_hot_columns() -> None:
    level = RNG.choice(["x", "y", "z"], ROWS)
    frame = pd.DataFrame({"n": X[:, 0], "level": level})
    label = (RNG.random(ROWS) < 0.3 + 0.4 * (level == "y")).astype(int)
    ours = LogisticRegression(categorical_features=["level"], **EXACT).fit(frame, label)
    wide = pd.get_dummies(frame, columns=["level"], prefix_sep="=").astype(float)
    peer = theirs.LogisticRegression(solver="newton-cholesky", tol=1e-13, max_iter=1000)
    peer.fit(wide, label)
    assert ours.coef_names_ == list(wide.columns)
    same(ours, peer.coef_, peer.intercept_)
