"""One task per step: it opens the run, runs the step, hands back a small dict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import task_run
from prefect.states import Completed, State

from retrain_ops.prefect.target import Opener
from retrain_ops.run import RunContext

NOT_YET = "NotYet"


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of one day in one flow run; `steps("train")` runs one as a task.

    Nothing of it depends on Prefect's caches or results: they do not outlive a managed container.
    What a step did before is in the workspace and the registry.
    """

    opener: Opener
    day: date
    context: RunContext
    retries: int = 1
    retry_delay_seconds: float = 60.0

    def __call__(self, name: str) -> dict[str, Any]:
        """The step's result; `status` is `not_yet` when it has to wait."""
        outcome = self._task(name)()
        return dict(outcome.result() if isinstance(outcome, State) else outcome)

    def run(self, try_number: int = 1) -> Any:
        """The run that the tasks work on."""
        return self.opener.run(self.day, replace(self.context, try_number=try_number))

    def _task(self, name: str) -> Callable[[], Any]:
        made: Callable[[], Any] = task(
            name=name,
            retries=self.retries,
            retry_delay_seconds=self.retry_delay_seconds,
            retry_condition_fn=_worth_a_retry,
            cache_policy=NO_CACHE,
            persist_result=False,
        )(self._function(name))
        return made

    def _function(self, name: str) -> Callable[[], Any]:
        def perform() -> Any:
            from retrain_ops.errors import ConfigError, DataError, NotYet
            from retrain_ops.steps.alerts import alert_failure
            from retrain_ops.steps.runner import run_step

            attempt = int(task_run.run_count or 1)
            run = self.run(attempt)
            try:
                return run_step(name, run, alert=attempt > self.retries)
            except NotYet as wait:
                return _not_yet(name, wait)
            except (ConfigError, DataError) as error:
                # Not retried, so this was the last try.
                alert_failure(run, name, str(error))
                raise

        perform.__name__ = perform.__qualname__ = name
        return perform


def _not_yet(name: str, wait: Any) -> State:
    """Nothing is wrong, so the task is completed; the next deployment's run looks again."""
    entry = {"step": name, "status": "not_yet", "message": str(wait)}
    entry["until"] = wait.until.isoformat()
    return Completed(name=NOT_YET, message=str(wait), data=entry)


def _worth_a_retry(task: Any, task_run: Any, state: Any) -> bool:
    """The same rows and the same spec fail the same way: only the world may have changed."""
    from retrain_ops.errors import ConfigError, DataError

    return not isinstance(state.result(raise_on_failure=False), ConfigError | DataError)
