"""Flipped labels of the newest week: what `[noise]` finds of them, and what it is worth.

    python -m benchmarks.bench_noise build/data/flights

A tenth of the labels of the last 7 training days is flipped by a seeded hash of the request id.
By month of flights: the share of flips among what was left out, the share of flips found, rows
left out of clean days, and F1 on the clean hold-out with and without the filter, beside cleanlab
on the same out-of-fold scores. Writes build/bench/noise.json.
"""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from cleanlab.filter import find_label_issues
from sklearn.metrics import f1_score

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from retrain_ops.data.labels import labelled, labels_of  # noqa: E402
from retrain_ops.data.source import Source, day_index  # noqa: E402
from retrain_ops.data.window_rows import window_rows  # noqa: E402
from retrain_ops.models.training import TrainingData, train_gbdt  # noqa: E402
from retrain_ops.spec.spec import RetrainSpec, load_spec  # noqa: E402
from retrain_ops.stats.noise import doubtful_rows  # noqa: E402

DAYS, SHARE, FLIPPED = 7, 0.05, 0.1
ENDS = [date(2013, month, 28) for month in range(3, 13)]
RESULT = ROOT / "build" / "bench" / "noise.json"


def flips(ids: list[str], day: np.ndarray) -> np.ndarray:
    """A tenth of the newest days' rows, by the hash of their ids."""
    drawn = [int.from_bytes(hashlib.sha256(i.encode()).digest()[:4], "big") / 2**32 for i in ids]
    return (np.array(drawn) < FLIPPED) & (day > day.max() - DAYS)


def fitted(spec: RetrainSpec, data: TrainingData, rows: np.ndarray, label: np.ndarray) -> Any:
    part = TrainingData(
        table=data.table.filter(rows),
        day=data.day[rows],
        label=label[rows],
        numeric=data.numeric,
        categorical=data.categorical,
    )
    return train_gbdt(part, params=spec.train, seed=spec.model.seed, n_threads=0)


def out_of_fold(spec: RetrainSpec, data: TrainingData, label: np.ndarray) -> np.ndarray:
    score = np.empty(len(label))
    for half in (0, 1):
        held_out = data.day % 2 == half
        model = fitted(spec, data, ~held_out, label)
        score[held_out] = model.scores(data.table.filter(held_out), n_threads=0)
    return score


def ours(score: np.ndarray, label: np.ndarray, looked_at: np.ndarray) -> np.ndarray:
    return doubtful_rows(score, label, looked_at, SHARE)


def theirs(score: np.ndarray, label: np.ndarray, looked_at: np.ndarray) -> np.ndarray:
    """cleanlab's issues of the newest days, as many as ours may take, the least sure first."""
    both = np.column_stack([1 - score, score])
    found = find_label_issues(label, both, return_indices_ranked_by="self_confidence")
    newest = [i for i in found if looked_at[i]][: int(SHARE * looked_at.sum())]
    result = np.zeros(len(label), np.bool_)
    result[newest] = True
    return result


FILTERS = {"retrain_ops": ours, "cleanlab": theirs}


def month(spec: RetrainSpec, end: date) -> dict[str, Any]:
    window = spec.window_at(end)
    table, _ = window_rows(Source(spec), window)
    table = labelled(table, spec)
    of_day = np.asarray(table["day"].to_numpy())
    train = table.filter(of_day <= np.datetime64(window.train[-1]))
    held = table.filter(np.isin(of_day, np.array(window.holdout, "datetime64[D]")))
    name = spec.source.label
    label = labels_of(spec).values(train, name)
    features = {"numeric": spec.features.numeric, "categorical": spec.features.categorical}
    data = TrainingData(table=train, day=day_index(train)[0], label=label, **features)
    wrong = flips(train["request_id"].to_pylist(), data.day)
    newest = data.day > data.day.max() - DAYS
    truth = labels_of(spec).values(held, name)
    row: dict[str, Any] = {"window_end": end.isoformat(), "flipped": int(wrong.sum())}
    everything = np.ones(len(label), np.bool_)

    def judged(rows: np.ndarray, labels: np.ndarray) -> float:
        model = fitted(spec, data, rows, labels)
        return float(f1_score(truth, model.scores(held, n_threads=0) >= model.threshold))

    for kind, labels in (("clean", label), ("flipped", label ^ wrong)):
        row[f"{kind}: F1 unfiltered"] = judged(everything, labels)
        score = out_of_fold(spec, data, labels)
        for who, find in FILTERS.items():
            found = find(score, labels, newest)
            row[f"{kind}: left out by {who}"] = int(found.sum())
            row[f"{kind}: F1 filtered by {who}"] = judged(~found, labels)
            if kind == "flipped":
                row[f"flips among them, {who}"] = float((found & wrong).sum() / max(1, found.sum()))
                row[f"flips found, {who}"] = float((found & wrong).sum() / wrong.sum())
    return row


def main() -> None:
    import os

    os.environ["FLIGHTS_SOURCE"] = str(Path(sys.argv[1]).resolve())
    spec = load_spec(ROOT / "dags" / "flights.toml")
    rows = [month(spec, end) for end in ENDS]
    names = [name for name in rows[0] if name != "window_end"]
    for name in names:
        print(f"{name:<40} {np.mean([row[name] for row in rows]):10.4f}")
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
