"""One operator per step of a retraining run: each opens the run, runs its step, hands back a dict.

Nothing happens before `execute`: a DAG file that builds these reads no spec, no data, no network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time
from functools import partial
from typing import TYPE_CHECKING, Any

from retrain_ops.airflow.base import LOCK_PATIENCE_S, ModelOperator
from retrain_ops.airflow.compat import AirflowSkipException
from retrain_ops.airflow.context import is_last_try

if TYPE_CHECKING:
    from retrain_ops.run import Run

__all__ = [
    "CheckDriftOperator",
    "EvaluateOperator",
    "LearnOperator",
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


class RetrainStepOperator(ModelOperator):
    """What the ten operators share: each runs the step of its name."""

    def act(self, run: Run, context: Mapping[str, Any]) -> dict[str, Any]:
        """Run the step; one that fails for good has sent its alert."""
        from retrain_ops.steps.runner import run_step

        alert = is_last_try(context)
        return run_step(self.step, run, alert=alert, patience_s=LOCK_PATIENCE_S)


class CheckDriftOperator(RetrainStepOperator):
    """Asks whether there is a reason to train; without one, training is skipped.

    :param cron: the DAG's own cron string; a run that the schedule started records and
        reports the days on which no run came (templated)

    The other parameters are those of every operator.
    """

    step = "check_drift"
    template_fields = (*ModelOperator.template_fields, "cron")

    def __init__(self, *, cron: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cron = cron

    def act(self, run: Run, context: Mapping[str, Any]) -> dict[str, Any]:
        """Record the days that were missed, then run the step."""
        if self.cron and run.context.trigger == "schedule":
            from retrain_ops.monitoring.missed import record_missed

            record_missed(run, partial(_days_of, self.cron, run.instant))
        return super().act(run, context)

    def _conclude(self, result: dict[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
        if result["triggered"]:
            return result
        # A skip returns nothing, so the numbers are pushed before it.
        context["ti"].xcom_push(key="return_value", value=result)
        raise AirflowSkipException(f"[NO TRAIN, no drift] {result.get('summary', '')}".rstrip())


class LearnOperator(CheckDriftOperator):
    """Begins a day that learns: checks drift, and goes on whatever it finds.

    In `CheckDriftOperator`'s place and under its task id; the spec needs a `[learn]` table.
    """

    def act(self, run: Run, context: Mapping[str, Any]) -> dict[str, Any]:
        """Run the step as one that trains in any case."""
        from retrain_ops.spec.learn import require_learn

        require_learn(run.spec)
        return super().act(replace(run, context=replace(run.context, forced=True)), context)


def _days_of(cron: str, until: datetime, after: date) -> Iterator[date]:
    """The UTC days after `after` on which `cron` fires, up to `until`."""
    from croniter import croniter

    times = croniter(cron, datetime.combine(after, time.max, tzinfo=UTC))
    moment = times.get_next(datetime)
    while moment < until:
        yield moment.date()
        moment = times.get_next(datetime)


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
