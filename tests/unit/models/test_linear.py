from __future__ import annotations

import hashlib
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.utils.estimator_checks import check_estimator

from retrain_ops import _core
from retrain_ops.errors import ConfigError, CorruptError, DataError
from retrain_ops.models import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    TrainingData,
    load_model,
    resolve_loader,
    resolve_trainer,
    train_linear,
    train_logistic,
)
from retrain_ops.models import mlflow_flavor as flavor
from retrain_ops.models.lightgbm_text import lightgbm_text

ROWS = 5000
RNG = np.random.default_rng(3)
X = RNG.normal(size=(ROWS, 5))
LABEL = (X[:, 0] + RNG.normal(size=ROWS) > 0.3).astype(int)
ESTIMATORS = [
    (LogisticRegression(), LABEL),
    (LogisticRegression(), np.array(["u", "v", "w"])[LABEL + (X[:, 1] > 0)]),
    (LinearRegression(alpha=1.0), X[:, 0] + X[:, 1] ** 2),
    (PoissonRegressor(alpha=0.1), np.round(np.exp(X[:, 0]))),
]


@pytest.mark.parametrize(
    "estimator", [LogisticRegression(), LinearRegression(), PoissonRegressor()], ids=repr
)
def test_scikit_learns_checks_pass(estimator: Any) -> None:
    found = check_estimator(estimator, on_fail=None, on_skip=None)
    assert [(r["check_name"], r["exception"]) for r in found if r["status"] == "failed"] == []


@pytest.mark.parametrize(("estimator", "y"), ESTIMATORS)
def test_bytes_depend_on_neither_team_nor_layout(estimator: Any, y: Any) -> None:
    def digest(x: Any, threads: int) -> str:
        return str(estimator.set_params(n_threads=threads).fit(x, y).model_.sha256)

    first = digest(X, 1)
    layouts = (np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2], X)
    assert {digest(x, threads) for x in layouts for threads in (1, 2, 7)} == {first}


def test_another_process_gives_the_same_bytes() -> None:
    code = (
        "import numpy as np; from retrain_ops.models import LogisticRegression as L;"
        "x = np.random.default_rng(1).normal(size=(3000, 4));"
        "print(L().fit(x, (x[:, 0] > 0.1 * x[:, 1]).astype(int)).model_.sha256)"
    )
    run = [sys.executable, "-c", code]
    hashes = {
        subprocess.run(run, capture_output=True, text=True, check=True, env=env).stdout
        for env in (dict(os.environ), {**os.environ, "OMP_NUM_THREADS": "3"})
    }
    assert len(hashes) == 1


@pytest.mark.parametrize(("estimator", "y"), ESTIMATORS)
def test_a_file_and_a_pickle_predict_the_same(estimator: Any, y: Any, tmp_path: Path) -> None:
    estimator.fit(X, y)
    estimator.save(tmp_path / "model.rtm")
    loaded = load_model(tmp_path / "model.rtm")
    assert loaded.kind == "linear"
    assert hashlib.sha256(loaded.to_bytes()).hexdigest() == estimator.model_.sha256
    again = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(again.predict(X), estimator.predict(X))
    np.testing.assert_array_equal(again.coef_, estimator.coef_)
    if hasattr(estimator, "predict_proba"):
        np.testing.assert_array_equal(loaded.predict_proba(X), estimator.predict_proba(X))
    else:
        np.testing.assert_array_equal(loaded.predict(X), estimator.predict(X))


def test_a_damaged_file_is_refused() -> None:
    data = bytearray(LogisticRegression().fit(X, LABEL).to_bytes())
    for at in (12, 60, 90, len(data) - 40):
        data[at] ^= 1
        with pytest.raises(CorruptError):
            load_model(bytes(data))
        data[at] ^= 1


def test_a_missing_number_counts_as_the_mean() -> None:
    gappy = X.copy()
    gappy[::7, 1] = np.nan
    filled = np.where(np.isnan(gappy), np.nanmean(gappy, axis=0), gappy)
    ours = LinearRegression(standardize=False).fit(gappy, X[:, 0] - X[:, 1])
    other = LinearRegression(standardize=False).fit(filled, X[:, 0] - X[:, 1])
    np.testing.assert_allclose(ours.coef_, other.coef_, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(ours.predict(gappy), other.predict(filled), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(ours.model_.core.fills, np.nanmean(gappy, axis=0), atol=1e-15)


def test_an_unknown_level_adds_nothing() -> None:
    table = pa.table({"n": X[:, 0], "c": ["x", "y"] * (ROWS // 2)})
    model = LinearRegression(categorical_features=["c"], alpha=1.0).fit(table, X[:, 0])
    new = model.predict(pa.table({"n": [2.0, 2.0], "c": ["z", None]}))
    expected = model.intercept_ + 2.0 * model.coef_[0]
    np.testing.assert_allclose(new, [expected, expected], rtol=1e-14)


def test_an_infinity_is_refused_by_row_and_column() -> None:
    bad = X.copy()
    bad[17, 2] = np.inf
    with pytest.raises(ValueError, match="row 17, column 2 is infinite"):
        LogisticRegression().fit(bad, LABEL)


@pytest.mark.parametrize(
    "wrong", [{"C": 0.0}, {"C": -1.0}, {"tol": -1.0}, {"max_iter": 0}, {"C": float("nan")}]
)
def test_impossible_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        LogisticRegression(**wrong).fit(X, LABEL)


def test_too_few_passes_warn_and_leave_finite_slopes() -> None:
    with pytest.warns(Warning, match="max_iter=1"):
        model = LogisticRegression(max_iter=1).fit(X, LABEL)
    assert np.isfinite(model.coef_).all()


def test_separable_labels_end_with_finite_slopes() -> None:
    model = LogisticRegression().fit(X, X[:, 0] > 0)
    assert model.score(X, X[:, 0] > 0) > 0.98
    assert np.isfinite(model.coef_).all()


def test_linear_models_have_no_trees() -> None:
    model = LinearRegression().fit(X, X[:, 0]).model_
    with pytest.raises(TypeError, match="linear"):
        model.importance()
    with pytest.raises(TypeError, match="linear"):
        lightgbm_text(model)
    with pytest.raises(TypeError, match="amounts"):
        model.predict_proba(X)


def training(rows: int = 4000) -> TrainingData:
    wind = X[:rows, 0]
    carrier = np.array(["AA", "DL", "WN"])[RNG.integers(0, 3, rows)]
    table = pa.table({"wind": wind, "carrier": carrier})
    label = (RNG.random(rows) < 1 / (1 + np.exp(1 - 2 * wind - (carrier == "DL")))).astype(np.uint8)
    day = np.sort(RNG.integers(0, 10, rows)).astype(np.int32)
    return TrainingData(table, day, label, ("wind",), ("carrier",))


def test_the_trainer_finds_the_threshold_on_rows_it_has_not_seen() -> None:
    data = training()
    assert resolve_trainer("logistic") is train_logistic
    models = [train_logistic(data, params={}, seed=s, n_threads=n) for s, n in ((1, 1), (1, 2))]
    assert models[0].sha256 == models[1].sha256
    found = models[0]
    scores = np.empty(len(data.label))
    for fold in (0, 1):
        held = data.day % 2 == fold
        part = TrainingData(
            data.table.filter(pa.array(~held)), data.day[~held], data.label[~held],
            data.numeric, data.categorical,
        )  # fmt: skip
        other = train_logistic(part, params={}, seed=1, n_threads=1)
        scores[held] = other.scores(data.table.filter(pa.array(held)))
    assert found.threshold == _core.f1_threshold(scores, data.label)[0]
    assert 0.2 < found.threshold < 0.6


def test_the_trainer_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ConfigError, match="learning_rate"):
        train_logistic(training(), params={"learning_rate": 0.1}, seed=1, n_threads=1)
    with pytest.raises(ConfigError, match="l2"):
        train_logistic(training(), params={"l2": -1}, seed=1, n_threads=1)


def test_an_infinite_number_is_refused_by_name() -> None:
    data = training()
    wind = data.table["wind"].to_numpy().copy()
    wind[[5, 9]] = -np.inf
    odd = replace(data, table=data.table.set_column(0, "wind", pa.array(wind)))
    for train in (train_logistic, train_linear):
        with pytest.raises(DataError, match=r"wind is -inf \(2 of 4000 rows are infinite\)"):
            train(odd, params={}, seed=1, n_threads=1)


def test_mlflow_loads_it_from_the_file_alone(tmp_path: Path) -> None:
    data = training()
    model = train_logistic(data, params={}, seed=1, n_threads=1)
    model.save(tmp_path / flavor.MODEL_FILE)
    loaded = flavor._load_pyfunc(str(tmp_path / flavor.MODEL_FILE))
    np.testing.assert_array_equal(loaded.predict(data.table.to_pandas()), model.scores(data.table))
    read = resolve_loader("logistic")(model.to_bytes())
    assert read.threshold == model.threshold


@pytest.fixture(scope="module")
def many() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    x = rng.normal(size=(300_000, 3)).astype(np.float32) * np.float32([1, 50, 0.01])
    odds = x[:, 0] + 0.02 * x[:, 1] - 1.0
    return x, (rng.random(len(x)) < 1 / (1 + np.exp(-odds))).astype(int)


def slope_left(model: LogisticRegression, x: np.ndarray, y: np.ndarray) -> float:
    """The largest derivative of the unpenalised loss, over the rows."""
    rest = model.predict_proba(x)[:, 1] - y
    return float(
        np.abs(np.append(rest.mean(), (x / x.std(0)).T.astype(float) @ rest / len(y))).max()
    )


def test_many_rows_begin_at_some_of_them(many: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = many
    usual, found = _core.isa(), set()
    try:
        for level in ("baseline", usual):
            _core.isa(level)
            for threads in (1, 2, 7):
                model = LogisticRegression(C=1e9, n_threads=threads).fit(x, y)
                found.add(model.model_.sha256)
    finally:
        _core.isa(usual)
    assert len(found) == 1
    assert model.n_iter_ <= 3
    assert slope_left(model, x, y) < 1e-9


def test_many_rows_of_which_the_first_look_sees_one_class_only(
    many: tuple[np.ndarray, np.ndarray],
) -> None:
    x, y = many
    seen = np.arange(len(y)) // 1024 % 16 == 0
    for only in (0, 1):
        alone = np.where(seen, only, y)
        model = LogisticRegression(C=1e9).fit(x, alone)
        assert slope_left(model, x, alone) < 1e-9
    apart = np.where(seen, x[:, 0] > 0, y)
    assert slope_left(LogisticRegression(C=1e12).fit(x, apart), x, apart) < 1e-9
    weight = np.where(seen, 0.0, 1.0)
    model = LogisticRegression(C=1e9).fit(x, y, weight)
    assert slope_left(model, x[~seen], y[~seen]) < 1e-8
    counts = np.where(seen, 0, y)
    poisson = PoissonRegressor(alpha=0.0).fit(x, counts)
    assert abs((poisson.predict(x) - counts).mean()) < 1e-9
