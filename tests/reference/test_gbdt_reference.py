"""The trees against a slow reference that knows nothing of bins or histograms.

The reference sorts rows, tries every cut between neighbouring values and every
prefix of sorted categories, and grows leaf by leaf. Models are read with a parser
written from docs/model-format.md alone.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, field

import numpy as np
import pytest

from retrain_ops import _core

PARAMS = {
    "n_estimators": 3,
    "learning_rate": 0.3,
    "max_leaf_nodes": 6,
    "min_samples_leaf": 8,
    "l2_regularization": 1.5,
    "colsample": 1.0,
    "subsample": 1.0,
    "max_bins": 255,
    "cat_smooth": 3,
    "cat_l2": 4,
    "min_data_per_group": 12,
    "max_cat_to_onehot": 4,
    "max_cat_threshold": 5,
}


@dataclass
class Node:
    value: float
    feature: int
    left: int
    right: int
    levels: frozenset[int] | None
    missing_left: bool
    rows: int


def parse(data: bytes) -> tuple[float, list[list[Node]]]:
    """Trees of a model file, by the page that describes it."""
    assert data[:8] == b"\x89RTM\r\n\x1a\n"
    assert hashlib.sha256(data[:-32]).digest() == data[-32:]
    version, objective, length, features, trees = struct.unpack_from("<IIQII", data, 8)
    texts, text_bytes, nodes, words = struct.unpack_from("<QQQQ", data, 32)
    assert (version, objective, length) == (1, 1, len(data))
    parameters, outputs = struct.unpack_from("<II", data, 72)
    assert (parameters, outputs) == (19, 1)
    at = 88 + 8 * parameters
    base = struct.unpack_from("<d", data, at)[0]
    at += 8 * outputs
    categories = [struct.unpack_from("<II", data, at + 8 * f)[1] for f in range(features)]
    at += 8 * features + 4 * texts
    sizes = struct.unpack_from(f"<{trees}I", data, at)
    at += 4 * trees
    sets = struct.unpack_from(f"<{words}Q", data, at + 48 * nodes)
    assert at + 48 * nodes + 8 * words + text_bytes + 32 == len(data)
    result = []
    for size in sizes:
        tree = []
        for _ in range(size):
            value, _, _, feature, left, right, first, missing, rows = struct.unpack_from(
                "<dddiiiiII", data, at
            )
            levels = None
            if first >= 0:
                levels = frozenset(
                    i for i in range(categories[feature]) if sets[first + i // 64] >> (i % 64) & 1
                )
            tree.append(Node(value, feature, left, right, levels, bool(missing), rows))
            at += 48
        result.append(tree)
    return base, result


@dataclass
class Leaf:
    node: int
    rows: np.ndarray
    l2: float = PARAMS["l2_regularization"]
    split: tuple | None = field(default=None)


class Reference:
    def __init__(self, x: np.ndarray, y: np.ndarray, categorical: set[int]) -> None:
        self.x, self.y, self.categorical = x, y, categorical
        p = y.mean()
        self.base = float(np.log(p) - np.log(1 - p))
        self.score = np.full(len(y), self.base)

    def gain_of(self, left: np.ndarray, rows: np.ndarray, l2: float) -> float | None:
        """Score of both sides, or None when a side may not stand alone."""
        total = 0.0
        for side in (rows[left], rows[~left]):
            g, h = self.g[side].sum(), self.h[side].sum()
            if len(side) < PARAMS["min_samples_leaf"] or h < 1e-3:
                return None
            total += g * g / (h + l2)
        return total

    def numeric(self, rows: np.ndarray, f: int) -> list[tuple]:
        v = self.x[rows, f]
        missing = np.isnan(v)
        values = np.unique(v[~missing])
        found = []
        for i, low in enumerate(values):
            last = i == len(values) - 1
            directions = [True, False] if missing.any() else [None]
            for direction in directions:
                if last and direction is not False:
                    continue
                left = (v <= low) | (missing & bool(direction))
                score = self.gain_of(left, rows, PARAMS["l2_regularization"])
                if score is not None:
                    found.append((score, f, ("cut", low, direction), left, 1.5))
        return found

    def levels(self, rows: np.ndarray, f: int) -> list[tuple]:
        v = self.x[rows, f]
        present = [int(c) for c in np.unique(v[~np.isnan(v)])]
        all_levels = np.unique(self.x[:, f][~np.isnan(self.x[:, f])])
        found = []
        if len(all_levels) <= PARAMS["max_cat_to_onehot"]:
            for c in present:
                score = self.gain_of(v == c, rows, PARAMS["l2_regularization"])
                if score is not None:
                    found.append((score, f, ("set", frozenset([c])), v == c, 1.5))
            return found
        smooth, l2 = PARAMS["cat_smooth"], PARAMS["l2_regularization"] + PARAMS["cat_l2"]
        kept = [c for c in present if (v == c).sum() >= smooth]
        ratio = {
            c: self.g[rows[v == c]].sum() / (self.h[rows[v == c]].sum() + smooth) for c in kept
        }
        order = sorted(kept, key=lambda c: (ratio[c], c))
        limit = min(PARAMS["max_cat_threshold"], (len(order) + 1) // 2)
        for direction in (order, order[::-1]):
            group = 0
            for i in range(limit):
                group += int((v == direction[i]).sum())
                left = np.isin(v, direction[: i + 1])
                if left.sum() < PARAMS["min_samples_leaf"]:
                    continue
                if (~left).sum() < PARAMS["min_data_per_group"]:
                    break
                if group < PARAMS["min_data_per_group"]:
                    continue
                group = 0
                score = self.gain_of(left, rows, l2)
                if score is not None:
                    found.append((score, f, ("set", frozenset(direction[: i + 1])), left, l2))
        return found

    def find(self, leaf: Leaf) -> None:
        rows = leaf.rows
        parent = self.g[rows].sum() ** 2 / (self.h[rows].sum() + PARAMS["l2_regularization"])
        found = [
            c
            for f in range(self.x.shape[1])
            for c in (self.levels if f in self.categorical else self.numeric)(rows, f)
        ]
        best = max(found, key=lambda c: c[0], default=None)
        leaf.split = None
        if best is not None and best[0] - parent > 1e-9:
            leaf.split = (best[0] - parent, *best[1:])

    def grow(self) -> list[dict]:
        p = 1 / (1 + np.exp(-self.score))
        self.g, self.h = p - self.y, p * (1 - p)
        leaves = [Leaf(0, np.arange(len(self.y)))]
        tree: list[dict] = [{}]
        self.find(leaves[0])
        while len(leaves) < PARAMS["max_leaf_nodes"]:
            open_leaves = [leaf for leaf in leaves if leaf.split]
            if not open_leaves:
                break
            leaf = max(open_leaves, key=lambda c: c.split[0])
            _, f, what, left, l2 = leaf.split
            kids = [Leaf(len(tree), leaf.rows[left], l2), Leaf(len(tree) + 1, leaf.rows[~left], l2)]
            tree[leaf.node] = {"feature": f, "what": what, "left": len(tree)}
            tree += [{}, {}]
            leaves[leaves.index(leaf)] = kids[0]
            leaves.append(kids[1])
            for kid in kids:
                self.find(kid)
        for leaf in leaves:
            g, h = self.g[leaf.rows].sum(), self.h[leaf.rows].sum()
            value = -PARAMS["learning_rate"] * g / (h + leaf.l2)
            tree[leaf.node] = {"value": value, "rows": len(leaf.rows)}
            self.score[leaf.rows] += value
        return tree


def make_case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n = 240
    x = np.column_stack(
        [
            rng.normal(size=n),
            np.where(rng.random(n) < 0.2, np.nan, rng.integers(0, 12, n)),
            rng.integers(0, 3, n),
            np.where(rng.random(n) < 0.1, np.nan, rng.integers(0, 14, n)),
        ]
    ).astype(np.float32)
    lift = x[:, 0] + (x[:, 2] == 1) + np.where(np.isnan(x[:, 3]), 0.5, x[:, 3] % 4 - 1.5)
    lift = lift + np.where(np.isnan(x[:, 1]), 1.5, 0.0)
    return x, (rng.random(n) < 1 / (1 + np.exp(-lift))).astype(np.uint8)


def check_split(node: Node, expected: dict, x: np.ndarray) -> None:
    kind, *detail = expected["what"]
    assert node.feature == expected["feature"]
    assert (node.left, node.right) == (expected["left"], expected["left"] + 1)
    if kind == "set":
        assert node.levels == detail[0]
        return
    low, direction = detail
    values = np.unique(x[:, node.feature][~np.isnan(x[:, node.feature])])
    above = values[values > low]
    assert low <= node.value
    assert node.value < above[0] if len(above) else np.isposinf(node.value)
    assert np.float64(np.float32(node.value)) == node.value
    if direction is not None:
        assert node.missing_left is direction


@pytest.mark.parametrize("seed", range(12))
def test_trees_are_those_of_the_reference(seed: int) -> None:
    x, y = make_case(seed)
    features = [
        ("a", "numeric", []),
        ("b", "numeric", []),
        ("c", "categorical", ["0", "1", "2"]),
        ("d", "categorical", [f"{i:02d}" for i in range(14)]),
    ]
    model = _core.gbdt_train(x, y, features=features, params=PARAMS, seed=0, n_threads=2)
    base, trees = parse(model.to_bytes())
    reference = Reference(x.astype(np.float64), y, {2, 3})
    assert base == pytest.approx(reference.base, rel=1e-14)
    assert len(trees) == PARAMS["n_estimators"]
    for tree in trees:
        expected = reference.grow()
        assert len(tree) == len(expected)
        for node, wanted in zip(tree, expected, strict=True):
            if node.feature < 0:
                assert node.value == pytest.approx(wanted["value"], rel=1e-7)
                assert node.rows == wanted["rows"]
            else:
                check_split(node, wanted, x)
    p = 1 / (1 + np.exp(-reference.score))
    assert model.predict(x) == pytest.approx(p, rel=1e-7)


def test_the_sum_of_leaves_is_what_predict_gives() -> None:
    x, y = make_case(99)
    features = [(name, "numeric", []) for name in "abcd"]
    model = _core.gbdt_train(x, y, features=features, params=PARAMS, seed=0)
    base, trees = parse(model.to_bytes())
    raw = np.full(len(x), base)
    for tree in trees:
        for i, row in enumerate(x):
            node = tree[0]
            while node.feature >= 0:
                v = row[node.feature]
                left = node.missing_left if np.isnan(v) else v <= node.value
                node = tree[node.left if left else node.right]
            raw[i] += node.value
    assert model.predict(x) == pytest.approx(1 / (1 + np.exp(-raw)), rel=1e-14)
