"""Labels, decisions, scores and days as the kernels read them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retrain_ops.errors import DataError

__all__ = ["as_binary", "as_floats", "as_numbers", "numbered_days", "whole_days"]


def as_binary(values: ArrayLike, name: str) -> NDArray[np.uint8]:
    """`values` (bool, integers or floats, one dimension) as uint8 zeros and ones.

    Raises:
        DataError: when there is any other value, or a missing one; `name` is what the message
            calls them.
    """
    array = as_numbers(values, name)
    if array.size == 0:
        array = array.astype(np.uint8)
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise DataError(f"{name} must be one column of zeros and ones")
    wrong = np.flatnonzero((array != 0) & (array != 1))
    if wrong.size:
        first = array[wrong[0]]
        found = "missing" if first != first else first
        raise DataError(f"{name}[{wrong[0]}] is {found}, it must be 0 or 1")
    return array.astype(np.uint8)


def as_numbers(values: Any, name: str) -> NDArray[Any]:
    """Numbers as an array of their own type; what NumPy knows as objects only, as float64.

    Those are decimals, None beside numbers, pandas' nullable columns; missing values are NaN.
    Raises DataError for texts, times and mixtures.
    """
    if not isinstance(values, np.ma.MaskedArray):
        array: NDArray[Any] = np.asarray(values)
        if array.dtype.kind in "biuf" or array.size == 0:
            return array
    from retrain_ops.data.categories import as_column, numbers

    return numbers(as_column(values, name), name)


def as_floats(values: Any, name: str) -> NDArray[np.float64]:
    """`as_numbers` as float64."""
    return as_numbers(values, name).astype(np.float64, copy=False)


def numbered_days(days: Any, rows: int) -> tuple[NDArray[np.int32], int]:
    """Each row's place among the days (dates, text or whole numbers), and how many there are.

    Raises DataError where a row has no day.
    """
    from retrain_ops.data.categories import as_column

    values: NDArray[Any] = np.asarray(days)
    if values.shape != (rows,):
        raise DataError(f"days has the shape {values.shape}, y_true has {rows} rows")
    plain = values.dtype.kind in "biuU" and not isinstance(days, np.ma.MaskedArray)
    if not plain and as_column(days, "days").null_count:
        raise DataError("days holds a missing value: every row needs its day")
    found, number = np.unique(values, return_inverse=True)
    return number.astype(np.int32), len(found)


def whole_days(days: Any) -> NDArray[np.int32]:
    """Days that are numbered from 0, int32 [rows]. Raises DataError for anything else."""
    values = as_numbers(days, "day")
    if not np.all((values >= 0) & (values < 2**31) & (values == np.trunc(values))):
        raise DataError("day must hold whole numbers from 0, none missing")
    return values.astype(np.int32)
