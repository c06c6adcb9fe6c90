"""The reference: what the champion's training days looked like, as binned counts.

Frozen with the model. Bins are quantiles of the training rows, so the current
days are counted into the same bins later, one row of counts per day: days, not
rows, are what repeats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from retrain_ops import _core
from retrain_ops.data.source import day_index

Counts = npt.NDArray[np.int64]
MISSING_LEVEL = "(missing)"


def build_reference(
    table: pa.Table,
    *,
    numeric: Sequence[str],
    categorical: Sequence[str],
    slices: Sequence[str],
    bins: int,
    n_threads: int = 0,
) -> dict[str, Any]:
    """Bins and per-day counts of each feature, and the levels of each slice column.

    Returns a JSON-ready record: `features[name]` holds `kind`, `edges` (inner
    edges, float64) or `levels`, and `counts` (days x bins, int64).
    """
    features: dict[str, Any] = {}
    for name in numeric:
        edges = _core.quantile_edges(numeric_values(table, name), bins)
        features[name] = {"kind": "numeric", "edges": [float(e) for e in edges]}
    for name in categorical:
        features[name] = {"kind": "categorical", "levels": distinct_levels(table, name)}
    for name, feature in features.items():
        counts = count_feature(table, name, feature, n_threads=n_threads)
        feature["counts"] = counts.tolist()
    return {
        "days": [d.isoformat() for d in day_index(table)[1]],
        "rows": table.num_rows,
        "features": features,
        "slices": {name: slice_levels(table, name)[0] for name in slices},
    }


def count_feature(
    table: pa.Table, name: str, feature: Mapping[str, Any], *, n_threads: int = 0
) -> Counts:
    """Per-day counts of one column in the bins of `feature`: int64 (days, bins)."""
    codes, days = day_index(table)
    if feature["kind"] == "numeric":
        edges = np.asarray(feature["edges"], dtype=np.float64)
        values = numeric_values(table, name)
        return _core.drift_counts(values, codes, edges, len(days), n_threads=n_threads)
    levels = feature["levels"]
    found = level_codes(table, name, levels)
    return _core.category_counts(found, codes, len(levels), len(days), n_threads=n_threads)


def numeric_values(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """A numeric column as float64, null as NaN."""
    column = table[name].cast(pa.float64())
    filled = pc.fill_null(column, float("nan"))
    return np.asarray(filled.to_numpy(), dtype=np.float64)


def distinct_levels(table: pa.Table, name: str) -> list[str]:
    """The values of a text column, nulls left out, in the order of their UTF-8 bytes."""
    values = pc.unique(table[name].cast(pa.string())).drop_null().to_pylist()
    return sorted(values, key=lambda v: v.encode())


def level_codes(table: pa.Table, name: str, levels: Sequence[str]) -> npt.NDArray[np.int32]:
    """Index of each row's value in `levels`; -1 = null, -2 = not among them. int32 (rows,)."""
    column = table[name].cast(pa.string())
    index = pc.index_in(column, value_set=pa.array(levels, type=pa.string()))
    codes = pc.if_else(column.is_null(), -1, pc.fill_null(index, -2))
    return np.asarray(codes.to_numpy(), dtype=np.int32)


def slice_levels(table: pa.Table, name: str) -> tuple[list[str], npt.NDArray[np.int32]]:
    """Levels of a slice column and each row's code; a missing attribute is a level of its own."""
    levels = distinct_levels(table, name)
    codes = level_codes(table, name, levels)
    if (codes == -1).any():
        codes = np.where(codes == -1, len(levels), codes).astype(np.int32)
        levels = [*levels, MISSING_LEVEL]
    return levels, codes
