"""Tables in, probabilities out: the bridge between named columns and the core.

Columns are found by name, so their order and extra columns do not matter.
Categories are matched by value, never by a dictionary's codes, which differ from
file to file.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from retrain_ops import _core
from retrain_ops.data.categories import as_column, codes_of, numbers, texts
from retrain_ops.errors import CorruptError, DataError
from retrain_ops.models.container import pack, unpack
from retrain_ops.models.input import InputError, as_matrix, category_column, is_table
from retrain_ops.models.trees import importance
from retrain_ops.workspace import replace_file

Kind = Literal["numeric", "categorical"]
Matrix = NDArray[np.float32] | NDArray[np.float64]

LIBRARY_MAGIC = b"\x89RTL\r\n\x1a\n"
"""How the file of another library's model begins."""

CLASSES_MAGIC = b"\x89RTC\r\n\x1a\n"
"""How a file begins that names the classes of the model in it."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One input of a model: its column's name and how the column is read.

    `categories` are the known values of a categorical column, unique and ascending
    by their UTF-8 bytes; a numeric column has none.
    """

    name: str
    kind: Kind
    categories: tuple[str, ...] = ()


def as_table(data: object, names: Sequence[str]) -> pa.Table:
    """The named columns of a pyarrow, pandas or Arrow-exporting table, in that order.

    Raises DataError naming a column that is missing or that occurs twice, TypeError
    for anything that is not a table.
    """
    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if isinstance(data, pa.Table):
        _check_columns(data.column_names, names)
        return data.select(list(names))
    if type(data).__module__.split(".")[0] == "pandas" and hasattr(data, "columns"):
        frame = cast(Any, data)
        _check_columns(list(frame.columns), names)
        return pa.table([as_column(frame[name], name) for name in names], names=list(names))
    if hasattr(data, "__arrow_c_stream__"):
        return as_table(pa.table(data), names)
    raise TypeError(f"a table is needed (pyarrow, pandas or Arrow stream), not {type(data)}")


def table_of(data: object, names: Sequence[str], categorical: Sequence[str]) -> pa.Table:
    """The named columns of a table, or of an array [n, F] whose columns they name.

    In an array categories are whole numbers.
    """
    if is_table(data):
        frame = cast(Any, data)
        if "pandas" in sys.modules and hasattr(frame, "set_axis"):
            frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
        return as_table(frame, names)
    matrix = as_matrix(data)
    columns = [
        category_column(matrix[:, i], name) if name in categorical else pa.array(matrix[:, i])
        for i, name in enumerate(names)
    ]
    return pa.table(columns, names=list(names))


def _check_columns(present: Iterable[object], wanted: Sequence[str]) -> None:
    columns = list(present)
    for name in wanted:
        count = columns.count(name)
        if count != 1:
            problem = "is missing" if count == 0 else f"occurs {count} times"
            raise DataError(f"column {name!r} {problem}; the table has {columns}")


def encode(table: object, features: Sequence[Feature]) -> Matrix:
    """The matrix [rows, features] that a model reads; nulls and NaN become NaN.

    Numbers stay what they are: float32 when every value of every column is exactly
    representable in it, else float64 (64-bit integers beyond 2**53 lose their last
    digits). A category is the position of its value in `feature.categories`; values
    outside the list become NaN. Raises DataError for missing columns and for types
    that are neither numbers nor category names.
    """
    columns = as_table(table, [f.name for f in features])
    arrays = [
        _category_numbers(columns.column(i), feature)
        if feature.kind == "categorical"
        else _narrow(columns.column(i), feature.name)
        for i, feature in enumerate(features)
    ]
    dtype = np.float32 if all(a.dtype == np.float32 for a in arrays) else np.float64
    matrix = np.empty((columns.num_rows, len(arrays)), dtype=dtype, order="F")
    for i, array in enumerate(arrays):
        matrix[:, i] = array
    return cast(Matrix, matrix)


def _narrow(column: pa.ChunkedArray, name: str) -> Matrix:
    """The column's numbers, as float32 where it holds them exactly."""
    wide = numbers(column, name)
    if wide.dtype == np.float32:
        return wide
    with np.errstate(over="ignore"):
        narrow = wide.astype(np.float32)
    exact = np.array_equal(narrow.astype(np.float64), wide, equal_nan=True)
    return narrow if exact else wide


def _category_numbers(column: pa.ChunkedArray, feature: Feature) -> Matrix:
    codes = codes_of(texts(column, feature.name), feature.categories)
    return np.where(codes < 0, np.float32(np.nan), codes.astype(np.float32))


class Core(Protocol):
    """What knows numbers alone: ours, `_core.Model`, or the model of another library."""

    @property
    def features(self) -> list[tuple[str, str, list[str]]]:
        """Name, kind and categories of each."""

    @property
    def threshold(self) -> float:
        """Scores from here on mean yes."""

    @property
    def kind(self) -> str:
        """`trees`, `linear`, or a library."""

    @property
    def objective(self) -> str:
        """As `TabularModel.objective`."""

    @property
    def sha256(self) -> str:
        """Of the file."""

    def with_threshold(self, threshold: float, /) -> Core:
        """The same model with another one."""

    def predict(self, x: ArrayLike, *, n_threads: int = 0) -> NDArray[np.float64]:
        """Scores of the rows of a matrix."""

    def to_bytes(self) -> bytes:
        """The file."""


@dataclass(frozen=True, slots=True, eq=False)
class TabularModel:
    """A trained model that knows its columns.

    `losses` is the log-loss of rows it did not see, by round, where its training watched some; no
    part of the model's file. `classes` are the names of what it tells apart, in the order of
    `scores`, where training was given any.
    """

    core: Core
    losses: tuple[float, ...] = ()
    classes: tuple[str, ...] = ()
    features: tuple[Feature, ...] = field(init=False)

    def __post_init__(self) -> None:
        features = tuple(
            Feature(name, cast(Kind, kind), tuple(categories))
            for name, kind, categories in self.core.features
        )
        object.__setattr__(self, "features", features)

    @property
    def threshold(self) -> float:
        """Scores from here on mean yes."""
        return self.core.threshold

    @property
    def sha256(self) -> str:
        """SHA-256 of the model file: equal models have equal hashes."""
        return hashlib.sha256(self.to_bytes()).hexdigest() if self.classes else self.core.sha256

    def with_threshold(self, threshold: float) -> TabularModel:
        """The same model with another decision threshold."""
        return TabularModel(self.core.with_threshold(threshold), self.losses, self.classes)

    @property
    def objective(self) -> str:
        """`binary`, `softmax` or `squared_error`; of a linear model also `poisson`."""
        return self.core.objective

    @property
    def kind(self) -> str:
        """`trees` or `linear`; of another library `xgboost`, `lightgbm` or `sklearn`."""
        return self.core.kind

    @property
    def amounts(self) -> bool:
        """Does it predict amounts, and no probabilities?"""
        return self.objective in ("squared_error", "poisson")

    def scores(self, data: object, *, n_threads: int = 0) -> NDArray[np.float64]:
        """P(label = 1) of each row, float64 [n]; of K > 2 classes [n, K]; or the amount [n].

        `data` is a pyarrow table, a pandas frame or an Arrow stream, or an array [n, F] with
        the model's columns in their order (categories as whole numbers). Raises DataError
        when a column is missing or has another type.
        """
        return self.core.predict(self._matrix(data), n_threads=n_threads)

    def predict_proba(self, data: object, *, n_threads: int = 0) -> NDArray[np.float64]:
        """Probabilities of the classes of each row, float64 [n, K]; `data` as in `scores`.

        Raises TypeError for a model of amounts.
        """
        if self.amounts:
            raise TypeError("this model predicts amounts, not probabilities; use predict")
        found = self.scores(data, n_threads=n_threads)
        return found if found.ndim == 2 else np.column_stack([1.0 - found, found])

    def predict(self, data: object, *, n_threads: int = 0) -> NDArray[Any]:
        """The class of each row by number, int64 [n] (of two: 1 from the threshold on); or the
        amount, float64 [n]. `data` as in `scores`."""
        found = self.scores(data, n_threads=n_threads)
        if self.amounts:
            return found
        if found.ndim == 2:
            return cast(NDArray[Any], np.argmax(found, axis=1).astype(np.int64))
        return (found >= self.threshold).astype(np.int64)

    def _matrix(self, data: object) -> Any:
        if is_table(data):
            return encode(data, self.features)
        matrix = as_matrix(data)
        if matrix.shape[1] != len(self.features):
            raise InputError(
                f"the data has {matrix.shape[1]} columns, the model {len(self.features)} features"
            )
        categorical = [f.name for f in self.features if f.kind == "categorical"]
        if not categorical:
            return matrix
        names = [f.name for f in self.features]
        return encode(table_of(matrix, names, categorical), self.features)

    def importance(self, kind: str = "gain") -> NDArray[np.float64]:
        """By feature, float64 [F]: "gain" or "cover" of its splits, or how many they are.

        Raises TypeError for a linear model, and for one of another library.
        """
        if self.kind == "linear":
            raise TypeError("a linear model has coefficients (core.slopes), no splits")
        if self.kind != "trees":
            raise TypeError(f"ask {self.kind} itself: core.payload is its own file")
        return importance(self.core.to_bytes(), len(self.features), kind)

    def to_bytes(self) -> bytes:
        """The model file."""
        core = self.core.to_bytes()
        return pack(CLASSES_MAGIC, {"classes": self.classes}, core) if self.classes else core

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model file; a reader sees the old file or the new one, whole."""
        replace_file(Path(path), self.to_bytes())

    def to_onnx(self, *, ml_opset: int = 5) -> bytes:
        """The model for ONNX runtimes: `onnx_bytes`, which says what goes in and comes out.

        Raises ConfigError where the package onnx is not installed, TypeError for a model of
        another library.
        """
        from retrain_ops.models.onnx_export import onnx_bytes

        return onnx_bytes(self, ml_opset=ml_opset)

    def to_lightgbm(self) -> str:
        """The model for `lightgbm.Booster(model_str=...)`; categories are their numbers.

        Raises TypeError for a model without trees that LightGBM could read.
        """
        from retrain_ops.models.lightgbm_text import lightgbm_text

        core: Any = self.core
        return core.payload.decode() if self.kind == "lightgbm" else lightgbm_text(self)


def load_model(source: bytes | str | os.PathLike[str]) -> TabularModel:
    """A model from its bytes or from the file at a path.

    Raises CorruptError for anything that is not a whole, undamaged model file; no
    bytes can do harm. A file that holds the model of another library is checked before that
    library reads its part; ConfigError where it is not installed.
    """
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    if data.startswith(CLASSES_MAGIC):
        return _with_classes(data)
    if data.startswith(LIBRARY_MAGIC):
        from retrain_ops.models.libraries.model import read_library_model

        return TabularModel(read_library_model(data))
    return TabularModel(_core.Model.from_bytes(data))


def _with_classes(data: bytes) -> TabularModel:
    """The model in a file that names its classes."""
    header, payload = unpack(CLASSES_MAGIC, data, "a model of classes")
    classes = header.get("classes")
    if (
        not isinstance(classes, list)
        or not all(isinstance(name, str) for name in classes)
        or len(set(classes)) < max(len(classes), 2)
        or payload.startswith(CLASSES_MAGIC)
    ):
        raise CorruptError(f"the classes of the model file are {classes!r}")
    model = load_model(payload)
    nothing = np.full((1, len(model.features)), np.nan)
    outputs = model.core.predict(nothing, n_threads=1).size
    if outputs != len(classes):
        raise CorruptError(f"the file names {len(classes)} classes of a model of {outputs}")
    return replace(model, classes=tuple(classes))
