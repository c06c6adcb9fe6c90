"""The trees of a model file as arrays (docs/model-format.md)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NODE = np.dtype([
    ("value", "<f8"), ("gain", "<f8"), ("cover", "<f8"), ("feature", "<i4"), ("left", "<i4"),
    ("right", "<i4"), ("set", "<i4"), ("missing_left", "<u4"), ("rows", "<u4"),
])  # fmt: skip
LEAF = -1


@dataclass(frozen=True, slots=True)
class Trees:
    """Nodes of all trees, one after the other; `start` [T + 1] says where each begins.

    Tree t adds to output t mod K; `base_scores` [K] are the outputs without any tree.
    """

    base_scores: NDArray[np.float64]
    start: NDArray[np.int64]
    nodes: NDArray[np.void]
    words: NDArray[np.uint64]

    def tree(self, number: int) -> NDArray[np.void]:
        """The nodes of one tree; the root is the first."""
        return self.nodes[self.start[number] : self.start[number + 1]]


def read_trees(data: bytes) -> Trees:
    """The trees in the bytes of a model that the core has written or accepted."""
    features, trees, texts, _text_bytes, nodes, words = struct.unpack_from("<IIQQQQ", data, 24)
    parameters, outputs = struct.unpack_from("<II", data, 72)
    at = 88 + 8 * parameters
    base_scores = np.frombuffer(data, "<f8", outputs, at)
    at += 8 * outputs + 8 * features + 4 * texts
    sizes = np.frombuffer(data, "<u4", trees, at).astype(np.int64)
    at += 4 * trees
    all_nodes = np.frombuffer(data, NODE, nodes, at)
    all_words = np.frombuffer(data, "<u8", words, at + NODE.itemsize * nodes)
    start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return Trees(base_scores, start, all_nodes, all_words)


def importance(data: bytes, n_features: int, kind: str) -> NDArray[np.float64]:
    """By feature, float64 [F]: "gain" (sum over its splits), "cover" (sum of the second
    derivatives of the rows they parted) or "split" (their number).

    Raises ValueError for another kind.
    """
    if kind not in ("gain", "cover", "split"):
        raise ValueError(f'importance is "gain", "cover" or "split", not {kind!r}')
    nodes = read_trees(data).nodes
    inner = nodes[nodes["feature"] != LEAF]
    weights = None if kind == "split" else inner[kind]
    return np.bincount(inner["feature"], weights, n_features).astype(np.float64)
