"""scikit-learn's estimator checks and LightGBM reading our export, in the benchmark environment.

    python -m benchmarks.sklearn_checks

Prints every check that failed, with its reason when it is an expected one; exits 1 for others.
Then: the largest difference of LightGBM's probabilities from ours on 100,000 rows.
"""

from __future__ import annotations

import sys
from typing import Any

import lightgbm as lgb
import numpy as np
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from benchmarks.training_data import airline
from retrain_ops.models import (
    GBDTClassifier,
    GBDTRegressor,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
)
from retrain_ops.models.lightgbm_text import lightgbm_text

EXPECTED: dict[str, str] = {}


def main() -> int:
    estimators = (
        *(GBDTClassifier(n_threads=1), GBDTRegressor(n_threads=1)),
        *(LogisticRegression(), LinearRegression(), PoissonRegressor()),
    )
    bad = sum(failures(estimator) for estimator in estimators)
    x, y = airline(100_000, 1)
    pipe = make_pipeline(StandardScaler(), clone(estimators[0]))
    search = GridSearchCV(pipe, {"gbdtclassifier__max_leaf_nodes": [7, 15]}, cv=2)
    print("grid search:", search.fit(x[:3000, 2:], y[:3000]).best_params_)
    difference = largest_export_difference(clone(estimators[0]), x, y)
    print(f"LightGBM on our export, {len(x)} rows: largest difference {difference}")
    return 1 if bad else 0


def failures(estimator: Any) -> int:
    """How many checks failed that are not expected to; every one that did not pass is printed."""
    results = check_estimator(
        estimator, expected_failed_checks=EXPECTED, on_fail=None, on_skip=None
    )
    passed = sum(r["status"] == "passed" for r in results)
    print(f"{type(estimator).__name__}: {passed} of {len(results)} checks passed", flush=True)
    for r in results:
        if r["status"] != "passed":
            print(f"  {r['status']}: {r['check_name']}: {str(r['exception'])[:300]}", flush=True)
    return sum(r["status"] == "failed" for r in results)


def largest_export_difference(model: Any, x: np.ndarray, y: np.ndarray) -> float:
    """Between our probabilities and those of LightGBM's Booster on our export."""
    model.set_params(min_data_per_group=50).fit(x, y, categorical_features=[0])
    booster = lgb.Booster(model_str=lightgbm_text(model.model_))
    coded = x.astype(np.float64)
    number = {float(level): i for i, level in enumerate(model.model_.features[0].categories)}
    coded[:, 0] = [number[v] for v in coded[:, 0]]
    theirs = np.asarray(booster.predict(coded))
    return float(np.abs(theirs - model.predict_proba(x)[:, 1]).max())


if __name__ == "__main__":
    sys.exit(main())
