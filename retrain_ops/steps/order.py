"""How a day went wrong, and days in their order: none begins behind one that failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from retrain_ops.decisions.record import recover_decision
from retrain_ops.errors import OutOfOrderError
from retrain_ops.run import Run, run_record


def failure_of(run: Run) -> tuple[str, str] | None:
    """The step of a day that failed first and what it said; None for a day that was decided.

    A killed step still says that it runs.
    """
    steps = run_record(run).get("steps", {})
    for name, entry in steps.items():
        if name != "summarise" and entry["status"] in ("failed", "running"):
            return name, str(entry.get("error", "it did not end"))
    if recover_decision(run.workspace, run.window.end) is None:
        return "summarise", f"no decision was reached ({_last(steps)})"
    return None


def refuse_behind_failure(run: Run) -> None:
    """Looks at the newest earlier day that a run of this model has begun.

    A refused day leaves no record and no alert: the day that failed has both, and stays the one
    that the days behind it wait for.

    Raises:
        OutOfOrderError: that day failed, or was left without a decision.
    """
    before = _day_before(run)
    failure = None if before is None else failure_of(before)
    if before is not None and failure is not None:
        raise OutOfOrderError(
            f"{run.retrain_key} waits for {before.retrain_key}, which failed: "
            f"{': '.join(failure)}; fix that day, run it again, then this one"
        )


def _day_before(run: Run) -> Run | None:
    """Looks at a candidate leave a record too, of attempt 0: they begin no day."""
    for day in reversed(run.workspace.list_keys()):
        if day < run.window.end:
            before = replace(run, window=run.spec.window_at(day))
            if run_record(before).get("attempt", 0) > 0:
                return before
    return None


def _last(steps: Mapping[str, Any]) -> str:
    return f"last step: {list(steps)[-1]}" if steps else "no step ran"
