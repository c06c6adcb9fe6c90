"""The canary's guard rail: harm is looked for every day, and looking often costs nothing.

A confidence sequence holds at all times at once, so a canary can be judged
daily without its error growing with the looks. One-sided normal mixture
(Howard, Ramdas, McAuliffe, Sekhon, arXiv 1810.08240, proposition 6):

    log M(s, v) = 1/2 ln(4 r / (v + r)) + s^2 / (2 (v + r)) + ln Phi(s / sqrt(v + r))

and the boundary b(v) is the s with M = 1/alpha. Here v counts days: the sum of
t daily influences has variance t sigma^2, so score(canary) - score(previous) stays
below d + SE b(t) / sqrt(t) at all times t, with SE of retrain_ops.stats.paired.
The error is asymptotic; nothing is concluded before `first_look_days` days.

Both models score every request, the one that does not answer as a shadow, so
the comparison is paired on all matured rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from retrain_ops.stats.cells import DayCells, day_cells
from retrain_ops.stats.distributions import log_normal_cdf, normal_quantile
from retrain_ops.stats.metrics import F1, Metric
from retrain_ops.stats.paired import PairedDifference, compare
from retrain_ops.stats.rounding import to_json_value
from retrain_ops.stats.rules import Days, Level, Psi, Rows, Score, Share, quiet, require

if TYPE_CHECKING:
    from retrain_ops.stats.cells import Cells

__all__ = ["CanaryRules", "CanaryVerdict", "judge_canary", "mixture_bound", "mixture_rho"]


def mixture_rho(v_opt: float, alpha: float) -> float:
    """The mixture's parameter r that makes the one-sided boundary tightest near v = `v_opt`."""
    log_term = 2 * math.log(1 / (2 * alpha))
    return v_opt / (log_term + math.log1p(log_term))


def log_mixture(s: float, v: float, rho: float) -> float:
    """log M(s, v) of the one-sided normal mixture."""
    spread = v + rho
    return (
        0.5 * math.log(4 * rho / spread)
        + s * s / (2 * spread)
        + log_normal_cdf(s / math.sqrt(spread))
    )


def mixture_bound(v: float, alpha: float, rho: float) -> float:
    """The boundary b(v): the s with log M(s, v) = ln(1 / alpha), by bisection."""
    target = math.log(1 / alpha)
    low = 0.0
    # The two-sided boundary of the same r lies above: M_one >= M_two for s >= 0.
    high = math.sqrt((v + rho) * (2 * target + math.log((v + rho) / rho)))
    while low < (middle := (low + high) / 2) < high:
        if log_mixture(middle, v, rho) < target:
            low = middle
        else:
            high = middle
    return high


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRules:
    """`[canary]`: how long a new champion is on trial, and what ends it.

    Attributes:
        share: traffic that the new champion answers meanwhile.
        max_f1_drop: rolled back when the confidence sequence shows a larger drop of the metric of
            `[gate]`, F1 by default.
        alpha: error of the confidence sequence, over all looks together.
        first_look_days: days with matured rows before the sequence concludes anything.
        gross_drop: rolled back at once when a single day shows a larger drop.
        gross_confidence: one-sided confidence of that day's upper bound, by rows.
        gross_min_rows: matured rows that such a day must have.
        gross_min_discordant: rows on which the models disagree that such a day must have.
        min_days: days with matured rows after which the champion may be kept.
        min_labelled: matured rows after which the champion may be kept.
        max_days: days after which `on_expiry` closes the canary, with or without rows.
        on_expiry: "rollback" or "keep" a champion that could not be judged in time.
        steps: larger shares that follow `share`, one at a time, until the champion is kept and
            answers everybody; none when empty.
        step_days: days without harm at one share before the next.
        max_flips: on live requests; rolled back at once when a larger share of decisions differs
            from those of the version that it replaced.
        max_score_psi: on live requests; rolled back at once when the PSI of its scores against
            those of the version that it replaced is larger.
    """

    share: Share = 0.10
    max_f1_drop: Score = 0.10
    alpha: Level = 0.05
    first_look_days: Days = 5
    gross_drop: Score = 0.20
    gross_confidence: Level = 0.999
    gross_min_rows: Rows = 100
    gross_min_discordant: Rows = 10
    min_days: Days = 7
    min_labelled: Rows = 500
    max_days: Days = 21
    on_expiry: Literal["rollback", "keep"] = "rollback"
    steps: tuple[Share, ...] = quiet(())
    step_days: Days = quiet(2)
    max_flips: Share = quiet(0.8)
    max_score_psi: Psi = quiet(5.0)

    def __post_init__(self) -> None:
        require(0 < self.share <= 1, "share: must lie in (0, 1]")
        require(self.max_f1_drop > 0, "max_f1_drop: must be above 0")
        require(self.gross_drop > 0, "gross_drop: must be above 0")
        require(0 < self.alpha < 0.5, "alpha: must lie between 0 and 0.5")
        require(0.5 < self.gross_confidence < 1, "gross_confidence: must lie between 0.5 and 1")
        require(self.first_look_days >= 2, "first_look_days: must be at least 2")
        require(self.gross_min_rows >= 1, "gross_min_rows: must be at least 1")
        require(self.gross_min_discordant >= 1, "gross_min_discordant: must be at least 1")
        require(self.min_days >= 1, "min_days: must be at least 1")
        require(self.min_labelled >= 0, "min_labelled: cannot be negative")
        require(self.max_days >= self.min_days, "max_days: must be at least min_days")
        growing = (self.share, *self.steps, 1.0)
        require(
            not self.steps or all(a < b for a, b in pairwise(growing)),
            "steps: must grow, from above share to below 1 (a champion that is kept has it all)",
        )
        require(self.step_days >= 1, "step_days: must be at least 1")
        require(0 < self.max_flips <= 1, "max_flips: must lie in (0, 1]")
        require(self.max_score_psi > 0, "max_score_psi: must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryVerdict:
    """What to do with a canary now.

    `action`: rollback (reason gross_harm or harm_shown), keep (no_harm_shown, which is not
    "better"), expire (expired: apply `on_expiry`), or continue (too_few_days,
    too_few_labelled, undefined). `numbers` has days, days_elapsed, rows, positives,
    discordant, f1_previous, f1_canary, difference, standard_error, upper_bound (of the
    sequence now), where the metric is not F1 its name and score_previous, score_canary, and
    for a rollback breach_day (index from 0) with breach_bound.
    """

    action: Literal["continue", "rollback", "keep", "expire"]
    reason: str
    numbers: Mapping[str, float | int | str | None]

    def to_json(self) -> dict[str, object]:
        """Plain data, floats to 9 significant digits."""
        numbers = to_json_value(self.numbers)
        return {"action": self.action, "reason": self.reason, "numbers": numbers}


DaysOf = Callable[[int, int], DayCells]
"""What a metric judges of the days from one index up to another."""


def judge_canary(
    cells: Cells,
    rules: CanaryRules | None = None,
    *,
    days_elapsed: int | None = None,
    metric: Metric = F1,
    part: DaysOf | None = None,
) -> CanaryVerdict:
    """Continue, roll back, keep or expire.

    Every day and every prefix of days is looked at, not only the newest, so that
    a watcher who comes late, or sees the days again, finds the same breach.

    Args:
        cells: int64[n_days, 8] since the canary began, in order: joint counts with the
            previous model in the champion's place; days without matured rows are zero.
        rules: the `[canary]` table.
        days_elapsed: days since it began; `n_days` unless given.
        metric: what harm is measured by; the drops of `rules` are in its unit.
        part: the counts of days [first, end) with the sums of a metric of scores, counted among
            themselves (:mod:`retrain_ops.stats.sums`); metrics of decisions need none.

    Raises:
        DataError: counts are malformed.
    """
    rules = rules or CanaryRules()
    days = day_cells(cells)
    elapsed = len(days) if days_elapsed is None else days_elapsed
    days_of = part or (lambda first, end: days[first:end])
    paired = compare(days_of(0, len(days)), metric)
    numbers = _numbers(paired, elapsed, rules) | _scores(paired, metric)
    for reason, find in (("gross_harm", _gross_harm), ("harm_shown", _shown_harm)):
        breach = find(days, days_of, rules, metric)
        if breach is not None:
            numbers["breach_day"], numbers["breach_bound"] = breach
            return CanaryVerdict(action="rollback", reason=reason, numbers=numbers)
    missing = _missing(paired, rules)
    if not missing:
        return CanaryVerdict(action="keep", reason="no_harm_shown", numbers=numbers)
    if elapsed >= rules.max_days:
        return CanaryVerdict(action="expire", reason="expired", numbers=numbers)
    return CanaryVerdict(action="continue", reason=missing, numbers=numbers)


def _missing(paired: PairedDifference, rules: CanaryRules) -> str:
    """What a canary without harm still lacks before it is kept; empty when nothing."""
    if paired.days < rules.min_days:
        return "too_few_days"
    if paired.rows < rules.min_labelled:
        return "too_few_labelled"
    return "undefined" if paired.difference is None else ""


def _numbers(
    paired: PairedDifference, elapsed: int, rules: CanaryRules
) -> dict[str, float | int | str | None]:
    return {
        "days": paired.days,
        "days_elapsed": elapsed,
        "rows": paired.rows,
        "positives": paired.positives,
        "discordant": paired.discordant,
        "f1_previous": _number(paired.f1_champion),
        "f1_canary": _number(paired.f1_challenger),
        "difference": _number(paired.difference),
        "standard_error": paired.standard_error(),
        "upper_bound": _sequence_upper(paired, rules),
        "on_expiry": rules.on_expiry,
    }


def _scores(paired: PairedDifference, metric: Metric) -> dict[str, float | int | str | None]:
    """What the numbers add for a metric other than F1."""
    if metric is F1:
        return {}
    return {
        "metric": metric.name,
        "score_previous": _number(paired.score_champion),
        "score_canary": _number(paired.score_challenger),
    }


def _number(x: Fraction | None) -> float | None:
    return None if x is None else float(x)


def _sequence_upper(paired: PairedDifference, rules: CanaryRules) -> float | None:
    """Upper end of the confidence sequence after `paired.days` days; None too early."""
    error = paired.standard_error()
    if paired.days < rules.first_look_days or paired.difference is None or not error:
        return None
    rho = mixture_rho(rules.min_days, rules.alpha)
    bound = mixture_bound(paired.days, rules.alpha, rho)
    return float(paired.difference) + error * bound / math.sqrt(paired.days)


def _shown_harm(
    days: DayCells, days_of: DaysOf, rules: CanaryRules, metric: Metric
) -> tuple[int, float] | None:
    """The first prefix of days after which the drop is shown."""
    for last in range(rules.first_look_days - 1, len(days)):
        if any(days[last]):
            upper = _sequence_upper(compare(days_of(0, last + 1), metric), rules)
            if upper is not None and upper < -rules.max_f1_drop:
                return last, upper
    return None


def _gross_harm(
    days: DayCells, days_of: DaysOf, rules: CanaryRules, metric: Metric
) -> tuple[int, float] | None:
    """The first single day that shows gross harm by its rows alone."""
    quantile = normal_quantile(rules.gross_confidence)
    for index in range(len(days)):
        paired = compare(days_of(index, index + 1), metric)
        if (
            paired.rows < rules.gross_min_rows
            or paired.discordant < rules.gross_min_discordant
            or paired.difference is None
            or paired.row_error is None
        ):
            continue
        upper = float(paired.difference) + quantile * paired.row_error
        if upper < -rules.gross_drop:
            return index, upper
    return None
