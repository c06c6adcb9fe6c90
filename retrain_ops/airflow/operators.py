"""One operator per step of a retraining run: each opens the run, runs its step, hands back a dict.

Nothing happens before `execute`: a DAG file that builds these reads no spec, no data, no network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from retrain_ops.airflow.compat import (
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseOperator,
    date_time_trigger,
)
from retrain_ops.airflow.context import is_last_try, resolve_window_end, run_context

if TYPE_CHECKING:
    from retrain_ops.run import Run

__all__ = [
    "CheckDriftOperator",
    "EvaluateOperator",
    "PromoteChallengerOperator",
    "PromoteChampionOperator",
    "PullDataOperator",
    "RetrainStepOperator",
    "ShadowTestOperator",
    "SummariseOperator",
    "TrainOperator",
    "ValidateDataOperator",
    "WatchCanaryOperator",
]

# A step that is not ready says until when; a moment already past must not make a busy loop.
_WAIT_AT_LEAST = timedelta(seconds=15)


class RetrainStepOperator(BaseOperator):  # type: ignore[misc]
    """What the ten operators share: which run it is, waiting, and being stopped.

    :param spec: path of the model's TOML file (templated)
    :param window_end: the day D as `YYYY-MM-DD`; by default the day of the run (templated)
    :param workspace: folder or URI of all files, by default `RETRAIN_OPS_WORKSPACE` (templated)
    :param tracking_uri: MLflow server, by default the spec's or the environment's (templated)
    :param model: name that replaces the spec's, for one of many segments (templated)
    :param n_threads: threads of one step; 0 means as many as the machine grants
    """

    step: ClassVar[str]
    step_trigger_rule: ClassVar[str] = "all_success"
    template_fields: Sequence[str] = ("spec", "window_end", "workspace", "tracking_uri", "model")
    ui_color = "#e8f1f8"

    def __init__(
        self,
        *,
        spec: str,
        window_end: str | None = None,
        workspace: str | None = None,
        tracking_uri: str | None = None,
        model: str | None = None,
        n_threads: int = 0,
        task_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("trigger_rule", self.step_trigger_rule)
        super().__init__(task_id=task_id or self.step, **kwargs)
        self.spec = spec
        self.window_end = window_end
        self.workspace = workspace
        self.tracking_uri = tracking_uri
        self.model = model
        self.n_threads = n_threads

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Run the step; the dict it returns is small and becomes the XCom."""
        return self._perform(context)

    def resume(self, context: Mapping[str, Any], event: object = None) -> dict[str, Any]:
        """Come back from a wait: the step looks at the world again and may wait once more."""
        return self._perform(context)

    def on_kill(self) -> None:
        """Leave the step at once: the C core looks for this every 50 ms and cancels its work.

        On 3.x the handler that calls this returns to the step, so only an exception stops it.
        """
        import sys

        from retrain_ops.errors import CancelledError

        if not isinstance(sys.exception(), AirflowTaskTimeout):
            raise CancelledError(f"{self.step} was stopped by Airflow; clear the task to repeat it")

    def open_run(self, context: Mapping[str, Any]) -> Run:
        """The run this task instance belongs to."""
        import os

        from retrain_ops.run import open_run, require_workspace

        return open_run(
            self.spec,
            date=resolve_window_end(context, self.window_end),
            workspace=require_workspace(self.workspace or os.environ.get("RETRAIN_OPS_WORKSPACE")),
            tracking_uri=self.tracking_uri,
            model=self.model,
            n_threads=self.n_threads,
            context=run_context(context),
        )

    def _perform(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from retrain_ops.errors import ConfigError, DataError, NotYet
        from retrain_ops.steps import alert_failure, run_step

        run = self.open_run(context)
        try:
            result = run_step(self.step, run, alert=is_last_try(context))
        except NotYet as wait:
            self._wait(wait.until)
        except (ConfigError, DataError) as error:
            # The same rows fail the same way: a retry would only delay the red run.
            alert_failure(run, self.step, str(error))
            raise AirflowFailException(str(error)) from error
        return self._conclude(result, context)

    def _conclude(self, result: dict[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
        return result

    def _wait(self, until: datetime) -> NoReturn:
        """Free the worker until `until`; the triggerer wakes the task."""
        moment = max(until, datetime.now(UTC) + _WAIT_AT_LEAST)
        self.log.info("%s waits until %s", self.step, moment.isoformat(timespec="seconds"))
        self.defer(trigger=date_time_trigger(moment), method_name="resume")
        raise AssertionError("defer returned")


class CheckDriftOperator(RetrainStepOperator):
    """Asks whether there is a reason to train; without one, training is skipped."""

    step = "check_drift"

    def _conclude(self, result: dict[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
        if result["triggered"]:
            return result
        # A skip returns nothing, so the numbers are pushed before it.
        context["ti"].xcom_push(key="return_value", value=result)
        raise AirflowSkipException(f"[NO TRAIN, no drift] {result.get('summary', '')}".rstrip())


class PullDataOperator(RetrainStepOperator):
    """Copies the window's days into the workspace, over its own partition only."""

    step = "pull_data"


class ValidateDataOperator(RetrainStepOperator):
    """Checks the window against the spec's expectations; a failure stops the run for good."""

    step = "validate_data"


class TrainOperator(RetrainStepOperator):
    """Trains the challenger on the window's training days."""

    step = "train"


class EvaluateOperator(RetrainStepOperator):
    """Scores champion and challenger on the same hold-out rows and writes the decision."""

    step = "evaluate"


class PromoteChallengerOperator(RetrainStepOperator):
    """Registers the challenger and, when it passed its gates, opens it as the candidate."""

    step = "promote_challenger"


class ShadowTestOperator(RetrainStepOperator):
    """Compares both models on a day of requests; waits, deferred, until that day is over.

    Like the other two rollout steps it runs when training was skipped: the open candidate may
    stem from an earlier day.
    """

    step = "shadow_test"
    step_trigger_rule = "none_failed"


class PromoteChampionOperator(RetrainStepOperator):
    """Moves `@champion` to the candidate that passed its shadow, and remembers `@previous`."""

    step = "promote_champion"
    step_trigger_rule = "none_failed"


class WatchCanaryOperator(RetrainStepOperator):
    """Keeps the canary or rolls it back, as far as its labels have matured."""

    step = "watch_canary"
    step_trigger_rule = "none_failed"


class SummariseOperator(RetrainStepOperator):
    """Writes the day's line whatever happened before it.

    It succeeds in failed runs too; `retraining_dag` puts a leaf behind it that keeps them red.
    """

    step = "summarise"
    step_trigger_rule = "all_done"
