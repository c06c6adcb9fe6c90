"""Whether the champion has fallen behind another model on the same matured rows.

F1 of this month against F1 of last month compares weather: on flights it moves
with a standard deviation of .13. So the champion is compared with a newer (or
the previous) model row by row, in windows of matured days, and has fallen
behind when the upper bound of the difference lies below minus a margin in
several of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Literal

from retrain_ops.stats.cells import DayCells, day_cells
from retrain_ops.stats.distributions import student_quantile
from retrain_ops.stats.metrics import F1, Metric
from retrain_ops.stats.paired import compare
from retrain_ops.stats.rounding import to_json_value
from retrain_ops.stats.rules import Days, Level, Score, require
from retrain_ops.stats.sums import DaySums, with_sums

if TYPE_CHECKING:
    from retrain_ops.stats.cells import Cells

__all__ = ["DegradedReport", "DegradedRules", "DegradedWindow", "judge_degraded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradedRules:
    """`[degraded]`: when the champion counts as fallen behind; off without the table.

    Attributes:
        margin: by how much the champion has to be worse than the other model, and more, in the
            metric of `[gate]`, F1 by default.
        confidence: one-sided confidence, by days, of the upper bound in each window.
        windows: windows that have to show it, of the newest `of`.
        of: newest windows that are looked at.
        days: matured days of a window; windows do not overlap.
        min_days: days with rows below which a window says nothing.
    """

    margin: Score = 0.03
    confidence: Level = 0.95
    windows: Annotated[int, "windows"] = 2
    of: Annotated[int, "windows"] = 3
    days: Days = 7
    min_days: Days = 5

    def __post_init__(self) -> None:
        require(self.margin > 0, "margin: must be above 0")
        require(0.5 < self.confidence < 1, "confidence: must lie between 0.5 and 1")
        require(1 <= self.windows <= self.of, "windows: must lie in 1 to `of`")
        require(self.of <= 52, "of: must be at most 52")
        require(self.min_days >= 2, "min_days: must be at least 2")
        require(self.min_days <= self.days <= 366, "days: must lie in `min_days` to 366")


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradedWindow:
    """One window: the champion beside `reference`, with the counts that decide.

    `difference` is the champion's score less that of `reference` on `rows` (where less is better,
    the other way round); `cells` are one list of 8 counts per day, `reference` in the
    challenger's place, `sums` those of a metric of scores. `verdict`: degraded, no, or undecided
    (too few days, or a score that is undefined).
    """

    first: str
    last: str
    reference: Mapping[str, object] | None
    cells: tuple[tuple[int, ...], ...]
    rows: int
    days: int
    f1_champion: Fraction | None
    f1_reference: Fraction | None
    score_champion: Fraction | None
    score_reference: Fraction | None
    difference: float | None
    upper_bound: float | None
    verdict: Literal["degraded", "no", "undecided"]
    sums: DaySums | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DegradedReport:
    """All windows, newest first; the live numbers are the champion's over all, for show only.

    Ranks of one window say nothing of another's rows: `live_score` of a metric that ranks is None.
    """

    triggered: bool
    windows: tuple[DegradedWindow, ...]
    live_f1: Fraction | None
    live_score: Fraction | None
    rules: DegradedRules
    metric: Metric

    def to_json(self) -> dict[str, Any]:
        """Plain data, floats to 9 significant digits; F1 as the metric leaves no trace."""
        values = asdict(self) | {"metric": {"name": self.metric.name, **self.metric.arguments}}
        for table in (values, *values["windows"]):
            for name in table.keys() & _SCORES:
                table[name] = _float(table[name])
            if self.metric is F1:
                for name in table.keys() & _OF_METRIC:
                    del table[name]
            if table.get("sums", ()) is None:
                del table["sums"]
        plain = to_json_value(values)
        assert isinstance(plain, dict)
        return plain


_OF_METRIC = {"metric", "live_score", "score_champion", "score_reference"}
_SCORES = (_OF_METRIC - {"metric"}) | {"live_f1", "f1_champion", "f1_reference"}


def _float(x: Fraction | None) -> float | None:
    return None if x is None else float(x)


Window = (
    tuple[str, str, Mapping[str, object] | None, "Cells"]
    | tuple[str, str, Mapping[str, object] | None, "Cells", DaySums | None]
)
"""First and last day, the other model, joint counts, and the sums of a metric of scores."""


def judge_degraded(
    windows: Sequence[Window],
    rules: DegradedRules,
    metric: Metric = F1,
) -> DegradedReport:
    """The verdict on the champion.

    Args:
        windows: newest first: first and last day, the other model (None: there is none),
            joint counts int64[n_days, 8] with the other model in the challenger's place, and
            the sums of `metric` where it has any.
        rules: the `[degraded]` table.
        metric: what the models are compared by; the margin is in its unit.

    Raises:
        DataError: counts are malformed.
    """
    judged = tuple(_judge_window(window, rules, metric) for window in windows)
    pooled = compare(tuple(day for window in judged for day in window.cells))
    return DegradedReport(
        triggered=sum(w.verdict == "degraded" for w in judged) >= rules.windows,
        windows=judged,
        live_f1=pooled.f1_champion,
        live_score=_live_score(judged, metric),
        rules=rules,
        metric=metric,
    )


def _live_score(windows: Sequence[DegradedWindow], metric: Metric) -> Fraction | None:
    if metric.ranks:
        return None
    days = [_days(w.cells, w.sums, metric, w.first) for w in windows]
    return compare(tuple(day for window in days for day in window), metric).score_champion


def _days(cells: DayCells, sums: DaySums | None, metric: Metric, first: str) -> DayCells:
    if metric.kind is None:
        return cells
    return with_sums(cells, sums or (), metric.n_sums, name=f"sums of the window from {first}")


def _judge_window(window: Window, rules: DegradedRules, metric: Metric) -> DegradedWindow:
    first, last, reference, counted, *more = window
    cells: DayCells = day_cells(counted, name=f"cells of {first} to {last}")
    sums = more[0] if more and metric.kind else None
    days = _days(cells, sums, metric, first)
    paired = compare(days, metric)
    difference = None if paired.difference is None else -float(paired.difference)
    error = paired.standard_error()
    upper = None
    verdict: Literal["degraded", "no", "undecided"] = "undecided"
    if difference is not None and paired.days >= rules.min_days and error is not None:
        # Models that never disagree have SE 0 and difference 0: not behind.
        upper = difference + student_quantile(rules.confidence, paired.days - 1) * error
        verdict = "degraded" if upper < -rules.margin else "no"
    return DegradedWindow(
        first=first,
        last=last,
        reference=reference,
        cells=cells,
        rows=paired.rows,
        days=paired.days,
        f1_champion=paired.f1_champion,
        f1_reference=paired.f1_challenger,
        score_champion=paired.score_champion,
        score_reference=paired.score_challenger,
        difference=difference,
        upper_bound=upper,
        verdict=verdict,
        sums=sums,
    )
