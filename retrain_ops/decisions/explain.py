"""A decision in plain words: what was decided, why, on which numbers, and what it would take.

Reads decision.json's content and nothing else; the day's report uses the same sentences.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Literal, cast

from retrain_ops.decisions.record import (
    BootstrapGate,
    BootstrapReason,
    CheckRecord,
    Decision,
    DegradedWindowRecord,
    EngineRecord,
    FeatureDriftRecord,
    GateReason,
    GateRecord,
    GuardRecord,
    Outcome,
    SliceReason,
    SliceRecord,
    Trigger,
    compared,
    degraded_scores,
    metric_of,
    scores_of,
)
from retrain_ops.decisions.rules import RulesRecord
from retrain_ops.decisions.seasons import SeasonRecord
from retrain_ops.stats.checks import CheckName
from retrain_ops.stats.distributions import student_quantile
from retrain_ops.stats.metrics import F1, Metric, metric_of_record

OUTCOMES: Mapping[Outcome, str] = {
    "challenger": "The challenger passed and goes into shadow. The champion serves until then.",
    "skipped": "The champion stays. The challenger was kept on record and not opened.",
    "undecided": "Nobody can say yet. The champion stays, because the evidence is missing.",
    "queued": "The challenger passed, but another candidate is open. The next run trains its own.",
    "no_train": "Nothing called for training. The champion stays.",
}

TRIGGERS: Mapping[Trigger, str] = {
    "bootstrap": "somebody asked for the first champion",
    "forced": "somebody forced it",
    "drift": "a feature drifted",
    "degraded": "the champion fell behind another model on matured rows",
    "stale": "the champion was older than the spec allows",
    "none": "nothing called for it",
}

UNJUDGED: Mapping[SliceReason, str] = {
    "vanished": "the champion's training days had it, the hold-out has no row of it",
    "too_few_rows": "too few rows",
    "too_few_positives": "too few positives",
    "too_few_discordant": "the models disagree on too few rows",
    "too_few_days": "rows on too few days",
    "undefined": "its {metric} is undefined",
}


def headline(decision: Decision) -> str:
    """One sentence: what was decided."""
    if decision["outcome"] == "challenger" and decision["champion"] is None:
        does = "predicts" if "rules" in decision["gate"] else "ranks"
        return f"The first champion was bootstrapped: it {does} better than a constant."
    return OUTCOMES[decision["outcome"]]


def trigger(decision: Decision) -> str:
    """Why the day trained a model, or did not."""
    drift = decision["drift"]
    verb = "trained" if drift["triggered"] else "did not train"
    text = f"The day {verb} because {TRIGGERS[drift['reason']]}"
    if drift["psi_max"] is not None:
        text += f"; the largest PSI is {drift['psi_max']:.3f} ({drift['psi_max_feature']})"
    if "engine" in drift:
        text += f"; Evidently {drift['engine']['version']} decided: {_drifted(drift['engine'])}"
    if drift["age_days"] is not None:
        text += f"; the champion's window ended {_count(drift['age_days'], 'day')} before"
    return text + "."


def reasons(decision: Decision) -> list[str]:
    """Why it was decided so, most important first."""
    if "gate" not in decision:
        return [trigger(decision)]
    gate = compared(decision)
    if gate is None:
        return [_bootstrap_reason(cast(BootstrapGate, decision["gate"]))]
    sentences = [_overall(decision, gate), _why(gate)]
    sentences += [_stopping_slice(s, gate) for s in gate["slices"] if _stands_against(s)]
    sentences += [_guard(guard, gate["rules"]) for guard in gate.get("guards", [])]
    sentences += [_check(check) for check in gate.get("checks", [])]
    sentences += [f"Passed unjudged, as the spec allows: {w}." for w in gate["warnings"]]
    if decision["outcome"] == "queued":
        sentences.append("One candidate at a time: whoever passes meanwhile is queued, for good.")
    return [text for text in sentences if text]


def literal(decision: Decision) -> str:
    """What the bare rule alone would have done."""
    gate = compared(decision)
    if gate is None:
        return ""
    metric = metric_of(gate)
    title = metric.title
    better = "above" if metric.sign > 0 else "below"
    if gate["literal"] is None:
        one = "an F1" if title == F1.title else f"the {title}"
        bar = "plus the bar" if metric.sign > 0 else "less the bar"
        return f"The bare rule ({title} {better} the champion's {bar}) is undefined, like {one}."
    asked = float(Fraction(gate["rules"]["min_improvement"]))
    did = "have promoted" if gate["literal"] else "not have promoted"
    agrees = gate["literal"] == (gate["verdict"] == "pass")
    return (
        f"The bare rule alone ({title} {better} the champion's by more than {asked:g}) would {did} "
        f"it: {'the same' if agrees else 'not the same'} as was decided."
    )


def needs(decision: Decision) -> list[str]:
    """Which rows or days would change the verdict, as far as numbers can say."""
    gate = compared(decision)
    if gate is None or gate["verdict"] == "pass":
        return []
    missing = []
    per_day = gate["rows"] / gate["days"] if gate["days"] else 0.0
    if gate["reason"] == "not_proven":
        missing.append(_days_to_prove(gate))
    if gate["reason"] == "too_few_days":
        short = gate["rules"]["min_days"] - gate["days"]
        missing.append(f"{_count(short, 'more hold-out day')} with labelled rows.")
    for s in gate["slices"]:
        if s["role"] == "protected" and s["verdict"] == "undecided":
            missing += _slice_needs(s, gate)
    for check in gate.get("checks", []):
        if check["verdict"] != "pass" and check["needed"]:
            missing.append(_check_needs(check, check["needed"], per_day))
    return missing


def slice_line(s: SliceRecord, title: str = F1.title) -> str:
    """One slice's verdict in words; `title` is the metric's."""
    if s["verdict"] == "undecided":
        why = UNJUDGED.get(s["reason"], s["reason"]).format(metric=title)
        return f"cannot be judged: {why}"
    if s["role"] == "protected":
        return "shown not to be worse" if s["verdict"] == "pass" else "not shown not to be worse"
    return "regression proven" if s["verdict"] == "fail" else "no regression proven"


def explain(decision: Decision) -> str:
    """The whole decision as text for a terminal."""
    lines = [
        f"{decision['model']} {decision['window_end']}: {decision['outcome']}",
        *_wrapped(headline(decision)),
        "",
        "Why",
        *(line for text in _why_lines(decision) for line in _wrapped(text, "- ")),
    ]
    missing = needs(decision)
    if missing:
        lines += ["", "What it would take", *(x for n in missing for x in _wrapped(n, "- "))]
    gate = compared(decision)
    if gate is not None and gate["slices"]:
        lines += ["", "Slices", *_slice_table(gate)]
    if decision.get("seasons"):
        lines += ["", "Earlier seasons", *_season_table(decision["seasons"])]
    if decision["drift"]["features"]:
        lines += ["", "Drift", *_drift_table(decision["drift"]["features"])]
    if "degraded" in decision["drift"]:
        lines += ["", "Champion beside another model on matured rows"]
        lines += _degraded_table(decision["drift"]["degraded"]["windows"])
    lines += ["", *_identity(decision)]
    return "\n".join(lines) + "\n"


def _why_lines(decision: Decision) -> list[str]:
    first = [trigger(decision)] if "gate" in decision else []
    return [text for text in (*first, *reasons(decision), literal(decision)) if text]


def _wrapped(text: str, bullet: str = "") -> list[str]:
    indent = " " * len(bullet)
    return textwrap.wrap(text, 96, initial_indent=bullet, subsequent_indent=indent)


def _overall(decision: Decision, gate: GateRecord) -> str:
    days = decision["holdout"]["days"]
    span = f"{days[0]} to {days[-1]}" if days else "no day"
    champion, challenger = scores_of(gate)
    apart = "one alone is right" if "classes_of" in gate["rules"] else "they disagree"
    text = (
        f"On {_count(gate['rows'], 'hold-out row')} of {_count(gate['days'], 'day')} ({span}) the "
        f"champion has {metric_of(gate).title} {shown(champion)}, the challenger "
        f"{shown(challenger)}; {apart} on {gate['discordant']:,} rows."
    )
    if decision["holdout"]["cut_days"]:
        cut = len(decision["holdout"]["cut_days"])
        text += f" {_count(cut, 'day')} left out, because the champion learnt from them."
    return text


def _why(gate: GateRecord) -> str:
    rules = gate["rules"]
    difference, bound = shown(gate["difference"], sign=True), shown(gate["lower_bound"], sign=True)
    sure = f"{rules['confidence']:.0%}"
    unit = "days" if rules["resample_unit"] == "day" else "rows"
    bar = float(Fraction(rules["min_improvement"]))
    sentences: Mapping[GateReason, str] = {
        "better": f"The difference {difference} is above the bar of {bar:g}"
        + (
            ""
            if rules["mode"] == "literal"
            else f", and with {sure} confidence, {unit} as the unit, it is at least {bound}"
        )
        + ".",
        "not_better": f"The difference {difference} does not exceed the bar of {bar:g}.",
        "not_proven": f"The difference {difference} exceeds the bar, but it is not proven: with "
        f"{sure} confidence, {unit} as the unit, it may be as low as {bound}.",
        "undefined": _undefined(metric_of(gate)),
        "too_few_days": f"Rows lie on {_count(gate['days'], 'day')}; fewer than "
        f"{rules['min_days']} days prove nothing, since rows of one day share its circumstances.",
        "protected_regression": f"The difference {difference} is proven, but a protected slice is "
        "not shown to be spared.",
        "watched_regression": f"The difference {difference} is proven, but a watched slice has "
        "become worse.",
        "protected_undecided": f"The difference {difference} is proven, but a protected slice "
        "cannot be judged.",
        "guard_regression": f"The difference {difference} is above the bar, but another metric may "
        "lose more than its guard allows.",
        "guard_undecided": f"The difference {difference} is above the bar, but a guard cannot be "
        "judged.",
    }
    return sentences.get(
        gate["reason"], f"The difference {difference} is proven, but a limit of the spec stops it."
    )


def _undefined(metric: Metric) -> str:
    if metric is F1:
        return (
            "An F1 or its spread is undefined: no positives, no predictions, or no "
            "disagreement at all."
        )
    return (
        f"The {metric.title} or its spread is undefined: no row that it counts, or no "
        "disagreement at all."
    )


def _guard(guard: GuardRecord, rules: RulesRecord) -> str:
    title = metric_of_record({**rules, "name": guard["metric"]}).title
    text = (
        f"Guard on {title}: {shown(guard['score_champion'])} to "
        f"{shown(guard['score_challenger'])}, difference {shown(guard['difference'], sign=True)}"
    )
    if rules["mode"] == "paired":
        text += f", possibly as low as {shown(guard['lower_bound'], sign=True)}"
    return f"{text}; it may lose {float(Fraction(guard['max_drop'])):g}. ({guard['verdict']})"


def _bootstrap_reason(gate: BootstrapGate) -> str:
    if "rules" in gate:
        return _constant_reason(gate)
    bound = shown(gate["auc_lower_bound"])
    sentences: Mapping[BootstrapReason, str] = {
        "bootstrap": f"Its AUC is at least {bound} (99.9 %); a constant has 0.5.",
        "not_better_than_constant": f"Its AUC may be as low as {bound} (99.9 %); that is no "
        "better than a constant.",
        "scores_not_usable": "Its scores are not finite probabilities that tell rows apart.",
    }
    return sentences[gate["reason"]]


def _constant_reason(gate: BootstrapGate) -> str:
    """Of a model of amounts or classes, which a constant stood beside."""
    constant = gate["constant"]
    of_classes = isinstance(constant, list)
    if gate["reason"] == "scores_not_usable":
        what = "probabilities" if of_classes else "finite amounts"
        return f"Its predictions are not {what} that tell rows apart."
    rows = "not of the most common class" if of_classes else "above the median label"
    said = "model of the training days' shares" if of_classes else f"{constant or 0:g}"
    return (
        f"It tells rows {rows} from the others with an AUC of at least "
        f"{shown(gate['auc_lower_bound'])} (99.9 %), where a constant has 0.5. On "
        f"{_count(gate['rows'], 'hold-out row')} of {_count(gate['days'], 'day')} it has "
        f"{metric_of(gate).title} {shown(gate['score_challenger'])}, the constant {said} "
        f"has {shown(gate['score_champion'])}. It has to be better than a constant in both."
    )


def _stands_against(s: SliceRecord) -> bool:
    unjudged = s["role"] == "protected" and s["verdict"] == "undecided"
    return unjudged or s["verdict"] == "fail"


def _stopping_slice(s: SliceRecord, gate: GateRecord) -> str:
    rules = gate["rules"]
    name = f"{s['column']} = {s['level']}"
    if s["verdict"] == "undecided":
        return f"Protected slice {name} {slice_line(s, metric_of(gate, s['column']).title)}."
    bound = shown(s["lower_bound"], sign=True)
    if s["role"] == "protected":
        return (
            f"Protected slice {name}: difference {shown(s['difference'], sign=True)}, possibly as "
            f"low as {bound}; it must be above -{rules['slice_margin']:g}."
        )
    return (
        f"Watched slice {name}: difference {shown(s['difference'], sign=True)}, a regression with "
        f"p {shown_p(s['p_adjusted'])} (Holm, all watched slices)."
    )


_CHECKS: Mapping[CheckName, str] = {
    "cooldown": "Days since the newest promotion: {value}; the spec waits {limit}.",
    "holdout_rows": "Labelled hold-out rows: {value}; the spec asks for {limit}.",
    "label_coverage": "Share of hold-out rows with a label: {value}; the spec asks for {limit}.",
    "model_size": "Bytes of the model: {value}; the spec allows {limit}.",
    "calibration": "Expected calibration error: {value}; the spec allows {limit}.",
    "forgetting": "Largest drop in a past season: {value}; the spec allows {limit}.",
}


def _check(check: CheckRecord) -> str:
    value, limit = _number(check["value"]), _number(check["limit"])
    return f"{_CHECKS[check['name']].format(value=value, limit=limit)} ({check['verdict']})"


def _number(value: float | int | None) -> str:
    if value is None:
        return "not known"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}".rstrip("0").rstrip(".")


def _days_to_prove(gate: GateRecord) -> str:
    """Days G with d > t SE sqrt(days / G): the same difference and spread, more days."""
    difference, error = gate["difference"], gate["standard_error"]
    assert difference, "not_proven means a difference above the bar"
    assert error is not None, "not_proven means a bound"
    borrowed = gate["moderation"]["degrees"] if "moderation" in gate else 0
    df = max(gate["days"] - 1, 1) + borrowed
    quantile = student_quantile(gate["rules"]["confidence"], df)
    wanted = (quantile * error / difference) ** 2
    days = math.ceil(gate["days"] * wanted)
    rows = math.ceil(gate["rows"] * wanted)
    return (
        f"About {_count(days, 'hold-out day')} ({rows:,} rows) instead of {gate['days']}, if "
        "difference and spread stay as they are."
    )


Counted = Literal["rows", "positives", "discordant"]
Minimum = Literal["min_rows", "min_positives", "min_discordant"]
_TOO_FEW: Mapping[SliceReason, tuple[Counted, Minimum]] = {
    "too_few_rows": ("rows", "min_rows"),
    "too_few_positives": ("positives", "min_positives"),
    "too_few_discordant": ("discordant", "min_discordant"),
}


def _slice_needs(s: SliceRecord, gate: GateRecord) -> list[str]:
    name = f"{s['column']} = {s['level']}"
    if s["reason"] not in _TOO_FEW:
        return [f"{name}: rows on at least {gate['rules']['min_days']} days."]
    kind, minimum = _TOO_FEW[s["reason"]]
    found, least = s[kind], max(1, gate["rules"][minimum])
    text = f"{name}: {least - found:,} more {kind}"
    if found and gate["days"]:
        days = math.ceil((least - found) / (found / gate["days"]))
        text += f", about {_count(days, 'more day')} at the present rate"
    return [text + "."]


def _check_needs(check: CheckRecord, needed: int, rows_per_day: float) -> str:
    text = f"{check['name']}: {needed:,} more {check['unit']}"
    if check["name"] == "holdout_rows" and rows_per_day:
        text += f", about {_count(math.ceil(needed / rows_per_day), 'more day')}"
    return text + "."


def _slice_table(gate: GateRecord) -> list[str]:
    rows: list[tuple[str, ...]] = [
        ("slice", "role", "rows", "champion", "challenger", "difference", "at least", "")
    ]
    for s in gate["slices"]:
        rows.append(
            (
                f"{s['column']}={s['level']}",
                s["role"],
                f"{s['rows']:,}",
                *map(shown, scores_of(s)),
                shown(s["difference"], sign=True),
                shown(s["lower_bound"], sign=True),
                slice_line(s, metric_of(gate, s["column"]).title),
            )
        )
    return aligned(rows, left=(0, 1, 7))


def _season_table(seasons: Mapping[str, SeasonRecord]) -> list[str]:
    rows: list[tuple[str, ...]] = [("season", "rows", "champion", "challenger", "change", "")]
    for name, s in sorted(seasons.items()):
        numbers = shown(s["champion"]), shown(s["challenger"]), shown(s["change"], sign=True)
        rows.append((name, f"{s['rows']:,}", *numbers, "" if s["judged"] else "too few rows"))
    return aligned(rows, left=(0, 5))


def _drifted(engine: EngineRecord) -> str:
    names = [name for name, column in engine["columns"].items() if column["drifted"]]
    return f"{', '.join(names)} drifted" if names else "no column drifted"


def _drift_table(features: Sequence[FeatureDriftRecord]) -> list[str]:
    rows: list[tuple[str, ...]] = [("feature", "PSI", "less noise", "p by days", "")]
    ordered = sorted(features, key=lambda f: -(f["psi"] or 0.0))
    for f in ordered:
        words = f["verdict"].replace("_", " ") + (" (triggers)" if f["triggers"] else "")
        psi, debiased = shown(f["psi"]), shown(f["debiased"])
        rows.append((f["name"], psi, debiased, shown_p(f["p_value"]), words))
    return aligned(rows, left=(0, 4))


def _degraded_table(windows: Sequence[DegradedWindowRecord]) -> list[str]:
    rows: list[tuple[str, ...]] = [
        ("days", "rows", "champion", "other", "difference", "at most", "other model", "")
    ]
    for w in windows:
        other = w["reference"]["retrain_key"] if w["reference"] else "none"
        numbers = map(shown, degraded_scores(w))
        signed = shown(w["difference"], sign=True), shown(w["upper_bound"], sign=True)
        span = f"{w['first']} to {w['last']}"
        rows.append((span, f"{w['rows']:,}", *numbers, *signed, other, w["verdict"]))
    return aligned(rows, left=(0, 6, 7))


def aligned(rows: Sequence[tuple[str, ...]], left: Sequence[int]) -> list[str]:
    """Lines of a table; the columns of `left` begin at one edge, the others end at one."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(w) if i in left else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _identity(decision: Decision) -> list[str]:
    champion = decision["champion"]
    lines = [f"champion  {champion['retrain_key'] if champion else 'none'}"]
    for name, digest in sorted(decision.get("hashes", {}).items()):
        lines.append(f"{name.removesuffix('_sha256'):<9} {digest}")
    if "source" in decision:
        source = decision["source"]
        version = f", version {source['version']}" if "version" in source else ""
        lines.append(f"source    {source['kind']}{version}: {source['rows']:,} rows read")
    return lines


def shown(value: float | None, *, sign: bool = False) -> str:
    """A number with four decimals, or a dash."""
    if value is None:
        return "-"
    return f"{value:+.4f}" if sign else f"{value:.4f}"


def shown_p(value: float | None) -> str:
    """A p value with three decimals; none of them is ever zero."""
    if value is None:
        return "-"
    return f"{value:.3f}" if value >= 0.0005 else "< .001"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
