"""From labelled rows to a model: the trainer protocol and the default trainer."""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retrain_ops import _core
from retrain_ops.data.categories import levels_of, numbers, texts
from retrain_ops.errors import ConfigError, DataError, importing
from retrain_ops.models.tabular import (
    Core,
    Feature,
    Matrix,
    TabularModel,
    as_table,
    encode,
    load_model,
)
from retrain_ops.spec.train import NATIVE, TRAINER_FORMS, ProblemName, full_params, is_library
from retrain_ops.spec.window import of_day
from retrain_ops.stats.thresholds import Threshold

log = logging.getLogger(__name__)

TELL_EVERY_S = 5.0

PARAMS_TEXT = """
n_estimators: rounds of boosting.
learning_rate: share of each tree's step that is taken.
max_leaf_nodes: most leaves of a tree.
max_depth: most splits on the way to a leaf; 0 for no limit.
min_samples_leaf: least rows of a leaf.
min_child_weight: least sum of second derivatives in a leaf.
min_split_gain: least gain of a split.
l1_regularization: L1 penalty on leaf values.
l2_regularization: L2 penalty on leaf values.
colsample: share of the columns that each tree sees.
subsample: share of the rows that each tree sees.
max_bins: most bins of a numeric column, up to 255.
depth_wise: 1 splits the shallowest leaf next, 0 the one that gains most.
cat_smooth: added to a category's second derivatives when categories are put in order, and the
    least rows of a category that counts, as in LightGBM.
cat_l2: L2 penalty in splits on many categories, as in LightGBM.
min_data_per_group: least rows of a group of categories, as in LightGBM.
max_cat_to_onehot: up to so many categories, each is tried alone, as in LightGBM.
max_cat_threshold: most categories on the smaller side of a split, as in LightGBM.
"""
"""One line for each parameter of the trainer "gbdt"."""


DEFAULT_THRESHOLD = Threshold()


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Labelled rows, sorted by day, then event time, then request id.

    `day` is int32 [n], the index of each row's day; `label` is uint8 [n] in {0, 1}, or float64
    [n] where `problem` is "regression"; `numeric` and `categorical` name the columns of `table`
    to learn from; `threshold` is how the spec wants the model's threshold chosen. Where `problem`
    is "multiclass" a label is the place of its class among `classes`.
    """

    table: pa.Table
    day: NDArray[np.int32]
    label: NDArray[Any]
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    threshold: Threshold = DEFAULT_THRESHOLD
    problem: ProblemName = "binary"
    classes: tuple[str, ...] = ()


class TrainedModel(Protocol):
    """What every trainer returns, and what its module's `load_model(bytes)` gives back.

    A model of several classes has them in `classes` too, in the order of its columns.
    """

    @property
    def threshold(self) -> float:
        """Scores from here on mean yes; of a model of amounts any number, which nobody reads."""

    def predict_proba(self, data: Any, /, *, n_threads: int = 0) -> NDArray[np.float64]:
        """P(label = 1) of each row, float64 [n], or of both labels [n, 2], or of
        all classes [n, K]; the same for any team size. A model of amounts needs none."""

    def predict(self, data: Any, /, *, n_threads: int = 0) -> NDArray[Any]:
        """The amount of each row, float64 [n]; asked of a model of amounts alone."""

    def to_bytes(self) -> bytes:
        """The model as a file; equal models give equal bytes."""


class Trainer(Protocol):
    """A function from rows to a model; equal arguments must give equal models."""

    def __call__(
        self, data: TrainingData, *, params: Mapping[str, object], seed: int, n_threads: int
    ) -> TrainedModel:
        """Trains on all rows of `data`."""


def _check(data: TrainingData) -> None:
    rows = data.table.num_rows
    if rows == 0:
        raise DataError("there are no labelled rows to train on; check the window's days")
    if len(data.day) != rows or len(data.label) != rows:
        raise DataError(
            f"{rows} rows need as many days and labels, not {len(data.day)} and {len(data.label)}"
        )
    if not data.numeric and not data.categorical:
        raise DataError("no feature columns are named")


def check_finite(data: TrainingData) -> None:
    """Linear models weigh numbers, and an infinite one has no weight.

    Raises:
        DataError: with the column and, where rows have a day, the day.
    """
    columns = as_table(data.table, data.numeric)
    for i, name in enumerate(data.numeric):
        found = numbers(columns.column(i), name)
        odd = np.flatnonzero(np.isinf(found))
        if odd.size:
            where = of_day(data.table, int(odd[0]))
            raise DataError(
                f"{name}{where} is {found[odd[0]]:g} ({odd.size} of {found.size} rows are "
                "infinite), which no linear model can learn: correct it, or make it null"
            )


def infer_features(
    table: object, numeric: tuple[str, ...], categorical: tuple[str, ...]
) -> tuple[Feature, ...]:
    """Numeric features, then categorical ones with the distinct values of the table."""
    columns = as_table(table, categorical)
    features = [Feature(name, "numeric") for name in numeric]
    for i, name in enumerate(categorical):
        levels = levels_of(texts(columns.column(i), name))
        features.append(Feature(name, "categorical", tuple(levels)))
    return tuple(features)


@dataclass(frozen=True, slots=True)
class _Fit:
    """One training run's constants; `rows` selects what it learns from."""

    x: Matrix
    y: NDArray[Any]
    features: tuple[Feature, ...]
    params: dict[str, int | float]
    seed: int
    n_threads: int
    objective: str = "binary"

    def on(
        self, rows: NDArray[np.bool_] | slice, watched: NDArray[np.bool_] | None = None
    ) -> tuple[Core, list[float]]:
        """The model, and by round the log-loss of the rows that are watched."""
        told = _Progress()
        model = _core.gbdt_train(
            self.x[rows],
            self.y[rows],
            features=[(f.name, f.kind, f.categories) for f in self.features],
            params=self.params,
            seed=self.seed,
            n_threads=self.n_threads,
            objective=self.objective,
            evaluation=None if watched is None else (self.x[watched], self.y[watched]),
            progress=told,
        )
        return model, told.losses


class _LinearFit(_Fit):
    """The same of logistic and linear regression, which have no rounds to watch."""

    def on(
        self, rows: NDArray[np.bool_] | slice, watched: NDArray[np.bool_] | None = None
    ) -> tuple[Core, list[float]]:
        """The model; no losses."""
        model, passes, converged, _, _ = _core.linear_fit(
            self.x[rows],
            self.y[rows].astype(np.float64),
            [(f.name, f.kind, f.categories) for f in self.features],
            self.params,
            self.objective,
            n_threads=self.n_threads,
        )
        if not converged:
            log.warning("the regression has not converged in %d passes", passes)
        return model, []


@dataclass(slots=True)
class _Progress:
    """Keeps the losses; tells the log every few seconds how far a long training is."""

    losses: list[float] = field(default_factory=list)
    told_at: float = field(default_factory=time.monotonic)

    def __call__(self, done: int, rounds: int, threads: int, loss: float | None) -> None:
        if loss is not None:
            self.losses.append(loss)
        if time.monotonic() - self.told_at >= TELL_EVERY_S:
            self.told_at = time.monotonic()
            shown = "" if loss is None else f", log-loss {loss:.5f}"
            log.info("round %d of %d on %d threads%s", done, rounds, threads, shown)


def _out_of_fold(
    fit: _Fit, day: NDArray[np.int32], rule: Threshold
) -> tuple[float, tuple[float, ...]]:
    """The threshold of the rule on scores of models that did not see the row, and by round the
    log-loss of those scores.

    Two folds of alternating days: rows of one day are alike, so a day is never split.
    With one day only, alternating rows have to do; without rows or labels of both
    kinds on each side the threshold is 0.5, unless it is fixed, and there are no losses.
    """
    fold = day % 2
    if len(np.unique(fold)) < 2:
        fold = np.arange(len(day), dtype=np.int32) % 2
    score = np.empty(len(day), dtype=np.float64)
    losses = []
    for k in (0, 1):
        held_out = fold == k
        if len(np.unique(fit.y[~held_out])) < 2:
            return rule.fixed or 0.5, ()
        model, by_round = fit.on(~held_out, watched=held_out)
        losses.append((int(held_out.sum()), by_round))
        score[held_out] = model.predict(fit.x[held_out], n_threads=fit.n_threads)
    rounds = min(len(by_round) for _, by_round in losses)
    weighted = (sum(n * found[i] for n, found in losses) / len(day) for i in range(rounds))
    return rule.choose(score, fit.y), tuple(weighted)


def train_gbdt(
    data: TrainingData, *, params: Mapping[str, object], seed: int, n_threads: int
) -> TabularModel:
    """The default trainer: gradient boosted trees with a threshold by the rule of `data`.

    The threshold, by default that with the best F1, comes from 2-fold out-of-fold scores over
    alternating days; the model itself is then trained on all rows. Of amounts the squared error
    is made small, of several classes the log-loss of them all, and there is no threshold. `params`
    go over DEFAULT_PARAMS. The model's bytes depend on data, params and seed alone, for any
    `n_threads` (0: all that the process may use). Raises ConfigError for parameters, DataError for
    data.
    """
    _check(data)
    full = full_params(params)
    return _train(_Fit, data, full, seed, n_threads)


def train_logistic(
    data: TrainingData, *, params: Mapping[str, object], seed: int, n_threads: int
) -> TabularModel:
    """The trainer "logistic": logistic regression with a threshold by the rule of `data`.

    `params` go over the defaults: l2 = 1 (half of it times the sum of squared slopes is added to
    the sum of log-losses), standardize = 1 (the penalty is on slopes of numbers in standard
    deviations; 0: as they are), fit_intercept = 1, max_iter = 100 (passes over the rows) and
    tol = 1e-10 (what a step may still gain, as a share of the loss). A category has a slope for
    each level; a missing number counts as its column's mean. The threshold is found as in
    `train_gbdt`, and nothing is drawn: the seed is not used. Raises ConfigError for parameters,
    DataError for data.
    """
    _check(data)
    check_finite(data)
    full = full_params(params, "logistic")
    return _train(_LinearFit, data, full, seed, n_threads)


def train_linear(
    data: TrainingData, *, params: Mapping[str, object], seed: int, n_threads: int
) -> TabularModel:
    """The trainer "linear": least squares with a penalty, for amounts.

    `params` are those of `train_logistic`, half of l2 times the sum of squared slopes added to
    half of the sum of squared errors. Nothing is drawn: the seed is not used. Raises ConfigError
    for parameters, DataError for data.
    """
    _check(data)
    check_finite(data)
    full = full_params(params, "linear")
    return _train(_LinearFit, data, full, seed, n_threads)


def _train(
    kind: Callable[..., _Fit],
    data: TrainingData,
    params: dict[str, int | float],
    seed: int,
    n_threads: int,
) -> TabularModel:
    features = infer_features(data.table, data.numeric, data.categorical)
    x, objective = encode(data.table, features), OBJECTIVES[data.problem]
    fit = kind(x, data.label, features, params, seed, n_threads, objective)
    if data.problem != "binary":
        return TabularModel(fit.on(slice(None))[0], classes=data.classes)
    threshold, losses = _out_of_fold(fit, data.day, data.threshold)
    model, _ = fit.on(slice(None))
    return TabularModel(model.with_threshold(threshold), losses)


OBJECTIVES: Mapping[ProblemName, str] = MappingProxyType(
    {"binary": "binary", "multiclass": "softmax", "regression": "squared_error"}
)
"""What a training makes small, by problem, as `TabularModel.objective` names it."""

TRAINERS: Mapping[str, Trainer] = MappingProxyType(
    {NATIVE: train_gbdt, "logistic": train_logistic, "linear": train_linear}
)
"""Our own, by name; their models are files that `load_model` reads."""


def resolve_trainer(name: str) -> Trainer:
    """The trainer called "gbdt", "logistic" or "linear", that of another library ("xgboost",
    "lightgbm", "sklearn:Class"), or the function at "package.module:function".

    Raises ConfigError when there is none, or its library is not installed.
    """
    if name in TRAINERS:
        return TRAINERS[name]
    if is_library(name):
        from retrain_ops.models.libraries.trainers import library_trainer

        return library_trainer(name)
    return cast(Trainer, _function_of(name, name.partition(":")[2]))


def resolve_loader(name: str) -> Callable[[bytes], TrainedModel]:
    """Who reads the bytes of a trainer's models: `load_model` of the trainer's own module.

    Raises ConfigError when there is none.
    """
    ours = name in TRAINERS or is_library(name)
    return load_model if ours else _function_of(name, "load_model")


def refused_by_library(
    name: str, params: Mapping[str, object], problem: ProblemName = "binary"
) -> tuple[str, str] | None:
    """The first parameter that the library of a trainer does not take and why; None where all
    are, or where the trainer is of no library."""
    if not is_library(name):
        return None
    from retrain_ops.models.libraries.model import library_of

    return library_of(name, amounts=problem == "regression").refused(params)


def _function_of(name: str, function: str) -> Callable[..., Any]:
    module_name, colon, _ = name.partition(":")
    if not colon or not module_name or not function:
        raise ConfigError(f"trainer must be {TRAINER_FORMS}, not {name!r}")
    with importing(f"trainer {name!r}: {function}"):
        found = getattr(importlib.import_module(module_name), function)
    if not callable(found):
        raise ConfigError(f"trainer {name!r}: {function} is not a function")
    return cast(Callable[..., Any], found)
