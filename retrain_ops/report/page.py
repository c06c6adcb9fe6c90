"""What the page shows, as plain numbers and sentences; positions are percentages of a chart."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from retrain_ops.decisions import explain
from retrain_ops.decisions.amounts import AmountPicture
from retrain_ops.decisions.classes import ClassPicture
from retrain_ops.decisions.curves import ScoreCounts
from retrain_ops.decisions.record import (
    BootstrapGate,
    Decision,
    DegradedWindowRecord,
    GateRecord,
    HoldoutRecord,
    Outcome,
    PairedRecord,
    compared,
    metric_of,
    scores_of,
)
from retrain_ops.report.figures import Axis, calibration, distribution, roc
from retrain_ops.stats.cells import (
    ALL_ROWS,
    CHALLENGER,
    CHAMPION,
    LABEL,
    DayCells,
    count_where,
    day_cells,
)
from retrain_ops.stats.distributions import student_quantile
from retrain_ops.stats.gates import metric_days
from retrain_ops.stats.metrics import F1, Metric
from retrain_ops.stats.paired import score_by_days

HISTORY_DAYS = 30
WORD_END = re.compile(r"(?<=[\s_./=-])")
LONGEST_WORD = 26  # characters; what is longer may be broken

TONES: Mapping[Outcome, str] = {
    "challenger": "good",
    "skipped": "plain",
    "undecided": "warn",
    "queued": "warn",
    "no_train": "plain",
}


def page(
    decision: Decision,
    *,
    curves: Mapping[str, ScoreCounts | None],
    amounts: Mapping[str, AmountPicture | None],
    classes: Mapping[str, ClassPicture | None],
    counts: Mapping[str, Any],
    threshold: float,
    history: Sequence[Decision],
) -> dict[str, Any]:
    """The template's variables; see :func:`retrain_ops.report.render`."""
    judged, gate = "gate" in decision, compared(decision)
    return {
        "decision": decision,
        "tone": TONES[decision["outcome"]],
        "outcome": decision["outcome"].replace("_", " "),
        "headline": explain.headline(decision),
        "trigger": explain.trigger(decision) if judged else "",
        "reasons": explain.reasons(decision),
        "literal": explain.literal(decision),
        "needs": explain.needs(decision),
        "tiles": _tiles(decision) if judged else [],
        "slices": _slices(decision["holdout"], gate) if gate else None,
        "curves": _curves(curves),
        "amounts": _amounts(amounts),
        "classes": _classes(classes),
        "flips": _flips(decision["holdout"]) if gate and _decides(gate) else None,
        "drift": _drift(decision, counts, threshold),
        "seasons": dict(sorted(decision.get("seasons", {}).items())),
        "degraded": _degraded(decision),
        "history": [_day(d) for d in history],
        "false_promotions": _false_promotions(history),
        "shown": explain.shown,
        "shown_p": explain.shown_p,
    }


def _tiles(decision: Decision) -> list[dict[str, str]]:
    paired, auc, beside = compared(decision), decision["auc"], "champion"
    if paired is None and "rules" not in decision["gate"]:
        title, champion, challenger = F1.title, None, decision["gate"]["f1_challenger"]
    else:
        against = paired or cast(BootstrapGate, decision["gate"])
        beside = "champion" if paired else "constant"
        title, (champion, challenger) = metric_of(against).title, scores_of(against)
    title = title[:1].upper() + title[1:]
    tiles = [
        {
            "name": f"{title} challenger",
            "value": _three(challenger),
            "note": f"{beside} {_three(champion)}" if champion else "",
        }
    ]
    if paired and paired["difference"] is not None:
        sure = f"{paired['rules']['confidence']:.0%}"
        note = f"at least {explain.shown(paired['lower_bound'], sign=True)} ({sure}, by days)"
        value = f"{paired['difference']:+.3f}"
        tiles.append({"name": "Difference", "value": value, "note": note})
    if "rules" not in decision["gate"] or metric_of(decision["gate"]).problem == "binary":
        note = f"champion {_three(auc['champion'])}" if auc["champion"] else ""
        tiles.append({"name": "AUC challenger", "value": _three(auc["challenger"]), "note": note})
    days = len(decision["holdout"]["days"])
    rows = f"{decision['holdout']['rows']:,}"
    tiles.append({"name": "Hold-out rows", "value": rows, "note": f"on {days} days"})
    return tiles


def _decides(gate: GateRecord | BootstrapGate) -> bool:
    """Whether what the models say is right or wrong."""
    return metric_of(gate).problem != "regression"


def _three(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


# -- slices -----------------------------------------------------------------------


def _slices(holdout: HoldoutRecord, gate: GateRecord) -> dict[str, Any]:
    """Each slice's score of both models with intervals by days, on one axis; all rows first."""
    confidence, metric = gate["rules"]["confidence"], metric_of(gate)
    whole = _models(_days(holdout, metric, ALL_ROWS, ALL_ROWS), confidence, metric)
    rows = [_slice_row("all rows", gate, whole)]
    for s in gate["slices"]:
        by = metric_of(gate, s["column"])
        days = _days(holdout, by, s["column"], s["level"])
        row = _slice_row(f"{s['column']} {s['level']}", s, _models(days, confidence, by))
        tone = {"fail": "bad", "undecided": "warn"}.get(s["verdict"], "plain")
        words = explain.slice_line(s, by.title)
        rows.append(row | {"role": s["role"], "verdict": words, "tone": tone})
    ends = [end for row in rows for model in row["models"] for end in (model["low"], model["high"])]
    least, most = _scale(metric)
    fine = not _decides(gate)
    axis = Axis.around([e for e in ends if e is not None], least=least, most=most, fine=fine)
    for row in rows:
        for model in row["models"]:
            for end in ("low", "value", "high"):
                model[f"{end}_at"] = axis.percent(model[end])
    title = metric.title[:1].upper() + metric.title[1:]
    return {
        "rows": rows,
        "ticks": axis.ticks(),
        "tick": "{:.6g}" if fine else "{:.2f}",
        "confidence": confidence,
        "title": title,
        "name_ch": _name_ch(rows),
    }


def _name_ch(rows: Sequence[Mapping[str, Any]]) -> int:
    """Characters of the longest word of the names, which no line is to break; see `breakable`."""
    words = (word for row in rows for word in WORD_END.split(row["name"]))
    return min(LONGEST_WORD, max(map(len, words)))


def _days(holdout: HoldoutRecord, metric: Metric, column: str, level: str) -> DayCells:
    """What the metric judges of a level; no day of one that vanished."""
    cells = holdout["cells"][column].get(level)
    if cells is None:
        return ()
    return metric_days(day_cells(cells), metric, holdout.get("sums", {}), column, level)


def _scale(metric: Metric) -> tuple[float, float]:
    """The lowest and the highest score."""
    if metric.span is None:
        return -math.inf, math.inf
    return (0.0, 1.0) if metric.span == 1 else (-1.0, 1.0)


def _models(
    days: Sequence[Sequence[int]], confidence: float, metric: Metric
) -> list[dict[str, Any]]:
    """Each model's score on these days and its interval, within what the metric can be."""
    models = []
    least, most = _scale(metric)
    for role, said in (("champion", CHAMPION), ("challenger", CHALLENGER)):
        value, error, n_days = score_by_days(days, said, metric)
        low = high = value
        if value is not None and error is not None and n_days > 1:
            wide = student_quantile(confidence, n_days - 1) * error
            low, high = max(least, value - wide), min(most, value + wide)
        models.append({"role": role, "value": value, "low": low, "high": high})
    return models


def _slice_row(name: str, judged: PairedRecord, models: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "rows": judged["rows"],
        "role": "",
        "difference": judged["difference"],
        "lower_bound": judged["lower_bound"],
        "verdict": "",
        "tone": "plain",
        "models": models,
    }


# -- scores -----------------------------------------------------------------------


def _curves(curves: Mapping[str, ScoreCounts | None]) -> list[dict[str, Any]]:
    """ROC and calibration of each model that has scores, champion first."""
    found = []
    for role in ("champion", "challenger"):
        counted = curves.get(role)
        if counted:
            found.append(
                {"role": role, "roc": roc(counted), "calibration": calibration(counted)},
            )
    return found


# -- amounts ----------------------------------------------------------------------


def _amounts(pictures: Mapping[str, AmountPicture | None]) -> dict[str, Any] | None:
    """Mean label by tenth of the predictions, and residuals, of each model that has any."""
    found = [(role, p) for role in ("champion", "challenger") if (p := pictures.get(role))]
    if not found:
        return None
    tenths = [t for _, p in found for t in p["tenths"]]
    values = [value for t in tenths for value in (t["predicted"], t["label"])]
    axis = Axis.around(values, least=-math.inf, most=math.inf, fine=True)
    most = max(max(p["residuals"]) / sum(p["residuals"]) for _, p in found)
    return {
        "ticks": axis.ticks(),
        "width": found[0][1]["width"],
        "bins": len(found[0][1]["residuals"]) // 2,
        "models": [_amounts_of(role, picture, axis, most) for role, picture in found],
    }


def _amounts_of(role: str, picture: AmountPicture, axis: Axis, most: float) -> dict[str, Any]:
    rows, bins = sum(picture["residuals"]), picture["residuals"]
    return {
        "role": role,
        "points": [
            {**t, "x": axis.percent(t["predicted"]), "y": axis.percent(t["label"])}
            for t in picture["tenths"]
        ],
        "residuals": [
            {"x": 100 * i / (len(bins) - 1), "y": 100 * n / rows / most, "share": n / rows}
            for i, n in enumerate(bins)
        ],
        "mean": picture["mean"],
        "quantiles": picture["quantiles"],
    }


# -- classes ----------------------------------------------------------------------


def _classes(pictures: Mapping[str, ClassPicture | None]) -> list[dict[str, Any]]:
    """The confusion matrix of each model of several classes, champion first."""
    return [
        {"role": role, "classes": p["classes"], "rows": list(map(_shares, p["rows"]))}
        for role in ("champion", "challenger")
        if (p := pictures.get(role))
    ]


def _shares(rows: Sequence[int]) -> list[dict[str, Any]]:
    """How the rows of one class are spread over what is said of them."""
    return [{"rows": n, "share": n / sum(rows) if n else 0.0} for n in rows]


# -- flips ------------------------------------------------------------------------


_CORRECTED = [new == y != old for y, old, new in zip(LABEL, CHAMPION, CHALLENGER, strict=True)]
_SPOILT = [old == y != new for y, old, new in zip(LABEL, CHAMPION, CHALLENGER, strict=True)]


def _flips(holdout: HoldoutRecord) -> dict[str, Any]:
    """Decisions that the challenger changes, per day: those it corrects and those it spoils."""
    days: list[dict[str, Any]] = []
    for day, cells in zip(holdout["days"], holdout["cells"][ALL_ROWS][ALL_ROWS], strict=True):
        corrected, spoilt = count_where(cells, _CORRECTED), count_where(cells, _SPOILT)
        days.append({"day": day, "corrected": corrected, "spoilt": spoilt, "rows": sum(cells)})
    most = max((max(d["corrected"], d["spoilt"]) for d in days), default=0) or 1
    for d in days:
        d["corrected_at"], d["spoilt_at"] = (50 * d[k] / most for k in ("corrected", "spoilt"))
    totals = [sum(d[k] for d in days) for k in ("corrected", "spoilt", "rows")]
    return {
        "days": days,
        "corrected": totals[0],
        "spoilt": totals[1],
        "share": (totals[0] + totals[1]) / totals[2] if totals[2] else 0.0,
    }


# -- drift ------------------------------------------------------------------------


def _drift(
    decision: Decision, counts: Mapping[str, Any], threshold: float
) -> dict[str, Any] | None:
    features = decision["drift"]["features"]
    if not features:
        return None
    most = max([f["psi"] or 0.0 for f in features] + [threshold])
    # Square root: PSI of 0.05 beside one of 3 must still be seen.
    rows = [
        {
            **feature,
            "at": _root_share(feature["psi"], most),
            "words": feature["verdict"].replace("_", " "),
            "tone": "bad" if feature["triggers"] else "plain",
            "bars": distribution(counts[feature["name"]]) if feature["name"] in counts else None,
        }
        for feature in sorted(features, key=lambda f: -(f["psi"] or 0.0))
    ]
    return {
        "rows": rows,
        "threshold": threshold,
        "threshold_at": _root_share(threshold, most),
        "name_ch": _name_ch(rows),
    }


def _root_share(value: float | None, most: float) -> float:
    return 100 * math.sqrt((value or 0.0) / most) * 0.96


def _degraded(decision: Decision) -> list[DegradedWindowRecord]:
    record = decision["drift"].get("degraded")
    return [] if record is None else record["windows"]


# -- the month --------------------------------------------------------------------


def _day(decision: Decision) -> dict[str, Any]:
    gate = decision.get("gate")
    return {
        "day": decision["window_end"],
        "outcome": decision["outcome"].replace("_", " "),
        "tone": TONES[decision["outcome"]],
        "reason": decision["reason"].replace("_", " "),
        "difference": gate["difference"] if gate else None,
        "literal": {True: "promote", False: "skip", None: ""}[gate["literal"] if gate else None],
    }


def _false_promotions(history: Iterable[Decision]) -> str:
    """Looks of the gates in the month, times the error they allow."""
    gates = [gate for decision in history if (gate := compared(decision))]
    levels = [1 - g["rules"]["confidence"] for g in gates if g["rules"]["mode"] == "paired"]
    if not levels:
        return ""
    looks, expected = len(levels), math.fsum(levels)
    return (
        f"In the {HISTORY_DAYS} days to this one the gates judged {looks} "
        f"challenger{'s' if looks > 1 else ''}. Were each of them only as good as its champion, at "
        f"most about {expected:.2g} would have passed by chance."
    )
