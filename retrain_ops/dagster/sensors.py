"""Sensors: drift that asks for a run, and the alert for runs that no step lived to report."""

from __future__ import annotations

import logging
import os
from datetime import datetime
from typing import Any

import dagster as dg

from retrain_ops.dagster.jobs import ASKS
from retrain_ops.dagster.target import REASON_TAG, Target, run_context
from retrain_ops.errors import OutOfOrderError, RetrainError
from retrain_ops.notify import send
from retrain_ops.run import Run, run_record
from retrain_ops.steps.alerts import alert_failure
from retrain_ops.steps.order import failure_of, refuse_behind_failure

log = logging.getLogger(__name__)

_KILLED = "it ended without a result: its process was killed, lost or could not start"
_ON = dg.DefaultSensorStatus.RUNNING


def sensors_of(target: Target, job: Any) -> list[dg.SensorDefinition]:
    """The sensors of a model; they are on from the start, for an alert that is off is none."""
    return [_drift_sensor(target, job), _failure_sensor(target), _cancel_sensor(target)]


def report_failed_run(
    target: Target, run: dg.DagsterRun, why: str, instance: dg.DagsterInstance
) -> None:
    """Alerts once for a failed run: a killed process, a lost worker, a cancelled run.

    A step that raised has alerted already. Both go through the same record in the workspace, kept
    by retrain key and attempt, so a failed run is one alert. A day that was refused behind
    another's failure is no failure of its own, and one that somebody runs again by now is known.
    """
    look = run.job_name == f"retrain_{target.name}_rollout"
    try:
        opened = target.open_run(target.day_of(run), run_context(run, target, look=look))
    except RetrainError as problem:  # a broken spec: nobody knows the model or its folder
        send(f"[FAILED] {target.name} run {run.run_id}: {problem}", webhook_url=_usual_webhook())
        return
    try:
        if opened.context.ordered:
            refuse_behind_failure(opened)
    except OutOfOrderError as refused:
        log.info("%s", refused)
        return
    if _is_run_again(opened, run, instance):
        return
    step, error = (None if look else failure_of(opened)) or ("run", f"{_KILLED} ({why})")
    alert_failure(opened, step, error)


def _is_run_again(opened: Run, run: dg.DagsterRun, instance: dg.DagsterInstance) -> bool:
    """Whether the day's newest attempt is another run's, and began after this one had ended."""
    record, ended = run_record(opened), instance.get_run_stats(run.run_id).end_time
    if ended is None or record.get("dag_run_id") in (None, run.run_id):
        return False
    begun = datetime.fromisoformat(str(record["started_at"]))
    return begun.timestamp() >= float(ended)


def _is_ours(target: Target, run: dg.DagsterRun) -> bool:
    """Backfills and the UI run the asset without our job, by its key."""
    jobs = {f"retrain_{target.name}{suffix}" for suffix in ("", "_rollout", "_drift")}
    return run.job_name in jobs or target.key("day") in (run.asset_selection or ())


def _failure_sensor(target: Target) -> dg.SensorDefinition:
    def failed(context: dg.RunFailureSensorContext) -> None:
        if _is_ours(target, context.dagster_run):
            report_failed_run(target, context.dagster_run, "failed", context.instance)

    name = f"retrain_{target.name}_failed"
    made: dg.SensorDefinition = dg.run_failure_sensor(name=name, default_status=_ON)(failed)
    return made


def _cancel_sensor(target: Target) -> dg.SensorDefinition:
    def canceled(context: dg.RunStatusSensorContext) -> None:
        if _is_ours(target, context.dagster_run):
            report_failed_run(target, context.dagster_run, "canceled", context.instance)

    made: dg.SensorDefinition = dg.run_status_sensor(
        name=f"retrain_{target.name}_canceled",
        run_status=dg.DagsterRunStatus.CANCELED,
        default_status=_ON,
    )(canceled)
    return made


def _drift_sensor(target: Target, job: Any) -> dg.SensorDefinition:
    def drifted(context: dg.SensorEvaluationContext, event: dg.EventLogEntry) -> Any:
        found = event.asset_materialization
        if found is None or ASKS not in found.metadata:
            return dg.SkipReason("the day's own run has found it")
        return dg.RunRequest(
            run_key=f"drift-{found.partition}",
            partition_key=found.partition,
            tags={REASON_TAG: "drift"},
        )

    name = f"retrain_{target.name}_drifted"
    decorate = dg.asset_sensor(target.key("drift"), name=name, job=job, default_status=_ON)
    made: dg.SensorDefinition = decorate(drifted)
    return made


def _usual_webhook() -> str | None:
    """The address in the variable that a spec names unless it says otherwise."""
    return os.environ.get("SLACK_WEBHOOK_URL")
