"""Importance and the LightGBM text, read back by a second implementation."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from retrain_ops.models import GBDTClassifier
from retrain_ops.models.lightgbm_text import lightgbm_text


def make() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(1500, 4)).astype(np.float32)
    x[:, 1] = rng.integers(0, 70, 1500)
    x[rng.random(1500) < 0.2, 2] = np.nan
    y = (x[:, 0] + (x[:, 1] % 3 == 0) + np.isnan(x[:, 2]) > 0.7).astype(int)
    return x, y


def fitted() -> tuple[GBDTClassifier, np.ndarray, np.ndarray]:
    x, y = make()
    model = GBDTClassifier(n_estimators=8, min_data_per_group=10, cat_smooth=1.0)
    return model.fit(x, y, categorical_features=[1]), x, y


def read(text: str) -> list[dict[str, list[float]]]:
    """The trees of the text, field by field."""
    trees = []
    for block in text.split("Tree=")[1:]:
        fields = dict(line.split("=") for line in block.split("\n")[1:] if "=" in line)
        trees.append({k: [float(v) for v in value.split()] for k, value in fields.items()})
    return trees


def walk(tree: dict[str, list[float]], row: np.ndarray) -> float:
    """What LightGBM's Tree::Predict does with NaN as missing."""
    at = 0 if tree["num_leaves"][0] > 1 else -1
    while at >= 0:
        value, kind = row[int(tree["split_feature"][at])], int(tree["decision_type"][at])
        if kind & 1:
            first, last = (
                int(tree["cat_boundaries"][int(tree["threshold"][at]) + i]) for i in (0, 1)
            )
            bits = [int(w) for w in tree["cat_threshold"][first:last]]
            level = -1 if np.isnan(value) else int(value)
            left = 0 <= level < 32 * len(bits) and bool(bits[level // 32] >> (level % 32) & 1)
        else:
            left = bool(kind & 2) if np.isnan(value) else value <= tree["threshold"][at]
        at = int(tree["left_child" if left else "right_child"][at])
    return tree["leaf_value"][~at]


def test_the_lightgbm_text_says_the_same_model() -> None:
    model, x, _ = fitted()
    text = lightgbm_text(model.model_)
    sizes = [int(n) for n in text.split("tree_sizes=")[1].split("\n")[0].split()]
    assert sum(sizes) == len(text) - text.index("Tree=0") - len("end of trees\n")
    trees = read(text)
    assert any(tree["num_cat"][0] > 0 for tree in trees)
    levels = model.model_.features[1].categories
    number = {float(level): i for i, level in enumerate(levels)}
    for row in x[:200].astype(float):
        coded = row.copy()
        coded[1] = number[row[1]]
        raw = sum(walk(tree, coded) for tree in trees)
        p = model.predict_proba(row[None])[0, 1]
        assert 1 / (1 + np.exp(-raw)) == pytest.approx(p, rel=1e-14)


def test_importance_counts_and_adds_up() -> None:
    model, _, _ = fitted()
    split = model.model_.importance("split")
    assert split.sum() > 0
    assert np.array_equal(split, np.round(split))
    assert np.all((model.model_.importance("cover") > 0) == (split > 0))
    assert model.feature_importances_.sum() == pytest.approx(1)
    assert model.feature_importances_[0] > model.feature_importances_[3]
    with pytest.raises(ValueError, match="weight"):
        model.model_.importance("weight")


def test_a_pickle_holds_arrays_scalars_and_the_model_file_only() -> None:
    model, x, _ = fitted()
    state: dict[str, Any] = model.__getstate__()
    plain = (int, float, str, bytes, tuple, type(None), np.ndarray)
    assert all(isinstance(value, plain) for value in state.values())
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict_proba(x), model.predict_proba(x))
    assert again.to_bytes() == model.to_bytes()


def test_class_weights_are_row_weights() -> None:
    x, y = make()
    of_class = {0: 1.0, 1: 3.0}
    weighted = GBDTClassifier(class_weight=of_class).fit(x, y)
    by_row = GBDTClassifier().fit(x, y, sample_weight=np.where(y, 3.0, 1.0))
    assert weighted.model_.core.predict(x).tobytes() == by_row.model_.core.predict(x).tobytes()
    with pytest.raises(ValueError, match="balanced"):
        GBDTClassifier(class_weight="fair").fit(x, y)


def test_weights_of_zero_throughout_are_refused() -> None:
    x, y = make()
    with pytest.raises(ValueError, match="zero"):
        GBDTClassifier().fit(x, y, sample_weight=np.zeros(len(y)))


def test_a_whole_weight_is_that_many_rows() -> None:
    x, y = make()
    times = np.random.default_rng(1).integers(0, 4, len(y))
    settings: dict[str, Any] = {"min_samples_leaf": 1, "max_bins": 255}
    x = np.round(x, 1)  # fewer values than bins: the cuts do not depend on counts
    weighted = GBDTClassifier(**settings).fit(x, y, sample_weight=times)
    repeated = GBDTClassifier(**settings).fit(np.repeat(x, times, axis=0), np.repeat(y, times))
    assert np.allclose(weighted.predict_proba(x), repeated.predict_proba(x), rtol=1e-9)
