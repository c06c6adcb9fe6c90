"""The exit handler: one alert for a run that no step lived to report, from our own records."""

from __future__ import annotations

import logging
import os

from retrain_ops.errors import OutOfOrderError, RetrainError
from retrain_ops.kubeflow.executor import Task
from retrain_ops.kubeflow.step import Place
from retrain_ops.notify import send
from retrain_ops.run import Run, run_record
from retrain_ops.steps.alerts import alert_failure
from retrain_ops.steps.order import failure_of, refuse_behind_failure

log = logging.getLogger(__name__)

_KILLED = "it ended without a result: its pod was killed, lost or could not start"


def report_end(place: Place, task: Task) -> str:
    """Alerts once when the run has failed, and says what it found.

    A step that raised has alerted already; both go through the same record in the workspace, kept
    by retrain key and attempt. Kubeflow says that a run failed and not why, so the cause is our
    record's. A day that was refused behind another's failure is no failure of its own.
    """
    status = task.values.get("status")
    state = str(status.get("state", "")) if isinstance(status, dict) else ""
    if state == "SUCCEEDED":
        return "the run has succeeded"
    try:
        run = place.open_run(task)
    except RetrainError as problem:  # a broken spec or parameter: nobody knows the day's folder
        name = place.model or os.path.basename(place.spec)
        text = f"[FAILED] {name} run {task.values.get('run_id', '')}: {problem}"
        send(text, webhook_url=os.environ.get("SLACK_WEBHOOK_URL"))
        return text
    try:
        if run.context.ordered:
            refuse_behind_failure(run)
    except OutOfOrderError as refused:
        return str(refused)
    return _report(run, state)


def _report(run: Run, state: str) -> str:
    record, mine = run_record(run), run.context.dag_run_id
    why = f"{_KILLED} ({state or 'state unknown'})"
    if run.context.look:
        step, error = _failed_look(record) or ("run", why)
    elif record.get("dag_run_id") == mine:
        step, error = failure_of(run) or ("run", why)
    elif mine in [attempt.get("dag_run_id") for attempt in record.get("earlier", [])]:
        return "the day runs again by now, in another run"
    else:  # no attempt of the day is this run's: there is no record to alert by
        text = f"[FAILED] {run.model} {run.window.end.isoformat()}: no step has begun: {why}"
        send(f"{text}\n{run.context.url}".rstrip(), webhook_url=run.webhook_url)
        return text
    alerted = alert_failure(run, step, error)
    return f"{step}: {error}" + ("" if alerted else " (reported before)")


def _failed_look(record: dict[str, object]) -> tuple[str, str] | None:
    looks = record.get("looks")
    for step, entry in looks.items() if isinstance(looks, dict) else ():
        if entry["status"] in ("failed", "running"):
            return step, str(entry.get("error", "it did not end"))
    return None
