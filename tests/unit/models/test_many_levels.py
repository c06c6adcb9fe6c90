"""Columns whose categories are more than a byte tells apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from retrain_ops import _core
from retrain_ops.models import load_model
from retrain_ops.models.lightgbm_text import lightgbm_text
from retrain_ops.models.trees import read_trees
from tests.unit.models.test_export import read, walk

LEVELS = ["baseline", "avx2", "avx512"]
PARAMS = {
    "n_estimators": 6, "max_leaf_nodes": 31, "min_samples_leaf": 2, "cat_smooth": 1,
    "min_data_per_group": 2, "max_cat_threshold": 255, "colsample": 1, "subsample": 1,
    "l2_regularization": 0.1, "cat_l2": 0, "learning_rate": 0.5,
}  # fmt: skip


def features(levels: int) -> list[tuple[str, str, list[str]]]:
    named = [f"{i:05d}" for i in range(levels)]
    return [("number", "numeric", []), ("level", "categorical", named), ("few", "numeric", [])]


def rows_of(levels: int, rows: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Every level equally often; each has an effect of its own."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3)).astype(np.float32)
    x[:, 1] = rng.permutation(np.arange(rows) % levels)
    x[:, 2] = rng.integers(0, 3, rows)
    effect = np.random.default_rng(99).normal(size=levels)
    y = effect[x[:, 1].astype(int)] + 0.3 * x[:, 0] > 0
    return x, y.astype(np.uint8)


def train(x: np.ndarray, y: np.ndarray, levels: int, **more: Any) -> _core.Model:
    params = {**PARAMS, **more.pop("params", {})}
    return _core.gbdt_train(x, y, features=features(levels), params=params, seed=3, **more)


def wrong(model: _core.Model, x: np.ndarray, y: np.ndarray) -> float:
    return float(np.mean((model.predict(x) > 0.5) != (y == 1)))


@pytest.mark.parametrize("levels", [255, 256, 300, 511, 765, 1020])
def test_every_level_has_a_bin_of_its_own(levels: int) -> None:
    x, y = rows_of(levels, 20 * levels)
    assert wrong(train(x, y, levels, n_threads=2), x, y) < 0.12


def test_beyond_the_last_part_the_most_frequent_are_told_apart() -> None:
    x, y = rows_of(1500, 30_000)
    kept = x[:, 1] >= 480
    weight_of_row = np.where(kept, 2, 1)
    x, y = np.repeat(x, weight_of_row, axis=0), np.repeat(y, weight_of_row)
    model = train(x, y, 1500)
    rare = x[:, 1] < 480
    assert wrong(model, x[~rare], y[~rare]) < 0.15
    words = read_trees(model.to_bytes()).words.reshape(-1, -(-1500 // 64))
    in_some_set = np.bitwise_or.reduce(words, axis=0)
    assert not np.any(in_some_set[:7])  # the levels below 448
    assert np.all(in_some_set[8:])


@pytest.mark.parametrize("rows", [3000, 70_000], ids=["exact", "rounded gradients"])
def test_every_team_and_instruction_set_gives_the_same_bytes(rows: int) -> None:
    x, y = rows_of(600, rows)
    best = _core.isa()
    found = set()
    try:
        for level in LEVELS[: LEVELS.index(best) + 1]:
            _core.isa(level)
            for threads in (1, 2, 3, 7):
                model = train(x, y, 600, n_threads=threads,
                              params={"subsample": 0.7, "colsample": 0.7})  # fmt: skip
                found.add((model.sha256, model.predict(x, n_threads=threads).tobytes()))
    finally:
        _core.isa(best)
    assert len(found) == 1


@pytest.mark.parametrize(
    ("params", "most"),
    [
        # Rows that a tree leaves out find their leaf by all bytes: else the next trees would
        # correct scores that the model does not give.
        ({"subsample": 0.3, "n_estimators": 20}, 0.005),
        # Both children of every node look into all bytes.
        ({"n_estimators": 1, "max_leaf_nodes": 200, "learning_rate": 1}, 0.03),
    ],
)
def test_amounts_of_levels_are_learnt(params: dict[str, Any], most: float) -> None:
    x, _ = rows_of(600, 12_000)
    amount = np.random.default_rng(99).normal(size=600)[x[:, 1].astype(int)]
    model = train(x, amount, 600, objective="squared_error", params=params)
    assert np.sqrt(np.mean((model.predict(x) - amount) ** 2)) < most


def test_levels_that_never_occur_change_nothing() -> None:
    x, y = rows_of(200, 3000)
    few = train(x, y, 200)
    many = train(x, y, 1500)
    assert np.array_equal(few.predict(x), many.predict(x))


def test_the_lightgbm_text_holds_levels_of_all_parts() -> None:
    x, y = rows_of(600, 6000)
    core = train(x, y, 600)
    trees = read(lightgbm_text(load_model(core.to_bytes())))
    for row in x[:300].astype(float):
        raw = sum(walk(tree, row) for tree in trees)
        assert 1 / (1 + np.exp(-raw)) == pytest.approx(core.predict(row[None])[0], rel=1e-14)
