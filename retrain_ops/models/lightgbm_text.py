"""A model as LightGBM's text format (v4), for its Booster and what else reads that.

A probability of two or more classes, or an amount, as the model predicts it.

Thresholds are written with all 17 digits and decide `<=` in double on both sides; the base
scores are first trees of one leaf, so raw scores are added in our order. Two things LightGBM
cannot say: it truncates a fractional category to a whole one (ours is in no set), and its
largest threshold is finite, so where only what is missing goes right, +inf goes right too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrain_ops.models.tabular import Feature, TabularModel
from retrain_ops.models.trees import LEAF, Trees, read_trees

CATEGORICAL, DEFAULT_LEFT, MISSING_NAN = 1, 2, 8
OBJECTIVES = {
    "binary": "binary sigmoid:1",
    "softmax": "multiclass num_class:{}",
    "squared_error": "regression",
}
LARGEST = float(np.finfo(np.float64).max)


def lightgbm_text(model: TabularModel) -> str:
    """The model for `lightgbm.Booster(model_str=...)`; categories are their numbers.

    Raises TypeError for a model that is not of our trees.
    """
    if model.kind != "trees":
        raise TypeError(f"a {model.kind} model has no trees that LightGBM could read")
    trees = read_trees(model.to_bytes())
    count = len(trees.start) - 1
    outputs = len(trees.base_scores)
    blocks = [_constant(k, float(score)) for k, score in enumerate(trees.base_scores)]
    blocks += [_tree(i + outputs, trees, i, model.features) for i in range(count)]
    head = [
        "tree", "version=v4", f"num_class={outputs}", f"num_tree_per_iteration={outputs}",
        "label_index=0", f"max_feature_idx={len(model.features) - 1}",
        f"objective={OBJECTIVES[model.objective].format(outputs)}",
        f"feature_names={' '.join(_names(model.features))}",
        f"feature_infos={' '.join(_info(f) for f in model.features)}",
        f"tree_sizes={' '.join(str(len(block)) for block in blocks)}", "", "",
    ]  # fmt: skip
    return "\n".join(head) + "".join(blocks) + "end of trees\n"


def _names(features: Sequence[Feature]) -> list[str]:
    """ASCII without spaces or punctuation, and unique: all that LightGBM takes."""
    plain = [re.sub(r"[^0-9A-Za-z_]", "_", feature.name) for feature in features]
    return [name if plain.count(name) == 1 else f"{name}_{i}" for i, name in enumerate(plain)]


def _info(feature: Feature) -> str:
    if feature.kind == "numeric":
        return "[-inf:inf]"
    return ":".join(str(i) for i in range(len(feature.categories))) or "none"


def _numbers(values: Sequence[float] | NDArray[np.float64]) -> str:
    return " ".join(repr(float(v)) for v in values)


def _constant(number: int, value: float) -> str:
    lines = ["num_leaves=1", "num_cat=0", f"leaf_value={value!r}", "is_linear=0", "shrinkage=1"]
    return "\n".join([f"Tree={number}", *lines, "", "", ""])


def _tree(number: int, trees: Trees, which: int, features: Sequence[Feature]) -> str:
    nodes = trees.tree(which)
    if len(nodes) == 1:
        return _constant(number, float(nodes["value"][0]))
    leaf = nodes["feature"] == LEAF
    inner, leaves = nodes[~leaf], nodes[leaf]
    # Inner nodes keep their order, the root first; a leaf is ~(its number).
    place = np.where(leaf, ~(np.cumsum(leaf) - 1), np.cumsum(~leaf) - 1)
    categorical = inner["set"] >= 0
    threshold = np.where(np.isposinf(inner["value"]), LARGEST, inner["value"])
    threshold[categorical] = np.arange(categorical.sum())
    decision = np.where(
        categorical,
        CATEGORICAL | MISSING_NAN,
        MISSING_NAN + DEFAULT_LEFT * inner["missing_left"].astype(int),
    )
    lines = [
        f"Tree={number}", f"num_leaves={len(leaves)}", f"num_cat={int(categorical.sum())}",
        f"split_feature={' '.join(map(str, inner['feature']))}",
        f"split_gain={_numbers(inner['gain'])}",
        f"threshold={_numbers(threshold)}",
        f"decision_type={' '.join(map(str, decision))}",
        f"left_child={' '.join(map(str, place[inner['left']]))}",
        f"right_child={' '.join(map(str, place[inner['right']]))}",
        f"leaf_value={_numbers(leaves['value'])}",
        f"leaf_weight={_numbers(leaves['cover'])}",
        f"leaf_count={' '.join(map(str, leaves['rows']))}",
        f"internal_value={_numbers(np.zeros(len(inner)))}",
        f"internal_weight={_numbers(inner['cover'])}",
        f"internal_count={' '.join(map(str, inner['rows']))}",
    ]  # fmt: skip
    if categorical.any():
        sets = [_set(trees, node, features) for node in inner[categorical]]
        bounds = np.concatenate([[0], np.cumsum([len(s) for s in sets])])
        lines += [
            f"cat_boundaries={' '.join(map(str, bounds))}",
            f"cat_threshold={' '.join(str(word) for s in sets for word in s)}",
        ]
    return "\n".join([*lines, "is_linear=0", "shrinkage=1", "", "", ""])


def _set(trees: Trees, node: np.void, features: Sequence[Feature]) -> list[int]:
    """The node's categories in words of 32 bits."""
    levels = len(features[int(node["feature"])].categories)
    words = trees.words[node["set"] : node["set"] + (levels + 63) // 64]
    return [int(half) for word in words for half in (word & 0xFFFFFFFF, word >> np.uint64(32))]
