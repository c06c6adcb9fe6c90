"""What the day's page shows of a model of several classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt

__all__ = ["ClassPicture", "class_picture"]


class ClassPicture(TypedDict):
    """One model on a hold-out: `rows[y][a]` rows of class y that it says are of class a."""

    classes: list[str]
    rows: list[list[int]]


def class_picture(
    label: npt.NDArray[np.int32], said: npt.NDArray[np.int32], classes: Sequence[str]
) -> ClassPicture:
    """The confusion matrix of places in `classes`, both int32 (rows,)."""
    k = len(classes)
    counts = np.bincount(label * k + said, minlength=k * k).reshape(k, k)
    return {"classes": list(classes), "rows": counts.tolist()}
