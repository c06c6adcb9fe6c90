"""A model as an ONNX graph: columns by name in, probabilities and the decision out.

`TreeEnsemble` of ai.onnx.ml 5 holds our trees as they are, in double (https://onnx.ai/onnx/operators);
version 3 has no sets of categories and adds leaves in float32, so there each set becomes a column
of its own, and scores agree to float32. Both decide `<=` in double.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrain_ops import _core
from retrain_ops.errors import ConfigError, import_problem
from retrain_ops.models.tabular import Feature, TabularModel
from retrain_ops.models.trees import LEAF, Trees, read_trees

OPSET, ML_OPSETS, IR_VERSION = 17, (5, 3), 8
LEQ, MEMBER = 0, 6
"""Modes of TreeEnsemble's nodes."""


def onnx_bytes(model: TabularModel, *, ml_opset: int = 5) -> bytes:
    """The model for ONNX runtimes, as a serialized ModelProto.

    One input per column, [n, 1]: double for a number (NaN: missing), string for a category
    ("" or any unknown text: missing). Outputs, by what the model predicts: `probabilities` [n, K]
    and `label` [n] (of two classes 1 from the threshold on), or `value` [n].

    Args:
        model: one of ours, trees or linear.
        ml_opset: 5, or 3 for runtimes that have no TreeEnsemble.

    Raises:
        ConfigError: the package onnx is not installed.
        TypeError: the model is another library's.
    """
    if model.kind not in ("trees", "linear"):
        raise TypeError(f"a model of {model.kind} is exported by that library: core.payload")
    if ml_opset not in ML_OPSETS:
        raise ValueError(f"ml_opset is 5 or 3, not {ml_opset!r}")
    graph = _Graph(_onnx())
    if model.kind == "linear":
        raw = _linear_sums(graph, model)
    else:
        trees = read_trees(model.to_bytes())
        add = _tree_sums if ml_opset == 5 else _tree_sums_3
        raw = add(graph, model.features, trees)
    _finish(graph, model, raw)
    return graph.serialized(ml_opset)


def _onnx() -> Any:
    try:
        return importlib.import_module("onnx")
    except ImportError as error:
        raise ConfigError(
            import_problem(error, "onnx", '"$(ls retrain_ops-*.whl)[onnx]"')
        ) from error


@dataclass
class _Graph:
    """Nodes in order, constants, inputs and outputs; every value has a name of its own."""

    onnx: Any
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)

    def add(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """A node with one output, whose name is returned."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(
            self.onnx.helper.make_node(kind, list(inputs), [name], domain=domain, **attributes)
        )
        return name

    def constant(self, values: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.asarray(values), name))
        return name

    def input(self, feature: Feature) -> str:
        proto = self.onnx.TensorProto
        kind = proto.STRING if feature.kind == "categorical" else proto.DOUBLE
        self.inputs.append(self.onnx.helper.make_tensor_value_info(feature.name, kind, [None, 1]))
        return feature.name

    def output(self, name: str, value: str, kind: Any, shape: list[int | None]) -> None:
        self.nodes.append(self.onnx.helper.make_node("Identity", [value], [name]))
        self.outputs.append(self.onnx.helper.make_tensor_value_info(name, kind, shape))

    def serialized(self, ml_opset: int) -> bytes:
        helper = self.onnx.helper
        graph = helper.make_graph(
            self.nodes, "retrain_ops", self.inputs, self.outputs, self.constants
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ml_opset)]
        whole = helper.make_model(
            graph, opset_imports=opsets, producer_name="retrain_ops", ir_version=IR_VERSION
        )
        self.onnx.checker.check_model(whole)
        data: bytes = whole.SerializeToString(deterministic=True)
        return data


def _code(graph: _Graph, feature: Feature) -> str:
    """The place of a category among the model's, int64 [n, 1]; their number where unknown."""
    known = feature.categories
    name = graph.input(feature)
    if not known:  # no level was ever seen: all are unknown
        zero = graph.constant(np.zeros(1, np.int64))
        shape = graph.add("Shape", name)
        return graph.add("Expand", zero, shape)
    return graph.add(
        "LabelEncoder", name, domain="ai.onnx.ml", keys_strings=list(known),
        values_int64s=list(range(len(known))), default_int64=len(known),
    )  # fmt: skip


# -- trees -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Flat:
    """The nodes of all trees: inner ones and leaves apart, children by their numbers."""

    inner: NDArray[np.void]
    leaves: NDArray[np.void]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    left_is_leaf: NDArray[np.bool_]
    right_is_leaf: NDArray[np.bool_]
    output: NDArray[np.int64]
    roots: NDArray[np.int64]


def _flat(trees: Trees) -> _Flat:
    """Of trees that have splits; trees of one leaf are in `_base`."""
    nodes, start = trees.nodes, trees.start
    tree = np.repeat(np.arange(len(start) - 1), np.diff(start))
    used = np.diff(start)[tree] > 1
    leaf = nodes["feature"] == LEAF
    place = np.where(leaf, np.cumsum(leaf & used) - 1, np.cumsum(~leaf) - 1)
    inner = ~leaf
    left = nodes["left"][inner] + start[tree[inner]]
    right = nodes["right"][inner] + start[tree[inner]]
    roots = start[:-1][np.diff(start) > 1]
    return _Flat(
        inner=nodes[inner],
        leaves=nodes[leaf & used],
        left=place[left],
        right=place[right],
        left_is_leaf=leaf[left],
        right_is_leaf=leaf[right],
        output=tree[leaf & used] % len(trees.base_scores),
        roots=place[roots],
    )


def _base(trees: Trees) -> NDArray[np.float64]:
    """The base scores and what trees of one leaf add to them, float64 [K]."""
    base = trees.base_scores.copy()
    for tree in np.flatnonzero(np.diff(trees.start) == 1):
        base[tree % len(base)] += trees.nodes["value"][trees.start[tree]]
    return base


def _numbers(graph: _Graph, features: Sequence[Feature]) -> str:
    """All columns as doubles [n, F]; an unknown category is a number that no set has."""
    to = graph.onnx.TensorProto.DOUBLE
    columns = [
        graph.add("Cast", _code(graph, f), to=to) if f.kind == "categorical" else graph.input(f)
        for f in features
    ]
    return graph.add("Concat", *columns, axis=1)


def _members(trees: Trees, node: np.void, features: Sequence[Feature]) -> NDArray[np.int64]:
    """The categories of a node's set."""
    levels = len(features[int(node["feature"])].categories)
    words = trees.words[node["set"] : node["set"] + (levels + 63) // 64]
    bits = np.unpackbits(words.astype("<u8").view(np.uint8), bitorder="little")
    return np.flatnonzero(bits[:levels])


def _tree_sums(graph: _Graph, features: Sequence[Feature], trees: Trees) -> str:
    flat, base = _flat(trees), _base(trees)
    x = _numbers(graph, features)
    if not len(flat.inner):
        return _constant_sums(graph, x, base)
    categorical = flat.inner["set"] >= 0
    sets = [
        np.append(_members(trees, node, features).astype(np.float64), np.nan)
        for node in flat.inner[categorical]
    ]
    to_array = graph.onnx.numpy_helper.from_array
    splits = np.where(categorical, 0.0, flat.inner["value"])
    more = {"membership_values": to_array(np.concatenate(sets))} if sets else {}
    sums = graph.add(
        "TreeEnsemble", x, domain="ai.onnx.ml", aggregate_function=1, post_transform=0,
        n_targets=len(base),
        nodes_featureids=flat.inner["feature"].tolist(),
        nodes_modes=to_array(np.where(categorical, MEMBER, LEQ).astype(np.uint8)),
        nodes_splits=to_array(splits),
        nodes_missing_value_tracks_true=flat.inner["missing_left"].astype(int).tolist(),
        nodes_truenodeids=flat.left.tolist(),
        nodes_trueleafs=flat.left_is_leaf.astype(int).tolist(),
        nodes_falsenodeids=flat.right.tolist(),
        nodes_falseleafs=flat.right_is_leaf.astype(int).tolist(),
        tree_roots=flat.roots.tolist(),
        leaf_targetids=flat.output.tolist(), leaf_weights=to_array(flat.leaves["value"].copy()),
        **more,
    )  # fmt: skip
    return graph.add("Add", sums, graph.constant(base))


def _constant_sums(graph: _Graph, x: str, base: NDArray[np.float64]) -> str:
    rows = graph.add("Slice", graph.add("Shape", x), graph.constant(np.array([0])),
                     graph.constant(np.array([1])))  # fmt: skip
    shape = graph.add("Concat", rows, graph.constant(np.array([len(base)])), axis=0)
    return graph.add("Expand", graph.constant(base[None]), shape)


def _tree_sums_3(graph: _Graph, features: Sequence[Feature], trees: Trees) -> str:
    flat, base = _flat(trees), _base(trees)
    x, place, threshold = _columns_of_sets(graph, features, trees, flat)
    if not len(flat.inner):
        return _constant_sums(graph, x, base)
    to_array = graph.onnx.numpy_helper.from_array
    count, leaves = len(flat.inner), len(flat.leaves)
    tree = np.searchsorted(flat.roots, np.arange(count), side="right") - 1
    # A leaf is a node here, numbered after the inner ones; its tree is that of its parent.
    leaf_tree = np.empty(leaves, dtype=np.int64)
    leaf_tree[flat.left[flat.left_is_leaf]] = tree[flat.left_is_leaf]
    leaf_tree[flat.right[flat.right_is_leaf]] = tree[flat.right_is_leaf]
    order = np.argsort(np.concatenate([tree, leaf_tree]), kind="stable")
    ids = np.arange(count + leaves)
    left = np.where(flat.left_is_leaf, flat.left + count, flat.left)
    right = np.where(flat.right_is_leaf, flat.right + count, flat.right)
    pad = np.zeros(leaves, dtype=np.int64)

    def of_nodes(inner: NDArray[Any], of_leaves: NDArray[Any]) -> list[int]:
        ordered: list[int] = np.concatenate([inner, of_leaves])[order].astype(int).tolist()
        return ordered

    whole = np.concatenate([threshold, np.zeros(leaves)])[order]
    modes = np.array(["BRANCH_LEQ"] * count + ["LEAF"] * leaves)[order].tolist()
    sums = graph.add(
        "TreeEnsembleRegressor", x, domain="ai.onnx.ml", aggregate_function="SUM",
        post_transform="NONE", n_targets=len(base),
        nodes_treeids=of_nodes(tree, leaf_tree), nodes_nodeids=ids[order].tolist(),
        nodes_featureids=of_nodes(place, pad), nodes_modes=modes,
        nodes_values_as_tensor=to_array(whole),
        nodes_missing_value_tracks_true=of_nodes(flat.inner["missing_left"], pad),
        nodes_truenodeids=of_nodes(left, pad), nodes_falsenodeids=of_nodes(right, pad),
        target_treeids=leaf_tree.tolist(), target_nodeids=(ids[count:]).tolist(),
        target_ids=flat.output.tolist(),
        target_weights_as_tensor=to_array(flat.leaves["value"].copy()),
    )  # fmt: skip
    wide = graph.add("Cast", sums, to=graph.onnx.TensorProto.DOUBLE)
    return graph.add("Add", wide, graph.constant(base))


def _columns_of_sets(
    graph: _Graph, features: Sequence[Feature], trees: Trees, flat: _Flat
) -> tuple[str, NDArray[np.int64], NDArray[np.float64]]:
    """Numbers, then for each set of categories a column that is 0 inside it and 1 outside: the
    matrix, and each inner node's column and threshold."""
    place = np.zeros(len(flat.inner), dtype=np.int64)
    threshold = np.where(flat.inner["set"] >= 0, 0.5, flat.inner["value"])
    columns, width = [], 0
    for number, feature in enumerate(features):
        mine = flat.inner["feature"] == number
        if feature.kind == "numeric":
            place[mine] = width
            columns.append(graph.input(feature))
            width += 1
            continue
        code = graph.add("Reshape", _code(graph, feature), graph.constant(np.array([-1])))
        sets: dict[bytes, int] = {}
        tables: list[NDArray[np.float64]] = []
        for at in np.flatnonzero(mine):
            outside = np.ones(len(feature.categories) + 1)
            outside[_members(trees, flat.inner[at], features)] = 0.0
            if outside.tobytes() not in sets:
                sets[outside.tobytes()] = len(tables)
                tables.append(outside)
            place[at] = width + sets[outside.tobytes()]
        if tables:
            columns.append(graph.add("Gather", graph.constant(np.column_stack(tables)), code))
            width += len(tables)
    if not columns:
        columns.append(graph.add("Cast", code, to=graph.onnx.TensorProto.DOUBLE))
    return graph.add("Concat", *columns, axis=1), place, threshold


# -- linear models -----------------------------------------------------------------------


def _linear_sums(graph: _Graph, model: TabularModel) -> str:
    """Column by column, in the order in which prediction adds them."""
    core: Any = model.core
    assert isinstance(core, _core.Model)
    slopes, fills = core.slopes, core.fills
    sums = graph.constant(np.asarray(core.base_scores)[None])
    at = 0
    for feature, fill in zip(model.features, fills, strict=True):
        if feature.kind == "numeric":
            name = graph.input(feature)
            known = graph.add("Where", graph.add("IsNaN", name), graph.constant(fill), name)
            part = graph.add("Mul", known, graph.constant(slopes[:, at][None]))
            at += 1
        else:
            count = len(feature.categories)
            code = graph.add("Reshape", _code(graph, feature), graph.constant(np.array([-1])))
            table = np.vstack([slopes[:, at : at + count].T, np.zeros((1, len(slopes)))])
            part = graph.add("Gather", graph.constant(table), code)
            at += count
        sums = graph.add("Add", sums, part)
    return sums


# -- what the sums mean ------------------------------------------------------------------


def _finish(graph: _Graph, model: TabularModel, raw: str) -> None:
    """Sums [n, K] to what the model predicts."""
    proto = graph.onnx.TensorProto
    if model.amounts:
        value = graph.add("Exp", raw) if model.objective == "poisson" else raw
        flat = graph.add("Reshape", value, graph.constant(np.array([-1])))
        graph.output("value", flat, proto.DOUBLE, [None])
        return
    if model.objective == "softmax":
        shares = graph.add("Softmax", raw, axis=1)
        label = graph.add("ArgMax", shares, axis=1, keepdims=0)
    else:
        yes = graph.add("Sigmoid", raw)
        no = graph.add("Sub", graph.constant(np.float64(1.0)), yes)
        shares = graph.add("Concat", no, yes, axis=1)
        flat = graph.add("Reshape", yes, graph.constant(np.array([-1])))
        chosen = graph.add("GreaterOrEqual", flat, graph.constant(np.float64(model.threshold)))
        label = graph.add("Cast", chosen, to=proto.INT64)
    graph.output("label", label, proto.INT64, [None])
    graph.output("probabilities", shares, proto.DOUBLE, [None, None])
