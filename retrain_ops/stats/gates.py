"""Whether a challenger may replace the champion, from counts alone.

Three verdicts. *pass*: the literal rule holds, the paired lower bound of the
difference is above zero, and no slice stands against it. *fail*: the evidence
is there and does not say so. *undecided*: the evidence is missing.

A protected slice has to be shown not to be worse by more than a margin: an
intersection-union test, each slice at the full level. A watched slice vetoes
only when its regression is proven, Holm-adjusted over all watched slices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from retrain_ops.errors import DataError
from retrain_ops.stats.bounds import as_float, degrees, lower_bound, too_few_days
from retrain_ops.stats.cells import ALL_ROWS, DayCells, day_cells
from retrain_ops.stats.checks import Check, run_checks
from retrain_ops.stats.distributions import student_cdf
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.guards import GuardVerdict, exact_text, judge_guards, stopped_by
from retrain_ops.stats.metrics import F1, Metric
from retrain_ops.stats.moderation import EarlierWindow, Moderation, moderation_of
from retrain_ops.stats.multiplicity import holm
from retrain_ops.stats.paired import PairedDifference, compare
from retrain_ops.stats.rounding import to_json_value
from retrain_ops.stats.sums import Sums, with_sums

if TYPE_CHECKING:
    from retrain_ops.stats.cells import Cells

__all__ = ["GateReport", "SliceVerdict", "judge"]

Verdict = Literal["pass", "fail", "undecided"]
Role = Literal["protected", "watched", "reported"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceVerdict:
    """One level of one slice column.

    `verdict` of a protected slice: pass = shown not to be worse by the margin, fail = not
    shown; of a watched one: fail = regression proven, pass = none proven; undecided = cannot be
    judged, `reason` says why. `p_value` is that of "not worse" against "worse".
    """

    column: str
    level: str
    role: Role
    verdict: Verdict
    reason: str
    rows: int
    positives: int
    discordant: int
    days: int
    f1_champion: Fraction | None
    f1_challenger: Fraction | None
    score_champion: Fraction | None
    score_challenger: Fraction | None
    difference: float | None
    standard_error: float | None
    lower_bound: float | None
    p_value: float | None = None
    p_adjusted: float | None = None

    def to_json(self, metric: Metric = F1) -> dict[str, object]:
        """Plain data, floats to 9 significant digits; `metric` is the one of the scores."""
        return _plain(asdict(self), metric)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """The verdict on a challenger, with every number it came from.

    Attributes:
        verdict, reason: reason is one of better (pass); not_better (the literal rule fails),
            not_proven, protected_regression, watched_regression, guard_regression (fail);
            undefined, too_few_days, protected_undecided, guard_undecided (undecided).
        literal: what the bare rule alone says; None when a score is undefined.
        f1_champion, f1_challenger: F1, whatever the metric.
        score_champion, score_challenger: in the metric of `rules`.
        difference, standard_error, lower_bound: of the challenger's score less the champion's
            (where less is better, the other way round), one-sided at `rules.confidence`.
        needs_human: a person may decide, by `undecided_protected = "human"`.
        warnings: protected slices that passed unjudged, by "allow_with_warning".
        checks: the limits that are on; a challenger that would pass fails, or is undecided, by
            the first that does not, and `reason` is its name.
        guards: the further metrics; a challenger that would pass fails, or is undecided, by them.
        moderation: what was borrowed for `standard_error`; None with `variance = "window"`.
    """

    verdict: Verdict
    reason: str
    literal: bool | None
    f1_champion: Fraction | None
    f1_challenger: Fraction | None
    score_champion: Fraction | None
    score_challenger: Fraction | None
    difference: float | None
    standard_error: float | None
    lower_bound: float | None
    rows: int
    positives: int
    discordant: int
    days: int
    slices: tuple[SliceVerdict, ...]
    rules: GateRules
    needs_human: bool = False
    warnings: tuple[str, ...] = field(default=())
    checks: tuple[Check, ...] = field(default=())
    guards: tuple[GuardVerdict, ...] = field(default=())
    moderation: Moderation | None = None

    def to_json(self) -> dict[str, object]:
        """Plain data, floats to 9 significant digits: equal bytes for equal counts and rules."""
        values = {name: getattr(self, name) for name in self.__slots__}
        metric = self.rules.scored_by
        values["slices"] = [s.to_json(self.rules.metric_on(s.column)) for s in self.slices]
        values["rules"] = self.rules.to_json()
        values["checks"] = [asdict(check) for check in self.checks]
        values["guards"] = [guard.to_json() for guard in self.guards]
        if self.moderation is not None:
            values["moderation"] = self.moderation.to_json()
        for name in ("checks", "guards", "moderation"):
            if not values[name]:
                del values[name]
        return _plain(values, metric)


def _plain(values: dict[str, object], metric: Metric) -> dict[str, object]:
    """Scores as numbers for readers and, beside them, as the exact fractions they are.

    F1 always; the metric's own scores where it is another one.
    """
    for role in ("champion", "challenger"):
        for kind, scored_by in (("f1", F1), ("score", metric)):
            name = f"{kind}_{role}"
            score = values.pop(name)
            assert score is None or isinstance(score, Fraction)
            if kind == "f1" or metric is not F1:
                values[name] = as_float(score)
                values[f"{name}_exact"] = exact_text(score, scored_by)
    plain = to_json_value(values)
    assert isinstance(plain, dict)
    return plain


def judge(
    cells: Mapping[str, Mapping[str, Cells]],
    rules: GateRules,
    *,
    expected_levels: Mapping[str, Sequence[str]] | None = None,
    facts: Mapping[str, Mapping[str, Any]] | None = None,
    sums: Sums | None = None,
    earlier: Sequence[EarlierWindow] = (),
) -> GateReport:
    """The gates on joint counts, and on sums where a metric of scores or amounts is named.

    Args:
        cells: slice column -> level -> joint counts (:mod:`retrain_ops.stats.cells`),
            int64[n_days, 8]; the column "" has one level, all rows. Every column partitions the
            rows, so a missing attribute needs a level of its own.
        rules: the `[gate]` table.
        expected_levels: levels by column that have to be there (those of the champion's
            reference); one that is not is a vanished slice, and undecided.
        facts: what the checks judge, by name; see :func:`retrain_ops.stats.checks.run_checks`.
        sums: of each metric of scores that `rules` names, as `cells` are; of a guard's, of all
            rows (:mod:`retrain_ops.stats.sums`).
        earlier: windows that were judged before, which `variance = "moderated"` borrows from.

    Raises:
        DataError: a column of `rules` is not in `cells`, a column does not add up to all rows,
            counts are malformed, or sums are missing.
    """
    counted = _checked_tables(cells, rules)
    (all_rows,) = counted[ALL_ROWS].values()
    tables = _with_sums(counted, rules, sums or {})
    everything = next(iter(tables[ALL_ROWS].values()))
    overall = compare(everything, rules.scored_by)
    moderation = moderation_of(earlier) if rules.variance == "moderated" else None
    bound, error = lower_bound(overall, rules, moderation)
    slices = _judge_slices(tables, rules, expected_levels or {})
    literal = _literal(overall, rules)
    verdict, reason = _decide(overall, literal, bound, slices, rules)
    guards = judge_guards(
        lambda metric: metric_days(all_rows, metric, sums or {}, ALL_ROWS, ALL_ROWS), rules
    )
    if verdict == "pass":
        verdict, reason = stopped_by(guards) or (verdict, reason)
    checks = run_checks(rules, rows=overall.rows, days=overall.days, facts=facts or {})
    verdict, reason = _after_checks(verdict, reason, checks)
    return GateReport(
        verdict=verdict,
        reason=reason,
        literal=literal,
        f1_champion=overall.f1_champion,
        f1_challenger=overall.f1_challenger,
        score_champion=overall.score_champion,
        score_challenger=overall.score_challenger,
        difference=as_float(overall.difference),
        standard_error=error,
        lower_bound=bound,
        rows=overall.rows,
        positives=overall.positives,
        discordant=overall.discordant,
        days=overall.days,
        slices=slices,
        rules=rules,
        needs_human=reason == "protected_undecided" and rules.undecided_protected == "human",
        warnings=_unjudged(slices) if verdict == "pass" and rules.mode == "paired" else (),
        checks=checks,
        guards=guards,
        moderation=moderation,
    )


def _checked_tables(
    cells: Mapping[str, Mapping[str, Cells]], rules: GateRules
) -> dict[str, dict[str, DayCells]]:
    if len(cells.get(ALL_ROWS, {})) != 1:
        raise DataError('cells[""] must hold one level with the counts of all rows')
    for column in rules.protected + rules.watched:
        if column not in cells:
            raise DataError(f"the gate names the slice column {column!r}, cells has no such column")
    tables = {
        column: {level: day_cells(c, name=f"cells of {column}={level}") for level, c in by.items()}
        for column, by in cells.items()
    }
    rows = {column: sum(map(_rows, by.values())) for column, by in tables.items()}
    for column, n in rows.items():
        if n != rows[ALL_ROWS]:
            raise DataError(
                f"slice column {column!r} counts {n} rows, there are {rows[ALL_ROWS]}: every row "
                "belongs to one level, a missing value to a level of its own"
            )
    return tables


def _unjudged(slices: Sequence[SliceVerdict]) -> tuple[str, ...]:
    return tuple(
        f"{s.column}={s.level}: {s.reason}"
        for s in slices
        if s.role == "protected" and s.verdict == "undecided"
    )


def _with_sums(
    counted: Mapping[str, Mapping[str, DayCells]], rules: GateRules, sums: Sums
) -> dict[str, dict[str, DayCells]]:
    return {
        column: {
            level: metric_days(d, rules.metric_on(column), sums, column, level)
            for level, d in by.items()
        }
        for column, by in counted.items()
    }


def metric_days(days: DayCells, metric: Metric, sums: Sums, column: str, level: str) -> DayCells:
    """What a metric judges of one level: joint counts, and its sums if it has any."""
    if metric.kind is None:
        return days
    try:
        of_level = sums[metric.kind][column][level]
    except KeyError:
        raise DataError(
            f"the metric {metric.name} needs its sums of {column}={level}, and there are none"
        ) from None
    return with_sums(days, of_level, metric.n_sums, name=f"sums of {column}={level}")


def _rows(days: DayCells) -> int:
    return sum(map(sum, days))


def _literal(overall: PairedDifference, rules: GateRules) -> bool | None:
    """Better than the champion's by more than min_improvement, in exact arithmetic."""
    return None if overall.difference is None else overall.difference > rules.min_improvement


def _decide(
    overall: PairedDifference,
    literal: bool | None,
    bound: float | None,
    slices: Sequence[SliceVerdict],
    rules: GateRules,
) -> tuple[Verdict, str]:
    """The first reason that applies."""
    if literal is None:
        return "undecided", "undefined"
    if rules.mode == "literal":
        return ("pass", "better") if literal else ("fail", "not_better")
    if too_few_days(overall, rules):
        return "undecided", "too_few_days"
    if not literal:
        return "fail", "not_better"
    if bound is None:
        return "undecided", "undefined"
    if bound <= 0:
        return "fail", "not_proven"
    for role in ("protected", "watched"):
        if any(s.role == role and s.verdict == "fail" for s in slices):
            return "fail", f"{role}_regression"
    unjudged = any(s.role == "protected" and s.verdict == "undecided" for s in slices)
    if unjudged and rules.undecided_protected != "allow_with_warning":
        return "undecided", "protected_undecided"
    return "pass", "better"


def _after_checks(verdict: Verdict, reason: str, checks: Sequence[Check]) -> tuple[Verdict, str]:
    """Checks stop a pass; fails first, since no later evidence would change them."""
    if verdict == "pass":
        for stopped in ("fail", "undecided"):
            for check in checks:
                if check.verdict == stopped:
                    return check.verdict, check.name
    return verdict, reason


def _judge_slices(
    tables: Mapping[str, Mapping[str, DayCells]],
    rules: GateRules,
    expected_levels: Mapping[str, Sequence[str]],
) -> tuple[SliceVerdict, ...]:
    """Protected columns, then watched, then the rest by name; levels by name."""
    named = dict.fromkeys(rules.protected + rules.watched)
    columns = [*named, *sorted(c for c in tables if c and c not in named)]
    verdicts = []
    for column in columns:
        levels = set(tables.get(column, {})) | set(expected_levels.get(column, ()))
        for level in sorted(levels):
            days = tables[column].get(level, ())
            verdicts.append(_judge_slice(column, level, _role(column, rules), days, rules))
    return _with_adjusted(verdicts, rules)


def _role(column: str, rules: GateRules) -> Role:
    if column in rules.protected:
        return "protected"
    return "watched" if column in rules.watched else "reported"


def _why_unjudged(paired: PairedDifference, bound: float | None, rules: GateRules) -> str:
    """Why a slice cannot be judged; empty when it can. Only labels of 0 and 1 have positives."""
    positives = [("positives", paired.positives, max(1, rules.min_positives))]
    if rules.problem != "binary":
        positives = []
    minima = (
        ("rows", paired.rows, max(1, rules.min_rows)),
        *positives,
        # At least one: models that never disagree here have proved nothing.
        ("discordant", paired.discordant, max(1, rules.min_discordant)),
    )
    if paired.rows == 0:
        return "vanished"
    for name, found, least in minima:
        if found < least:
            return f"too_few_{name}"
    if too_few_days(paired, rules):
        return "too_few_days"
    return "undefined" if bound is None else ""


def _judge_slice(
    column: str, level: str, role: Role, days: DayCells, rules: GateRules
) -> SliceVerdict:
    paired = compare(days, rules.metric_on(column))
    bound, error = lower_bound(paired, rules)
    reason = _why_unjudged(paired, bound, rules)
    verdict: Verdict = "undecided"
    p_value = None
    if not reason:
        assert bound is not None
        assert error is not None
        assert paired.difference is not None
        p_value = student_cdf(float(paired.difference) / error, degrees(paired, rules))
        worse = role == "protected" and bound <= -rules.slice_margin
        verdict, reason = ("fail", "not_shown") if worse else ("pass", "")
    return SliceVerdict(
        column=column,
        level=level,
        role=role,
        verdict=verdict,
        reason=reason,
        rows=paired.rows,
        positives=paired.positives,
        discordant=paired.discordant,
        days=paired.days,
        f1_champion=paired.f1_champion,
        f1_challenger=paired.f1_challenger,
        score_champion=paired.score_champion,
        score_challenger=paired.score_challenger,
        difference=as_float(paired.difference),
        standard_error=error,
        lower_bound=bound,
        p_value=p_value,
    )


def _with_adjusted(verdicts: Sequence[SliceVerdict], rules: GateRules) -> tuple[SliceVerdict, ...]:
    """Holm over all judgeable watched slices; a proven regression becomes a fail."""
    family = [i for i, v in enumerate(verdicts) if v.role == "watched" and v.p_value is not None]
    adjusted = holm([p for i in family if (p := verdicts[i].p_value) is not None])
    changed = list(verdicts)
    for i, p in zip(family, adjusted, strict=True):
        proven = p < rules.watched_alpha
        changed[i] = replace(
            verdicts[i],
            p_adjusted=p,
            verdict="fail" if proven else "pass",
            reason="regression" if proven else "",
        )
    return tuple(changed)
