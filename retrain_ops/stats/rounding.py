"""Numbers as they go into a record: 9 significant digits, so that bytes can be equal.

Exact counts make every verdict replayable, but quantiles of a distribution
come from SciPy and may differ in their last bits between its versions. Nine
digits are far above that noise and far below anything a decision turns on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

__all__ = ["DIGITS", "to_json_value", "to_significant"]

DIGITS = 9


def to_significant(x: float | Fraction | None, digits: int = DIGITS) -> float | None:
    """`x` rounded to `digits` significant decimal digits; None for None, NaN and infinities.

    Minus zero becomes zero.
    """
    if x is None:
        return None
    value = float(x)
    if not math.isfinite(value):
        return None
    return float(f"{value:.{digits - 1}e}") + 0.0


def to_json_value(value: object) -> object:
    """Plain JSON data: fractions exact as text, floats rounded, mappings and sequences inside too.

    Raises:
        TypeError: for anything that has no plain form.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, float):
        return to_significant(value)
    if isinstance(value, Mapping):
        return {str(k): to_json_value(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_json_value(v) for v in value]
    raise TypeError(f"{type(value).__name__} has no place in a record")
