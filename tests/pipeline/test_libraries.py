"""Days of models that other libraries train: decided, registered, served and re-run like ours."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from devtools.synthetic import FIRST, SPEC, bootstrap, toy_run, write_days
from devtools.trainers import predicted_alone, trained_again, with_train_table
from retrain_ops.cli.main import run_day
from retrain_ops.comparison.scoring import load_version
from retrain_ops.problems import BINARY

BOOTSTRAP, CHANGED = FIRST + timedelta(days=17), FIRST + timedelta(days=36)


def spec_of(trainer: str, train: str) -> str:
    spec = SPEC.replace('name = "toy"', f'name = "toy"\ntrainer = "{trainer}"')
    return with_train_table(spec, train)


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
        ("devtools.trainers:train_pipeline", "C = 0.5", []),
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
    file = Path(run.workspace.absolute(run.path("model.rtm")))
    assert predicted_alone(loader[1], file, rows) == here
    (tmp_path / "toy.toml").write_text(spec)
    again = trained_again(tmp_path / "toy.toml", tmp_path / "workspace", CHANGED.isoformat())
    assert again == run.read("train.json")["model_sha256"]  # equal bytes in a second process


def test_a_quiet_day_refuses_a_parameter_that_the_library_does_not_know(tmp_path, client, messages):
    write_days(tmp_path / "rows", 30)
    day = FIRST + timedelta(days=20)
    bootstrap(tmp_path, client, day)
    spec = SPEC.replace('name = "toy"', 'name = "toy"\ntrainer = "xgboost"')
    output = run_day(toy_run(tmp_path, client, day + timedelta(days=1), spec=spec))
    assert output["exit_code"] == 2
    assert re.match(r"toy.toml, line \d+: \[train\] min_samples_leaf: ", output["message"])
    assert "unknown parameter; known parameters: " in output["message"]
