"""Labels and decisions as the kernels read them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retrain_ops.errors import DataError

__all__ = ["as_binary"]


def as_binary(values: ArrayLike, name: str) -> NDArray[np.uint8]:
    """`values` (bool, integers or floats, one dimension) as uint8 zeros and ones.

    Raises:
        DataError: when there is any other value; `name` is what the message calls them.
    """
    array = np.asarray(values)
    if array.size == 0:
        array = array.astype(np.uint8)
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise DataError(f"{name} must be one column of zeros and ones")
    wrong = np.flatnonzero((array != 0) & (array != 1))
    if wrong.size:
        raise DataError(f"{name}[{wrong[0]}] is {array[wrong[0]]}, it must be 0 or 1")
    return array.astype(np.uint8)
