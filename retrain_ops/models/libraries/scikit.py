"""scikit-learn's classifiers: a category becomes a column of 0 and 1 for each of its levels."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from retrain_ops.errors import ConfigError, DataError
from retrain_ops.models.libraries.rows import (
    PLACE,
    SEED,
    Rows,
    Scorer,
    load_package,
    refused_name,
    threads_of,
)
from retrain_ops.models.libraries.skops_bytes import NEEDS, from_skops_bytes, skops_bytes
from retrain_ops.models.tabular import Feature, Matrix

MODULES = (
    "ensemble", "linear_model", "tree", "neighbors", "naive_bayes", "neural_network", "svm",
    "discriminant_analysis", "gaussian_process", "calibration", "dummy",
)  # fmt: skip
FIXED = MappingProxyType({
    "random_state": SEED,
    **dict.fromkeys(("n_jobs", "verbose", "warm_start"), PLACE),
})  # fmt: skip
MOST_SEEDS = 2**32


def wide_matrix(x: Matrix, features: tuple[Feature, ...]) -> NDArray[np.float64]:
    """Numbers as they are, then a column of 0 and 1 for each level, float64 [n, columns].

    A level that is missing or unknown has 0 everywhere; a missing number stays NaN.
    """
    numeric = [i for i, feature in enumerate(features) if feature.kind == "numeric"]
    categorical = [i for i, feature in enumerate(features) if feature.kind == "categorical"]
    levels = [len(features[i].categories) for i in categorical]
    wide = np.zeros((len(x), len(numeric) + sum(levels)))
    wide[:, : len(numeric)] = x[:, numeric]
    begin = len(numeric)
    for i, count in zip(categorical, levels, strict=True):
        known = np.flatnonzero(~np.isnan(x[:, i]))
        wide[known, begin + x[known, i].astype(np.int64)] = 1.0
        begin += count
    return wide


def fit_bytes(estimator: Any, rows: Rows, *, seed: int, n_threads: int) -> bytes:
    """Fits an estimator and gives its file.

    Every `random_state` that is None becomes `seed`. Ensembles train their members on
    `n_threads`, which changes no bit; BLAS and OpenMP get one thread.

    Raises:
        ConfigError: parameters are refused, or it gives no probabilities or cannot be stored.
        DataError: it does not take missing values, and there are some.
    """
    name = type(estimator).__name__
    params = estimator.get_params()
    seeds = [key for key in params if key.rpartition("__")[2] == "random_state"]
    estimator.set_params(**{k: seed % MOST_SEEDS for k in seeds if params[k] is None})
    shares = type(estimator).__module__.startswith("sklearn.ensemble.") and "n_jobs" in params
    jobs = {"n_jobs": threads_of(n_threads)} if shares else {}
    try:
        with one_thread():
            estimator.set_params(**jobs).fit(wide_matrix(rows.x, rows.features), rows.y)
    except (ValueError, TypeError) as problem:
        missing = [f.name for i, f in enumerate(rows.features) if _misses(f, rows.x[:, i])]
        if missing and "NaN" in str(problem):
            where = f"values are missing in {', '.join(missing)}"
            raise DataError(f"{name} cannot be trained, {where}: {problem}") from problem
        raise ConfigError(f"{name} cannot be trained: {problem}") from problem
    if not hasattr(estimator, "predict_proba"):
        raise ConfigError(f"{name} has no predict_proba; take a classifier with probabilities")
    return skops_bytes(estimator.set_params(**dict.fromkeys(jobs)))


def _misses(feature: Feature, column: NDArray[Any]) -> bool:
    return feature.kind == "numeric" and bool(np.isnan(column).any())


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """BLAS and OpenMP have one thread each, so that sums have one order; joblib has threads."""
    joblib = load_package("joblib", NEEDS)
    limits = load_package("threadpoolctl", NEEDS)
    with limits.threadpool_limits(1), joblib.parallel_config(backend="threading"):
        yield


def load_scikit_model(payload: bytes, features: tuple[Feature, ...]) -> Scorer:
    """Who scores rows with a model that `fit_bytes` made."""
    estimator = from_skops_bytes(payload)

    def score(x: Matrix, n_threads: int) -> NDArray[np.float64]:
        del n_threads  # forests add their trees in the order in which threads finish
        with one_thread():
            found = estimator.predict_proba(wide_matrix(x, features))
        return np.ascontiguousarray(found[:, 1], dtype=np.float64)

    return score


class Scikit:
    """A classifier of scikit-learn by its name."""

    package = "sklearn"

    def __init__(self, name: str) -> None:
        self.name = name

    def refused(self, params: Mapping[str, object]) -> tuple[str, str] | None:
        """By the names of the classifier's `get_params`."""
        return refused_name(params, list(self._make().get_params()), FIXED)

    def train(
        self, rows: Rows, params: Mapping[str, object], *, seed: int, n_threads: int
    ) -> bytes:
        """As `fit_bytes`."""
        estimator = self._make().set_params(**params)
        return fit_bytes(estimator, rows, seed=seed, n_threads=n_threads)

    def _make(self) -> Any:
        load_package("sklearn", NEEDS)
        load_package("skops.io", NEEDS)
        found = (importlib.import_module(f"sklearn.{name}") for name in MODULES)
        kind = next((vars(m)[self.name] for m in found if self.name in vars(m)), type(None))
        base = importlib.import_module("sklearn.base")
        if not (isinstance(kind, type) and issubclass(kind, base.ClassifierMixin)):
            raise ConfigError(f"scikit-learn has no classifier {self.name!r}")
        try:
            return cast(Any, kind())
        except TypeError as problem:
            raise ConfigError(
                f"{self.name} needs what a spec cannot say ({problem}); write a trainer of your "
                "own that calls retrain_ops.models.train_estimator"
            ) from problem
