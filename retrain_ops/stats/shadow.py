"""Whether a challenger may answer real requests, before any of their labels is known.

Models a week apart honestly differ on flights: they flip 17 % of decisions at
the median and 33 % at the 95th percentile, so agreement is not asked for; only
a challenger that fails to answer, answers nonsense, or moves the positive rate
out of all reason is stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, SupportsInt, TypedDict, cast

import numpy as np

from retrain_ops.errors import DataError
from retrain_ops.stats.psi import psi_from_counts
from retrain_ops.stats.rounding import to_json_value
from retrain_ops.stats.rules import Hours, Milliseconds, Psi, Ratio, Rows, Share, quiet, require

__all__ = [
    "DECISIONS",
    "Numbers",
    "ShadowRules",
    "ShadowVerdict",
    "Traffic",
    "View",
    "judge_shadow",
    "number_of",
]


_COPIED = (
    "rows",
    "compared",
    "flips_up",
    "flips_down",
    "champion_bad",
    "challenger_bad",
    "challenger_distinct",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowRules:
    """`[shadow]`: how long a challenger runs beside the champion, and what stops it.

    Attributes:
        hours: nominal length, which may be a fraction; extended by as much while rows are too few.
        max_days: how often `hours` may pass, extensions included, before a shadow that still has
            too few rows fails.
        min_rows: matched rows below which the shadow is undecided.
        min_coverage: least share of the champion's requests that the challenger scored too.
        max_error_rate: largest share of requests on which the challenger failed.
        latency_ratio: the challenger's p99 latency may reach this many times the champion's ...
        latency_slack_ms: ... plus this.
        max_flips: largest share of decisions that differ.
        max_rate_change: largest absolute change of the share of positive decisions.
        warn_flips: share of decisions that differ above which a warning is recorded.
        warn_score_psi: PSI of the scores above which a warning is recorded.
        max_difference: of amounts; mean distance of both predictions, in mean distances of the
            champion's predictions from their mean, up to which a challenger passes.
        max_mean_change: of amounts; change of the mean prediction, in the same unit, up to which
            a challenger passes.
        warn_difference: of amounts; mean distance above which a warning is recorded.
    """

    hours: Hours = 24
    max_days: Annotated[int, "times hours"] = 3
    min_rows: Rows = 300
    min_coverage: Share = 0.99
    max_error_rate: Share = 0.001
    latency_ratio: Ratio = 1.5
    latency_slack_ms: Milliseconds = 5.0
    max_flips: Share = 0.50
    max_rate_change: Share = 0.35
    warn_flips: Share = 0.30
    warn_score_psi: Psi = 0.5
    max_difference: Ratio = quiet(3.0)
    max_mean_change: Ratio = quiet(2.0)
    warn_difference: Ratio = quiet(1.5)

    def __post_init__(self) -> None:
        require(0 < self.hours <= 24 * 31, "hours: must lie above 0 and up to 744")
        if self.hours == int(self.hours):  # 24 and 24.0 are one rule, with one hash
            object.__setattr__(self, "hours", int(self.hours))
        require(1 <= self.max_days <= 366, "max_days: must lie in 1 to 366")
        require(self.min_rows >= 1, "min_rows: must be at least 1")
        for name in ("min_coverage", "max_error_rate", "max_flips", "max_rate_change"):
            require(0 <= getattr(self, name) <= 1, f"{name}: must lie in 0 to 1")
        require(self.latency_ratio >= 1, "latency_ratio: must be at least 1")
        require(self.latency_slack_ms >= 0, "latency_slack_ms: cannot be negative")
        require(0 <= self.warn_flips <= 1, "warn_flips: must lie in 0 to 1")
        require(self.warn_score_psi > 0, "warn_score_psi: must be above 0")
        for name in ("max_difference", "max_mean_change", "warn_difference"):
            require(getattr(self, name) > 0, f"{name}: must be above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowVerdict:
    """pass, fail or undecided; all `reasons` that hold, `warnings`, and the numbers.

    Reasons of a fail: bad_scores, constant_score, coverage, errors, latency, flips,
    positive_rate; of undecided: too_few_rows. `numbers` has rows, compared, coverage,
    error_rate, flip_rate, flips_up, flips_down, rate_champion, rate_challenger, rate_change,
    score_psi, champion_bad, challenger_bad, champion_p99_ms, challenger_p99_ms. Of amounts
    :mod:`retrain_ops.stats.shadow_amounts` says what stands in for flips and rates.
    """

    verdict: Literal["pass", "fail", "undecided"]
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]
    numbers: Mapping[str, float | int | None]

    def to_json(self) -> dict[str, object]:
        """Plain data, floats to 9 significant digits."""
        return {
            "verdict": self.verdict,
            "reasons": list(self.reasons),
            "warnings": list(self.warnings),
            "numbers": to_json_value(self.numbers),
        }


Numbers = Mapping[str, float | int | None]


@dataclass(frozen=True, slots=True)
class View:
    """How two models' answers are compared: numbers from counts, and what of them stops a
    challenger or is worth a warning, by reason."""

    numbers: Callable[[Mapping[str, object]], dict[str, float | int | None]]
    failures: Callable[[Numbers, ShadowRules], dict[str, bool]]
    warnings: Callable[[Numbers, ShadowRules], dict[str, bool]]


class Traffic(TypedDict, total=False):
    """How live requests went; what is left out is that of a replay, where all are answered.

    `coverage` is matched rows / requests that the champion answered, `error_rate` requests on
    which the challenger failed / requests, both 0 to 1; latencies are 99th percentiles in
    milliseconds, not judged unless both are given.
    """

    coverage: float
    error_rate: float
    champion_p99_ms: float | None
    challenger_p99_ms: float | None


def judge_shadow(
    counts: Mapping[str, object],
    rules: ShadowRules | None = None,
    *,
    coverage: float = 1.0,
    error_rate: float = 0.0,
    champion_p99_ms: float | None = None,
    challenger_p99_ms: float | None = None,
    view: View | None = None,
) -> ShadowVerdict:
    """The verdict on a shadow.

    Args:
        counts: of `retrain_ops._core.shadow_counts`, or what `view` compares.
        rules: the `[shadow]` table.
        coverage: matched rows / requests that the champion answered, 0 to 1.
        error_rate: requests on which the challenger failed / requests.
        champion_p99_ms: the champion's latency, 99th percentile, in milliseconds.
        challenger_p99_ms: the challenger's; latency is not judged unless both are given.
        view: how the answers are compared; by decisions unless given.

    Raises:
        DataError: a count is missing, or a share is not one.
    """
    rules = rules or ShadowRules()
    for name, share in (("coverage", coverage), ("error_rate", error_rate)):
        if not 0 <= share <= 1:
            raise DataError(f"{name} is {share}, it must lie in 0 to 1")
    view = view or DECISIONS
    numbers = view.numbers(counts)
    numbers |= {"coverage": coverage, "error_rate": error_rate}
    numbers |= {"champion_p99_ms": champion_p99_ms, "challenger_p99_ms": challenger_p99_ms}
    failures = _holding(_failures(numbers, rules) | view.failures(numbers, rules))
    warnings = _holding(view.warnings(numbers, rules) | _warnings(numbers))
    if numbers["challenger_bad"]:  # no number of further rows would help
        return _verdict("fail", failures, warnings, numbers)
    if number_of(numbers, "compared") < rules.min_rows:
        return _verdict("undecided", ["too_few_rows"], warnings, numbers)
    return _verdict("fail" if failures else "pass", failures, warnings, numbers)


def _verdict(
    verdict: Literal["pass", "fail", "undecided"],
    reasons: list[str],
    warnings: list[str],
    numbers: Numbers,
) -> ShadowVerdict:
    return ShadowVerdict(
        verdict=verdict, reasons=tuple(reasons), warnings=tuple(warnings), numbers=numbers
    )


def number_of(numbers: Numbers, name: str) -> float:
    """A number that exists; NaN, which no comparison holds for, where there was no row."""
    value = numbers[name]
    return math.nan if value is None else value


def _numbers(counts: Mapping[str, object]) -> dict[str, float | int | None]:
    try:
        plain = {k: int(cast(SupportsInt, v)) for k, v in counts.items() if k != "score_counts"}
        scores = np.asarray(counts["score_counts"])
        n = plain["compared"]
        up, down = plain["flips_up"], plain["flips_down"]
        champion, challenger = plain["champion_positive"], plain["challenger_positive"]
        numbers: dict[str, float | int | None] = {name: plain[name] for name in _COPIED}
    except KeyError as problem:
        raise DataError(f"the shadow's counts lack {problem}") from problem
    numbers["flip_rate"] = (up + down) / n if n else None
    numbers["rate_champion"] = champion / n if n else None
    numbers["rate_challenger"] = challenger / n if n else None
    numbers["rate_change"] = (challenger - champion) / n if n else None
    numbers["score_psi"] = psi_from_counts(scores[0], scores[1]) if n else None
    return numbers


def _holding(reasons: Mapping[str, bool]) -> list[str]:
    """Every reason that holds, in the order of the record."""
    return [name for name, holds in reasons.items() if holds]


def _failures(numbers: Numbers, rules: ShadowRules) -> dict[str, bool]:
    allowed = rules.latency_ratio * number_of(numbers, "champion_p99_ms") + rules.latency_slack_ms
    return {
        "bad_scores": number_of(numbers, "challenger_bad") > 0,
        "constant_score": numbers["challenger_distinct"] == 1,
        "coverage": number_of(numbers, "coverage") < rules.min_coverage,
        "errors": number_of(numbers, "error_rate") > rules.max_error_rate,
        "latency": number_of(numbers, "challenger_p99_ms") > allowed,
    }


def _warnings(numbers: Numbers) -> dict[str, bool]:
    return {
        "champion_bad_scores": number_of(numbers, "champion_bad") > 0,
        "latency_not_measured": numbers["champion_p99_ms"] is None
        or numbers["challenger_p99_ms"] is None,
    }


def _flips(numbers: Numbers, rules: ShadowRules) -> dict[str, bool]:
    return {
        "flips": number_of(numbers, "flip_rate") > rules.max_flips,
        "positive_rate": abs(number_of(numbers, "rate_change")) > rules.max_rate_change,
    }


def _flip_warnings(numbers: Numbers, rules: ShadowRules) -> dict[str, bool]:
    return {
        "flips": number_of(numbers, "flip_rate") > rules.warn_flips,
        "score_psi": number_of(numbers, "score_psi") > rules.warn_score_psi,
    }


DECISIONS = View(_numbers, _flips, _flip_warnings)
"""By decisions at each model's threshold: flips, and the share of yes."""
