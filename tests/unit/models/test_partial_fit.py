"""Learning row by row: cuts change nothing, units change nothing, and it learns."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import SGDClassifier

from retrain_ops import _core
from retrain_ops.models import LinearRegression, LogisticRegression, load_model
from retrain_ops.models.input import InputError

ROOT = Path(__file__).resolve().parents[3]
ROWS = 6000


def table(rows: int = ROWS, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 6)) * [1.0, 50.0, 0.01, 1.0, 3.0, 1.0] + [0, 300, 5, -2, 0, 0]
    raw = x[:, 0] + 0.03 * (x[:, 1] - 300) - 80 * (x[:, 2] - 5) + 0.5 * (x[:, 3] + 2)
    return x, (rng.random(rows) < 1 / (1 + np.exp(-raw))).astype(int)


def learnt(x: np.ndarray, y: np.ndarray, cuts: list[int], **params: object) -> LogisticRegression:
    model = LogisticRegression(**params)
    for begin, end in zip([0, *cuts], [*cuts, len(y)], strict=True):
        model.partial_fit(x[begin:end], y[begin:end], classes=[0, 1])
    return model


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    return float(-np.mean(np.where(y > 0, np.log(p), np.log1p(-p))))


def file_of_the_rows() -> bytes:
    return learnt(*table(), [1000, 2500]).to_bytes()


def test_cuts_leave_no_trace():
    x, y = table()
    whole = learnt(x, y, [500]).to_bytes()
    assert learnt(x, y, [500, 501, 900, 4000]).to_bytes() == whole
    assert learnt(np.asfortranarray(x), y, [500, 5999]).to_bytes() == whole
    assert learnt(x, y, [500], n_threads=7).to_bytes() == whole


def test_another_process_and_each_instruction_set_learn_the_same_bytes():
    best = _core.isa()
    here = file_of_the_rows()
    try:
        for level in ("baseline", "avx2"):
            _core.isa(level)
            assert file_of_the_rows() == here
    finally:
        _core.isa(best)
    code = f"import sys; from {__name__} import *; sys.stdout.buffer.write(file_of_the_rows())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ, capture_output=True, check=True
    )
    assert done.stdout == here


def test_a_file_and_a_pickle_go_on_where_they_were():
    x, y = table()
    whole = learnt(x, y, [500]).to_bytes()
    half = learnt(x[:3000], y[:3000], [500])
    again = pickle.loads(pickle.dumps(half))
    assert again.partial_fit(x[3000:], y[3000:]).to_bytes() == whole
    assert load_model(whole).to_bytes() == whole
    assert load_model(whole).core.rows_learnt == ROWS


def test_rows_that_are_not_seen_yet_are_scored_better_than_by_sgd():
    x, y = table(20_000)
    scaled = (x - x.mean(0)) / x.std(0)
    ours, theirs = LogisticRegression(), SGDClassifier(loss="log_loss", random_state=0)
    losses: tuple[list[float], list[float]] = ([], [])
    for at in range(0, len(y), 1000):
        rows = slice(at, at + 1000)
        if at:
            for of, model, data in zip(losses, (ours, theirs), (x, scaled), strict=True):
                p = np.clip(model.predict_proba(data[rows])[:, 1], 1e-15, 1 - 1e-15)
                of.append(log_loss(p, y[rows]))
        ours.partial_fit(x[rows], y[rows], classes=[0, 1])
        theirs.partial_fit(scaled[rows], y[rows], classes=[0, 1])
    assert np.mean(losses[0]) < np.mean(losses[1])
    best = LogisticRegression(C=np.inf).fit(x, y)
    assert losses[0][-1] < 1.02 * log_loss(best.predict_proba(x[-1000:])[:, 1], y[-1000:])


def test_units_do_not_matter():
    x, y = table()
    plain = learnt(x, y, [500]).predict_proba(x)
    other = learnt(x * 2.0**30, y, [500]).predict_proba(x * 2.0**30)
    assert np.array_equal(plain, other)
    third = learnt(x * 1000 + 7, y, [500]).predict_proba(x * 1000 + 7)
    assert np.allclose(plain, third, atol=1e-9)


def test_least_squares_come_near():
    x, _ = table(30_000)
    y = 1e6 + 2000 * x[:, 0] - 30 * x[:, 1] + np.random.default_rng(1).normal(size=len(x))
    model = LinearRegression()
    for at in range(0, len(y), 500):
        model.partial_fit(x[at : at + 500], y[at : at + 500])
    assert model.score(x, y) > 0.999
    assert np.isclose(model.coef_[0], 2000, rtol=0.02)


def test_several_classes_categories_and_gaps():
    rng = np.random.default_rng(2)
    a = rng.normal(size=ROWS)
    c = rng.choice(["x", "y", "z"], ROWS)
    label = np.digitize(a + 2.0 * (c == "x"), [-0.5, 1.0])
    a[::9] = np.nan
    frame = pa.table({"a": a, "c": c.tolist()})
    model = LogisticRegression(categorical_features=["c"])
    for at in range(0, ROWS, 1000):
        rows = frame.slice(at, 1000)
        model.partial_fit(rows, label[at : at + 1000], classes=[0, 1, 2])
    assert model.score(frame, label) > 0.75
    assert model.coef_names_ == ["a", "c=x", "c=y", "c=z"]
    strange = frame.set_column(1, "c", pa.array(["new"] * ROWS))
    before = model.to_bytes()
    model.partial_fit(strange.slice(0, 10), label[:10])
    assert model.to_bytes() != before
    assert model.coef_names_ == ["a", "c=x", "c=y", "c=z"]


def test_weights_of_zero_are_absent_rows():
    x, y = table()
    weight = np.where(np.arange(ROWS) % 3 == 0, 0.0, 1.0)
    kept = weight > 0
    given = LogisticRegression().partial_fit(x, y, classes=[0, 1], sample_weight=weight)
    left = LogisticRegression().partial_fit(x[kept], y[kept], classes=[0, 1])
    assert np.allclose(given.predict_proba(x), left.predict_proba(x), atol=1e-12)


def test_what_cannot_be_learnt_is_refused():
    x, y = table(100)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        LogisticRegression().partial_fit(x, y)
    model = LogisticRegression().partial_fit(x, y, classes=[0, 1])
    kept = model.to_bytes()
    with pytest.raises(ValueError, match=r"classes are .* since the first call"):
        model.partial_fit(x, y, classes=[0, 1, 2])
    with pytest.raises(InputError, match=r"y has .*7.*, the classes are"):
        model.partial_fit(x, y + 7)
    with pytest.raises(InputError, match="2 features"):
        model.partial_fit(x[:, :2], y)
    infinite = x.copy()
    infinite[3, 1] = np.inf
    with pytest.raises(ValueError, match="row 3, column 1 is infinite"):
        model.partial_fit(infinite, y)
    with pytest.raises(ValueError, match="row 3, column 1 is infinite"):
        LogisticRegression().partial_fit(infinite, y, classes=[0, 1])
    with pytest.raises(ValueError, match="classes is empty"):
        LogisticRegression().partial_fit(x, y, classes=[])
    with pytest.raises(InputError, match=r"y has \[2\], the classes are \[0, 1\]"):
        LogisticRegression().partial_fit(x, y * 2, classes=[0, 1])
    assert model.to_bytes() == kept
    with pytest.raises(ValueError, match="needs all rows at once"):
        LogisticRegression(class_weight="balanced").partial_fit(x, y, classes=[0, 1])
    with pytest.raises(ValueError, match="the rate must lie above 0"):
        LogisticRegression(learning_rate=0.0).partial_fit(x, y, classes=[0, 1])


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_learning_goes_on_after_a_fit(fit_intercept):
    x, y = table(20_000)
    model = LogisticRegression(fit_intercept=fit_intercept).fit(x[:10_000], y[:10_000])
    before = log_loss(model.predict_proba(x[10_000:])[:, 1], y[10_000:])
    model.partial_fit(x[:10_000], y[:10_000])
    after = log_loss(model.predict_proba(x[10_000:])[:, 1], y[10_000:])
    assert after < 1.02 * before


def test_least_squares_go_on_after_a_fit():
    x, _ = table(20_000)
    truth = 3 * x[:, 0] + 100
    y = truth + np.random.default_rng(3).normal(size=len(x))
    model = LinearRegression().fit(x[:10_000], y[:10_000])
    model.partial_fit(x[10_000:], y[10_000:])
    assert np.sqrt(np.mean((model.predict(x) - truth) ** 2)) < 0.2


def test_fit_begins_anew():
    x, y = table()
    model = learnt(x, y, [500])
    assert model.fit(x, y).to_bytes() == LogisticRegression().fit(x, y).to_bytes()
