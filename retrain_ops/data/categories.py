"""What is a number, a time, a category or a missing value: decided here, once.

Fit, predict, drift, slices, PSI, labels and the source read columns through this module, so
that a value means the same in all of them. It imports errors alone: everybody may use it.

Missing is a null, None, NaN, NaT, pandas' NA and a masked value. A category is a text: whole
numbers of any type are their decimal digits, booleans `true` and `false`, dates `YYYY-MM-DD`,
UUIDs 8-4-4-4-12 hexadecimal digits, pandas' intervals `(left, right]`, and bytes the UTF-8 text
that they hold. A dictionary is read by its values, never by its codes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrain_ops.errors import DataError

Kind = Literal["number", "moment", "duration", "category", "nothing", "other"]
Numbers = NDArray[np.float32] | NDArray[np.float64]

MISSING_LEVEL = "(missing)"
"""The level of a slice that rows without a value make."""
_LOOKS_MISSING = re.compile(r'("*)\(missing\)\1')

MISSING, UNSEEN = -1, -2
"""Codes of rows without a value, and of values that are no level."""

_CATEGORIES = "category names (text, whole numbers, booleans or dates)"
_is = pa.types
_KINDS: tuple[tuple[Kind, tuple[Callable[[pa.DataType], bool], ...]], ...] = (
    ("number", (_is.is_floating, _is.is_integer, _is.is_boolean, _is.is_decimal)),
    ("category", (_is.is_string,)),
    ("moment", (_is.is_timestamp, _is.is_date)),
    ("duration", (_is.is_duration,)),
    ("nothing", (_is.is_null,)),
)


def as_column(values: Any, name: str) -> pa.ChunkedArray:
    """One column from an array, list, pandas or polars series or Arrow array, as a plain type.

    `name` is what messages call it. Raises DataError where it is not one column, or where it
    holds values of several kinds.
    """
    try:
        return plain(_to_arrow(values), name)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{name} is no column of numbers, times or texts: {error}") from error


def _to_arrow(values: Any) -> pa.ChunkedArray:
    if isinstance(values, pa.ChunkedArray):
        return values
    if hasattr(values, "columns"):
        raise TypeError("it is a table; give one of its columns")
    if isinstance(values, str | bytes):
        raise TypeError("it is a single text")
    shape: tuple[int, ...] = tuple(getattr(values, "shape", ()))
    if len(shape) > 1:
        if len(shape) > 2 or shape[1] != 1:
            raise TypeError(f"it has the shape {shape}; give one column")
        values = values[:, 0]
    known = isinstance(values, pa.Array) or type(values).__module__.startswith(("numpy", "pandas"))
    if not known and hasattr(values, "__arrow_c_stream__"):
        return pa.chunked_array(values)
    array = values if isinstance(values, pa.Array) else pa.array(values, from_pandas=True)
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def plain(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """The column without dictionaries, views, large or binary text and UUIDs: all are values.

    Raises DataError where bytes are no text.
    """
    kind = column.type
    if _is.is_dictionary(kind):
        return _decoded(column, name)
    if kind == pa.uuid():
        return _by_chunk(column, _uuid_texts)
    if getattr(kind, "extension_name", "") == "pandas.interval":
        return _by_chunk(column, _interval_texts)
    if _is.is_string(kind) or not _is_text(kind):
        return column
    try:
        return column.cast(pa.string())
    except pa.ArrowException as error:
        raise DataError(f"column {name!r} holds {kind}, which is not UTF-8 text") from error


def _is_text(kind: pa.DataType) -> bool:
    texts = (_is.is_large_string, _is.is_string_view, _is.is_binary, _is.is_large_binary)
    return any(fits(kind) for fits in (*texts, _is.is_binary_view, _is.is_fixed_size_binary))


def _by_chunk(
    column: pa.ChunkedArray, read: Callable[[pa.Array], pa.Array], kind: pa.DataType | None = None
) -> pa.ChunkedArray:
    return pa.chunked_array([read(chunk) for chunk in column.chunks], type=kind or pa.string())


def _decoded(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Each chunk has a dictionary of its own, and Arrow cannot cast one of views."""

    def values(dictionary: pa.Array) -> pa.Array:
        return plain(pa.chunked_array([dictionary]), name).combine_chunks()

    empty = values(pa.array([], type=column.type.value_type))
    return _by_chunk(column, lambda c: values(c.dictionary).take(c.indices), empty.type)


def _uuid_texts(chunk: pa.Array) -> pa.Array:
    valid = chunk.is_valid().to_numpy(zero_copy_only=False)
    raw = b"".join(chunk.storage.drop_null().to_pylist())
    digits = np.frombuffer(raw.hex().encode(), dtype="S1").reshape(-1, 32)
    texts = np.full(len(chunk), b"", dtype="S36")
    texts[valid] = np.insert(digits, (8, 12, 16, 20), b"-", axis=1).view("S36")[:, 0]
    return pa.array(texts, mask=~valid).cast(pa.string())


def _interval_texts(chunk: pa.Array) -> pa.Array:
    ends = [chunk.storage.field(side).cast(pa.string()) for side in ("left", "right")]
    closed = chunk.type.closed
    first = "[" if closed in ("left", "both") else "("
    last = "]" if closed in ("right", "both") else ")"
    inner = pc.binary_join_element_wise(*ends, ", ")
    text = pc.binary_join_element_wise(pa.scalar(first), inner, pa.scalar(last), "")
    return pc.if_else(chunk.is_valid(), text, pa.scalar(None, pa.string()))


def kind_of(column: pa.ChunkedArray) -> Kind:
    """What a plain column holds; "nothing" where every value is missing by type."""
    for kind, tests in _KINDS:
        if any(fits(column.type) for fits in tests):
            return kind
    return "other"


def numbers(column: pa.ChunkedArray, name: str) -> Numbers:
    """Numbers [rows], NaN where missing: float32 stays what it is, everything else is float64.

    False is 0, True is 1; decimals and integers beyond 2**53 are rounded to the nearest float64.
    Raises DataError for a column of another kind.
    """
    column = plain(column, name)
    if kind_of(column) not in ("number", "nothing"):
        raise DataError(f"column {name!r} must hold numbers, its type is {column.type}")
    if _is.is_float32(column.type):
        return cast(Numbers, column.to_numpy())
    if _is.is_boolean(column.type):
        column = column.cast(pa.int8())
    elif _is.is_decimal(column.type):  # Arrow scales instead of rounding: 0.3 is not 0.3
        column = column.cast(pa.string())
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def seconds(column: pa.ChunkedArray, name: str) -> NDArray[np.float64]:
    """Moments as seconds since 1970-01-01 (UTC where they have a zone), durations as seconds.

    float64 [rows], exact to the microsecond in this century; NaN where missing.
    """
    if kind_of(column) == "nothing":
        return np.full(len(column), np.nan)
    if _is.is_date(column.type):
        column = column.cast(pa.timestamp("ms"))
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
    return np.asarray(numbers(column.cast(pa.int64()), name) / per_second)


def texts(column: pa.ChunkedArray, name: str, *, fractions: bool = False) -> pa.ChunkedArray:
    """The column's categories as strings, nulls kept.

    With `fractions` other numbers than whole ones are categories too, by their shortest decimal
    text. Raises DataError for what is no category.
    """
    column = plain(column, name)
    if kind_of(column) not in ("number", "category", "nothing") and not _is.is_date(column.type):
        raise DataError(f"column {name!r} must hold {_CATEGORIES}, its type is {column.type}")
    if _is.is_floating(column.type) or _is.is_decimal(column.type):
        column = _counted(column, name, fractions)
    return column.cast(pa.string())


def _counted(column: pa.ChunkedArray, name: str, fractions: bool) -> pa.ChunkedArray:
    """Whole numbers as integers: pandas makes floats of integers beside a gap."""
    if _is.is_decimal(column.type):
        try:
            return column.cast(pa.decimal256(76, 0))
        except pa.ArrowException:
            whole = False
    values = numbers(column, name)
    missing = np.isnan(values)
    filled = np.where(missing, 0.0, values)
    if _is.is_floating(column.type):
        whole = np.array_equal(filled, np.trunc(filled)) and bool(np.all(np.abs(filled) < 2.0**53))
    if not whole and not fractions:
        raise DataError(
            f"column {name!r} must hold {_CATEGORIES}; its type is {column.type}, with fractions "
            "or beyond 2**53: round it, or write it as text"
        )
    return pa.chunked_array([pa.array(filled.astype(np.int64) if whole else values, mask=missing)])


def levels_of(values: pa.ChunkedArray) -> list[str]:
    """The distinct texts, nulls left out, in the order of their UTF-8 bytes: neither the order
    of rows nor the dictionaries of files matter."""
    found = pc.unique(values).drop_null().to_pylist()
    return sorted(found, key=lambda text: text.encode())


def codes_of(values: pa.ChunkedArray, levels: Sequence[str]) -> NDArray[np.int32]:
    """Index of each text in `levels`, else MISSING or UNSEEN; int32 [rows]."""
    index = pc.index_in(values, value_set=pa.array(levels, type=pa.string()))
    codes = pc.if_else(values.is_null(), MISSING, pc.fill_null(index, UNSEEN))
    return np.asarray(codes.to_numpy(), dtype=np.int32)


def slice_codes(column: pa.ChunkedArray, name: str) -> tuple[list[str], NDArray[np.int32]]:
    """Levels of a slice column and each row's code; what is missing is the last level.

    A text that reads `(missing)` gets quotes, one pair more than it has, so that it is never
    taken for rows without a value, in this table or in another.
    """
    values = texts(column, name, fractions=True)
    found = levels_of(values)
    codes = codes_of(values, found)
    levels = [f'"{text}"' if _LOOKS_MISSING.fullmatch(text) else text for text in found]
    if (codes == MISSING).any():
        codes = np.where(codes == MISSING, len(levels), codes).astype(np.int32)
        levels = [*levels, MISSING_LEVEL]
    return levels, codes
