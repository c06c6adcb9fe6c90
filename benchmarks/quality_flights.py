"""Quality of the default trainer against LightGBM on real windows, paired.

    python benchmarks/quality_flights.py DATA [--windows 40] [--seeds 3] [--json PATH]

DATA holds daily partitions `day=YYYY-MM-DD/part-0.parquet` as written by
`python -m retrain_ops.examples.flights DATA`. Every window trains both on the same
22 days, takes each one's threshold from its own 2-fold out-of-fold scores over
alternating days (same rule, same folds), and scores the following 7 days. Windows do
not overlap in their hold-outs. Printed: mean paired difference (ours - LightGBM) of AUC
and F1, its standard error over windows, and the seconds of one full training.
"""

from __future__ import annotations

import argparse
import json
import math
import time
import tomllib
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from scipy.stats import rankdata

from retrain_ops.models import TrainingData, encode, train_gbdt
from retrain_ops.models.training import infer_features

CATEGORICAL = ("carrier", "origin", "dest")
NUMERIC = (
    "sched_dep_min", "sched_arr_min", "sched_block_min", "distance", "dow",
    "origin_hour_load", "carrier_hour_load", "temp", "dewp", "humid", "wind_speed",
    "wind_gust", "precip", "precip_6h", "pressure", "visib", "plane_age", "seats",
)  # fmt: skip
TRAIN_DAYS, HOLDOUT_DAYS = 22, 7
SPEC = Path(__file__).resolve().parent.parent / "dags" / "flights.toml"
FLIGHTS: dict[str, Any] = tomllib.loads(SPEC.read_text())["train"]

LIGHTGBM = {
    "objective": "binary",
    "learning_rate": FLIGHTS["learning_rate"],
    "num_leaves": FLIGHTS["max_leaf_nodes"],
    "min_child_samples": FLIGHTS["min_samples_leaf"],
    "feature_fraction": FLIGHTS["colsample"],
    "bagging_fraction": FLIGHTS["subsample"],
    "bagging_freq": 1,
    "lambda_l2": FLIGHTS["l2_regularization"],
    "cat_smooth": FLIGHTS["cat_smooth"],
    "max_bin": FLIGHTS["max_bins"],
    "deterministic": True,
    "force_row_wise": True,
    "verbose": -1,
}


def load(folder: Path) -> pa.Table:
    table = ds.dataset(folder, partitioning="hive").to_table()
    return table.sort_by([("day", "ascending"), ("event_time", "ascending"),
                          ("request_id", "ascending")])  # fmt: skip


def f1_threshold(score: np.ndarray, y: np.ndarray) -> float:
    """Written independently of the package: argmax of F1 over distinct scores."""
    order = np.argsort(-score, kind="stable")
    s, hits = score[order], np.cumsum(y[order], dtype=np.int64)
    last = np.flatnonzero(np.append(s[1:] != s[:-1], True))
    return float(s[last[np.argmax(2 * hits[last] / (last + 1 + y.sum()))]])


def f1(score: np.ndarray, threshold: float, y: np.ndarray) -> float:
    yes = score >= threshold
    return float(2 * (yes & (y == 1)).sum() / max(1, yes.sum() + y.sum()))


def auc(score: np.ndarray, y: np.ndarray) -> float:
    positives = int(y.sum())
    rank_sum = rankdata(score)[y == 1].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / positives / (len(y) - positives))


class Peer:
    """LightGBM trained by the same recipe."""

    def __init__(self, data: TrainingData, seed: int, threads: int) -> None:
        self.features = infer_features(data.table, data.numeric, data.categorical)
        x = encode(data.table, self.features)
        params = {**LIGHTGBM, "seed": seed, "num_threads": threads}
        categorical = [i for i, f in enumerate(self.features) if f.kind == "categorical"]

        def fit(rows: Any) -> lgb.Booster:
            train = lgb.Dataset(x[rows], data.label[rows], categorical_feature=categorical)
            return lgb.train(params, train, int(FLIGHTS["n_estimators"]))

        fold = data.day % 2
        score = np.empty(len(fold))
        for k in (0, 1):
            score[fold == k] = fit(fold != k).predict(x[fold == k])
        self.threshold = f1_threshold(score, data.label)
        self.booster = fit(slice(None))

    def predict_proba(self, table: pa.Table) -> np.ndarray:
        return np.asarray(self.booster.predict(encode(table, self.features)))


def rows_of(table: pa.Table, day: np.ndarray, first: int, days: int) -> TrainingData:
    labelled = ~np.asarray(table.column("label").is_null())
    chosen = np.flatnonzero((day >= first) & (day < first + days) & labelled)
    part = table.take(pa.array(chosen))
    label = part.column("label").to_numpy().astype(np.uint8)
    return TrainingData(part, day[chosen].astype(np.int32), label, NUMERIC, CATEGORICAL)


def compare(train: TrainingData, test: TrainingData, seed: int, threads: int) -> dict[str, float]:
    start = time.perf_counter()
    ours = train_gbdt(train, params=FLIGHTS, seed=seed, n_threads=threads)
    middle = time.perf_counter()
    peer = Peer(train, seed, threads)
    end = time.perf_counter()
    a, b, y = ours.scores(test.table), peer.predict_proba(test.table), test.label
    return {
        "auc_ours": auc(a, y), "auc_peer": auc(b, y),
        "f1_ours": f1(a, ours.threshold, y), "f1_peer": f1(b, peer.threshold, y),
        "seconds_ours": middle - start, "seconds_peer": end - middle,
    }  # fmt: skip


def summary(rows: list[dict[str, float]], windows: int) -> dict[str, float]:
    out: dict[str, float] = {"windows": windows, "pairs": len(rows)}
    for metric in ("auc", "f1"):
        delta = np.array([r[f"{metric}_ours"] - r[f"{metric}_peer"] for r in rows])
        by_window = delta.reshape(windows, -1).mean(axis=1)
        out[f"{metric}_difference"] = float(delta.mean())
        out[f"{metric}_standard_error"] = float(by_window.std(ddof=1) / math.sqrt(windows))
        out[f"{metric}_ours"] = float(np.mean([r[f"{metric}_ours"] for r in rows]))
        out[f"{metric}_peer"] = float(np.mean([r[f"{metric}_peer"] for r in rows]))
    for who in ("ours", "peer"):
        out[f"seconds_{who}"] = float(np.median([r[f"seconds_{who}"] for r in rows]))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--windows", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    table = load(args.data)
    day = np.unique(np.asarray(table.column("day").cast(pa.string())), return_inverse=True)[1]
    last = int(day.max()) + 1 - TRAIN_DAYS - HOLDOUT_DAYS
    firsts = np.linspace(0, last, args.windows).round().astype(int)
    rows = []
    for number, first in enumerate(firsts):
        train = rows_of(table, day, int(first), TRAIN_DAYS)
        test = rows_of(table, day, int(first) + TRAIN_DAYS, HOLDOUT_DAYS)
        rows += [compare(train, test, seed, args.threads) for seed in range(args.seeds)]
        r = summary(rows, number + 1) if number else {}
        print(f"{number + 1}/{args.windows}", {k: round(v, 5) for k, v in r.items()}, flush=True)
    result = summary(rows, args.windows)
    result["threads"] = args.threads
    print(json.dumps(result, indent=1))
    if args.json:
        args.json.write_text(json.dumps({"summary": result, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
