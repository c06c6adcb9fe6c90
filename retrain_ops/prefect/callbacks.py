"""The alert for failures that no step lived to report."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date
from typing import Any

from retrain_ops.prefect.target import Target, resolve_window_end, trigger_of

log = logging.getLogger(__name__)

_KILLED = "it ended without a result: its process was killed, lost or could not start"


@dataclass(frozen=True, slots=True)
class FailedRunAlert:
    """Alerts once for a flow run that failed or crashed.

    A step that raised has alerted already. Both go through the same record in the workspace,
    kept by retrain key and attempt, so a failed run is one alert. Prefect calls this in the
    failed process or, when that is gone, in the worker's.
    """

    target: Target

    @property
    def __name__(self) -> str:
        """Prefect's log calls hooks by their name."""
        return "retrain_ops_alert"

    def __call__(self, flow: Any, flow_run: Any, state: Any) -> None:
        """Reports which step was running, and what the state says."""
        from retrain_ops.run import RunContext
        from retrain_ops.steps.alerts import alert_failure

        given = flow_run.parameters.get("window_end")
        day = date.fromisoformat(given[:10]) if isinstance(given, str) else given
        day = resolve_window_end(day, flow_run.expected_start_time)
        context = RunContext(
            orchestrator="prefect", dag_run_id=str(flow_run.id), trigger=trigger_of(flow_run.tags)
        )
        run = self.target.open().run(day, context)
        step, error = _broken_step(run)
        alert_failure(run, step, error or f"{_KILLED} ({state.name}: {state.message})")


def _broken_step(run: Any) -> tuple[str, str | None]:
    """The step that failed or never ended, and what it said."""
    from retrain_ops.run import run_record

    steps = run_record(run).get("steps", {})
    for name, entry in steps.items():
        if entry.get("status") in ("failed", "running"):
            return name, entry.get("error")
    return "flow", None
