"""What the page shows, as plain numbers and sentences; positions are percentages of a chart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from retrain_ops.decisions import explain
from retrain_ops.report.figures import Axis, calibration, distribution, f1_interval, roc
from retrain_ops.stats.cells import ALL_ROWS, CHALLENGER, CHAMPION, LABEL, count_where
from retrain_ops.stats.distributions import student_quantile

HISTORY_DAYS = 30

TONES = {
    "challenger": "good",
    "skipped": "plain",
    "undecided": "warn",
    "queued": "warn",
    "no_train": "plain",
}


def page(
    decision: Mapping[str, Any],
    *,
    curves: Mapping[str, Any],
    counts: Mapping[str, Any],
    threshold: float,
    history: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The template's variables; see :func:`retrain_ops.report.render`."""
    judged = "gate" in decision
    compared = judged and decision["champion"] is not None
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
        "slices": _slices(decision) if compared else None,
        "curves": _curves(curves),
        "flips": _flips(decision) if compared else None,
        "drift": _drift(decision, counts, threshold),
        "degraded": _degraded(decision),
        "history": [_day(d) for d in history],
        "false_promotions": _false_promotions(history),
        "shown": explain.shown,
    }


def _tiles(decision: Mapping[str, Any]) -> list[dict[str, str]]:
    gate, auc = decision["gate"], decision["auc"]
    shown = explain.shown
    tiles = [
        {
            "name": "F1 challenger",
            "value": _three(gate["f1_challenger"]),
            "note": f"champion {_three(gate['f1_champion'])}" if gate["f1_champion"] else "",
        }
    ]
    if gate["difference"] is not None:
        sure = f"{gate['rules']['confidence']:.0%}"
        note = f"at least {shown(gate['lower_bound'], sign=True)} ({sure}, by days)"
        value = f"{gate['difference']:+.3f}"
        tiles.append({"name": "Difference", "value": value, "note": note})
    note = f"champion {_three(auc['champion'])}" if auc["champion"] else ""
    tiles.append({"name": "AUC challenger", "value": _three(auc["challenger"]), "note": note})
    days = len(decision["holdout"]["days"])
    rows = f"{decision['holdout']['rows']:,}"
    tiles.append({"name": "Hold-out rows", "value": rows, "note": f"on {days} days"})
    return tiles


def _three(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


# -- slices -----------------------------------------------------------------------


def _slices(decision: Mapping[str, Any]) -> dict[str, Any]:
    """Each slice's F1 of both models with intervals by days, on one axis; all rows first."""
    gate, cells = decision["gate"], decision["holdout"]["cells"]
    rows = [_slice_row("all rows", gate, cells[ALL_ROWS][ALL_ROWS], gate, "")]
    for s in gate["slices"]:
        days = cells[s["column"]].get(s["level"], [])
        name = f"{s['column']} {s['level']}"
        rows.append(_slice_row(name, s, days, gate, explain.slice_line(s)))
    ends = [end for row in rows for model in row["models"] for end in (model["low"], model["high"])]
    axis = Axis.around([e for e in ends if e is not None], least=0.0, most=1.0)
    for row in rows:
        for model in row["models"]:
            for end in ("low", "value", "high"):
                model[f"{end}_at"] = axis.percent(model[end])
    return {"rows": rows, "ticks": axis.ticks(), "confidence": gate["rules"]["confidence"]}


def _slice_row(
    name: str,
    judged: Mapping[str, Any],
    days: Sequence[Sequence[int]],
    gate: Mapping[str, Any],
    verdict: str,
) -> dict[str, Any]:
    models = []
    for role, said in (("champion", CHAMPION), ("challenger", CHALLENGER)):
        value, error, n_days = f1_interval(days, said)
        low = high = value
        if value is not None and error is not None and n_days > 1:
            wide = student_quantile(gate["rules"]["confidence"], n_days - 1) * error
            low, high = max(0.0, value - wide), min(1.0, value + wide)
        models.append({"role": role, "value": value, "low": low, "high": high})
    tone = {"fail": "bad", "undecided": "warn"}.get(judged["verdict"], "plain")
    return {
        "name": name,
        "rows": judged["rows"],
        "role": judged.get("role", ""),
        "difference": judged["difference"],
        "lower_bound": judged["lower_bound"],
        "verdict": verdict,
        "tone": tone if verdict else "plain",
        "models": models,
    }


# -- scores -----------------------------------------------------------------------


def _curves(curves: Mapping[str, Any]) -> list[dict[str, Any]]:
    """ROC and calibration of each model that has scores, champion first."""
    found = []
    for role in ("champion", "challenger"):
        counted = curves.get(role)
        if counted:
            found.append(
                {"role": role, "roc": roc(counted), "calibration": calibration(counted)},
            )
    return found


# -- flips ------------------------------------------------------------------------


_CORRECTED = [new == y != old for y, old, new in zip(LABEL, CHAMPION, CHALLENGER, strict=True)]
_SPOILT = [old == y != new for y, old, new in zip(LABEL, CHAMPION, CHALLENGER, strict=True)]


def _flips(decision: Mapping[str, Any]) -> dict[str, Any]:
    """Decisions that the challenger changes, per day: those it corrects and those it spoils."""
    days = []
    for day, cells in zip(
        decision["holdout"]["days"], decision["holdout"]["cells"][ALL_ROWS][ALL_ROWS], strict=True
    ):
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
    decision: Mapping[str, Any], counts: Mapping[str, Any], threshold: float
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
    return {"rows": rows, "threshold": threshold, "threshold_at": _root_share(threshold, most)}


def _root_share(value: float | None, most: float) -> float:
    return 100 * math.sqrt((value or 0.0) / most) * 0.96


def _degraded(decision: Mapping[str, Any]) -> list[dict[str, Any]]:
    record = decision["drift"].get("degraded")
    return [] if record is None else [dict(window) for window in record["windows"]]


# -- the month --------------------------------------------------------------------


def _day(decision: Mapping[str, Any]) -> dict[str, Any]:
    gate = decision.get("gate", {})
    return {
        "day": decision["window_end"],
        "outcome": decision["outcome"].replace("_", " "),
        "tone": TONES[decision["outcome"]],
        "reason": str(decision["reason"]).replace("_", " "),
        "difference": gate.get("difference"),
        "literal": {True: "promote", False: "skip", None: ""}[gate.get("literal")],
    }


def _false_promotions(history: Iterable[Mapping[str, Any]]) -> str:
    """Looks of the gates in the month, times the error they allow."""
    gates = [d["gate"] for d in history if "gate" in d and d["champion"] is not None]
    levels = [1 - g["rules"]["confidence"] for g in gates if g["rules"]["mode"] == "paired"]
    if not levels:
        return ""
    looks, expected = len(levels), math.fsum(levels)
    return (
        f"In the {HISTORY_DAYS} days to this one the gates judged {looks} "
        f"challenger{'s' if looks > 1 else ''}. Were each of them only as good as its champion, at "
        f"most about {expected:.2g} would have passed by chance."
    )
