"""Exact sums of what rows add to metrics of amounts, per day and slice.

The core rounds each value of a row once, as doubles are, and adds them without error: a sum is a
whole number of 2^-128, the same for any order of rows, chunks and threads
(csrc/evaluation/digits.h).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from retrain_ops import _core
from retrain_ops.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrain_ops.stats.tables import PairedRows

__all__ = ["POINT", "Values", "count_amounts"]

POINT = 128
"""Sums are in multiples of 2^-128."""

_DIGIT_BITS = 32

Values = Literal[
    "absolute", "squared", "error", "pinball", "percent", "symmetric", "spread", "given"
]
"""What a row adds; csrc/evaluation/amounts.h defines them."""


def count_amounts(
    values: Values,
    rows: PairedRows,
    level: NDArray[np.int32],
    at: NDArray[np.float64],
    n_levels: int,
    *,
    name: str,
) -> list[list[list[int]]]:
    """The sums of each level, by day.

    Args:
        values: what a row adds.
        rows: labels as `target`, and what both models predict as `scores`, float64 (rows,).
        level: int32 (rows,), indices from 0.
        at: float64 (n_levels,), the quantile of "pinball" or the label's mean of "spread".
        n_levels: how many there are.
        name: the metric, for messages.

    Returns:
        `[level][day]`, nine whole numbers of 2^-128 each.

    Raises:
        DataError: a label or a prediction is not finite, or an error is beyond 2^79.
    """
    if rows.scores is None or rows.target is None:
        raise DataError(f"{name} is a metric of amounts: it needs labels and both predictions")
    try:
        digits = _core.amount_sums(
            values,
            rows.day,
            level,
            rows.target,
            *rows.scores,
            at,
            rows.n_days,
            n_levels,
            n_threads=rows.n_threads,
        )
    except ValueError as problem:
        raise DataError(f"{name}: {problem}") from problem
    wide = digits.astype(object)
    total = sum(wide[..., k] << (_DIGIT_BITS * k) for k in range(wide.shape[-1]))
    found: list[list[list[int]]] = np.asarray(total, dtype=object).swapaxes(0, 1).tolist()
    return found
