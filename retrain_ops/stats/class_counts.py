"""What two models of classes say of the same rows, as whole numbers per day and slice.

Five tables of pairs of classes stand for the joint counts of label, champion and challenger
(csrc/evaluation/classes.h): K classes take 5 K^2 numbers, all triples would take K^3. They add up
over days, and so does whatever comes from them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrain_ops import _core
from retrain_ops.errors import DataError

if TYPE_CHECKING:
    from retrain_ops.stats.tables import PairedRows

__all__ = ["N_TABLES", "ClassTables", "SaidClasses", "class_tables", "count_classes"]

N_TABLES = 5

Table = list[list[int]]
"""One list per class."""


@dataclass(frozen=True, slots=True)
class SaidClasses:
    """The class that occurred and those that both models say, uint8 (rows,) each, numbers below
    `count`."""

    label: NDArray[np.uint8]
    champion: NDArray[np.uint8]
    challenger: NDArray[np.uint8]
    count: int

    def take(self, kept: NDArray[np.bool_]) -> SaidClasses:
        """Of some rows."""
        said = self.champion[kept], self.challenger[kept]
        return SaidClasses(self.label[kept], *said, self.count)


@dataclass(frozen=True, slots=True)
class ClassTables:
    """Rows by label y, champion's class a and challenger's class b, first class of a pair first.

    `fixed` are the rows of y, a that the challenger gets right, `kept` those of y, b that the
    champion does.
    """

    old: Table
    new: Table
    said: Table
    fixed: Table
    kept: Table


def count_classes(
    rows: PairedRows, level: NDArray[np.int32], n_levels: int, *, name: str
) -> list[list[list[int]]]:
    """The five tables of each level by day, one after the other.

    Args:
        rows: labels and both models' classes as `classes`.
        level: int32 (rows,), indices from 0.
        n_levels: how many there are.
        name: the metric, for messages.

    Returns:
        `[level][day]`, 5 K^2 whole numbers each, of K classes.

    Raises:
        DataError: the rows have no classes, or one is out of range.
    """
    said = rows.classes
    if said is None:
        raise DataError(f"{name} is a metric of several classes: it needs those of both models")
    try:
        counts = _core.class_counts(
            rows.day,
            level,
            said.label,
            said.champion,
            said.challenger,
            rows.n_days,
            n_levels,
            said.count,
            n_threads=rows.n_threads,
        )
    except ValueError as problem:
        raise DataError(f"{name}: {problem}") from problem
    flat = counts.reshape(rows.n_days, n_levels, N_TABLES * said.count**2)
    found: list[list[list[int]]] = flat.swapaxes(0, 1).tolist()
    return found


def class_tables(numbers: Sequence[int]) -> ClassTables:
    """The tables behind 5 K^2 numbers, of no class where there are none.

    Raises:
        DataError: another number of them.
    """
    k = math.isqrt(len(numbers) // N_TABLES)
    if len(numbers) != N_TABLES * k * k:
        raise DataError(f"{len(numbers)} numbers are not five tables of pairs of classes")
    rows = [list(numbers[i : i + k]) for i in range(0, len(numbers), k or 1)]
    return ClassTables(*(rows[i * k : (i + 1) * k] for i in range(N_TABLES)))
