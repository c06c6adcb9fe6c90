"""The `[gate]` table: by which metric a challenger is judged, what it must show, what stops it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal, get_args

from retrain_ops.errors import DataError
from retrain_ops.stats.metrics import MEDIAN, Costs, Metric, MetricName, MetricRef, metric_named
from retrain_ops.stats.metrics.own import is_own
from retrain_ops.stats.rounding import to_json_value
from retrain_ops.stats.rules import (
    Bytes,
    Days,
    ExactScore,
    Level,
    Rows,
    Score,
    Share,
    derived,
    quiet,
    recorded,
    require,
)

__all__ = ["GateRules", "Guard", "rules_of_record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A further metric, and how much of it a challenger may lose; exact, like `min_improvement`."""

    metric: MetricRef
    max_drop: ExactScore

    def __post_init__(self) -> None:
        _check_name(self.metric)
        if isinstance(self.max_drop, float | int):
            object.__setattr__(self, "max_drop", Fraction(str(self.max_drop)))


def _check_name(name: str) -> None:
    known = ", ".join(map(repr, get_args(MetricName)))
    require(
        name in get_args(MetricName) or is_own(name),
        f'metric: must be one of {known} or "package.module:object", it is {name!r}',
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRules:
    """`[gate]`: what a challenger must show on the hold-out.

    The keys from `cooldown_days` to `max_forgetting` are limits: off at 0, in force in both
    modes.

    Attributes:
        mode: "paired" applies every rule below; "literal" asks for a score above the champion's
            plus `min_improvement` and nothing else, and only reports slices.
        min_improvement: improvement that the literal rule asks for; exact, a number is read as
            its decimal.
        confidence: one-sided confidence of the lower bound of the difference, and of each
            protected slice.
        protected: slice columns; each level must be shown not to lose more than `slice_margin`.
        slice_margin: difference that a protected slice may lose.
        min_rows: labelled rows below which a slice cannot be judged.
        min_positives: positive rows below which a slice cannot be judged.
        min_discordant: rows on which the models disagree below which a slice cannot be judged.
        undecided_protected: what a protected slice that cannot be judged does to a challenger
            that would pass: "block" (undecided), "human" (undecided, and `needs_human` is set),
            "allow_with_warning" (pass, with a warning).
        watched: slice columns; a level vetoes only when its regression is proven.
        watched_alpha: family-wise error of those vetoes (Holm).
        min_days: days with rows below which the day is undecided.
        resample_unit: "day", or "row" where there is no time.
        cooldown_days: days after a promotion took effect in which nobody else is promoted.
        min_holdout_rows: labelled hold-out rows below which the day is undecided.
        min_label_coverage: least share of hold-out rows with a label; undecided below it.
        max_model_bytes: largest model file that passes.
        max_calibration_error: largest expected calibration error that passes.
        max_forgetting: with `[memory]`, the most that the score may drop in any past season with
            `min_rows` and `min_positives`.
        metric: what the models are compared by, here, in the canary and by `[degraded]`; where
            less is better, a drop is an increase. "package.module:object" is one of your own.
        beta: of "fbeta"; recall counts this many times as much as precision.
        costs: of "net_benefit"; what a row costs in money, `{tn = 0, fp = 5, fn = 80, tp = 5}`; a
            gain is below zero.
        quantile: of "pinball"; which quantile of the label a prediction aims at.
        variance: how the spread between days is estimated for the bound on all rows: "window" from
            this hold-out alone, "moderated" with what earlier windows of the model showed.
        classes_of: the label's column where the problem is "multiclass", else nothing: a slice
            by it holds the rows of one class, and is judged by its recall.
        guards: `[{metric = "recall", max_drop = 0.02}]`; further metrics that must be shown not
            to lose more, in mode "literal" by the bare difference.
    """

    mode: Literal["paired", "literal"] = "paired"
    min_improvement: ExactScore = Fraction(1, 200)
    confidence: Level = 0.95
    protected: tuple[str, ...] = ()
    slice_margin: Score = 0.05
    min_rows: Rows = 500
    min_positives: Rows = 100
    min_discordant: Rows = 10
    undecided_protected: Literal["block", "allow_with_warning", "human"] = "block"
    watched: tuple[str, ...] = ()
    watched_alpha: Level = 0.05
    min_days: Days = 5
    resample_unit: Literal["day", "row"] = "day"
    cooldown_days: Days = quiet(0)
    min_holdout_rows: Rows = quiet(0)
    min_label_coverage: Share = quiet(0.0)
    max_model_bytes: Bytes = quiet(0)
    max_calibration_error: Share = quiet(0.0)
    max_forgetting: Score = quiet(0.0)
    metric: MetricRef = quiet("f1")
    beta: Annotated[Fraction, "ratio"] = quiet(Fraction(1))
    costs: Annotated[Costs, "money per row"] = quiet(Costs())
    quantile: Annotated[Fraction, "probability"] = quiet(MEDIAN)
    variance: Literal["window", "moderated"] = quiet("window")
    guards: tuple[Guard, ...] = quiet(())
    classes_of: str = derived("")

    def __post_init__(self) -> None:
        for name in ("min_improvement", "beta", "quantile"):
            if isinstance(getattr(self, name), float | int):
                object.__setattr__(self, name, Fraction(str(getattr(self, name))))
        self._check_metrics()
        require(
            self.min_improvement >= 0 and self.within_span(self.min_improvement),
            f"min_improvement: must lie in {self._range('[0')}, in units of {self.scored_by.unit}",
        )
        require(0.5 <= self.confidence < 1, "confidence: must lie in [0.5, 1)")
        require(
            self.slice_margin > 0 and self.within_span(self.slice_margin),
            f"slice_margin: must lie in {self._range('(0')}, in units of {self.scored_by.unit}",
        )
        require(
            self.variance == "window" or self.resample_unit == "day",
            'variance: "moderated" is of days, and resample_unit = "row" has none',
        )
        require(0 < self.watched_alpha < 0.5, "watched_alpha: must lie between 0 and 0.5")
        require(self.min_days >= 2, "min_days: must be at least 2")
        for name in _NOT_NEGATIVE:
            require(getattr(self, name) >= 0, f"{name}: cannot be negative")
        for name in ("min_label_coverage", "max_calibration_error"):
            require(getattr(self, name) <= 1, f"{name}: is a share, at most 1")

    @property
    def scored_by(self) -> Metric:
        """The metric."""
        return self.named(self.metric)

    @property
    def problem(self) -> str:
        """The problem whose models the metric judges."""
        return self.scored_by.problem

    def named(self, name: str) -> Metric:
        """A metric with the table's own `beta`, `costs` and `quantile`, of its problem."""
        return metric_named(
            name,
            beta=self.beta,
            costs=self.costs,
            quantile=self.quantile,
            classes=bool(self.classes_of),
        )

    def metric_on(self, column: str) -> Metric:
        """What the levels of a slice column are judged by: of each class its recall, which is the
        accuracy on its rows."""
        of_classes = self.classes_of and column == self.classes_of
        return self.named("accuracy") if of_classes else self.scored_by

    @property
    def names(self) -> set[str]:
        """The metric and those of the guards."""
        return {self.metric, *(guard.metric for guard in self.guards)}

    def within_span(self, margin: float | Fraction) -> bool:
        """Whether two scores can lie further apart than `margin`."""
        span = self.scored_by.span
        return span is None or margin < span

    def _range(self, low: str) -> str:
        span = self.scored_by.span
        return f"{low}, {span})" if span else f"{low}, any amount)"

    def _check_metrics(self) -> None:
        named = [guard.metric for guard in self.guards]
        used = self.names
        _check_name(self.metric)
        require(0 < self.beta <= 100, "beta: must lie in (0, 100]")
        require(
            self.beta == 1 or "fbeta" in used,
            'beta: is of metric "fbeta", which neither `metric` nor a guard names',
        )
        require(0 < self.quantile < 1, "quantile: must lie between 0 and 1")
        require(
            self.quantile == MEDIAN or "pinball" in used,
            'quantile: is of metric "pinball", which neither `metric` nor a guard names',
        )
        priced = self.costs != Costs()
        require(
            priced or "net_benefit" not in used,
            'costs: "net_benefit" needs what a row of each cell costs: {tn = 0, fp = 5, fn = 80, '
            "tp = 5}",
        )
        require(
            not priced or "net_benefit" in used,
            'costs: are of metric "net_benefit", which neither `metric` nor a guard names',
        )
        require(len(set(named)) == len(named), "guards: a metric is listed twice")
        for name in named:
            other = self.named(name).problem
            require(
                other == self.problem,
                f"guards: {name} judges models of {other} problems, {self.metric} those of "
                f"{self.problem} problems",
            )
        for guard in self.guards:
            self._check_guard(guard)

    def _check_guard(self, guard: Guard) -> None:
        span = self.named(guard.metric).span
        below = f" and below {span}" if span else ""
        require(
            guard.max_drop >= 0 and (span is None or guard.max_drop < span),
            f"guards: max_drop of {guard.metric} must be at least 0{below}",
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data. A limit that is off is left out: what it cannot change, it does not mark."""
        values = recorded(self)
        if "costs" in values:
            values["costs"] = asdict(self.costs)
        if "guards" in values:
            values["guards"] = [asdict(guard) for guard in self.guards]
        plain = to_json_value(values)
        assert isinstance(plain, dict)
        return plain


_NOT_NEGATIVE = (
    "min_rows",
    "min_positives",
    "min_discordant",
    "cooldown_days",
    "min_holdout_rows",
    "min_label_coverage",
    "max_model_bytes",
    "max_calibration_error",
    "max_forgetting",
)


def rules_of_record(record: Mapping[str, Any]) -> GateRules:
    """The rules that `GateRules.to_json` wrote.

    Raises:
        DataError: the record is not one of rules.
    """
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
    try:
        values["min_improvement"] = Fraction(values["min_improvement"])
        for name in ("beta", "quantile"):
            if name in values:
                values[name] = Fraction(values[name])
        if "costs" in values:
            values["costs"] = Costs(**values["costs"])
        guards = values.get("guards", ())
        values["guards"] = tuple(
            Guard(metric=g["metric"], max_drop=Fraction(g["max_drop"])) for g in guards
        )
        return GateRules(**values)
    except (KeyError, TypeError, ValueError) as problem:
        raise DataError(f"the rules in the record cannot be read: {problem}") from problem
