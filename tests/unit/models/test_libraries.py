"""Models of other libraries: equal bytes, our files, refusals that say what to do."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from retrain_ops.errors import ConfigError, CorruptError, DataError
from retrain_ops.models import TrainingData, load_model, resolve_trainer, train_estimator
from retrain_ops.models.libraries.skops_bytes import _without_unset, skops_bytes
from retrain_ops.models.tabular import LIBRARY_MAGIC
from retrain_ops.models.training import refused_by_library
from retrain_ops.spec.train import is_trainer

ROOT = Path(__file__).resolve().parents[3]
FOREST = "sklearn:RandomForestClassifier"
PARAMS = {
    "xgboost": {"n_estimators": 20, "learning_rate": 0.2, "subsample": 0.8},
    "lightgbm": {"n_estimators": 20, "num_leaves": 8, "bagging_fraction": 0.8, "bagging_freq": 1},
    FOREST: {"n_estimators": 12, "max_depth": 6},
    "sklearn:HistGradientBoostingClassifier": {"max_iter": 8},
}
ROWS = 1200


def rows(*, missing: bool = True) -> TrainingData:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, ROWS))
    c = rng.choice(["x", "y", "z"], ROWS)
    odds = 1.8 * a - 1.2 * b + 0.8 * (c == "x")
    label = (rng.random(ROWS) < 1 / (1 + np.exp(-odds))).astype(np.uint8)
    if missing:
        b[::17] = np.nan
    table = pa.table({"a": a, "b": b, "c": pa.array(c.tolist())})
    day = np.repeat(np.arange(6, dtype=np.int32), ROWS // 6)
    return TrainingData(table, day, label, ("a", "b"), ("c",))


def trained(name: str, *, n_threads: int = 1, data: TrainingData | None = None):
    train = resolve_trainer(name)
    return train(data or rows(), params=PARAMS[name], seed=5, n_threads=n_threads)


def pipeline_model(n_threads: int = 1):
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    steps = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(C=0.5))
    return train_estimator(steps, rows(), seed=5, n_threads=n_threads)


def hashes() -> dict[str, str]:
    """Of a model of each kind, trained in this process."""
    made = {name: trained(name).to_bytes() for name in PARAMS}
    made["pipeline"] = pipeline_model().to_bytes()
    return {name: hashlib.sha256(data).hexdigest() for name, data in made.items()}


def test_another_process_makes_the_same_bytes():
    code = f"import json; from {__name__} import hashes; print(json.dumps(hashes()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "77"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == hashes()


@pytest.mark.parametrize("name", PARAMS)
def test_a_model_has_one_file_and_predicts_alike_for_any_team(name):
    data = rows()
    model = trained(name)
    read = load_model(model.to_bytes())
    assert read.to_bytes() == model.to_bytes() == trained(name, n_threads=3).to_bytes()
    assert read.sha256 == hashlib.sha256(model.to_bytes()).hexdigest()
    scores = model.scores(data.table, n_threads=1)
    assert scores.dtype == np.float64
    assert np.array_equal(scores, read.scores(data.table, n_threads=3))
    assert ((scores >= model.threshold) == data.label).mean() > 0.7
    assert 0.0 < model.threshold < 1.0
    assert [f.name for f in read.features] == ["a", "b", "c"]
    assert read.features[2].categories == ("x", "y", "z")
    assert read.kind == name.partition(":")[0]
    assert (read.predict(data.table) == (scores >= model.threshold)).all()
    assert read.with_threshold(0.25).threshold == 0.25


def test_scores_are_those_of_the_library_itself():
    import lightgbm
    import xgboost

    table = rows().table
    a, b = (table[name].to_numpy() for name in "ab")
    c = np.array(["xyz".index(v) for v in table["c"].to_pylist()], dtype=np.float64)
    x = np.column_stack([a, b, c])
    model = trained("lightgbm")
    text = model.core.payload.decode()
    assert np.array_equal(lightgbm.Booster(model_str=text).predict(x), model.scores(table))
    model = trained("xgboost")
    booster = xgboost.Booster()
    booster.load_model(bytearray(model.core.payload))
    matrix = xgboost.DMatrix(x, feature_types=["q", "q", "c"], enable_categorical=True)
    assert np.array_equal(booster.predict(matrix).astype(np.float64), model.scores(table))


def test_columns_are_found_by_name_and_unknown_levels_are_nothing():
    model, table = trained(FOREST), rows().table
    turned = table.select(["c", "a", "b"]).append_column("more", pa.array([1] * ROWS))
    assert np.array_equal(model.scores(turned), model.scores(table))
    strange = table.set_column(2, "c", pa.array(["new"] * ROWS))
    missing = table.set_column(2, "c", pa.array([None] * ROWS, type=pa.string()))
    assert np.array_equal(model.scores(strange), model.scores(missing))


@pytest.mark.parametrize(
    ("trainer", "params", "name", "words"),
    [
        ("xgboost", {"max_dept": 3}, "max_dept", "known parameters: base_score, booster"),
        ("xgboost", {"random_state": 3}, "random_state", r"is \[model\] seed"),
        ("xgboost", {"early_stopping_rounds": 3}, "early_stopping_rounds", "all rows"),
        ("lightgbm", {"num_leafs": 3}, "num_leafs", "unknown parameter"),
        ("lightgbm", {"random_seed": 3}, "random_seed", r"is \[model\] seed"),
        ("lightgbm", {"n_jobs": 3}, "n_jobs", "cannot be set"),
        ("lightgbm", {"eta": 0.1, "learning_rate": 0.2}, "learning_rate", "as eta is"),
        (FOREST, {"n_trees": 3}, "n_trees", "known parameters: bootstrap"),
        (FOREST, {"n_jobs": 3}, "n_jobs", "cannot be set"),
    ],
)
def test_parameters_are_those_of_the_library(trainer, params, name, words):
    refused = refused_by_library(trainer, params)
    assert refused is not None
    assert refused[0] == name
    with pytest.raises(ConfigError, match=f"training parameter {name}: .*{words}"):
        resolve_trainer(trainer)(rows(), params=params, seed=1, n_threads=1)


@pytest.mark.parametrize(
    ("trainer", "params"),
    [
        ("xgboost", {"max_depth": -3}),
        ("xgboost", {"booster": "none"}),
        ("lightgbm", {"num_leaves": 1}),
        (FOREST, {"max_depth": -3}),
    ],
)
def test_values_are_refused_by_the_library(trainer, params, capfd):
    assert refused_by_library(trainer, params) is None
    with pytest.raises(ConfigError) as refused:
        resolve_trainer(trainer)(rows(), params=params, seed=1, n_threads=1)
    assert "\n" not in str(refused.value)


def test_constraints_reach_xgboost():
    params = {"n_estimators": 5, "monotone_constraints": [-1, 0, 0]}
    model = resolve_trainer("xgboost")(rows(), params=params, seed=1, n_threads=1)
    grid = pa.table({"a": np.linspace(-3, 3, 50), "b": np.zeros(50), "c": ["x"] * 50})
    assert (np.diff(model.scores(grid)) <= 0).all()


@pytest.mark.parametrize("package", ["xgboost", "lightgbm"])
def test_a_missing_library_is_named_with_what_to_install(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    words = f'{package} is not installed: pip install "$(ls retrain_ops-*.whl)[{package}]"'
    with pytest.raises(ConfigError, match=re.escape(words)):
        resolve_trainer(package)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sklearn:NoForest", "no classifier 'NoForest'"),
        ("sklearn:LinearRegression", "no classifier"),
        ("sklearn:VotingClassifier", "write a trainer of your own"),
    ],
)
def test_a_class_that_is_no_classifier_is_refused(name, words):
    assert is_trainer(name)
    with pytest.raises(ConfigError, match=words):
        resolve_trainer(name)


def test_a_classifier_without_probabilities_is_refused():
    with pytest.raises(ConfigError, match="LinearSVC has no predict_proba"):
        resolve_trainer("sklearn:LinearSVC")(rows(missing=False), params={}, seed=1, n_threads=1)


def test_missing_values_are_named_in_training_and_have_no_score_afterwards():
    train = resolve_trainer("sklearn:LogisticRegression")
    with pytest.raises(DataError, match="values are missing in b: "):
        train(rows(), params={}, seed=1, n_threads=1)
    model = train(rows(missing=False), params={}, seed=1, n_threads=1)
    table = rows().table
    scores = model.scores(table)
    assert np.array_equal(np.isnan(scores), np.isnan(table["b"].to_numpy()))


def test_an_infinity_that_a_library_refuses_has_no_score():
    table = rows().table
    a = table["a"].to_numpy().copy()
    a[3] = np.inf
    scores = trained("xgboost").scores(table.set_column(0, "a", pa.array(a)))
    assert np.flatnonzero(np.isnan(scores)).tolist() == [3]


def test_no_damaged_file_is_read():
    data = trained("lightgbm").to_bytes()
    for i in range(0, len(data), 97):
        flipped = bytearray(data)
        flipped[i] ^= 1
        with pytest.raises(CorruptError):
            load_model(bytes(flipped))
        with pytest.raises(CorruptError):
            load_model(data[:i])


@pytest.mark.parametrize(
    "change",
    [
        {"library": "pickle"},
        {"version": 3},
        {"threshold": "half"},
        {"threshold": 1},
        {"features": []},
        {"features": [["a", "numeric", []], ["a", "numeric", []]]},
        {"features": [["a", "other", []]]},
        {"features": [["a", "categorical", ["y", "x"]]]},
        {"features": [["a", "categorical", [1]]]},
        {"features": [[["a"], "numeric", []]]},
        {"features": 7},
        {"library": "sklearn"},
        {"library": "xgboost"},
    ],
    ids=str,
)
def test_a_file_that_nobody_writes_is_refused(change):
    data = trained("lightgbm").to_bytes()
    at = len(LIBRARY_MAGIC)
    (length,) = struct.unpack_from("<I", data, at)
    header = json.loads(data[at + 4 : at + 4 + length])
    text = json.dumps({**header, **change}).encode()
    body = LIBRARY_MAGIC + struct.pack("<I", len(text)) + text + data[at + 4 + length : -32]
    with pytest.raises(CorruptError):
        load_model(body + hashlib.sha256(body).digest())


def test_memory_that_scikit_learn_leaves_unset_is_not_stored():
    node = np.dtype({
        "names": ["left_child", "missing_go_to_left"], "formats": ["<i8", "u1"], "itemsize": 16
    })  # fmt: skip
    head = io.BytesIO()
    np.save(head, np.zeros(2, node))
    head = head.getvalue()[:-32]
    clean = np.array([-1, 0, 3, 1]).astype("<i8").tobytes()
    dirty = bytearray(clean)
    dirty[8:16] = b"\xab" * 8  # a leaf's direction, and a gap
    dirty[25:32] = b"\xcd" * 7  # a gap
    assert _without_unset(head + bytes(dirty)) == head + clean


class Mine:
    """No part of scikit-learn."""


def test_a_type_that_is_not_scikit_learns_is_neither_stored_nor_read():
    import skops.io
    from sklearn.dummy import DummyClassifier

    estimator = DummyClassifier()
    estimator.extra_ = Mine()
    with pytest.raises(ConfigError, match=r"DummyClassifier holds .*Mine"):
        skops_bytes(estimator)
    model = trained(FOREST)
    payload = skops.io.dumps(estimator)
    text = json.dumps({
        "features": model.core.features, "library": "sklearn", "threshold": 0.5, "version": "1",
    }).encode()  # fmt: skip
    body = LIBRARY_MAGIC + struct.pack("<I", len(text)) + text + payload
    with pytest.raises(CorruptError, match=r"asks for .*Mine"):
        load_model(body + hashlib.sha256(body).digest())


def test_another_version_of_the_library_is_logged(caplog, monkeypatch):
    data = trained("lightgbm").to_bytes()
    import lightgbm

    monkeypatch.setattr(lightgbm, "__version__", "0.0.1")
    load_model(data)
    assert "is read by 0.0.1" in caplog.text


def test_importing_the_package_imports_no_library():
    code = (
        "import sys, retrain_ops.models, retrain_ops.steps.train\n"
        "names = ('xgboost', 'lightgbm', 'sklearn', 'skops', 'joblib')\n"
        "print([n for n in names if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


AMOUNTS = {
    "xgboost": {"n_estimators": 40, "objective": "reg:absoluteerror"},
    "lightgbm": {"n_estimators": 40, "objective": "quantile", "alpha": 0.9},
}


def amount_rows() -> TrainingData:
    plain = rows()
    a = plain.table["a"].to_numpy()
    label = 10 * a + np.random.default_rng(4).exponential(5, ROWS)
    return replace(plain, label=label, problem="regression")


@pytest.mark.parametrize("name", AMOUNTS)
@pytest.mark.parametrize("default", [False, True])
def test_a_library_predicts_amounts_by_an_objective_of_its_own(name, default):
    data = amount_rows()
    params = {"n_estimators": 40} if default else AMOUNTS[name]
    made = resolve_trainer(name)(data, params=params, seed=5, n_threads=1)
    model = load_model(made.to_bytes())
    assert model.amounts
    assert model.to_bytes() == made.to_bytes()
    found = model.predict(data.table)
    assert found.tolist() == made.scores(data.table).tolist()
    below = (data.label <= found).mean()
    aimed = {"xgboost": (0.4, 0.6), "lightgbm": (0.8, 0.97)}[name]
    assert (0.5 < below < 0.75) if default else (aimed[0] < below < aimed[1])
    again = resolve_trainer(name)(data, params=params, seed=5, n_threads=1)
    assert again.to_bytes() == made.to_bytes()


@pytest.mark.parametrize(
    ("name", "objective"), [("xgboost", "binary:logistic"), ("lightgbm", "multiclass")]
)
def test_an_objective_of_another_problem_is_refused(name, objective):
    with pytest.raises(ConfigError, match="objective: must be one of reg"):
        resolve_trainer(name)(amount_rows(), params={"objective": objective}, seed=1, n_threads=1)
    with pytest.raises(ConfigError, match="objective: cannot be set"):
        resolve_trainer(name)(rows(), params={"objective": "quantile"}, seed=1, n_threads=1)
