"""Two models' decisions on the same rows, judged as the gate judges a challenger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retrain_ops.stats.cells import ALL_ROWS, count_cells
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.gates import GateReport, judge
from retrain_ops.stats.labels import as_binary, numbered_days
from retrain_ops.stats.slices import encode_levels

__all__ = ["compare_models"]

Tables = dict[str, dict[str, NDArray[np.int64]]]


def compare_models(
    y_true: ArrayLike,
    champion: ArrayLike,
    challenger: ArrayLike,
    *,
    days: ArrayLike | None = None,
    slices: Mapping[str, ArrayLike] | None = None,
    rules: GateRules | None = None,
) -> GateReport:
    """Is the challenger better than the champion, and no worse in any protected slice?

    Args:
        y_true: labels, 0 or 1, length n.
        champion: its decisions, 0 or 1, length n.
        challenger: its decisions, 0 or 1, length n.
        days: the day of each row (dates, text or whole numbers), length n. Rows of one day are
            alike, so days decide; None takes rows as independent (`resample_unit = "row"`).
        slices: column -> n values; null is a level of its own.
        rules: the gate; by default the paired one, without protected or watched slices.

    Returns:
        The verdict with its numbers: `.verdict`, `.reason`, `.literal`, `.difference`,
        `.lower_bound`, `.slices`.

    Raises:
        DataError: labels or decisions other than 0 and 1, lengths that differ, a missing day, or
            a slice column of `rules` that is not in `slices`.
    """
    rules = rules or GateRules()
    y = as_binary(y_true, "y_true")
    said = as_binary(champion, "champion"), as_binary(challenger, "challenger")
    if days is None:
        rules, day, n_days = replace(rules, resample_unit="row"), np.zeros(len(y), np.int32), 1
    else:
        day, n_days = numbered_days(days, len(y))
    everyone = count_cells(day, np.zeros(len(y), np.int32), y, *said, n_days, 1)
    tables: Tables = {ALL_ROWS: {ALL_ROWS: everyone[:, 0]}}
    for name, values in (slices or {}).items():
        codes, levels = encode_levels(values, name, len(y))
        cells = count_cells(day, codes, y, *said, n_days, len(levels))
        tables[name] = {level: cells[:, i] for i, level in enumerate(levels)}
    return judge(tables, rules)
