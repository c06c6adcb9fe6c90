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

from retrain_ops import _core
from retrain_ops.data.categories import codes_of, levels_of, numbers, slice_codes, texts
from retrain_ops.data.source import day_index

Counts = npt.NDArray[np.int64]


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
        edges = _core.quantile_edges(_numbers(table, name), bins)
        features[name] = {"kind": "numeric", "edges": [float(e) for e in edges]}
    for name in categorical:
        features[name] = {"kind": "categorical", "levels": levels_of(texts(table[name], name))}
    for name, feature in features.items():
        counts = count_feature(table, name, feature, n_threads=n_threads)
        feature["counts"] = counts.tolist()
    return {
        "days": [d.isoformat() for d in day_index(table)[1]],
        "rows": table.num_rows,
        "features": features,
        "slices": {name: slice_levels(table, name)[0] for name in slices},
    }


def slice_levels(table: pa.Table, name: str) -> tuple[list[str], npt.NDArray[np.int32]]:
    """Levels of a slice column and each row's code, int32 (rows,); what is missing is the last."""
    return slice_codes(table[name], name)


def count_feature(
    table: pa.Table, name: str, feature: Mapping[str, Any], *, n_threads: int = 0
) -> Counts:
    """Per-day counts of one column in the bins of `feature`: int64 (days, bins)."""
    codes, days = day_index(table)
    if feature["kind"] == "numeric":
        edges = np.asarray(feature["edges"], dtype=np.float64)
        values = _numbers(table, name)
        return _core.drift_counts(values, codes, edges, len(days), n_threads=n_threads)
    levels = feature["levels"]
    found = codes_of(texts(table[name], name), levels)
    return _core.category_counts(found, codes, len(levels), len(days), n_threads=n_threads)


def _numbers(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    return numbers(table[name], name).astype(np.float64, copy=False)
