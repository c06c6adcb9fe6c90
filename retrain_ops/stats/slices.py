"""One model's quality by slice, with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retrain_ops.errors import DataError
from retrain_ops.stats.cells import ALL_ROWS, CHALLENGER, confusion, count_cells
from retrain_ops.stats.distributions import normal_quantile
from retrain_ops.stats.labels import as_binary

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["encode_levels", "slice_report", "wilson_interval"]


def wilson_interval(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's two-sided score interval of k successes in n; (0, 1) when n is 0."""
    if n == 0:
        return 0.0, 1.0
    z2 = normal_quantile(0.5 + confidence / 2) ** 2
    centre = (k + z2 / 2) / (n + z2)
    half = math.sqrt(z2 * (k * (n - k) / n + z2 / 4)) / (n + z2)
    return max(0.0, centre - half), min(1.0, centre + half)


def slice_report(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    slices: Mapping[str, ArrayLike],
    confidence: float = 0.95,
) -> pa.Table:
    """Counts and rates of one model by slice.

    Args:
        y_true: labels, 0 or 1, length n.
        y_pred: decisions, 0 or 1, length n.
        slices: name -> n values (array, list, pandas, polars or Arrow) of text, whole numbers,
            booleans or dates; a missing value is the level "(missing)".
        confidence: of the two-sided intervals. They take rows as independent: within days
            they are too narrow, and the gates use days.

    Returns:
        One row for all data (slice "", level ""), then one per slice and level, sorted by
        level: slice, level, rows, tp, fp, fn, tn and, each with `_low` and `_high`, tpr, fpr,
        selection_rate (Wilson) and f1 (row influence). A rate without a denominator is null.

    Raises:
        DataError: labels or decisions other than 0 and 1, lengths that differ, or values that are
            no categories.
    """
    import pyarrow as pa

    y, p = as_binary(y_true, "y_true"), as_binary(y_pred, "y_pred")
    (everyone,) = _cells(y, p, np.zeros(len(y), np.int32), 1)
    rows = [_row(ALL_ROWS, ALL_ROWS, everyone, confidence)]
    for name, values in slices.items():
        codes, levels = encode_levels(values, name, len(y))
        cells = _cells(y, p, codes, len(levels))
        rows += [_row(name, level, c, confidence) for level, c in zip(levels, cells, strict=True)]
    return pa.Table.from_pylist(rows)


def encode_levels(values: Any, name: str, n: int) -> tuple[NDArray[np.int32], list[str]]:
    """Codes into the sorted levels, int32 (n,); null has the last one.

    Raises:
        DataError: `values` is not one column of n categories.
    """
    from retrain_ops.data.categories import as_column, slice_codes

    column = as_column(values, f"slice {name!r}")
    if len(column) != n:
        raise DataError(f"slice {name!r} has {len(column)} values, y_true has {n}")
    levels, codes = slice_codes(column, name)
    return codes, levels


def _cells(
    y: NDArray[np.uint8], p: NDArray[np.uint8], codes: NDArray[np.int32], n_levels: int
) -> list[list[int]]:
    """Joint counts of each level, with one model in both places."""
    cells = count_cells(np.zeros(len(codes), np.int32), codes, y, p, p, 1, n_levels)
    counts: list[list[int]] = cells[0].tolist()
    return counts


def _row(name: str, level: str, cells: Sequence[int], confidence: float) -> dict[str, object]:
    tn, fp, fn, tp = (cells[i] for i in (0, 3, 4, 7))  # a model agrees with itself everywhere
    rows = sum(cells)
    row: dict[str, object] = {"slice": name, "level": level, "rows": rows}
    row |= {"tp": tp, "fp": fp, "fn": fn, "tn": tn}
    for rate, k, n in (
        ("tpr", tp, tp + fn),
        ("fpr", fp, fp + tn),
        ("selection_rate", tp + fp, rows),
    ):
        low, high = wilson_interval(k, n, confidence) if n else (None, None)
        row |= {rate: k / n if n else None, f"{rate}_low": low, f"{rate}_high": high}
    return row | _f1(cells, confidence)


def _f1(cells: Sequence[int], confidence: float) -> dict[str, object]:
    """F1 = T / D and its interval.

    A true positive's influence is (2 - 2 F1) n / D, an error's -F1 n / D, so
    the variance is (TP (2 - 2 F1)^2 + (FP + FN) F1^2) / D^2, with FP + FN = D - T.
    """
    _, fp, fn, tp = confusion(cells, CHALLENGER)
    t, d = 2 * tp, 2 * tp + fp + fn
    if d == 0:
        return {"f1": None, "f1_low": None, "f1_high": None}
    f1 = t / d
    error = math.sqrt(t // 2 * (2 - 2 * f1) ** 2 + (d - t) * f1**2) / d
    half = normal_quantile(0.5 + confidence / 2) * error
    return {"f1": f1, "f1_low": max(0.0, f1 - half), "f1_high": min(1.0, f1 + half)}
