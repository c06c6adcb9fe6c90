"""A step within an op: it opens the run, runs the step, says what to do about a failure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg

from retrain_ops.dagster.events import log_news, log_refused_data
from retrain_ops.dagster.target import Target, run_context
from retrain_ops.errors import ConfigError, DataError, NotYet, OutOfOrderError
from retrain_ops.run import Run
from retrain_ops.steps.alerts import alert_failure
from retrain_ops.steps.runner import run_step


@dataclass(frozen=True, slots=True)
class StepRunner:
    """Runs steps of one model; a `look` judges the open candidate only."""

    target: Target
    look: bool = False

    @property
    def retries(self) -> int:
        """How often a step is tried again."""
        return self.target.options.get("retries", 1)

    def open_run(self, context: dg.OpExecutionContext) -> Run:
        """The run that an op works on.

        Raises:
            ConfigError: the spec is wrong, or no workspace or server is named.
            dagster.DagsterInvariantViolationError: a day's run has no partition, or many.
        """
        facts = run_context(
            context.run, self.target, try_number=context.retry_number + 1, look=self.look
        )
        own = None if self.look else date.fromisoformat(context.partition_key)
        return self.target.open_run(own or self.target.day_of(context.run), facts)

    def __call__(self, context: dg.OpExecutionContext, step: str) -> dict[str, Any]:
        """The step's small dict; its `status` is `not_yet` where it has to wait.

        Raises:
            dagster.Failure: trying again would end in the same way.
            dagster.RetryRequested: it may end otherwise. A `RetryPolicy` would also begin a step
                again that was stopped on purpose, in the run that is being cancelled.
        """
        run = self.open_run(context)
        try:
            result = run_step(step, run, alert=context.retry_number >= self.retries)
        except NotYet as wait:
            context.log.info(str(wait))
            return {"step": step, "status": "not_yet", "message": str(wait)}
        except OutOfOrderError as refused:
            raise dg.Failure(str(refused), allow_retries=False) from refused
        except (ConfigError, DataError) as error:
            # Not retried, so this was the last try.
            alert_failure(run, step, str(error))
            log_refused_data(context, self.target, error)
            self._summarise_failure(context, run)
            raise dg.Failure(str(error), allow_retries=False) from error
        except Exception as error:
            if context.retry_number < self.retries:
                delay = self.target.options.get("retry_delay_seconds", 60.0)
                raise dg.RetryRequested(self.retries, seconds_to_wait=delay) from error
            self._summarise_failure(context, run)
            raise
        log_news(context, self.target, run, result)
        return result

    def _summarise_failure(self, context: dg.OpExecutionContext, run: Run) -> None:
        """No op runs behind a failed one, and a day ends with its summary always."""
        if self.look:
            return
        try:
            run_step("summarise", run)
        except Exception as problem:  # the step's own error is the one to show
            context.log.error(f"no summary: {problem}")
