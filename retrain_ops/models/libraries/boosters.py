"""XGBoost and LightGBM: categories as their numbers, missing values as NaN."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from threading import Event
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrain_ops.errors import ConfigError
from retrain_ops.models.libraries.rows import (
    PLACE,
    SEED,
    Rows,
    Scorer,
    apart,
    load_package,
    refused_name,
    threads_of,
)
from retrain_ops.models.tabular import Feature, Matrix

ROWS = "cannot be set: labels are 0 and 1, and columns are those of [features]"
ALL_ROWS = "cannot be set: a model learns from all rows of its window, none are left to stop by"
LARGEST_SEED = 2**31


def _categorical(features: tuple[Feature, ...]) -> list[int]:
    return [i for i, feature in enumerate(features) if feature.kind == "categorical"]


AMOUNT_OBJECTIVES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "xgboost": (
        "reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror", "reg:quantileerror",
        "reg:squaredlogerror", "reg:gamma", "reg:tweedie", "count:poisson",
    ),
    "lightgbm": (
        "regression", "regression_l1", "huber", "fair", "poisson", "quantile", "mape", "gamma",
        "tweedie",
    ),
})  # fmt: skip
"""What a model of amounts may make small; the first unless `[train]` says another."""


def refused_objective(package: str, params: Mapping[str, object]) -> tuple[str, str] | None:
    """An objective that is none of amounts, and why."""
    known = AMOUNT_OBJECTIVES[package]
    if params.get("objective", known[0]) in known:
        return None
    return "objective", f'must be one of {", ".join(known)}, as problem = "regression"'


class XGBoost:
    """Kept as UBJSON. Its sums depend on the number of threads, so that is a parameter: `n_jobs`
    of `[train]`, 1 unless it is given."""

    package = "xgboost"
    FIXED = MappingProxyType({
        "random_state": SEED,
        **dict.fromkeys(("early_stopping_rounds", "eval_metric"), ALL_ROWS),
        **dict.fromkeys(("device", "verbosity", "callbacks", "validate_parameters"), PLACE),
        **dict.fromkeys(
            ("objective", "missing", "enable_categorical", "feature_types", "feature_weights",
             "importance_type", "multi_strategy"), ROWS
        ),
    })  # fmt: skip

    def __init__(self, *, amounts: bool = False) -> None:
        self.amounts = amounts

    def refused(self, params: Mapping[str, object]) -> tuple[str, str] | None:
        """By the names of `xgboost.XGBModel`, and of the objectives of amounts."""
        names = inspect.signature(load_xgboost().XGBModel.__init__).parameters
        known = [n for n in names if n not in ("self", "kwargs")]
        if not self.amounts:
            return refused_name(params, known, self.FIXED)
        refused = refused_name(params, [*known, *_OF_OBJECTIVES], _without_objective(self.FIXED))
        return refused or refused_objective("xgboost", params)

    def train(
        self, rows: Rows, params: Mapping[str, object], *, seed: int, n_threads: int
    ) -> bytes:
        """Trains on `n_jobs` threads, whatever `n_threads` says."""
        del n_threads
        return apart(lambda stop: _train_xgboost(rows, params, seed, stop))


_OF_OBJECTIVES = ("quantile_alpha", "huber_slope", "tweedie_variance_power")
"""Parameters of XGBoost that its `XGBModel` takes by any name."""


def _without_objective(fixed: Mapping[str, str]) -> dict[str, str]:
    return {name: why for name, why in fixed.items() if name != "objective"}


def load_xgboost() -> Any:
    """The package."""
    return load_package("xgboost", '"$(ls retrain_ops-*.whl)[xgboost]"')


def _train_xgboost(rows: Rows, params: Mapping[str, object], seed: int, stop: Event) -> bytes:
    xgboost = load_xgboost()

    callback: Any = xgboost.callback.TrainingCallback

    class Stop(callback):  # type: ignore[misc]
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            return stop.is_set()

    chosen: dict[str, Any] = {"n_estimators": 100, "n_jobs": 1}
    chosen |= {name: _constraint(name, value) for name, value in params.items()}
    rounds, threads = chosen.pop("n_estimators"), chosen.pop("n_jobs")
    objective = "binary:logistic"
    if rows.amounts:
        objective = chosen.pop("objective", AMOUNT_OBJECTIVES["xgboost"][0])
    fixed = {"objective": objective, "seed": seed % LARGEST_SEED, "verbosity": 0}
    try:
        booster = xgboost.train(
            {**chosen, **fixed, "nthread": threads, "device": "cpu"},
            _matrix(xgboost, rows.x, rows.features, threads, rows.y),
            num_boost_round=rounds,
            callbacks=[Stop()],
        )
    except (ValueError, TypeError) as problem:
        raise ConfigError(f"xgboost: {_first_line(problem)}") from problem
    return bytes(booster.save_raw("ubj"))


def _constraint(name: str, value: object) -> object:
    """TOML's arrays as XGBoost reads them."""
    if not isinstance(value, list):
        return value
    return tuple(value) if name == "monotone_constraints" else str(value)


def _matrix(
    xgboost: Any, x: Matrix, features: tuple[Feature, ...], threads: int, y: Any = None
) -> Any:
    kinds = ["c" if feature.kind == "categorical" else "q" for feature in features]
    return xgboost.DMatrix(
        x, label=y, missing=np.nan, feature_types=kinds, enable_categorical=True, nthread=threads
    )


def load_xgboost_model(payload: bytes, features: tuple[Feature, ...]) -> Scorer:
    """Who scores rows with a model that `XGBoost.train` made."""
    xgboost = load_xgboost()
    booster = xgboost.Booster()
    booster.load_model(bytearray(payload))

    def score(x: Matrix, n_threads: int) -> NDArray[np.float64]:
        threads = threads_of(n_threads)
        booster.set_param({"nthread": threads})
        found = booster.predict(_matrix(xgboost, x, features, threads))
        return np.asarray(found, dtype=np.float64)

    return lambda x, n_threads: apart(lambda _: score(x, n_threads))


class LightGBM:
    """Kept as its text format. `deterministic` and `force_col_wise` are on, with which its sums
    are the same for any number of threads."""

    package = "lightgbm"
    FIXED = MappingProxyType({
        "seed": SEED,
        "use_quantized_grad": "cannot be set: its rounding depends on the number of threads",
        **dict.fromkeys(("early_stopping_round", "metric", "valid"), ALL_ROWS),
        **dict.fromkeys(
            ("objective", "num_class", "categorical_feature", "label_column", "weight_column",
             "group_column", "ignore_column", "header", "is_provide_training_metric"), ROWS
        ),
        **dict.fromkeys(
            ("num_threads", "deterministic", "force_col_wise", "force_row_wise", "verbosity",
             "device_type", "tree_learner", "num_machines", "machines", "task", "config", "data",
             "machine_list_filename", "local_listen_port", "time_out", "pre_partition",
             "input_model", "output_model", "save_binary", "snapshot_freq", "output_result"), PLACE
        ),
    })  # fmt: skip

    def __init__(self, *, amounts: bool = False) -> None:
        self.amounts = amounts

    def refused(self, params: Mapping[str, object]) -> tuple[str, str] | None:
        """By LightGBM's own names and their aliases."""
        canonical = _canonical_names()
        fixed = _without_objective(self.FIXED) if self.amounts else self.FIXED
        seen: dict[str, str] = {}
        for name in params:
            meant = canonical.get(name, name)
            refused = refused_name({meant: None}, list(canonical.values()), fixed)
            if refused is not None:
                return name, refused[1]
            if meant in seen:
                return name, f"is {meant}, as {seen[meant]} is: give one of them"
            seen[meant] = name
        named = {canonical.get(name, name): value for name, value in params.items()}
        return refused_objective("lightgbm", named) if self.amounts else None

    def train(
        self, rows: Rows, params: Mapping[str, object], *, seed: int, n_threads: int
    ) -> bytes:
        """Trains on `n_threads` threads, which leave no trace in the bytes."""
        canonical = _canonical_names()
        named = {canonical[name]: value for name, value in params.items()}
        amounts = named.get("objective", AMOUNT_OBJECTIVES["lightgbm"][0])
        chosen: dict[str, Any] = {
            **named,
            "objective": amounts if rows.amounts else "binary",
            "seed": seed % LARGEST_SEED,
            "num_threads": threads_of(n_threads),
            "deterministic": True,
            "force_col_wise": True,
            "verbosity": -1,
        }
        return apart(lambda stop: _train_lightgbm(rows, chosen, stop))


def load_lightgbm() -> Any:
    """The package."""
    return load_package("lightgbm", '"$(ls retrain_ops-*.whl)[lightgbm]"')


def _canonical_names() -> dict[str, str]:
    """Every name that LightGBM takes, with the one that it stands for."""
    aliases = load_lightgbm().basic._ConfigAliases._get_all_param_aliases()
    return {alias: name for name, others in aliases.items() for alias in (*others, name)}


def _train_lightgbm(rows: Rows, params: dict[str, Any], stop: Event) -> bytes:
    lightgbm = load_lightgbm()

    def stop_asked(env: Any) -> None:
        if stop.is_set():
            raise lightgbm.callback.EarlyStopException(env.iteration, [])

    rounds = params.pop("num_iterations", 100)
    try:
        data = lightgbm.Dataset(
            rows.x, rows.y, params=params, categorical_feature=_categorical(rows.features)
        )
        booster = lightgbm.train(params, data, num_boost_round=rounds, callbacks=[stop_asked])
    except (ValueError, TypeError, lightgbm.basic.LightGBMError) as problem:
        raise ConfigError(f"lightgbm: {_first_line(problem)}") from problem
    text = booster.model_to_string(num_iteration=-1)
    return re.sub(r"^\[num_threads: .*\]$", "[num_threads: 0]", text, flags=re.M).encode()


def load_lightgbm_model(payload: bytes, features: tuple[Feature, ...]) -> Scorer:
    """Who scores rows with a model that `LightGBM.train` made."""
    del features
    lightgbm = load_lightgbm()
    booster = lightgbm.Booster(model_str=payload.decode())

    def score(x: Matrix, n_threads: int) -> NDArray[np.float64]:
        found = booster.predict(x, num_threads=threads_of(n_threads))
        return np.asarray(found, dtype=np.float64)

    return lambda x, n_threads: apart(lambda _: score(x, n_threads))


def _first_line(problem: Exception) -> str:
    """XGBoost's errors begin with a time and a place in its source, and end with a stack."""
    return re.sub(r"^\[.*?\] \S+:\d+: ", "", str(problem)).partition("\n")[0]
