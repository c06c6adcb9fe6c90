"""The alert for failures that no Python code of ours lived to report."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrain_ops.airflow.base import ModelOperator
from retrain_ops.airflow.compat import failed_instance

if TYPE_CHECKING:
    from retrain_ops.run import Run

_KILLED = (
    "it ended without a result: its worker was killed, lost or could not start; "
    "the task's log says more"
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FailedRunAlert:
    """Alerts once for a failed DAG run: a killed worker, a lost heartbeat, a deadlock.

    A step that raised has alerted already. Both go through the same record in the workspace,
    kept by retrain key and attempt, so a failed run is one alert. `operators` are the DAG's own, by
    task id: the context may carry a serialized task, which does not know our arguments.
    """

    operators: Mapping[str, ModelOperator]

    def __call__(self, context: MutableMapping[str, Any]) -> None:
        """Airflow calls this with the failed task that ended last, if it knows one."""
        from retrain_ops.airflow.connections import usual_slack_webhook
        from retrain_ops.errors import RetrainError
        from retrain_ops.notify import send
        from retrain_ops.steps.alerts import alert_failure

        ti = failed_instance(context)
        reason = context.get("reason") or "task_failure"
        if ti is None:
            log.error("DAG run %s failed (%s), no task named", context.get("run_id"), reason)
            return
        # A copy: outside a task nobody has rendered the templates, and rendering writes.
        known = self.operators.get(ti.task_id)
        operator = (known or next(iter(self.operators.values()))).prepare_for_execution()
        context["ti"] = ti  # its map index says which segment it is
        operator.render_template_fields(context)
        step = known.step if known else ti.task_id
        try:
            run = operator.open_run(context)
        except RetrainError as problem:  # a broken spec: nobody knows the model or its folder
            text = f"[FAILED] {ti.dag_id} {context.get('run_id')}: {step}: {problem}"
            log.error("%s", text)
            send(text, webhook_url=operator.slack_webhook() or usual_slack_webhook())
            return
        alert_failure(run, step, _recorded_error(run, step) or f"{_KILLED} ({reason})")


def _recorded_error(run: Run, step: str) -> str | None:
    """What the step itself said, if it came to saying anything."""
    from retrain_ops.run import run_record, steps_name

    steps = run_record(run).get(steps_name(run), {})
    error = steps.get(step, {}).get("error")
    return None if error is None else str(error)
