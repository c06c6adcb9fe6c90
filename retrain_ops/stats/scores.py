"""How good probabilities are: log-loss, Brier score, calibration.

C sums each term in fixed point, rounded once to a multiple of 2^-40, so the results do not depend
on the order of rows, on chunks or on threads, and are within 2^-41 of the exact mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retrain_ops import _core
from retrain_ops.errors import DataError
from retrain_ops.stats.labels import as_binary, as_floats

__all__ = ["BINS", "CalibrationLine", "ScoreMetrics", "calibration_line", "score_metrics"]

BINS = 15
"""Equal-width calibration bins of [0, 1]; bin k holds k/15 <= p < (k+1)/15, the last also 1."""
_ONE = 1 << 40
_BIN_START = 6
_STEPS = 60
_FAR = 1e3  # a line steeper than this separates the classes: it has no end


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreMetrics:
    """Quality of probabilities of the label 1.

    Attributes:
        log_loss: mean of -ln p(what happened), p clipped to [2^-52, 1 - 2^-52]; in nats.
        brier: mean of (p - y)^2.
        ece: expected calibration error, sum over bins of share |mean p - share of positives|.
        bins: of each of the 15 bins (rows, positives, mean p or None).
    """

    rows: int
    positives: int
    log_loss: float
    brier: float
    ece: float
    bins: tuple[tuple[int, int, float | None], ...]


def score_metrics(y_true: ArrayLike, y_score: ArrayLike, *, n_threads: int = 0) -> ScoreMetrics:
    """Log-loss, Brier score and ECE of one model in one pass.

    Args:
        y_true: labels 0 or 1, length n.
        y_score: P(label = 1), in [0, 1].
        n_threads: 0 = as many as useful; the result is the same for any number.

    Raises:
        DataError: no rows, other labels, or a score outside [0, 1].
    """
    y = as_binary(y_true, "y_true")
    try:
        sums = _core.score_sums(y, as_floats(y_score, "y_score"), n_threads=n_threads)
    except ValueError as problem:
        raise DataError(str(problem)) from problem
    return metrics_from_sums(sums)


def metrics_from_sums(sums: NDArray[np.int64]) -> ScoreMetrics:
    """The metrics of (merged) sums, int64[66] as `_core.score_sums` gives them.

    Raises:
        DataError: sums of no rows.
    """
    rows, positives = int(sums[0]), int(sums[1])
    if rows == 0:
        raise DataError("no rows: log-loss and Brier score of nothing are undefined")
    bins: list[tuple[int, int, float | None]] = []
    error = Fraction(0)
    for k in range(_BIN_START, _BIN_START + 4 * BINS, 4):
        n, hits, total = int(sums[k]), int(sums[k + 1]), _fixed(sums[k + 2 : k + 4])
        bins.append((n, hits, float(total / n) if n else None))
        error += abs(total - hits)
    return ScoreMetrics(
        rows=rows,
        positives=positives,
        log_loss=float(_fixed(sums[2:4]) / rows),
        brier=float(_fixed(sums[4:6]) / rows),
        ece=float(error / rows),
        bins=tuple(bins),
    )


def _fixed(pair: NDArray[np.int64]) -> Fraction:
    return Fraction(int(pair[0]) * _ONE + int(pair[1]), _ONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationLine:
    """logit P(y = 1) = intercept + slope logit(score), by maximum likelihood.

    Perfect scores have intercept 0 and slope 1; a slope below 1 says that they are too extreme.
    Without `converged` (one class, or scores that separate the classes) both numbers are NaN.
    """

    intercept: float
    slope: float
    steps: int
    converged: bool


def calibration_line(
    y_true: ArrayLike, y_score: ArrayLike, *, n_threads: int = 0
) -> CalibrationLine:
    """Calibration intercept and slope (Cox 1958), by Newton's method on fixed-point sums.

    Every step starts from the same integers whatever the order of rows, so the iterates are the
    same bits. Arguments and errors as `score_metrics`.
    """
    y, score = as_binary(y_true, "y_true"), as_floats(y_score, "y_score")

    def derivatives(at: tuple[float, float]) -> list[Fraction]:
        try:
            sums = _core.line_sums(y, score, *at, n_threads=n_threads)
        except ValueError as problem:
            raise DataError(str(problem)) from problem
        return [_fixed(sums[k : k + 2]) for k in range(0, 10, 2)]

    line, failed = (
        (0.0, 1.0),
        CalibrationLine(intercept=math.nan, slope=math.nan, steps=_STEPS, converged=False),
    )
    e, el, w, wl, wll = derivatives(line)
    for step in range(1, _STEPS + 1):
        determinant = w * wll - wl * wl
        if determinant <= 0:
            return failed
        move = float((wll * e - wl * el) / determinant), float((w * el - wl * e) / determinant)
        climb = float(e) * move[0] + float(el) * move[1]
        # The likelihood is concave: where it falls steeply at the end of a step, the step was too
        # long. Halving it until then is what keeps Newton's method from running away.
        for _ in range(_STEPS):
            trial = line[0] + move[0], line[1] + move[1]
            if max(map(abs, trial)) > _FAR:
                return failed
            e, el, w, wl, wll = derivatives(trial)
            if float(e) * move[0] + float(el) * move[1] >= -0.5 * climb:
                break
            move, climb = (move[0] / 2, move[1] / 2), climb / 2
        line = trial
        if max(map(abs, move)) < 1e-9:
            return CalibrationLine(intercept=line[0], slope=line[1], steps=step, converged=True)
    return failed
