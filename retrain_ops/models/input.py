"""What estimators accept as X and y, with messages in scikit-learn's words."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retrain_ops.errors import DataError


class InputError(DataError, ValueError):
    """X, y or weights that an estimator cannot use."""


class NotFittedError(ValueError, AttributeError):
    """predict was called before fit."""


def not_fitted(name: str) -> Exception:
    """The error of an estimator without a model; scikit-learn's own where it is loaded."""
    text = f"This {name} instance is not fitted yet. Call 'fit' before predicting."
    theirs = sys.modules.get("sklearn.exceptions")
    return theirs.NotFittedError(text) if theirs is not None else NotFittedError(text)


def is_table(X: Any) -> bool:
    """Named columns: pyarrow, pandas, or what exports itself as an Arrow stream."""
    return isinstance(X, (pa.Table, pa.RecordBatch)) or (
        hasattr(X, "columns") or hasattr(X, "__arrow_c_stream__")
    )


def column_names(X: Any) -> list[Any]:
    """Names of a table's columns, as they are."""
    if isinstance(X, (pa.Table, pa.RecordBatch)):
        return list(X.schema.names)
    return list(X.columns) if hasattr(X, "columns") else list(pa.table(X).column_names)


def as_matrix(X: Any) -> NDArray[Any]:
    """X as an array of numbers [n, F]; float32 and float64 stay where they lie.

    Raises InputError for other shapes and kinds, TypeError for sparse ones.
    """
    if hasattr(X, "toarray"):
        raise TypeError("Sparse data was passed; dense data is required: use X.toarray()")
    array = np.asarray(X)
    if np.iscomplexobj(array):
        raise InputError("Complex data not supported")
    if array.dtype not in (np.float32, np.float64):
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            if isinstance(error, TypeError):
                raise TypeError(f"argument must be a string or a number: {error}") from error
            raise InputError(f"X must hold numbers: {error}") from error
    if array.ndim != 2:
        raise InputError(
            f"Expected 2D array, got {array.ndim}D array instead. Reshape your data to [n, F]"
        )
    for axis, what in enumerate(("sample(s)", "feature(s)")):
        if array.shape[axis] == 0:
            raise InputError(
                f"Found array with 0 {what} (shape={array.shape}) while a minimum of 1 is required."
            )
    return array


def _one_column(y: Any, rows: int) -> NDArray[Any]:
    """y as an array [n]. Raises InputError for other shapes, or where it is none."""
    if y is None:
        raise InputError("requires y to be passed, but the target y is None")
    target = np.asarray(y)
    if target.ndim == 2 and target.shape[1] == 1:
        warning: Any = UserWarning
        if "sklearn.exceptions" in sys.modules:
            warning = sys.modules["sklearn.exceptions"].DataConversionWarning
        warnings.warn("A column-vector y was passed when a 1d array was expected",
                      warning, stacklevel=4)  # fmt: skip
        target = target[:, 0]
    if target.ndim != 1:
        raise InputError(f"y must have one dimension, it has the shape {target.shape}")
    if target.dtype.kind == "f" and not np.isfinite(target).all():
        raise InputError("Input y contains NaN or infinity")
    if len(target) != rows:
        raise InputError(f"y has {len(target)} rows, X has {rows}")
    return target


def check_labels(y: Any, rows: int) -> NDArray[Any]:
    """y as labels [n]. Raises InputError where it is none."""
    labels = _one_column(y, rows)
    if labels.dtype.kind == "f" and not np.array_equal(labels, np.trunc(labels)):
        raise InputError("Unknown label type: continuous. Classes are needed, not amounts")
    return labels


def check_amounts(y: Any, rows: int) -> NDArray[np.float64]:
    """y as amounts, float64 [n]. Raises InputError where it holds none."""
    target = _one_column(y, rows)
    if np.iscomplexobj(target):
        raise InputError("Complex data not supported")
    try:
        return target.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"y must hold numbers: {error}") from error


def whole_numbers(column: NDArray[Any], name: str) -> pa.Array:
    """Numbers of categories as integers, NaN as null."""
    values = np.asarray(column, dtype=np.float64)
    missing = np.isnan(values)
    whole = np.where(missing, 0.0, values)
    if not np.array_equal(whole, np.trunc(whole)) or np.any(np.abs(whole) > 2.0**53):
        raise InputError(f"categorical column {name!r} must hold whole numbers")
    return pa.array(whole.astype(np.int64), mask=missing)
