"""Trees that go on: rounds appended, leaves anchored and refitted, the oldest rounds dropped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.utils.estimator_checks import check_estimator

from retrain_ops import _core
from retrain_ops.models import GBDTClassifier, GBDTRegressor, LogisticRegression
from retrain_ops.models.input import InputError
from retrain_ops.models.trees import LEAF, read_trees

SMALL: dict[str, Any] = {"max_leaf_nodes": 6, "min_samples_leaf": 10, "n_threads": 1}


def rows(count: int, seed: int, *, moved: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 4)) + moved
    x[rng.random(count) < 0.1, 1] = np.nan
    odds = x[:, 0] + np.where(np.nan_to_num(x[:, 1]) > 0.3, 1.0, -0.5) + 0.3 * x[:, 2] - moved
    return x, odds + rng.normal(size=count)


def labels(count: int, seed: int, *, moved: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    x, amount = rows(count, seed, moved=moved)
    return x, (amount > 0).astype(int)


def classes(count: int, seed: int, *, moved: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    x, amount = rows(count, seed, moved=moved)
    return x, np.digitize(amount, [-0.5, 0.8])


KINDS = [(GBDTClassifier, labels), (GBDTClassifier, classes), (GBDTRegressor, rows)]


def leaves_of(model: Any, x: np.ndarray) -> tuple[Any, np.ndarray]:
    """Its trees, and the node that each row reaches in each, [T, n]."""
    trees = read_trees(model.to_bytes())
    found = np.zeros((len(trees.start) - 1, len(x)), dtype=int)
    for t, at in enumerate(found):
        nodes = trees.tree(t)
        for _ in range(len(nodes)):
            split = nodes[at]
            value = x[np.arange(len(x)), np.maximum(split["feature"], 0)]
            missing = np.isnan(value)
            left = np.where(missing, split["missing_left"] == 1, value <= split["value"])
            inner = split["feature"] != LEAF
            at[inner] = np.where(left, split["left"], split["right"])[inner]
    return trees, found


def derivatives(score: np.ndarray, y: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Of the loss by output k of the scores [K, n]."""
    if y.dtype.kind == "f":
        return score[0] - y, np.ones(len(y))
    if len(score) == 1:
        p = 1 / (1 + np.exp(-score[0]))
        return p - y, p * (1 - p)
    share = np.exp(score - score.max(0))
    p = (share / share.sum(0))[k]
    return p - (y == k), len(score) / (len(score) - 1) * p * (1 - p)


def refitted(model: Any, x: np.ndarray, y: np.ndarray, gamma: float) -> tuple[list[Any], Any]:
    """The formula of `refit_leaves`, leaf by leaf: values and covers of all trees."""
    trees, found = leaves_of(model, x)
    outputs = len(trees.base_scores)
    score = np.tile(trees.base_scores[:, None], (1, len(x)))
    rate, l2 = model.learning_rate, model.l2_regularization
    values, covers = [], []
    for t, at in enumerate(found):
        if t % outputs == 0:
            begun = score.copy()
        g, h = derivatives(begun, y, t % outputs)
        nodes = trees.tree(t)
        G, H = (np.bincount(at, part, len(nodes)) for part in (g, h))
        old = gamma * (nodes["cover"] + l2) * nodes["value"]
        with np.errstate(invalid="ignore"):
            new = (old - rate * G) / (gamma * nodes["cover"] + H + l2)
        kept = (H == 0) | (gamma * nodes["cover"] + H < model.min_child_weight)
        value = np.where(kept, nodes["value"], new)
        score[t % outputs] += value[at]
        leaf = nodes["feature"] == LEAF
        values.append(value[leaf])
        covers.append((gamma * nodes["cover"] + H)[leaf])
    return values, covers


@pytest.mark.parametrize(("kind", "table"), KINDS)
@pytest.mark.parametrize("gamma", [1.0, 0.5, 0.0])
def test_leaves_are_those_of_the_formula(kind: Any, table: Any, gamma: float) -> None:
    model = kind(n_estimators=8, l2_regularization=2.0, **SMALL).fit(*table(900, 1))
    x, y = table(300, 2, moved=0.7)
    values, covers = refitted(model, x, y, gamma)
    before = read_trees(model.to_bytes())
    model.refit_leaves(x, y, gamma=gamma)
    after = read_trees(model.to_bytes())
    for t, (value, cover) in enumerate(zip(values, covers, strict=True)):
        leaf = after.tree(t)[after.tree(t)["feature"] == LEAF]
        np.testing.assert_allclose(leaf["value"], value, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(leaf["cover"], cover, rtol=1e-6, atol=1e-7)
        inner = before.tree(t)["feature"] != LEAF
        for name in ("value", "feature", "left", "right"):
            assert (after.tree(t)[name][inner] == before.tree(t)[name][inner]).all()


def test_one_tree_of_amounts_gets_the_leaves_of_both_tables() -> None:
    a, b = rows(900, 1), rows(400, 2, moved=0.7)
    model = GBDTRegressor(n_estimators=1, l2_regularization=2.0, **SMALL).fit(*a)
    _, at = leaves_of(model, np.vstack([a[0], b[0]]))
    base = model.model_.core.base_scores[0]
    model.refit_leaves(*b)
    y = np.concatenate([a[1], b[1]]) - base
    for leaf in np.unique(at[0]):
        mine = y[at[0] == leaf]
        value = read_trees(model.to_bytes()).tree(0)["value"][leaf]
        assert np.isclose(value, 0.1 * mine.sum() / (len(mine) + 2.0), rtol=1e-8)


@pytest.mark.parametrize(("kind", "table"), KINDS)
def test_appended_rounds_are_one_longer_training(kind: Any, table: Any) -> None:
    x, y = table(900, 1)
    whole = kind(n_estimators=10, **SMALL).fit(x, y)
    first = kind(n_estimators=4, **SMALL).fit(x, y)
    kept = first.to_bytes()
    second = kind(n_estimators=6, **SMALL).fit(x, y, init_model=first)
    assert first.to_bytes() == kept
    assert second.n_iter_ == 10
    if kind is GBDTClassifier:
        assert second.to_bytes() == whole.to_bytes()
    else:
        np.testing.assert_allclose(second.predict(x), whole.predict(x), rtol=1e-9, atol=1e-9)
    assert second.model_.core.params["n_estimators"] == 10
    again = kind(n_estimators=4, **SMALL).fit(x, y)
    again.set_params(n_estimators=6).fit(x, y, init_model=again)
    assert again.to_bytes() == second.to_bytes()


@pytest.mark.parametrize(("kind", "table"), KINDS)
def test_no_team_and_no_instruction_set_shows(kind: Any, table: Any) -> None:
    def all_three(threads: int) -> bytes:
        model = kind(n_estimators=3, **{**SMALL, "n_threads": threads}).fit(*table(2000, 1))
        model.fit(*table(2000, 2, moved=0.5), init_model=model)
        return bytes(model.refit_leaves(*table(1500, 3), gamma=0.7).drop_rounds(2).to_bytes())

    usual = _core.isa()
    found = set()
    try:
        for level in ("baseline", usual):
            _core.isa(level)
            found |= {all_three(threads) for threads in (1, 2, 7)}
    finally:
        _core.isa(usual)
    assert len(found) == 1


def test_large_tables_refit_alike_for_any_team() -> None:
    x, y = labels(70_000, 1)
    models = [GBDTClassifier(n_estimators=2, n_threads=n).fit(x, y) for n in (1, 3)]
    values, _ = refitted(models[0], x, y, 0.5)
    first, second = (m.refit_leaves(x, y, gamma=0.5).to_bytes() for m in models)
    assert first == second
    nodes = read_trees(first).tree(1)
    np.testing.assert_allclose(nodes["value"][nodes["feature"] == LEAF], values[1], rtol=1e-4)


def frame(names: list[str], seed: int) -> tuple[pa.Table, np.ndarray]:
    rng = np.random.default_rng(seed)
    level = rng.choice(names, 1500)
    y = (rng.random(1500) < np.where(np.isin(level, ["b", "h"]), 0.8, 0.2)).astype(int)
    return pa.table({"number": rng.normal(size=1500), "level": level}), y


def test_new_categories_join_the_old_ones() -> None:
    chosen: dict[str, Any] = {"categorical_features": ["level"], "min_data_per_group": 20}
    given = {"n_estimators": 5, "cat_smooth": 1.0, "max_cat_to_onehot": 1, **chosen}
    first = GBDTClassifier(**given).fit(*frame(list("bcdef"), 1))
    later = frame(list("abch"), 2)
    model = GBDTClassifier(**given).fit(*later, init_model=first)
    assert model.model_.features[1].categories == tuple("abcdefh")
    old = pa.table({"number": np.zeros(5), "level": list("bcdef")})
    dropped = GBDTClassifier(**given).fit(*later, init_model=first).drop_rounds(5)
    assert dropped.n_iter_ == 5
    ours = np.log(model.predict_proba(old)[:, 1] / model.predict_proba(old)[:, 0])
    base = model.model_.core.base_scores[0]
    theirs = np.log(first.predict_proba(old)[:, 1] / first.predict_proba(old)[:, 0])
    assert base == first.model_.core.base_scores[0]
    assert np.corrcoef(ours, theirs)[0, 1] > 0.9
    found = model.predict_proba(pa.table({"number": np.zeros(2), "level": ["h", "a"]}))[:, 1]
    assert found[0] > 0.4 > found[1]
    unseen = pa.table({"number": np.zeros(9), "level": list("xyzabcdeh")})
    model.refit_leaves(unseen, [0, 1] * 4 + [1])
    assert np.isfinite(model.predict_proba(unseen)).all()


@pytest.mark.parametrize(("kind", "table"), KINDS)
def test_dropped_rounds_leave_their_mean(kind: Any, table: Any) -> None:
    x, y = table(900, 1)
    model = kind(n_estimators=7, **SMALL).fit(x, y)
    trees, found = leaves_of(model, x)
    outputs = len(trees.base_scores)
    mean = [trees.tree(t)["value"][found[t]].mean() for t in range(3 * outputs)]
    expected = trees.base_scores + np.reshape(mean, (3, outputs)).sum(0)
    model.drop_rounds(3)
    assert model.n_iter_ == 4
    left = read_trees(model.to_bytes())
    np.testing.assert_allclose(left.base_scores, expected, rtol=1e-9)
    assert (left.nodes == trees.nodes[trees.start[3 * outputs] :]).all()
    assert model.drop_rounds(0).n_iter_ == 4
    for wrong in (5, -1):
        with pytest.raises(ValueError, match="cannot be dropped"):
            model.drop_rounds(wrong)
    assert model.drop_rounds(4).predict(x).shape == (900,)


def test_early_stopping_counts_new_rounds_alone() -> None:
    x, y = labels(2000, 1)
    first = GBDTClassifier(n_estimators=5, **SMALL).fit(x, y)
    given = {**SMALL, "n_estimators": 50, "early_stopping_rounds": 3, "learning_rate": 0.5}
    later = labels(900, 5)
    model = GBDTClassifier(**given).fit(x, y, init_model=first, eval_set=later)
    assert 5 < model.n_iter_ < 55
    clipped = model.predict_proba(later[0])[np.arange(900), later[1]]
    assert np.isclose(min(model.validation_losses_), -np.log(clipped).mean(), rtol=1e-9)


def test_what_cannot_go_on_is_refused() -> None:
    x, y = labels(300, 1)
    model = GBDTClassifier(n_estimators=2, **SMALL).fit(x, y)
    kept = model.to_bytes()
    amounts = GBDTRegressor(n_estimators=2, **SMALL).fit(x, y)
    with pytest.raises(TypeError, match="init_model must be a fitted GBDTClassifier"):
        GBDTClassifier().fit(x, y, init_model=amounts)
    with pytest.raises(ValueError, match="not fitted"):
        GBDTClassifier().fit(x, y, init_model=GBDTClassifier())
    with pytest.raises(ValueError, match="not fitted"):
        GBDTClassifier().refit_leaves(x, y)
    with pytest.raises(InputError, match="the earlier fit was to"):
        GBDTClassifier().fit(x[:, :3], y, init_model=model)
    with pytest.raises(InputError, match="the classes are"):
        GBDTClassifier().fit(x, y + 1, init_model=model)
    with pytest.raises(InputError, match="the classes are"):
        model.refit_leaves(x, y + 1)
    with pytest.raises(InputError, match="4 features"):
        model.refit_leaves(x[:, :3], y)
    with pytest.raises(ValueError, match="gamma must lie between 0 and 1"):
        model.refit_leaves(x, y, gamma=1.5)
    with pytest.raises(ValueError, match="gamma must lie between 0 and 1"):
        model.refit_leaves(x, y, gamma=float("nan"))
    with pytest.raises(ValueError, match="monotonic_cst"):
        GBDTClassifier(monotonic_cst=[1, 0, 0, 0]).fit(x, y).refit_leaves(x, y)
    with pytest.raises(ValueError, match="zero"):
        model.refit_leaves(x, y, np.zeros(300))
    with pytest.raises(TypeError, match="Model of trees"):
        _core.gbdt_drop_rounds(LogisticRegression().fit(x, y).model_.core, 1)
    assert model.to_bytes() == kept


def test_a_leaf_without_rows_and_far_away_rows_do_no_harm() -> None:
    x, y = rows(900, 1)
    model = GBDTRegressor(n_estimators=20, **SMALL).fit(x, y)
    far = np.full((50, 4), 1e30)
    model.refit_leaves(far, np.full(50, 1e9))
    assert np.isfinite(model.predict(x)).all()
    alone = GBDTClassifier(n_estimators=5, **SMALL).fit(*labels(900, 1))
    alone.refit_leaves(x, np.ones(900, dtype=int), gamma=0.0)
    assert alone.predict_proba(x)[:, 1].min() > 0.5
    gone = GBDTClassifier(n_estimators=5, **SMALL).fit(x, np.ones(900, dtype=int), init_model=alone)
    assert np.isfinite(gone.predict_proba(x)).all()


def test_an_estimator_goes_on_from_a_model() -> None:
    x, y = labels(600, 1)
    known = GBDTClassifier(n_estimators=3, **SMALL).fit(x, y)
    model = GBDTClassifier(n_estimators=3, **SMALL)
    model.go_on_from(known.model_)
    assert model.refit_leaves(x, y).to_bytes() == known.refit_leaves(x, y).to_bytes()
    with pytest.raises(TypeError, match="cannot go on"):
        GBDTRegressor().go_on_from(known.model_)
    with pytest.raises(TypeError, match="cannot go on"):
        GBDTClassifier().go_on_from(LogisticRegression().fit(x, y).model_)


@pytest.mark.parametrize("kind", [GBDTClassifier, GBDTRegressor])
def test_scikit_learns_checks_pass(kind: Any) -> None:
    found = check_estimator(kind(n_estimators=20, n_threads=1), on_fail=None, on_skip=None)
    assert [(r["check_name"], r["exception"]) for r in found if r["status"] == "failed"] == []
