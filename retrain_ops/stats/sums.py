"""Sums of what rows add to two models' scores, per day and slice, beside the joint counts.

Of a metric of scores six whole numbers per day: the champion's values over negatives and over
positives, the challenger's, and the squared differences of both (csrc/evaluation/paired.h says
what a value is). Losses add up over any days; ranks are among the rows of all days together, so
the sums of other days are counted anew. Those of a metric of amounts are in
:mod:`retrain_ops.stats.amount_sums`, of several classes in
:mod:`retrain_ops.stats.class_counts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from retrain_ops import _core
from retrain_ops.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from retrain_ops.stats.cells import DayCells

__all__ = ["N_SUMS", "DaySums", "Sums", "count_sums", "with_sums"]

N_SUMS = 6

DaySums = Sequence[Sequence[int]]
"""One list per day, as long as the metric's `n_sums`."""

Sums = Mapping[str, Mapping[str, Mapping[str, DaySums]]]
"""Kind of sums -> slice column -> level -> days."""


def count_sums(
    kind: str,
    day: ArrayLike,
    level: ArrayLike,
    label: ArrayLike,
    champion: ArrayLike,
    challenger: ArrayLike,
    n_days: int,
    n_levels: int,
    *,
    n_threads: int = 0,
) -> list[list[list[int]]]:
    """The sums of each level, by day.

    Args:
        kind: a metric of scores, by name.
        day, level: int32 (rows,), indices from 0.
        label: uint8 (rows,), 0 or 1.
        champion, challenger: scores, float64 (rows,).
        n_days, n_levels: how many there are.
        n_threads: 0 takes all processors; the sums are the same for any number.

    Returns:
        `[level][day]`, six whole numbers of any size each.

    Raises:
        DataError: an index out of range, another label, a score that the metric has no value for,
            or lengths that differ.
    """
    try:
        words = _core.paired_sums(
            kind, day, level, label, champion, challenger, n_days, n_levels, n_threads=n_threads
        )
    except ValueError as problem:
        raise DataError(f"{kind}: {problem}") from problem
    low = words[..., 0].view(np.uint64).astype(object)
    table = low + words[..., 1].astype(object) * 2**64
    found: list[list[list[int]]] = table.swapaxes(0, 1).tolist()
    return found


def with_sums(days: DayCells, sums: DaySums, n_sums: int | None, *, name: str) -> DayCells:
    """Joint counts per day with the `n_sums` sums of the same days behind them; None is as many
    as the first day has.

    Raises:
        DataError: other days, or another number of whole numbers each.
    """
    if len(days) != len(sums):
        raise DataError(f"{name} cover {len(sums)} days, there are {len(days)}")
    wanted = len(sums[0]) if n_sums is None and sums else n_sums
    for day in sums:
        if len(day) != wanted or not all(isinstance(n, int) for n in day):
            raise DataError(f"{name} must hold {wanted} whole numbers a day")
    return tuple((*cells, *more) for cells, more in zip(days, sums, strict=True))
