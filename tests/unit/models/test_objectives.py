"""More than two classes, amounts, and what can be asked of the trees."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from retrain_ops.errors import DataError
from retrain_ops.models import GBDTClassifier, GBDTRegressor, load_model

RNG = np.random.default_rng(8)
ROWS = 1500
X = RNG.normal(size=(ROWS, 5))
KIND = np.array(["low", "mid", "top"])[np.digitize(X[:, 0] + 0.2 * X[:, 1], [-0.6, 0.6])]
AMOUNT = 500 + 20 * X[:, 0] + 10 * X[:, 1] ** 2 + RNG.normal(size=ROWS)
SMALL: dict[str, Any] = {"n_estimators": 25, "min_samples_leaf": 5}


def test_three_classes_by_name() -> None:
    model = GBDTClassifier(**SMALL).fit(X, KIND)
    p = model.predict_proba(X)
    assert p.shape == (ROWS, 3)
    assert np.allclose(p.sum(axis=1), 1)
    assert list(model.classes_) == ["low", "mid", "top"]
    assert model.score(X, KIND) > 0.95
    assert model.n_iter_ == 25
    loaded = load_model(model.to_bytes())
    assert loaded.objective == "softmax"
    assert np.array_equal(loaded.predict_proba(X), p)
    assert np.array_equal(model.classes_[loaded.predict(X)], model.predict(X))


def test_rows_of_one_and_of_many_are_predicted_alike() -> None:
    for model in (GBDTClassifier(**SMALL).fit(X, KIND), GBDTRegressor(**SMALL).fit(X, AMOUNT)):
        core = model.model_.core
        single = np.concatenate([np.atleast_1d(core.predict(row[None])) for row in X[:50]])
        assert np.array_equal(single, core.predict(X)[:50])


def test_amounts_and_their_unit() -> None:
    model = GBDTRegressor(**SMALL).fit(X, AMOUNT)
    assert model.score(X, AMOUNT) > 0.95
    larger = GBDTRegressor(**SMALL).fit(X, AMOUNT * 1024.0)
    assert np.allclose(larger.predict(X), model.predict(X) * 1024.0, rtol=1e-12)
    loaded = load_model(model.to_bytes())
    assert np.array_equal(loaded.predict(X), model.predict(X))
    with pytest.raises(TypeError, match="amounts"):
        loaded.predict_proba(X)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(X), model.predict(X))


def test_amounts_that_are_all_the_same() -> None:
    model = GBDTRegressor(**SMALL).fit(X, np.full(ROWS, 7.25))
    assert np.allclose(model.predict(X), 7.25, rtol=1e-12)


@pytest.mark.parametrize("estimator", [GBDTClassifier, GBDTRegressor])
def test_any_team_gives_the_same_bytes(estimator: Any) -> None:
    target = KIND if estimator is GBDTClassifier else AMOUNT
    found = {estimator(**SMALL, n_threads=n).fit(X, target).to_bytes() for n in (1, 2, 5)}
    assert len(found) == 1


def test_whole_weights_are_copies_of_rows() -> None:
    times = RNG.integers(0, 4, ROWS)
    x = np.round(X, 1)
    settings: dict[str, Any] = {"n_estimators": 10, "min_samples_leaf": 1}
    for estimator, target in ((GBDTClassifier, KIND), (GBDTRegressor, AMOUNT)):
        weighted = estimator(**settings).fit(x, target, sample_weight=times)
        copies = estimator(**settings).fit(np.repeat(x, times, 0), np.repeat(target, times))
        predict = "predict_proba" if estimator is GBDTClassifier else "predict"
        assert np.array_equal(getattr(weighted, predict)(x), getattr(copies, predict)(x))


def test_a_monotone_feature_never_turns() -> None:
    grid = np.tile(X[:20], (50, 1))
    grid[:, 0] = np.repeat(np.linspace(-3, 3, 50), 20)
    falling = GBDTRegressor(**SMALL, monotonic_cst=[-1, 0, 0, 0, 0]).fit(X, -AMOUNT)
    steps = np.diff(falling.predict(grid).reshape(50, 20), axis=0)
    assert np.all(steps <= 0)
    assert np.any(steps < 0)
    free = GBDTRegressor(**SMALL).fit(X, -AMOUNT)
    assert np.any(np.diff(free.predict(grid).reshape(50, 20), axis=0) > 0)


def test_monotone_features_are_named_by_column() -> None:
    frame = {f"c{i}": X[:, i] for i in range(5)}
    import pandas as pd

    table = pd.DataFrame(frame)
    by_name = GBDTRegressor(**SMALL, monotonic_cst={"c0": 1}).fit(table, AMOUNT)
    by_place = GBDTRegressor(**SMALL, monotonic_cst=[1, 0, 0, 0, 0]).fit(X, AMOUNT)
    assert np.array_equal(by_name.predict(table), by_place.predict(X))
    with pytest.raises(DataError, match="c9"):
        GBDTRegressor(monotonic_cst={"c9": 1}).fit(table, AMOUNT)


def test_early_stopping_keeps_the_best_round() -> None:
    noise = RNG.integers(0, 2, ROWS)
    stopped = GBDTClassifier(n_estimators=200, early_stopping_rounds=5).fit(X, noise)
    losses = stopped.validation_losses_
    assert len(losses) < 200
    assert len(losses) == int(np.argmin(losses)) + 1 + 5
    assert stopped.n_iter_ == int(np.argmin(losses)) + 1
    given = GBDTClassifier(n_estimators=200, early_stopping_rounds=5)
    given.fit(X[:1000], noise[:1000], eval_set=(X[1000:], noise[1000:]))
    p = given.predict_proba(X[1000:])[np.arange(500), noise[1000:]]
    assert given.validation_losses_.min() == pytest.approx(-np.log(p).mean(), rel=1e-9)


def test_rows_that_are_only_watched_change_nothing() -> None:
    plain = GBDTRegressor(**SMALL).fit(X[:1000], AMOUNT[:1000])
    watched = GBDTRegressor(**SMALL).fit(
        X[:1000], AMOUNT[:1000], eval_set=(X[1000:], AMOUNT[1000:])
    )
    assert watched.to_bytes() == plain.to_bytes()
    error = np.mean((plain.predict(X[1000:]) - AMOUNT[1000:]) ** 2)
    assert watched.validation_losses_[-1] == pytest.approx(error, rel=1e-9)


def test_depth_wise_trees_are_flat() -> None:
    leafy = GBDTRegressor(n_estimators=1, max_leaf_nodes=8, grow_policy="depthwise")
    assert leafy.fit(X, AMOUNT).model_.core.params["depth_wise"] == 1
    with pytest.raises(ValueError, match="grow_policy"):
        GBDTRegressor(grow_policy="sideways").fit(X, AMOUNT)


@pytest.mark.parametrize(
    ("target", "message"),
    [(["a", "b"] * 750, "numbers"), (np.full(ROWS, np.inf), "infinity"), (AMOUNT[:9], "rows")],
)
def test_amounts_that_are_none_are_refused(target: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        GBDTRegressor().fit(X, target)


def test_polars_and_arrow_tables_are_taken_by_their_capsules() -> None:
    import pyarrow as pa

    class Capsule:
        """A table of another library: nothing but its Arrow stream."""

        def __init__(self, table: pa.Table) -> None:
            self.table = table

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return self.table.__arrow_c_stream__(requested_schema)

    table = pa.table({f"c{i}": X[:, i] for i in range(5)})
    by_arrow = GBDTRegressor(**SMALL).fit(table, AMOUNT)
    by_capsule = GBDTRegressor(**SMALL).fit(Capsule(table), AMOUNT)
    assert by_capsule.to_bytes() == by_arrow.to_bytes()
    assert np.array_equal(by_capsule.predict(Capsule(table)), by_arrow.predict(table))
