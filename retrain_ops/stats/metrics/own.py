"""A metric of one's own: what a row adds, and a score of the sums, as `[gate] metric` names it.

    [gate]
    metric = "package.module:object"

The object is a `RowMetric`. Everything else is as with the metrics that are here: exact sums by
day and slice in the record, paired differences, standard errors by days, slices, guards, canary
and `[degraded]`.
"""

from __future__ import annotations

import importlib
import math
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from retrain_ops.errors import CancelledError, ConfigError, DataError, importing
from retrain_ops.stats.amount_sums import POINT, count_amounts
from retrain_ops.stats.metrics.amounts import Amounts
from retrain_ops.stats.metrics.metric import Influence, Totals

if TYPE_CHECKING:
    from retrain_ops.stats.sums import DaySums
    from retrain_ops.stats.tables import Levels, PairedRows

__all__ = ["OwnMetric", "RowMetric", "is_own", "own_metric"]

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_CLOSE = 1e-6  # of a slope to the difference quotient that it is the limit of
_STEP = Fraction(1, 10**7)
_PROBE = ((0.0, 0.2), (1.0, 0.9), (1.0, 0.4), (0.0, 0.6), (1.0, 0.7))  # labels and scores

Column = NDArray[np.float64]


def _ones(label: Column) -> Column:
    return np.ones(len(label))


def _ratio(value: Fraction, base: Fraction) -> Fraction:
    return value / base


def _ratio_slope(value: Fraction, base: Fraction) -> Fraction:
    return 1 / base


@dataclass(frozen=True, slots=True, kw_only=True)
class RowMetric:
    """A metric by four functions of your own; all but the first have defaults that make a mean.

    Attributes:
        title: as people read it.
        better: "more" or "less".
        values: what a row adds under a model: of labels and scores, float64 (rows,) each, to
            float64 (rows,). Scores are probabilities, or what a model of amounts predicts.
        base: what a row adds whatever the model says: of labels to float64 (rows,), none below
            0; 1 for each row by default.
        score: of the sums of both, exact fractions, the second above 0; their ratio by default.
            It must not change when all rows are there twice.
        slope: how fast the score changes with the sum of `values`; that of the ratio by default.
            That of the base follows from it.
        unit: of the score, and so of every margin of the spec.
        problem: "binary" or "regression".
    """

    title: str
    better: Literal["more", "less"]
    values: Callable[[Column, Column], Any]
    base: Callable[[Column], Any] = _ones
    score: Callable[[Fraction, Fraction], Any] = _ratio
    slope: Callable[[Fraction, Fraction], Any] = _ratio_slope
    unit: str = "per row"
    problem: Literal["binary", "regression"] = "binary"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnMetric(Amounts):
    """A `RowMetric` as the gate knows metrics; `row_metric` is what the user wrote."""

    row_metric: RowMetric

    def count(self, rows: PairedRows, levels: Levels) -> list[DaySums]:
        """By level, what both models add on each day."""
        if rows.scores is None:
            raise DataError(f"{self.name} needs the scores of both models")
        label = np.asarray(rows.label if rows.target is None else rows.target, np.float64)
        old, new = (
            _column(_called(self, "values", label, score), len(label), self.name, "values")
            for score in rows.scores
        )
        base = _column(_called(self, "base", label), len(label), self.name, "base")
        added = replace(rows, target=base, scores=(old, new))
        codes, names = levels
        at = np.zeros(len(names))
        return [*count_amounts("given", added, codes, at, len(names), name=self.name)]

    def score(self, totals: Totals) -> Fraction | None:
        """None where the bases sum to zero."""
        if totals[1] <= 0:
            return None
        return _fraction(_called(self, "score", *_sums(totals)), self.name, "score")

    def influence(self, totals: Totals) -> Influence:
        """By value and by base: a score that depends on V / B alone has slopes k, -k V / B."""
        v, b = totals
        k = _fraction(_called(self, "slope", *_sums(totals)), self.name, "slope")
        return [k.numerator * b, -k.numerator * v], (k.denominator * b) << POINT


def _called(metric: OwnMetric, function: str, *arguments: Column | Fraction) -> Any:
    """What a function of the user's says; it may not write into the rows, which others read.

    Raises:
        DataError: it raised; with its error and the line of the user's code.
    """
    try:
        return getattr(metric.row_metric, function)(*map(_read_only, arguments))
    except (CancelledError, MemoryError):
        raise
    except Exception as error:
        *_, place = traceback.extract_tb(error.__traceback__)
        said = f"{type(error).__name__}: {error}".rstrip(": ")
        raise DataError(
            f"{metric.name}: {function} raised {said} ({place.filename}, line {place.lineno})"
        ) from error


def _read_only(argument: Column | Fraction) -> Column | Fraction:
    if isinstance(argument, Fraction):
        return argument
    view = argument.view()
    view.flags.writeable = False
    return view


def _sums(totals: Totals) -> tuple[Fraction, Fraction]:
    return Fraction(totals[0], 1 << POINT), Fraction(totals[1], 1 << POINT)


def is_own(name: str) -> bool:
    """Whether a name is that of a user's own metric."""
    return _NAME.fullmatch(name) is not None


@lru_cache(maxsize=64)
def own_metric(name: str) -> OwnMetric:
    """The metric at "package.module:object".

    Raises:
        ValueError: it cannot be loaded, or is no metric that could be judged by; says why.
    """
    module, _, attribute = name.partition(":")
    try:
        with importing(f"metric: {name}"):
            found = getattr(importlib.import_module(module), attribute)
    except ConfigError as problem:
        raise ValueError(str(problem)) from problem
    if not isinstance(found, RowMetric):
        raise ValueError(f"metric: {name} is a {type(found).__name__}, it must be a RowMetric")
    metric = OwnMetric(
        name=name,
        title=found.title,
        values="given",
        unit=found.unit,
        sign=1 if found.better == "more" else -1,
        curved=True,
        problem=found.problem,
        row_metric=found,
    )
    _check(metric)
    return metric


def _check(metric: OwnMetric) -> None:
    """Tries the four functions on a few rows, where mistakes show that would spoil a verdict."""
    own, name = metric.row_metric, metric.name
    for attribute, allowed in (("better", ("more", "less")), ("problem", ("binary", "regression"))):
        if getattr(own, attribute) not in allowed:
            raise ValueError(f"metric: {name}: {attribute} must be one of {', '.join(allowed)}")
    label, score = (np.array(column) for column in zip(*_PROBE, strict=True))
    try:
        values = _column(_called(metric, "values", label, score), len(label), name, "values")
        base = _column(_called(metric, "base", label), len(label), name, "base")
        v, b = Fraction(float(values.sum())), Fraction(float(base.sum()))
        if b <= 0:
            raise DataError("base: sums to nothing on labels of 0 and 1")
        _check_score(metric, v, b)
    except DataError as problem:
        raise ValueError(f"metric: {problem}, on five rows that it was tried on") from problem


def _check_score(metric: OwnMetric, v: Fraction, b: Fraction) -> None:
    name = metric.name

    def found(function: str, *sums: Fraction) -> Fraction:
        return _fraction(_called(metric, function, *sums), name, function)

    score, twice = found("score", v, b), found("score", 2 * v, 2 * b)
    if not math.isclose(score, twice, rel_tol=1e-9, abs_tol=1e-12):
        raise DataError(
            f"{name}: score is {float(score):g} of some rows and {float(twice):g} of twice the "
            "same: it must depend on value / base alone"
        )
    step = _STEP * (abs(v) or b)
    slope, quotient = found("slope", v, b), (found("score", v + step, b) - score) / step
    if not math.isclose(slope, quotient, rel_tol=1e3 * _CLOSE, abs_tol=_CLOSE):
        raise DataError(
            f"{name}: slope is {float(slope):g} where score changes by {float(quotient):g} per "
            "unit of value: it must be the score's derivative"
        )


def _column(found: Any, rows: int, name: str, function: str) -> Column:
    column = np.asarray(found)
    if column.shape != (rows,) or column.dtype.kind not in "biuf":
        raise DataError(
            f"{name}: {function} gives {column.dtype} of shape {column.shape} for {rows} rows, it "
            f"must give numbers of shape ({rows},)"
        )
    column = column.astype(np.float64)
    odd = np.flatnonzero(~np.isfinite(column))
    if odd.size:
        raise DataError(f"{name}: {function}[{odd[0]}] is {column[odd[0]]:g}, it must be finite")
    if function == "base" and rows and column.min() < 0:
        raise DataError(f"{name}: base[{int(column.argmin())}] is below 0")
    return column


def _fraction(found: Any, name: str, function: str) -> Fraction:
    try:
        return Fraction(found) if isinstance(found, Fraction) else Fraction(float(found))
    except (TypeError, ValueError, OverflowError) as problem:
        text = f"{name}: {function} gives {found!r}, it must be a finite number"
        raise DataError(text) from problem
