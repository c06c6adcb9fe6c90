"""Models of other libraries: a trainer of the user's own, and what processes of their own find.

The module is named by specs, `trainer = "devtools.trainers:train_pipeline"`, so it has what such
a module has to have.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retrain_ops.models import load_model, train_estimator
from retrain_ops.models.mlflow_flavor import _load_pyfunc

__all__ = [
    "_load_pyfunc",
    "load_model",
    "predicted_alone",
    "train_pipeline",
    "trained_again",
    "with_train_table",
]

ROOT = Path(__file__).resolve().parents[1]
_PREDICT = """
import importlib, json, sys
import pyarrow.parquet as pq
model = importlib.import_module(sys.argv[1])._load_pyfunc(sys.argv[2])
print(json.dumps([s.hex() for s in model.predict(pq.read_table(sys.argv[3])).tolist()]))
"""
_TRAIN = """
import hashlib, sys
from datetime import date
from retrain_ops.data.processed import read_processed
from retrain_ops.models.training import resolve_trainer
from retrain_ops.run import open_run
from retrain_ops.steps.train import training_data
spec, workspace, day = sys.argv[1:]
run = open_run(spec, date=date.fromisoformat(day), workspace=workspace, tracking_uri="http://x")
rows = training_data(run, read_processed(run.workspace, run.window.end, days=run.window.train))
train = resolve_trainer(run.spec.model.trainer)
model = train(rows, params=run.spec.train, seed=run.spec.model.seed, n_threads=2)
print(hashlib.sha256(model.to_bytes()).hexdigest())
"""


def train_pipeline(data: Any, *, params: Any, seed: int, n_threads: int) -> Any:
    """A trainer of the user's own, as docs/trainers.md shows it."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    steps = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(**params))
    return train_estimator(steps, data, seed=seed, n_threads=n_threads)


def with_train_table(spec: str, train: str) -> str:
    """A spec's text with these lines as its `[train]`."""
    head, _, rest = spec.partition("[train]\n")
    _, following, tail = rest.partition("\n[")
    return f"{head}[train]\n{train}\n{following}{tail}"


def predicted_alone(loader: str, model: Path, rows: Path) -> list[str]:
    """Scores of a Parquet file's rows by MLflow's loader in a new process, as hex."""
    found: list[str] = json.loads(_in_a_process(_PREDICT, [loader, str(model), str(rows)]))
    return found


def trained_again(spec: Path, workspace: Path, day: str) -> str:
    """SHA-256 of what a new process trains on a key's rows, with another team."""
    return _in_a_process(_TRAIN, [str(spec), str(workspace), day])


def _in_a_process(code: str, arguments: Sequence[str]) -> str:
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()[-1]
