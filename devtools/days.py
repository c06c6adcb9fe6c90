"""What a finished day says, read from its records: one line of every table about weeks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrain_ops.decisions.record import read_decision
from retrain_ops.run import Run

LETTERS = {"no_train": "n", "skipped": ".", "undecided": "?", "queued": "q", "failed": "F"}


def day_record(run: Run) -> dict[str, Any]:
    """Outcome, numbers and circumstances of one day of one model."""
    decision = read_decision(run.workspace, run.window.end)
    circumstances = run.read("run.json") or {}
    gate: Mapping[str, Any] = (decision and decision.get("gate")) or {}
    drift: Mapping[str, Any] = decision["drift"] if decision else {}
    steps = circumstances.get("steps", {})
    return {
        "date": run.window.end.isoformat(),
        "trigger": drift.get("reason"),
        "psi_max": drift.get("psi_max"),
        "f1_champion": gate.get("f1_champion"),
        "f1_challenger": gate.get("f1_challenger"),
        "difference": gate.get("difference"),
        "lower_bound": gate.get("lower_bound"),
        "decision": decision["outcome"] if decision else "failed",
        "reason": decision["reason"] if decision else None,
        "literal_would": gate.get("literal"),
        "promoted": _promoted(run),
        "version": circumstances.get("version"),
        "canary": steps.get("watch_canary", {}).get("summary"),
        "seconds": round(sum(s.get("seconds", 0.0) for s in steps.values()), 1),
    }


def _promoted(run: Run) -> bool:
    """Whether the version of this day ever took `@champion`, by the audit events."""
    end = run.window.end.isoformat()
    events = run.registry.snapshot().events
    return any(e.window_end == end and e.kind == "promote" for e in events)


def letters(days: list[dict[str, Any]]) -> str:
    """A week as seven letters: P promoted, c challenger that was not, . skipped, n no drift."""
    return "".join("P" if d["promoted"] else LETTERS.get(d["decision"], "c") for d in days)
