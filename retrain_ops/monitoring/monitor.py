"""Monitors: report once when a reason to retrain begins, and not again while it lasts.

A monitor looks at the same rows by the same rules as check_drift of that window. Where its
condition stood is a file of the model, so an edge is an edge for whoever looks: monitors may
miss days, run twice or be cleared. Nothing is lost with an event: check_drift of the next run
looks at the state itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from types import NoneType
from typing import Any, Literal

from retrain_ops.comparison.degraded import compare_matured
from retrain_ops.comparison.drift import drift_of_features
from retrain_ops.decisions.champion import decide_champion
from retrain_ops.errors import ConfigError
from retrain_ops.registry.events import Version
from retrain_ops.rollout.promotion import settle
from retrain_ops.run import Run
from retrain_ops.workspace import LOCK_PATIENCE_S, Shape

Kind = Literal["drift", "degraded"]


@dataclass(frozen=True, slots=True)
class MonitorResult:
    """Whether the condition `kind` holds for a window, and whether it began with it.

    `begins` is what an event is sent for. A repeated run of the window that began it says so
    again, because its event may have died with it; any other run does not.
    """

    kind: Kind
    window_end: str
    holds: bool
    begins: bool
    since: str | None
    summary: str

    def to_json(self) -> dict[str, Any]:
        """A small dict."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def event(self, run: Run) -> dict[str, str]:
        """What the event carries: for which window of which model, and why."""
        return {
            "model": run.model,
            "window_end": self.window_end,
            "reason": self.kind,
            "summary": self.summary,
        }


def watch(kind: Kind, run: Run, *, patience_s: float = LOCK_PATIENCE_S) -> MonitorResult:
    """Looks at one condition as of the run's instant, and remembers its state.

    Raises:
        ConfigError: the spec has no `[degraded]` table, which `degraded` asks for.
        BusyError: another run held the model's lock.
    """
    with run.workspace.lock(patience_s=patience_s):
        settle(run)
        champion = decide_champion(run)
        holds, summary = _LOOKS[kind](run, champion) if champion else (False, "no champion yet")
        path = f"{run.model}/monitors/{kind}.json"
        known = _known(run, path)
        state = _state_after(known, run.window.end, holds, run.context.dag_run_id)
        if state != known:
            run.workspace.overwrite_json(path, state)
    began_here = holds and state["since"] == run.window.end.isoformat()
    return MonitorResult(
        kind=kind,
        window_end=run.window.end.isoformat(),
        holds=holds,
        begins=began_here and state["told_by"] == run.context.dag_run_id,
        since=state["since"] if holds else None,
        summary=summary,
    )


def _known(run: Run, path: str) -> dict[str, Any]:
    """Where the condition stood; empty when nobody looked yet, or what was left is no state."""
    text = (str, NoneType)
    shape: Shape = {"window_end": str, "holds": bool, "since": text, "told_by": text}
    known = run.workspace.recover_json(path, shape)
    if known is None:
        return {}
    try:
        date.fromisoformat(known["window_end"])
    except ValueError as problem:
        run.workspace.set_aside(path, f"its window_end is no day ({problem})")
        return {}
    return known


def _state_after(
    known: dict[str, Any], window_end: date, holds: bool, run_id: str
) -> dict[str, Any]:
    """Where the condition stands after a look; a look behind the newest one changes nothing."""
    day = window_end.isoformat()
    newest = known.get("window_end", "")
    if day < newest or (day == newest and holds == known["holds"]):
        return known
    if holds and known.get("holds"):
        return {**known, "window_end": day}
    began = {"since": day, "told_by": run_id} if holds else {"since": None, "told_by": None}
    return {"window_end": day, "holds": holds, **began}


def _drift(run: Run, champion: Version) -> tuple[bool, str]:
    found = drift_of_features(run, champion)
    report = found.report
    psi = "PSI unknown" if report.psi_max is None else f"PSI {report.psi_max:.3f}"
    return found.triggered, f"{psi} ({report.feature_max})"


def _degraded(run: Run, champion: Version) -> tuple[bool, str]:
    report = compare_matured(run, champion)
    if report is None:
        raise ConfigError(f"{run.model}: watching performance needs a [degraded] table in the spec")
    behind = sum(w.verdict == "degraded" for w in report.windows)
    return report.triggered, f"fallen behind in {behind} of {len(report.windows)} windows"


_LOOKS: dict[Kind, Callable[[Run, Version], tuple[bool, str]]] = {
    "drift": _drift,
    "degraded": _degraded,
}
