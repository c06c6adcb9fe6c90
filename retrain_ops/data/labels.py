"""Outcomes: which rows have one, and what it is, for each `[model] problem`."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrain_ops.data.categories import codes_of, levels_of, numbers, texts
from retrain_ops.errors import DataError
from retrain_ops.spec.spec import RetrainSpec
from retrain_ops.spec.window import DAY, of_day

if TYPE_CHECKING:
    from retrain_ops.data.source import Columns

__all__ = [
    "Labels",
    "class_codes",
    "class_names",
    "label_values",
    "labelled",
    "labels_of",
    "rows_of_days",
]


class Labels(Protocol):
    """What a label of one problem is."""

    @property
    def wanted(self) -> str:
        """In words, for messages."""

    @property
    def rate_name(self) -> str:
        """What `survey` is called."""

    @property
    def is_rate(self) -> bool:
        """Whether the mean label is the share of one of two labels."""

    def survey(self, label: pa.ChunkedArray) -> float | None:
        """The number that `rate_name` calls; None without a label."""

    def ranges(self, column: str) -> dict[str, tuple[float, float]]:
        """The range of a label, by its column; empty where `is_rate` says more."""

    def accepts(self, kind: pa.DataType) -> bool:
        """Whether a column of this type can hold labels."""

    def known(self, label: pa.ChunkedArray) -> pa.ChunkedArray:
        """Which labels are known, as booleans."""

    def values(self, table: pa.Table, column: str) -> NDArray[Any]:
        """The labels of rows that all have one.

        Raises:
            DataError: one is none of this problem; says the column and, where rows have a day,
                the day.
        """

    def lacking(self, label: NDArray[Any]) -> str:
        """What these labels lack for a training; empty when nothing."""

    def learnt(self, label: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
        """What a trainer learns from, and the names of its classes where it has any."""

    def unseen(self, table: Columns, column: str, seen: Sequence[date]) -> str:
        """Which label no day of `seen` has, in words; empty where there is none."""

    def positives(self, label: pa.ChunkedArray) -> int:
        """Labels of 1; 0 where there is no such thing."""


class _Numbers:
    """What labels that are numbers share: any of them can be learnt from."""

    def survey(self, label: pa.ChunkedArray) -> float | None:
        mean = pc.mean(label).as_py()
        return None if mean is None else round(float(mean), 4)

    def learnt(self, label: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
        return label, ()

    def unseen(self, table: Columns, column: str, seen: Sequence[date]) -> str:
        return ""


class _ZeroOrOne(_Numbers):
    """Labels of a yes or no, as uint8."""

    wanted = "0 or 1"
    rate_name = "label_rate"
    is_rate = True

    def ranges(self, column: str) -> dict[str, tuple[float, float]]:
        return {}

    def accepts(self, kind: pa.DataType) -> bool:
        return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or kind == pa.bool_())

    def known(self, label: pa.ChunkedArray) -> pa.ChunkedArray:
        return label.is_valid()

    def values(self, table: pa.Table, column: str) -> NDArray[np.uint8]:
        return label_values(table, column)

    def lacking(self, label: NDArray[Any]) -> str:
        return "of fewer than two classes" if label.size == 0 or label.min() == label.max() else ""

    def positives(self, label: pa.ChunkedArray) -> int:
        return int(pc.sum(label).as_py() or 0)


class _Amount(_Numbers):
    """Labels of any finite number, as float64; NaN is a label that is not known."""

    wanted = "a number"
    rate_name = "label_mean"
    is_rate = False

    def ranges(self, column: str) -> dict[str, tuple[float, float]]:
        return {column: (-sys.float_info.max, sys.float_info.max)}

    def accepts(self, kind: pa.DataType) -> bool:
        return bool(
            pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        )

    def known(self, label: pa.ChunkedArray) -> pa.ChunkedArray:
        return pc.invert(label.is_null(nan_is_null=True))

    def values(self, table: pa.Table, column: str) -> NDArray[np.float64]:
        kind = table[column].type
        if not self.accepts(kind):
            raise DataError(f"the label {column} is {kind}, problem = regression needs numbers")
        found = numbers(table[column], column).astype(np.float64, copy=False)
        odd = np.flatnonzero(~(np.abs(found) <= LARGEST_AMOUNT))
        if odd.size:
            where = of_day(table, int(odd[0]))
            raise DataError(
                f"the label {column}{where} is {found[odd[0]]:g} ({odd.size} of {found.size} rows "
                f"are not finite, or beyond {LARGEST_AMOUNT:g}): make it a number, in a larger "
                "unit where it is that large, or null where it is not known"
            )
        return found

    def lacking(self, label: NDArray[Any]) -> str:
        return "of fewer than two values" if label.size == 0 or label.min() == label.max() else ""

    def positives(self, label: pa.ChunkedArray) -> int:
        return 0


class _Class:
    """Labels of one of several classes, as texts: whole numbers are their digits."""

    wanted = "a class (a text or a whole number)"
    rate_name = "label_classes"
    is_rate = False

    def survey(self, label: pa.ChunkedArray) -> float | None:
        return int(pc.count_distinct(label).as_py()) or None

    def ranges(self, column: str) -> dict[str, tuple[float, float]]:
        return {}

    def accepts(self, kind: pa.DataType) -> bool:
        return bool(pa.types.is_string(kind))

    def known(self, label: pa.ChunkedArray) -> pa.ChunkedArray:
        return label.is_valid()

    def values(self, table: pa.Table, column: str) -> NDArray[np.object_]:
        found = texts(table[column], column).combine_chunks().dictionary_encode()
        names = np.array(found.dictionary.to_pylist(), dtype=object)
        return np.asarray(names[found.indices.to_numpy(zero_copy_only=False)])

    def lacking(self, label: NDArray[Any]) -> str:
        found = class_names(label)
        if len(found) > MOST_CLASSES:
            return f"of {len(found)} classes, and there may be {MOST_CLASSES}"
        few = f"of fewer than {FEWEST_CLASSES} classes ({', '.join(found) or 'none'})"
        return few if len(found) < FEWEST_CLASSES else ""

    def positives(self, label: pa.ChunkedArray) -> int:
        return 0

    def learnt(self, label: NDArray[Any]) -> tuple[NDArray[Any], tuple[str, ...]]:
        names = class_names(label)
        return class_codes(label, names).astype(np.uint8), names

    def unseen(self, table: Columns, column: str, seen: Sequence[date]) -> str:
        pairs = pa.table({"day": table[DAY], "label": texts(table[column], column)})
        counted = pairs.filter(pairs["label"].is_valid()).group_by(["day", "label"])
        found = counted.aggregate([([], "count_all")]).sort_by(_BY_DAY).to_pylist()
        known = {pair["label"] for pair in found if pair["day"] in seen}
        new = next((pair for pair in found if pair["label"] not in known), None)
        if new is None:
            return ""
        return (
            f"the label {column} is {new['label']!r} in {new['count_all']} row(s) of {new['day']}, "
            "a class that no training day has"
        )


FEWEST_CLASSES, MOST_CLASSES = 3, 50
LARGEST_AMOUNT = 1e100
"""Beyond it the squares of the core's trainers are not finite (csrc/gbdt, csrc/linear)."""
_BY_DAY = [("day", "ascending"), ("label", "ascending")]
_WHOLE = re.compile(r"-?\d+")


def _texts(label: NDArray[Any]) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(label.astype(object), pa.string())])


def class_names(label: NDArray[Any]) -> tuple[str, ...]:
    """The distinct classes of some labels: numbers by size, else by their UTF-8 bytes."""
    found = levels_of(_texts(label))
    whole = all(_WHOLE.fullmatch(name) for name in found)
    return tuple(sorted(found, key=int) if whole else found)


def class_codes(label: NDArray[Any], classes: Sequence[str]) -> NDArray[np.int32]:
    """The place of each label in `classes`, int32 (rows,), below 0 where it is none of them."""
    return codes_of(_texts(label), classes)


_BY_PROBLEM: Mapping[str, Labels] = MappingProxyType(
    {"binary": _ZeroOrOne(), "multiclass": _Class(), "regression": _Amount()}
)


def labels_of(spec: RetrainSpec) -> Labels:
    """What a label of the spec's problem is."""
    return _BY_PROBLEM[spec.model.problem]


def rows_of_days(table: pa.Table, days: tuple[object, ...]) -> pa.Table:
    """The rows of some days, in the order they are in."""
    wanted = pc.is_in(table[DAY], value_set=pa.array(days, type=pa.date32()))
    return table if pc.all(wanted).as_py() else table.filter(wanted)


def labelled(table: pa.Table, spec: RetrainSpec) -> pa.Table:
    """The rows whose outcome is known."""
    known = labels_of(spec).known(table[spec.source.label])
    return table if pc.all(known).as_py() else table.filter(known)


def label_values(table: pa.Table, label: str) -> NDArray[np.uint8]:
    """Labels of a yes or no, as uint8.

    Raises:
        DataError: a label is neither 0 nor 1.
    """
    values = numbers(table[label], label)
    if not np.isin(values, (0.0, 1.0)).all():
        bad = values[~np.isin(values, (0.0, 1.0))][0]
        raise DataError(f"the label {label} must be 0, 1 or null; it also holds {bad:g}")
    return np.asarray(values, dtype=np.uint8)
