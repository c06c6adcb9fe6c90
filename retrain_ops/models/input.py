"""What estimators accept as X and y, with messages in scikit-learn's words."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retrain_ops.data.categories import as_column, kind_of, texts
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
    if isinstance(X, np.ma.MaskedArray):
        X = np.ma.filled(X.astype(np.float64), np.nan)
    array = np.asarray(X)
    if np.iscomplexobj(array):
        raise InputError("Complex data not supported")
    if array.dtype.kind in "Mm":
        raise InputError("X must hold numbers, it holds times: subtract a start, divide by a unit")
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
    """y as an array [n]. Raises InputError for other shapes, gaps, or where it is none."""
    if y is None:
        raise InputError("requires y to be passed, but the target y is None")
    target = _without_gaps(y)
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


def _without_gaps(y: Any) -> NDArray[Any]:
    """y as an array; pandas' nullable numbers, which NumPy knows as objects only, as numbers."""
    target = np.asarray(y)
    if target.dtype.kind not in "OMm" and not isinstance(y, np.ma.MaskedArray):
        return target
    if target.ndim == 2 and target.shape[1] == 1:
        return _without_gaps(target[:, 0])[:, None]
    try:
        column = as_column(y, "y")
    except DataError as error:
        raise InputError(str(error)) from error
    if column.null_count:
        first = int(np.flatnonzero(column.is_null().to_numpy())[0])
        raise InputError(
            f"y[{first}] is missing, as are {column.null_count} of {len(column)} values (NaN): "
            "drop these rows"
        )
    nullable = target.dtype.kind == "O" and not isinstance(y, np.ndarray)
    if nullable and kind_of(column) == "number" and not pa.types.is_decimal(column.type):
        return np.asarray(column.to_numpy())
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
    if target.dtype.kind in "Mm":
        raise InputError("y must hold numbers, it holds times: subtract a start, divide by a unit")
    try:
        amounts = target.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"y must hold numbers: {error}") from error
    if not np.isfinite(amounts).all():
        raise InputError("Input y contains NaN or infinity")
    return amounts


def category_column(values: NDArray[Any], name: str) -> pa.ChunkedArray:
    """A column of an array as categories: whole numbers, NaN as null."""
    try:
        return texts(as_column(values, name), name)
    except DataError as error:
        raise InputError(str(error)) from error


def categorical_columns(X: Any, names: list[str], chosen: Any) -> list[str]:
    """Names of the categorical columns, in column order.

    `chosen` holds names or positions, or is a mask of all columns, or "from_dtype": the
    dictionaries among a table's columns (pandas' category, polars' Categorical and Enum; an array
    has none). Raises InputError for anything else.
    """
    if chosen is None or (hasattr(chosen, "__len__") and len(chosen) == 0):
        return []
    if not hasattr(chosen, "__len__"):
        raise InputError(f"categorical_features is a list of columns; write [{chosen!r}]")
    if isinstance(chosen, str):
        if chosen != "from_dtype":
            raise InputError(
                f'categorical_features is a list of columns or "from_dtype", not {chosen!r}; for '
                f"one column write [{chosen!r}]"
            )
        marked = _dictionaries(X)
        return [name for name, is_marked in zip(names, marked, strict=True) if is_marked]
    each = np.asarray(chosen).tolist()
    if all(isinstance(c, bool) for c in each):
        if len(each) != len(names):
            raise InputError(f"categorical_features marks {len(each)} columns, X has {len(names)}")
        return [name for name, is_marked in zip(names, each, strict=True) if is_marked]
    wanted = {_column_name(c, names) for c in chosen}
    return [name for name in names if name in wanted]


def _column_name(chosen: Any, names: list[str]) -> str:
    if isinstance(chosen, str) and chosen in names:
        return str(chosen)
    position = isinstance(chosen, (int, np.integer)) and not isinstance(chosen, bool)
    if position and 0 <= chosen < len(names):
        return names[int(chosen)]
    raise InputError(
        f"categorical_features names {chosen!r}; the columns are {names}, their positions 0 to "
        f"{len(names) - 1}"
    )


def _dictionaries(X: Any) -> list[bool]:
    if not is_table(X):
        return [False] * int(X.shape[1])
    if hasattr(X, "iloc"):
        return [str(kind) == "category" for kind in X.dtypes]
    schema = X.schema if isinstance(X, (pa.Table, pa.RecordBatch)) else pa.table(X).schema
    return [pa.types.is_dictionary(field.type) for field in schema]


def one_pair(eval_set: Any) -> tuple[Any, Any] | None:
    """(X, y) as given, or as the only pair of a list. Raises InputError for anything else."""
    if eval_set is None:
        return None
    pairs = isinstance(eval_set, list) and all(isinstance(p, (tuple, list)) for p in eval_set)
    if pairs and len(eval_set) == 1:
        eval_set = eval_set[0]
    several = isinstance(eval_set, list) and any(isinstance(p, tuple) for p in eval_set)
    if several or not isinstance(eval_set, (tuple, list)) or len(eval_set) != 2:
        raise InputError("eval_set is one pair (X, y), or a list that holds one")
    return eval_set[0], eval_set[1]


def rows_of(X: Any, y: Any) -> int:
    """How many rows X has; of what does not say, as many as y."""
    return int(X.shape[0]) if hasattr(X, "shape") else len(y)
