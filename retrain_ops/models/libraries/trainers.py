"""Trainers of other libraries: the threshold is found as for our own models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrain_ops.errors import ConfigError
from retrain_ops.models.libraries.model import (
    LibraryModel,
    estimator_model,
    library_model,
    library_of,
)
from retrain_ops.models.libraries.rows import Rows
from retrain_ops.models.tabular import Core, TabularModel
from retrain_ops.models.training import Trainer, TrainingData, _check, _Fit, _train


@dataclass(frozen=True, slots=True)
class _LibraryFit(_Fit):
    """One training run by another library, whose rounds are not watched."""

    make: Callable[..., LibraryModel] = library_model

    def on(
        self, rows: NDArray[np.bool_] | slice, watched: NDArray[np.bool_] | None = None
    ) -> tuple[Core, list[float]]:
        """The model; no losses."""
        amounts = self.objective != "binary"
        chosen = Rows(self.x[rows], self.y[rows], self.features, amounts)
        return self.make(chosen, seed=self.seed, n_threads=self.n_threads), []


def library_trainer(name: str) -> Trainer:
    """The trainer behind "xgboost", "lightgbm" or "sklearn:Class".

    Raises ConfigError when its library is not installed, or has no such class.
    """
    library_of(name).refused({})
    return partial(train_library, name)


def train_library(
    name: str, data: TrainingData, *, params: Mapping[str, object], seed: int, n_threads: int
) -> TabularModel:
    """Trains by another library, with an F1-optimal threshold found as in `train_gbdt`, or for
    amounts, with an `objective` of the library's own if `params` name one.

    `params` are the library's own, by its own names. Raises ConfigError for parameters that it
    refuses, DataError for rows.
    """
    _check(data)
    refused = library_of(name, amounts=data.problem == "regression").refused(params)
    if refused is not None:
        raise ConfigError(f"training parameter {refused[0]}: {refused[1]}")
    kind = partial(_LibraryFit, make=partial(library_model, name, params=params))
    return _train(kind, data, {}, seed, n_threads)


def train_estimator(
    estimator: Any, data: TrainingData, *, seed: int, n_threads: int
) -> TabularModel:
    """Trains a clone of a scikit-learn classifier or Pipeline, for a trainer of your own.

    Its rows are float64 [n, columns]: the numbers of `data.numeric`, then for each categorical
    column one column of 0 and 1 by level. Each `random_state` of None becomes `seed`. The model's
    file is skops inside ours, read by `load_model`; nothing of it is pickled. Raises ConfigError
    for an estimator without probabilities or with parts that are not scikit-learn's, DataError
    for rows.
    """
    _check(data)
    kind = partial(_LibraryFit, make=partial(estimator_model, estimator))
    return _train(kind, data, {}, seed, n_threads)
