"""Outcomes: which rows have one, and what it is."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from retrain_ops.data.categories import numbers
from retrain_ops.errors import DataError
from retrain_ops.spec.window import DAY


def rows_of_days(table: pa.Table, days: tuple[object, ...]) -> pa.Table:
    """The rows of some days, in the order they are in."""
    wanted = pa.array(days, type=pa.date32())
    return table.filter(pc.is_in(table[DAY], value_set=wanted))


def labelled(table: pa.Table, label: str) -> pa.Table:
    """The rows whose outcome is known."""
    return table.filter(table[label].is_valid())


def label_values(table: pa.Table, label: str) -> np.ndarray:
    """Labels as uint8.

    Raises:
        DataError: a label is neither 0 nor 1.
    """
    values = numbers(table[label], label)
    if not np.isin(values, (0.0, 1.0)).all():
        bad = values[~np.isin(values, (0.0, 1.0))][0]
        raise DataError(f"the label {label} must be 0, 1 or null; it also holds {bad:g}")
    return np.asarray(values, dtype=np.uint8)
