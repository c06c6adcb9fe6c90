"""One way to train and predict for every library, with equal meaning of the parameters."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import _probe
from benchmarks.training_data import Kind, weights
from retrain_ops import _core
from retrain_ops.models.trees import LEAF, read_trees

RATE, MIN_ROWS, L2, BINS = 0.1, 20, 1.0, 255
OUR_TASKS = {"binary": "binary", "multiclass": "softmax", "regression": "squared_error"}


@dataclass(frozen=True, slots=True)
class Job:
    """What to train."""

    kind: Kind
    x: NDArray[np.float32]
    y: NDArray[Any]
    rows: int
    threads: int
    rounds: int
    leaves: int = 0
    depth: int = 0
    watched: tuple[NDArray[np.float32], NDArray[Any]] | None = None

    @property
    def weight(self) -> NDArray[np.float64] | None:
        return weights(self.rows, 1) if self.kind.weighted else None


@dataclass(frozen=True, slots=True)
class Library:
    """fit(job) -> model; predict(model, x, job) -> P(1), or P [n, K], or values."""

    fit: Callable[[Job], Any]
    predict: Callable[[Any, NDArray[np.float32], Job], NDArray[Any]]


def has_peer(name: str) -> bool:
    return importlib.util.find_spec(name.partition("_")[0]) is not None


def _features(job: Job) -> list[tuple[str, str, list[str]]]:
    levels = dict(zip(job.kind.categorical, job.kind.levels, strict=True))
    return [
        (f"f{i}", "categorical", [f"{k:03d}" for k in range(levels[i])])
        if i in levels
        else (f"f{i}", "numeric", [])
        for i in range(job.x.shape[1])
    ]


class Ours:
    """retrain_ops' core, which takes the array as it is."""

    def fit(self, job: Job) -> Any:
        params: dict[str, Any] = {
            "n_estimators": job.rounds, "learning_rate": RATE, "min_samples_leaf": MIN_ROWS,
            "l2_regularization": L2, "max_bins": BINS, "colsample": 1, "subsample": 1,
            "cat_smooth": 10, "max_leaf_nodes": job.leaves or 2**job.depth, "max_depth": job.depth,
        }  # fmt: skip
        more: dict[str, Any] = {}
        if job.kind.task != "binary":
            more["objective"] = OUR_TASKS[job.kind.task]
        if job.watched is not None:
            more["evaluation"] = job.watched
        return _core.gbdt_train(
            job.x, job.y, features=_features(job), params=params, seed=1, n_threads=job.threads,
            weight=job.weight, **more,
        )  # fmt: skip

    def predict(self, model: Any, x: NDArray[np.float32], job: Job) -> NDArray[Any]:
        return np.asarray(model.predict(x, n_threads=job.threads))

    def updates(self, model: Any, features: int) -> int:
        """Rows of every histogram built (root, and the smaller child of each split whose
        children were candidates), times features."""
        trees = read_trees(model.to_bytes())
        total = 0
        for number in range(len(trees.start) - 1):
            nodes = trees.tree(number)
            inner = nodes[nodes["feature"] != LEAF]
            children = np.minimum(nodes["rows"][inner["left"]], nodes["rows"][inner["right"]])
            total += int(nodes["rows"][0]) + int(children.sum())
        return total * features

    def update_seconds(self, job: Job) -> float:
        """Seconds that one update takes when a histogram of all rows is all there is to do:
        of many passes less few, since the table is made within the call."""
        few, many = (min(self._pass_seconds(job, passes) for _ in range(5)) for passes in (2, 22))
        return (many - few) / (20 * job.rows * job.x.shape[1])

    def _pass_seconds(self, job: Job, passes: int) -> float:
        start = time.perf_counter()
        _probe.histogram_passes(job.rows, job.x.shape[1], job.threads, passes)
        return time.perf_counter() - start


OURS = Ours()


def _lightgbm(job: Job, **more: Any) -> Any:
    import lightgbm as lgb

    objective = {"binary": "binary", "multiclass": "multiclass", "regression": "regression"}
    params = {
        "objective": objective[job.kind.task], "learning_rate": RATE, "min_child_samples": MIN_ROWS,
        "lambda_l2": L2, "max_bin": BINS, "num_threads": job.threads, "verbose": -1, "seed": 1,
        "num_leaves": job.leaves or 2**job.depth, "max_depth": job.depth or -1, **more,
    }  # fmt: skip
    if job.kind.task == "multiclass":
        params["num_class"] = int(job.y.max()) + 1
    data = lgb.Dataset(job.x, job.y, weight=job.weight,
                       categorical_feature=list(job.kind.categorical))  # fmt: skip
    watched = None if job.watched is None else [lgb.Dataset(*job.watched, reference=data)]
    return lgb.train(params, data, job.rounds, valid_sets=watched)


def _lightgbm_best(job: Job) -> Any:
    """Row-wise: the faster of its two layouts at this many threads."""
    return _lightgbm(job, force_row_wise=True)


def _lightgbm_columns(job: Job) -> Any:
    return _lightgbm(job, force_col_wise=True)


def _lightgbm_quantised(job: Job) -> Any:
    return _lightgbm(job, force_row_wise=True, use_quantized_grad=True)


def _lightgbm_predict(model: Any, x: NDArray[np.float32], job: Job) -> NDArray[Any]:
    return np.asarray(model.predict(x, num_threads=job.threads))


def _xgboost(job: Job) -> Any:
    import xgboost as xgb

    objective = {"binary": "binary:logistic", "regression": "reg:squarederror"}
    params = {
        "objective": objective[job.kind.task], "eta": RATE, "lambda": L2, "max_bin": BINS,
        "tree_method": "hist", "nthread": job.threads, "min_child_weight": 1e-3, "seed": 1,
        "grow_policy": "lossguide" if job.leaves else "depthwise", "max_leaves": job.leaves,
        "max_depth": job.depth,
    }  # fmt: skip
    data = xgb.QuantileDMatrix(job.x, job.y, weight=job.weight, max_bin=BINS, nthread=job.threads)
    return xgb.train(params, data, job.rounds)


def _xgboost_predict(model: Any, x: NDArray[np.float32], job: Job) -> NDArray[Any]:
    return np.asarray(model.inplace_predict(x))


def _sklearn(job: Job) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    model = HistGradientBoostingClassifier(
        learning_rate=RATE, max_iter=job.rounds, max_leaf_nodes=job.leaves, max_bins=BINS,
        min_samples_leaf=MIN_ROWS, l2_regularization=L2, early_stopping=False, random_state=1,
    )  # fmt: skip
    with threadpool_limits(job.threads):
        return model.fit(job.x, job.y)


def _sklearn_predict(model: Any, x: NDArray[np.float32], job: Job) -> NDArray[Any]:
    from threadpoolctl import threadpool_limits

    if len(x) == 1:  # entering the limiter takes longer than the row
        return np.asarray(model.predict_proba(x)[:, 1])
    with threadpool_limits(job.threads):
        return np.asarray(model.predict_proba(x)[:, 1])


def _hessboost(job: Job) -> Any:
    import hessboost as hb

    params = {
        "objective": "binary:logistic", "eta": RATE, "lambda": L2, "max_bin": BINS,
        "tree_method": "hist", "nthread": job.threads, "max_depth": job.depth,
        "min_child_weight": 1e-3, "seed": 1,
    }  # fmt: skip
    return hb.train(params, hb.DMatrix(job.x, job.y), job.rounds)


def _hessboost_predict(model: Any, x: NDArray[np.float32], job: Job) -> NDArray[Any]:
    import hessboost as hb

    return np.asarray(model.predict(hb.DMatrix(x)))


PEERS = {
    "lightgbm": Library(_lightgbm_best, _lightgbm_predict),
    "lightgbm_columns": Library(_lightgbm_columns, _lightgbm_predict),
    "lightgbm_quantised": Library(_lightgbm_quantised, _lightgbm_predict),
    "xgboost": Library(_xgboost, _xgboost_predict),
    "sklearn": Library(_sklearn, _sklearn_predict),
    "hessboost": Library(_hessboost, _hessboost_predict),
}
