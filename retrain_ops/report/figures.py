"""Numbers of the page's figures, from counts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from typing import Any

from retrain_ops.decisions.curves import ScoreCounts
from retrain_ops.stats.checks import SCORE_QUANTUM, calibration_error

CALIBRATION_BINS = 10
SHOWN_LEVELS = 12  # of a categorical column; the rest share one bar


def _steps(span: float | None) -> Iterator[float]:
    """1, 2 and 5 times the powers of ten: from .02 on, or as fine as a span needs."""
    if span is None:
        yield from (0.02, 0.05, 0.1, 0.2, 0.5)
    for power in count(0 if span is None else math.floor(math.log10(span)) - 1):
        yield from (float(factor * 10.0**power) for factor in (1, 2, 5))


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear axis from `low` to `high` with a tick every `step`."""

    low: float
    high: float
    step: float

    @classmethod
    def around(
        cls, values: Sequence[float], *, least: float, most: float, fine: bool = False
    ) -> Axis:
        """The round axis that holds all values and stays within [least, most]; a `fine` one
        shows differences of any size."""
        low = min(values, default=max(least, 0.0))
        high = max(values, default=min(most, 1.0))
        least_span = max(0.05, 1e-12 * max(abs(low), abs(high)))  # which doubles still tell apart
        span = (high - low or abs(high) or 1.0) if fine else max(high - low, least_span)
        step = next(s for s in _steps(span if fine else None) if span / s <= 6)
        low = max(least, math.floor(low / step) * step)
        high = min(most, math.ceil(high / step) * step)
        return cls(low=low, high=high if high > low else low + step, step=step)

    def percent(self, value: float | None) -> float | None:
        """Where a value lies, 0 to 100; None for None."""
        if value is None:
            return None
        return 100 * (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[dict[str, float]]:
        """Values and places of the ticks."""
        count = round((self.high - self.low) / self.step)
        values = [self.low + self.step * i for i in range(count + 1)]
        return [{"value": v, "at": self.percent(v) or 0.0} for v in values if v <= self.high + 1e-9]


def roc(counted: ScoreCounts) -> dict[str, Any]:
    """Points (false positive rate, true positive rate) in percent, from the highest scores down."""
    positives = list(counted["positives"])
    negatives = [n - p for n, p in zip(counted["count"], positives, strict=True)]
    all_positive, all_negative = max(1, sum(positives)), max(1, sum(negatives))
    points, up, right = [(0.0, 0.0)], 0, 0
    for p, n in zip(reversed(positives), reversed(negatives), strict=True):
        if p or n:
            up, right = up + p, right + n
            points.append((100 * right / all_negative, 100 * up / all_positive))
    return {"points": points}


def calibration(counted: ScoreCounts) -> dict[str, Any]:
    """Mean score and observed share (percent) per tenth of the score's range, and the error."""
    width = len(counted["count"]) // CALIBRATION_BINS
    most = 0
    points = []
    for i in range(CALIBRATION_BINS):
        part = slice(i * width, (i + 1) * width)
        rows = sum(counted["count"][part])
        if rows:
            score = sum(counted["score_sum"][part]) * SCORE_QUANTUM / rows
            share = sum(counted["positives"][part]) / rows
            points.append({"score": 100 * score, "share": 100 * share, "rows": rows})
            most = max(most, rows)
    for point in points:
        point["radius"] = 2.5 + 4.5 * math.sqrt(point["rows"] / most)
    error = calibration_error(counted["count"], counted["positives"], counted["score_sum"])
    return {"points": points, "error": error}


def distribution(feature: Mapping[str, Any]) -> list[dict[str, float | str]]:
    """Bars of reference and current shares per bin, heights in percent of the largest."""
    reference = list(feature["reference"])
    current = [sum(column) for column in zip(*feature["current"], strict=True)]
    bins = list(zip(_names(feature), reference, current, strict=True))
    bins = [b for b in bins if b[1] or b[2]]
    if feature["kind"] == "categorical" and len(bins) > SHOWN_LEVELS:
        bins.sort(key=lambda b: -(b[1] + b[2]))
        rest = bins[SHOWN_LEVELS - 1 :]
        others = (f"{len(rest)} others", sum(b[1] for b in rest), sum(b[2] for b in rest))
        bins = [*bins[: SHOWN_LEVELS - 1], others]
    totals = max(1, sum(reference)), max(1, sum(current))
    shares = [(name, r / totals[0], c / totals[1]) for name, r, c in bins]
    most = max(max(r, c) for _, r, c in shares) if shares else 1.0
    step = 100 / max(1, len(shares))
    return [
        {
            "name": name,
            "x": i * step,
            "width": step,
            "reference": r,
            "current": c,
            "reference_at": 100 * r / most,
            "current_at": 100 * c / most,
        }
        for i, (name, r, c) in enumerate(shares)
    ]


def _names(feature: Mapping[str, Any]) -> list[str]:
    if feature["kind"] == "categorical":
        return [*feature["levels"], "(unseen)", "(missing)"]
    edges = [f"{e:.6g}" for e in feature["edges"]]
    if not edges:
        return ["all", "-inf", "+inf", "(missing)"]
    between = [f"{a} to {b}" for a, b in pairwise(edges)]
    names = [f"up to {edges[0]}", *between, f"above {edges[-1]}"]
    return [*names, "-inf", "+inf", "(missing)"]
