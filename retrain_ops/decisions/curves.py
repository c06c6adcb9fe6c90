"""Scores of a hold-out as small counts: enough for ROC, calibration and histograms, of any size."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import numpy.typing as npt

from retrain_ops.stats.checks import SCORE_QUANTUM

REPORT_FILE = "report.json"
BINS = 50


class ScoreCounts(TypedDict):
    """One model's scores on a hold-out, per bin of equal width over [0, 1].

    `score_sum` is in multiples of `SCORE_QUANTUM`. Whole numbers, the same for any order of rows.
    """

    count: list[int]
    positives: list[int]
    score_sum: list[int]


def usable(scores: npt.NDArray[np.float64]) -> bool:
    """Whether all are probabilities: finite, from 0 to 1."""
    return bool(np.isfinite(scores).all() and (scores >= 0).all() and (scores <= 1).all())


def curve(
    label: npt.NDArray[np.uint8], scores: npt.NDArray[np.float64] | None
) -> ScoreCounts | None:
    """Counts in `BINS` bins; None for scores that are not probabilities.

    Args:
        label: uint8 (rows,), 0 or 1.
        scores: float64 (rows,), or None where there is no model.
    """
    if scores is None or not usable(scores):
        return None
    index = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    fixed = np.rint(scores / SCORE_QUANTUM).astype(np.int64)
    sums = np.zeros(BINS, dtype=np.int64)
    np.add.at(sums, index, fixed)
    return {
        "count": np.bincount(index, minlength=BINS).tolist(),
        "positives": np.bincount(index[label == 1], minlength=BINS).tolist(),
        "score_sum": sums.tolist(),
    }
