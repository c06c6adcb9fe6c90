"""Exports read by the runtimes they are for: the same scores and the same decisions."""

from __future__ import annotations

import sys

import lightgbm
import numpy as np
import onnxruntime
import pyarrow as pa
import pytest

from retrain_ops.errors import ConfigError
from retrain_ops.models import (
    GBDTClassifier,
    GBDTRegressor,
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
)
from retrain_ops.models.onnx_export import onnx_bytes

ROWS = 100_000
LEVELS = [f"k{i:03d}" for i in range(90)]
MODELS = {
    "binary trees": GBDTClassifier(n_estimators=30, min_data_per_group=10, cat_smooth=1.0),
    "softmax trees": GBDTClassifier(n_estimators=10, min_data_per_group=10),
    "amounts by trees": GBDTRegressor(n_estimators=20),
    "logistic": LogisticRegression(),
    "softmax": LogisticRegression(),
    "least squares": LinearRegression(alpha=1.0),
    "Poisson": PoissonRegressor(),
}


def rows(count: int, *, odd: bool = False) -> pa.Table:
    """Columns with missing numbers; `odd`: also categories that are missing or unknown."""
    rng = np.random.default_rng(count)
    a, b, d = rng.normal(size=(3, count))
    d[rng.random(count) < 0.2] = np.nan
    c = rng.choice(LEVELS, count).astype(object)
    if odd:
        c[rng.random(count) < 0.05] = "new"
        c[rng.random(count) < 0.05] = None
    return pa.table({"a": a, "c": pa.array(c, pa.string()), "b": b.astype(np.float32), "d": d})


def target(table: pa.Table, name: str) -> np.ndarray:
    a, d = table["a"].to_numpy(), table["d"].to_numpy()
    c = np.isin(table["c"].to_pylist(), LEVELS[::7])
    raw = a + 1.5 * c + np.isnan(d)
    if name in ("binary trees", "logistic"):
        return raw > 1.1
    if name.startswith("softmax"):
        return np.digitize(raw, [0.0, 1.1])
    return np.floor(np.exp(raw)) if name == "Poisson" else raw


def feed(table: pa.Table) -> dict[str, np.ndarray]:
    """What a runtime is given: [n, 1] of double or of string, "" for no category."""
    made = {name: table[name].to_numpy().astype(np.float64)[:, None] for name in "abd"}
    texts = [text or "" for text in table["c"].to_pylist()]
    return {**made, "c": np.array(texts, dtype=object)[:, None]}


@pytest.fixture(scope="module")
def odd_rows() -> pa.Table:
    return rows(ROWS, odd=True)


@pytest.fixture(scope="module")
def fitted() -> dict[str, object]:
    table = rows(4000)
    return {
        name: estimator.fit(table, target(table, name), categorical_features=["c"]).model_
        for name, estimator in MODELS.items()
    }


@pytest.mark.parametrize("ml_opset", [5, 3])
@pytest.mark.parametrize("name", MODELS)
def test_onnxruntime_says_the_same_of_every_row(fitted, odd_rows, name, ml_opset):
    model = fitted[name]
    data = onnx_bytes(model, ml_opset=ml_opset)
    assert data == onnx_bytes(model, ml_opset=ml_opset)
    session = onnxruntime.InferenceSession(data)
    names = [output.name for output in session.get_outputs()]
    said = dict(zip(names, session.run(None, feed(odd_rows)), strict=True))
    near = 2e-6 if ml_opset == 3 and name.endswith("trees") else 1e-13
    if model.amounts:
        expected = model.scores(odd_rows)
        assert np.allclose(said["value"], expected, rtol=near, atol=near)
        return
    shares = model.predict_proba(odd_rows)
    assert np.abs(said["probabilities"] - shares).max() < near
    differ = np.flatnonzero(said["label"] != model.predict(odd_rows))
    edge = np.abs(shares[:, 1] - model.threshold) if shares.shape[1] == 2 else _lead(shares)
    assert (edge[differ] < near).all()
    assert len(differ) <= (5 if near == 2e-6 else 0)


def _lead(shares: np.ndarray) -> np.ndarray:
    ordered = np.sort(shares, axis=1)
    return ordered[:, -1] - ordered[:, -2]


def test_the_threshold_decides_in_the_graph(fitted, odd_rows):
    model = fitted["logistic"].with_threshold(0.25)
    session = onnxruntime.InferenceSession(onnx_bytes(model))
    label = session.run(["label"], feed(odd_rows))[0]
    assert np.array_equal(label, model.predict(odd_rows))
    assert label.mean() > fitted["logistic"].predict(odd_rows).mean()


@pytest.mark.parametrize("ml_opset", [5, 3])
@pytest.mark.parametrize("kind", [GBDTClassifier, GBDTRegressor])
def test_trees_without_a_split_are_a_constant(kind, ml_opset):
    table = rows(50)
    model = kind(n_estimators=3, min_samples_leaf=40)
    model.fit(table, target(table, "binary trees").astype(int), categorical_features=["c"])
    session = onnxruntime.InferenceSession(onnx_bytes(model.model_, ml_opset=ml_opset))
    said = session.run(None, feed(table))[-1]
    expected = model.model_.scores(table)
    assert np.allclose(said[:, 1] if said.ndim == 2 else said, expected, rtol=1e-15)


def test_infinities_go_where_they_go_here(fitted):
    table = rows(300)
    a = table["a"].to_numpy().copy()
    a[::3], a[1::3] = np.inf, -np.inf
    table = table.set_column(0, "a", pa.array(a))
    model = fitted["binary trees"]
    said = onnxruntime.InferenceSession(onnx_bytes(model)).run(["probabilities"], feed(table))[0]
    assert np.allclose(said, model.predict_proba(table), rtol=1e-13)


@pytest.mark.parametrize("name", ["binary trees", "softmax trees", "amounts by trees"])
def test_lightgbm_reads_our_text(fitted, odd_rows, name):
    model = fitted[name]
    columns = feed(odd_rows)
    levels = {text: i for i, text in enumerate(model.features[1].categories)}
    codes = [float(levels.get(text, np.nan)) for text in columns["c"][:, 0]]
    x = np.column_stack([columns["a"][:, 0], codes, columns["b"][:, 0], columns["d"][:, 0]])
    said = lightgbm.Booster(model_str=model.to_lightgbm()).predict(x)
    assert np.abs(said - model.scores(odd_rows)).max() < 1e-14


def test_an_estimator_has_both_exports(fitted):
    estimator = MODELS["binary trees"]
    assert estimator.to_onnx() == onnx_bytes(estimator.model_)
    assert estimator.to_lightgbm() == estimator.model_.to_lightgbm()
    with pytest.raises(TypeError, match="no trees"):
        MODELS["logistic"].to_lightgbm()
    with pytest.raises(ValueError, match="ml_opset is 5 or 3"):
        estimator.to_onnx(ml_opset=4)


def test_a_missing_onnx_is_named_with_what_to_install(fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConfigError, match=r"pip install .*\[onnx\]"):
        onnx_bytes(fitted["logistic"])
