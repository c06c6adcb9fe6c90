"""Joint counts: how often two models said what about which label.

A row belongs to one of eight cells, 4 * label + 2 * champion + challenger, where the last two are
the models' decisions, 0 or 1. Counts are kept per day and level of a slice column, as
int64[days, levels, 8]. They add up: over levels to all rows, over days to a hold-out. Where two
models have other roles, the one that serves takes the champion's place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from retrain_ops import _core
from retrain_ops.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from retrain_ops.stats.metrics import Confusion

    Cells = NDArray[np.int64] | Sequence[Sequence[int]]

__all__ = [
    "ALL_ROWS",
    "CHALLENGER",
    "CHAMPION",
    "LABEL",
    "N_CELLS",
    "DayCells",
    "confusion",
    "count_cells",
    "count_where",
    "day_cells",
    "total",
]

N_CELLS = 8
LABEL = tuple(cell >> 2 for cell in range(N_CELLS))
CHAMPION = tuple(cell >> 1 & 1 for cell in range(N_CELLS))
CHALLENGER = tuple(cell & 1 for cell in range(N_CELLS))
"""What the label is and what each model says in a cell, by its index."""

ALL_ROWS = ""
"""The slice column, and its only level, that stand for every row."""

DayCells = tuple[tuple[int, ...], ...]
"""One tuple per day: eight counts, then the sums of a metric of scores
(:mod:`retrain_ops.stats.sums`), if it is one that is asked for."""


def count_cells(
    day: ArrayLike,
    level: ArrayLike,
    label: ArrayLike,
    champion: ArrayLike,
    challenger: ArrayLike,
    n_days: int,
    n_levels: int,
    *,
    n_threads: int = 0,
) -> NDArray[np.int64]:
    """Counts the rows of each day and level by cell.

    Args:
        day, level: int32 (rows,), indices from 0.
        label, champion, challenger: uint8 (rows,), 0 or 1.
        n_days, n_levels: how many there are.
        n_threads: 0 takes all processors; the counts are the same for any number.

    Returns:
        int64 (n_days, n_levels, 8).

    Raises:
        DataError: an index out of range, a value other than 0 and 1, or lengths that differ.
    """
    try:
        return _core.joint_cells(
            day, level, label, champion, challenger, n_days, n_levels, n_threads=n_threads
        )
    except ValueError as problem:
        raise DataError(str(problem)) from problem


def day_cells(cells: Cells, *, name: str = "cells") -> DayCells:
    """Counts of shape [n_days, 8] as exact Python integers.

    Raises:
        DataError: when they are not whole numbers, negative, or of another shape.
    """
    table = np.asarray(cells)
    if table.size == 0 and table.ndim <= 2:
        return ()
    if table.ndim != 2 or table.shape[1] != N_CELLS:
        raise DataError(f"{name} must have shape [n_days, {N_CELLS}], it has {list(table.shape)}")
    if table.dtype.kind not in "iu":
        raise DataError(f"{name} must hold whole numbers, it holds {table.dtype}")
    if int(table.min()) < 0:
        raise DataError(f"{name} holds a negative count")
    return tuple(tuple(day) for day in table.tolist())


def total(days: Sequence[Sequence[int]]) -> list[int]:
    """The counts summed over days; eight zeros without any."""
    return [sum(column) for column in zip(*days, strict=True)] or [0] * N_CELLS


def count_where(counts: Sequence[int], flags: Sequence[int | bool]) -> int:
    """Rows in the cells that `flags` names."""
    return sum(count for count, flag in zip(counts, flags, strict=True) if flag)


def confusion(counts: Sequence[int], said: Sequence[int]) -> Confusion:
    """One model's true negatives, false positives, false negatives and true positives.

    Args:
        counts: eight counts.
        said: the model's decision in each cell, `CHAMPION` or `CHALLENGER`.
    """
    found = [0, 0, 0, 0]
    for count, y, p in zip(counts, LABEL, said, strict=True):
        found[2 * y + p] += count
    tn, fp, fn, tp = found
    return tn, fp, fn, tp
