"""Model files that are sound and do harm: what a canary is for."""

from __future__ import annotations

import hashlib
import struct
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retrain_ops.models import GBDTClassifier, PoissonRegressor, TabularModel, load_model

Labels = npt.NDArray[np.int8]
TREES = 30


def _texts(table: pa.Table) -> list[str]:
    return [field.name for field in table.schema if pa.types.is_string(field.type)]


def sound(table: pa.Table, labels: Labels, *, seed: int = 1, trees: int = TREES) -> TabularModel:
    """Trees of a yes or no."""
    model = GBDTClassifier(n_estimators=trees, random_state=seed, max_leaf_nodes=15)
    return model.fit(table, labels, categorical_features=_texts(table)).model_


def inverted(table: pa.Table, labels: Labels) -> TabularModel:
    """Says the opposite of what it should, with confidence."""
    return sound(table, (1 - labels).astype(np.int8))


NODE = np.dtype([("value", "<f8"), ("", "V16"), ("feature", "<i4"), ("", "V20")])
COUNTS = "<6Q"
"""Of the header from byte 16 on: length, features and trees, strings, their bytes, nodes, sets."""


def slow(table: pa.Table, labels: Labels, *, times: int = 1000) -> TabularModel:
    """A model whose every tree is there so many times, each adding as little: it says the same."""
    texts = {name: pa.array(["none"] * table.num_rows) for name in _texts(table)}
    for name, column in texts.items():  # no split on a category: its sets would have to move
        table = table.set_column(table.column_names.index(name), name, column)
    data = sound(table, labels).to_bytes()
    length, both, strings, text_bytes, nodes, sets = struct.unpack_from(COUNTS, data, 16)
    features, trees = both & 0xFFFFFFFF, both >> 32
    first = length - 32 - text_bytes - 48 * nodes
    found = np.frombuffer(data, NODE, nodes, first).copy()
    found["value"][found["feature"] == -1] /= times
    parts = data[first - 4 * trees : first] * times, found.tobytes() * times
    longer = (times - 1) * sum(len(part) for part in parts) // times
    counts = length + longer, features | trees * times << 32, strings, text_bytes, nodes * times
    head = data[:16] + struct.pack(COUNTS, *counts, sets) + data[64:88]
    head += struct.pack("<d", trees * times) + data[96 : first - 4 * trees]  # n_estimators
    return _signed(head + b"".join(parts) + data[first + 48 * nodes : -32])


def _signed(data: bytes) -> TabularModel:
    return load_model(data + hashlib.sha256(data).digest())


def failing(table: pa.Table, labels: Labels, column: str) -> TabularModel:
    """Takes the texts of a column for numbers, and so refuses every row that has one."""
    numbers = pa.array(np.arange(table.num_rows, dtype=float))
    place = table.column_names.index(column)
    return sound(table.set_column(place, column, numbers), labels)


def amounts(table: pa.Table, target: npt.NDArray[np.float64]) -> TabularModel:
    """Poisson regression."""
    return PoissonRegressor().fit(table, target, categorical_features=_texts(table)).model_


def overflowing(model: TabularModel, category: str) -> TabularModel:
    """A linear model that predicts no number for rows of a category, beyond all measure there."""
    data = model.to_bytes()[:-32]
    names = [level for f in model.features for level in f.categories or (f.name,)]
    slope = cast(Any, model.core).slopes[0][names.index(category)]
    data = data.replace(struct.pack("<d", slope), struct.pack("<d", 1e300))
    return _signed(data)
