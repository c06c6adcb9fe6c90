"""Days of models that other libraries train: decided, registered, served and re-run like ours."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from devtools.synthetic import FIRST, SPEC, bootstrap, toy_run, write_days
from retrain_ops.cli.main import run_day
from retrain_ops.comparison.scoring import load_version
from retrain_ops.models import load_model, train_estimator
from retrain_ops.models.mlflow_flavor import _load_pyfunc
from retrain_ops.problems import BINARY

__all__ = ["_load_pyfunc", "load_model", "train_pipeline"]

ROOT = Path(__file__).resolve().parents[2]
BOOTSTRAP, CHANGED = FIRST + timedelta(days=17), FIRST + timedelta(days=36)

BARE = """
import importlib, json, sys
import pyarrow.parquet as pq
model = importlib.import_module(sys.argv[1])._load_pyfunc(sys.argv[2])
print(json.dumps([s.hex() for s in model.predict(pq.read_table(sys.argv[3])).tolist()]))
"""


AGAIN = """
import hashlib, sys
import tests.pipeline.test_libraries as tested
from datetime import date
from pathlib import Path
from devtools.synthetic import toy_run
from retrain_ops.data.processed import read_processed
from retrain_ops.models.training import resolve_trainer
from retrain_ops.steps.train import training_data
folder, day, trainer, params = Path(sys.argv[1]), date.fromisoformat(sys.argv[2]), *sys.argv[3:]
run = toy_run(folder, None, day, spec=tested.spec_of(trainer, params), n_threads=2)
rows = training_data(run, read_processed(run.workspace, day, days=run.window.train))
train = resolve_trainer(trainer)
model = train(rows, params=run.spec.train, seed=run.spec.model.seed, n_threads=2)
print(hashlib.sha256(model.to_bytes()).hexdigest())
"""


def train_pipeline(data, *, params, seed, n_threads):
    """A trainer of the user's own."""
    steps = make_pipeline(StandardScaler(), LogisticRegression(**params))
    return train_estimator(steps, data, seed=seed, n_threads=n_threads)


def spec_of(trainer: str, train: str) -> str:
    spec = SPEC.replace('name = "toy"', f'name = "toy"\ntrainer = "{trainer}"')
    return re.sub(r"\[train\]\n(?:[^\[].*\n|\n)*", f"[train]\n{train}\n\n", spec)


@pytest.mark.parametrize(
    ("trainer", "train", "packages"),
    [
        ("xgboost", "n_estimators = 10\nmax_depth = 3", ["xgboost"]),
        ("lightgbm", "n_estimators = 10\nnum_leaves = 8", ["lightgbm"]),
        (
            "sklearn:RandomForestClassifier",
            "n_estimators = 10\nmax_depth = 5",
            ["scikit-learn", "skops"],
        ),
        (f"{__name__}:train_pipeline", "C = 0.5", []),
    ],
    ids=["xgboost", "lightgbm", "forest", "pipeline"],
)
def test_it_passes_is_read_in_a_bare_process_and_made_once(
    tmp_path, client, server, messages, trainer, train, packages
):
    write_days(tmp_path / "rows", 60, rule_changes=18, shift_from=18, shift=0.6)
    spec = spec_of(trainer, train)
    bootstrap(tmp_path, client, BOOTSTRAP, spec=spec)
    run = toy_run(tmp_path, client, CHANGED, spec=spec)
    assert run_day(run)["outcome"] == "challenger"
    names = ("decision.json", "model.rtm", "reference.json")
    kept = {name: run.workspace.read(run.path(name)) for name in names}
    run_day(toy_run(tmp_path, client, CHANGED, spec=spec, n_threads=2))
    assert kept == {name: run.workspace.read(run.path(name)) for name in names}
    assert len(server.versions) == len(server.runs) == 2
    (mlmodel,) = {v for k, v in server.artifacts.items() if k.endswith("MLmodel")}
    loader = re.search(r"loader_module: (\S+)", mlmodel.decode())
    assert loader is not None
    (needed,) = {v.decode() for k, v in server.artifacts.items() if k.endswith("requirements.txt")}
    assert [line.partition("==")[0] for line in needed.split()][4:] == packages
    rows = tmp_path / "rows" / f"day={CHANGED}" / "part-0.parquet"
    model = load_version(run, run.registry.version("2"))
    here = [s.hex() for s in BINARY.scored(model, pq.read_table(rows), n_threads=3).scores.tolist()]
    file = str(run.workspace.absolute(run.path("model.rtm")))
    command = [sys.executable, "-c", BARE, loader[1], file, str(rows)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == here
    again = [sys.executable, "-c", AGAIN, str(tmp_path), CHANGED.isoformat(), trainer, train]
    done = subprocess.run(again, cwd=ROOT, capture_output=True, check=True)
    digest = run.read("train.json")["model_sha256"]
    assert done.stdout.split()[-1].decode() == digest  # equal bytes in a second process


def test_a_quiet_day_refuses_a_parameter_that_the_library_does_not_know(tmp_path, client, messages):
    write_days(tmp_path / "rows", 30)
    day = FIRST + timedelta(days=20)
    bootstrap(tmp_path, client, day)
    spec = SPEC.replace('name = "toy"', 'name = "toy"\ntrainer = "xgboost"')
    output = run_day(toy_run(tmp_path, client, day + timedelta(days=1), spec=spec))
    assert output["exit_code"] == 2
    assert re.match(r"toy.toml, line \d+: \[train\] min_samples_leaf: ", output["message"])
    assert "unknown parameter; known parameters: " in output["message"]
