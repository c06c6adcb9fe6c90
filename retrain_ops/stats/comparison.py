"""Two models' decisions on the same rows, judged as the gate judges a challenger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.gates import GateReport, judge
from retrain_ops.stats.labels import as_binary, as_floats, numbered_days
from retrain_ops.stats.slices import encode_levels
from retrain_ops.stats.tables import PairedRows, count_tables

__all__ = ["compare_models"]


def compare_models(
    y_true: ArrayLike,
    champion: ArrayLike,
    challenger: ArrayLike,
    *,
    days: ArrayLike | None = None,
    slices: Mapping[str, ArrayLike] | None = None,
    rules: GateRules | None = None,
    scores: tuple[ArrayLike, ArrayLike] | None = None,
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
        scores: the champion's and the challenger's, length n each; metrics of scores need them.

    Returns:
        The verdict with its numbers: `.verdict`, `.reason`, `.literal`, `.difference`,
        `.lower_bound`, `.slices`.

    Raises:
        DataError: labels or decisions other than 0 and 1, lengths that differ, a missing day, or
            a slice column of `rules` that is not in `slices`; scores that are missing, or that a
            metric has no value for.
    """
    rules = rules or GateRules()
    y = as_binary(y_true, "y_true")
    said = as_binary(champion, "champion"), as_binary(challenger, "challenger")
    if days is None:
        rules, day, n_days = replace(rules, resample_unit="row"), np.zeros(len(y), np.int32), 1
    else:
        day, n_days = numbered_days(days, len(y))
    both = None
    if scores is not None:
        both = as_floats(scores[0], "scores[0]"), as_floats(scores[1], "scores[1]")
    columns = {name: encode_levels(v, name, len(y)) for name, v in (slices or {}).items()}
    rows = PairedRows(day=day, n_days=n_days, label=y, decisions=said, scores=both)
    cells, sums = count_tables(rows, columns, rules)
    return judge(cells, rules, sums=sums)
