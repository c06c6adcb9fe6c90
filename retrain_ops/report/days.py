"""What the page across days shows: one column of every chart per day; positions as on the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby, pairwise
from typing import Any, cast

from retrain_ops.decisions import explain
from retrain_ops.decisions.record import BootstrapGate, Decision, compared, scores_of
from retrain_ops.errors import ConfigError
from retrain_ops.registry.events import Event, Version, World
from retrain_ops.report.figures import Axis
from retrain_ops.report.page import TONES
from retrain_ops.spec.spec import RetrainSpec
from retrain_ops.stats.metrics import F1, Metric

HEIGHT = 150  # of a chart, in pixels
SHARE_HEIGHT = 64
DATES_SHOWN = 5
LONGEST_RANGE = 732

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Serving:
    """Who serves at a day's instant: a version, the one before, and the traffic it gets."""

    version: str
    previous: str | None
    share: float


def days_page(
    spec: RetrainSpec, world: World, decisions: Sequence[Decision], days: Sequence[date]
) -> dict[str, Any]:
    """The template's variables.

    Args:
        spec: the model's.
        world: events and versions of the registry.
        decisions: of the days that have one, oldest first.
        days: all days of the range.

    Raises:
        ConfigError: there are no decisions, or more days than a page can show.
    """
    if not decisions or len(days) > LONGEST_RANGE:
        asked = f"{days[0]} to {days[-1]}" if days else "no day at all"
        what = f"{len(days)} days; a page shows {LONGEST_RANGE}" if decisions else "no decision"
        raise ConfigError(f"{spec.model.name}, {asked}: {what}; choose other days")
    by_day = {date.fromisoformat(d["window_end"]): d for d in decisions}
    metric = spec.gate.scored_by
    rows = [_row(world, by_day[day], metric) if day in by_day else None for day in days]
    places = [100 * (i + 0.5) / len(days) for i in range(len(days))]
    serving = [_serving_at(spec, world, day) for day in days]
    title = metric.title
    return {
        "model": spec.model.name,
        "first": days[0].isoformat(),
        "last": days[-1].isoformat(),
        "counts": _counts(decisions),
        "charts": _charts(spec, rows, places, title[:1].upper() + title[1:]),
        "spans": list(_spans(serving, days)),
        "dates": _dates(days, places),
        "rows": [row for row in reversed(rows) if row],
        "events": [_event(world, e) for e in reversed(world.snapshot.acts) if _within(e, days)],
        "height": HEIGHT,
        "share_height": SHARE_HEIGHT,
        "title": title,
        "shown": explain.shown,
    }


def _row(world: World, decision: Decision, metric: Metric) -> dict[str, Any]:
    """A day's line of the table, and its values in the charts."""
    gate, drift = compared(decision), decision["drift"]
    judged = "gate" in decision
    scores = scores_of(gate) if gate else (None, None)
    if judged and gate is None and metric is F1:  # the bootstrap has nobody beside it
        scores = (None, decision["gate"]["f1_challenger"])
    elif judged and gate is None and "rules" in decision["gate"]:
        scores = (None, scores_of(cast(BootstrapGate, decision["gate"]))[1])
    key = f"{decision['model']}/{decision['window_end']}"
    versions = [v for v in world.versions if v.retrain_key == key and judged]
    return {
        "day": decision["window_end"],
        "outcome": decision["outcome"].replace("_", " "),
        "tone": TONES[decision["outcome"]],
        "reason": decision["reason"].replace("_", " "),
        "trigger": drift["reason"],
        "psi": drift["psi_max"],
        "feature": drift["psi_max_feature"] or "",
        "champion": scores[0],
        "challenger": scores[1],
        "difference": gate["difference"] if gate else None,
        "auc_champion": decision["auc"]["champion"] if judged else None,
        "auc_challenger": decision["auc"]["challenger"] if judged else None,
        "versions": ", ".join(f"{v.number} ({v.state.replace('_', ' ')})" for v in versions),
    }


def _counts(decisions: Iterable[Decision]) -> list[dict[str, Any]]:
    """How many days came to which outcome, in the order of the tones."""
    found = [decision["outcome"] for decision in decisions]
    return [
        {"name": outcome.replace("_", " "), "tone": tone, "days": found.count(outcome)}
        for outcome, tone in TONES.items()
        if outcome in found
    ]


# -- charts ---------------------------------------------------------------------------------


def _charts(
    spec: RetrainSpec, rows: Sequence[Row | None], places: Sequence[float], title: str
) -> list[dict[str, Any]]:
    metric, threshold = spec.gate.scored_by, spec.drift.threshold
    least = -math.inf if metric.span is None else 0.0 if metric.span == 1 else -1.0
    most = math.inf if metric.span is None else 1.0
    both = {"champion": "champion", "challenger": "challenger"}
    auc = {"champion": "auc_champion", "challenger": "auc_challenger"}
    note = "Both models on the same rows, on days that judged a challenger; the first has no other."
    ranked = []
    if metric.problem == "binary":
        chart = _chart(rows, places, auc, (0.0, 1.0))
        ranked.append({"name": "AUC on the hold-out", "note": note, **chart})
    psi = _chart(rows, places, {"psi": "psi"}, (0.0, math.inf), rule=threshold)
    return [
        {
            "name": "Largest PSI of a feature",
            "note": f"The dashed line is the threshold {threshold:g}.",
            **psi,
        },
        {
            "name": f"{title} on the hold-out",
            "note": note,
            **_chart(rows, places, both, (least, most)),
        },
        *ranked,
    ]


def _chart(
    rows: Sequence[Row | None],
    places: Sequence[float],
    series: Mapping[str, str],
    ends: tuple[float, float],
    *,
    rule: float | None = None,
) -> dict[str, Any]:
    """Lines of some values of the rows on one axis; a day without a value has no dot."""
    values = [row[key] for row in rows if row for key in series.values() if row[key] is not None]
    around = values if rule is None else [*values, 0.0, rule]
    axis = Axis.around(around, least=ends[0], most=ends[1])
    return {
        "ticks": [{**tick, "y": _y(axis, tick["value"])} for tick in axis.ticks()],
        "lines": [_line(rows, places, role, key, axis) for role, key in series.items()],
        "rule_y": None if rule is None else _y(axis, rule),
        "empty": not values,
    }


def _line(
    rows: Sequence[Row | None], places: Sequence[float], role: str, key: str, axis: Axis
) -> dict[str, Any]:
    dots = [
        {"x": x, "y": _y(axis, row[key]), "day": row["day"], "value": row[key], "row": row}
        for row, x in zip(rows, places, strict=True)
        if row and row[key] is not None
    ]
    return {"role": role, "dots": dots, "pieces": list(pairwise(dots))}


def _y(axis: Axis, value: float) -> float:
    return HEIGHT * (1 - (axis.percent(value) or 0.0) / 100)


def _dates(days: Sequence[date], places: Sequence[float]) -> list[dict[str, Any]]:
    """A few dates below the charts; months and days, as the heading says the years."""
    every = -(-len(days) // DATES_SHOWN)
    return [{"text": f"{days[i]:%m-%d}", "x": places[i]} for i in range(0, len(days), every)]


# -- who serves -----------------------------------------------------------------------------


def _serving_at(spec: RetrainSpec, world: World, day: date) -> Serving | None:
    """As the events tell it; a canary's share holds until its version was closed."""
    instant = spec.window_at(day).instant
    event = world.snapshot.as_of(instant)
    if event is None:
        return None
    version = world.holder(event.version)
    in_canary = event.promotes and event.share is not None and _is_open(version, instant)
    return Serving(event.version, event.previous, (event.share or 1.0) if in_canary else 1.0)


def _is_open(version: Version | None, instant: Any) -> bool:
    return version is not None and (version.closed_at is None or version.closed_at > instant)


def _spans(serving: Sequence[Serving | None], days: Sequence[date]) -> Iterable[dict[str, Any]]:
    """Stretches of days on which the same version had the same share."""
    begin = 0
    for who, same in groupby(serving):
        length = len(list(same))
        if who is not None:
            yield {
                "x": 100 * begin / len(days),
                "width": 100 * length / len(days),
                "version": who.version,
                "previous": who.previous,
                "share": who.share,
                "height": SHARE_HEIGHT * who.share,
                "first": days[begin].isoformat(),
                "last": days[begin + length - 1].isoformat(),
            }
        begin += length


def _within(event: Event, days: Sequence[date]) -> bool:
    return days[0].isoformat() <= event.effective_from[:10] <= days[-1].isoformat()


def _event(world: World, event: Event) -> dict[str, Any]:
    version = world.holder(event.version)
    return {
        "kind": event.kind,
        "version": event.version,
        "previous": event.previous or "",
        "failed": event.failed or "",
        "effective_from": event.effective_from,
        "share": "" if event.share is None else f"{event.share:.0%}",
        "state": version.state.replace("_", " ") if version else "deleted",
        "window_end": event.window_end,
    }
