"""The jobs of a model beside its day: looks at the open candidate, and a monitor of drift."""

from typing import Any

import dagster as dg

from retrain_ops.dagster.day import new_op, step_op
from retrain_ops.dagster.events import log_once
from retrain_ops.dagster.steps import StepRunner
from retrain_ops.dagster.target import Target
from retrain_ops.monitoring.monitor import watch
from retrain_ops.steps.runner import ROLLOUT

ASKS = "retrain"
"""Metadata of drift that a monitor found: it asks for a run of its day."""


def rollout_job(target: Target) -> dg.JobDefinition:
    """Shadow, promotion and canary of the open candidate, as of the newest day that has come."""
    runner = StepRunner(target, look=True)

    def looks() -> None:
        done = step_op(runner, ROLLOUT[0], ins={})()
        for step in ROLLOUT[1:]:
            done = step_op(runner, step)(done)

    return _job(target, "rollout", "Look at the open candidate.", looks)


def drift_job(target: Target) -> dg.JobDefinition:
    """Asks whether drift begins, for models whose days run less often than it can."""

    def perform(context: dg.OpExecutionContext) -> None:
        run = StepRunner(target, look=True).open_run(context)
        result = watch("drift", run)
        context.log.info(f"drift holds: {result.holds}, since {result.since}: {result.summary}")
        if result.begins:
            news = {"summary": result.summary, ASKS: True}
            log_once(context, target.key("drift"), run, news)

    def looks() -> None:
        new_op(target, "watch_drift", perform)()

    return _job(target, "drift", "Ask for a day's run when drift begins.", looks)


def _job(target: Target, verb: str, text: str, compose: Any) -> dg.JobDefinition:
    """In one process: steps hand nothing over in memory, and an interpreter each costs seconds."""
    name = f"retrain_{target.name}_{verb}"
    made: dg.JobDefinition = dg.job(
        name=name, description=text, executor_def=dg.in_process_executor
    )(compose)
    return made
