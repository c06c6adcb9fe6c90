"""One call builds the retraining DAG of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrain_ops.airflow.callbacks import FailedRunAlert
from retrain_ops.airflow.compat import DAG, CronTriggerTimetable, EmptyOperator, Param
from retrain_ops.airflow.operators import (
    CheckDriftOperator,
    EvaluateOperator,
    PromoteChallengerOperator,
    PromoteChampionOperator,
    PullDataOperator,
    RetrainStepOperator,
    ShadowTestOperator,
    SummariseOperator,
    TrainOperator,
    ValidateDataOperator,
    WatchCanaryOperator,
)

if TYPE_CHECKING:
    from retrain_ops.airflow.approval import Approval

# The order of the DAG; each runs after the one before it.
STEP_OPERATORS: tuple[type[RetrainStepOperator], ...] = (
    CheckDriftOperator,
    PullDataOperator,
    ValidateDataOperator,
    TrainOperator,
    EvaluateOperator,
    PromoteChallengerOperator,
    ShadowTestOperator,
    PromoteChampionOperator,
    WatchCanaryOperator,
    SummariseOperator,
)

NIGHTLY = "0 2 * * *"


def retraining_dag(
    spec: str | Path,
    *,
    dag_id: str | None = None,
    schedule: Any = NIGHTLY,
    approval: Approval | None = None,
    start_date: datetime | None = None,
    end_date: datetime | None = None,
    catchup: bool = False,
    max_active_runs: int = 1,
    retries: int = 1,
    retry_delay: timedelta = timedelta(minutes=5),
    workspace: str | None = None,
    tracking_uri: str | None = None,
    model: str | None = None,
    n_threads: int = 0,
    pool: str | None = None,
    tags: Sequence[str] = ("retraining",),
    default_args: Mapping[str, Any] | None = None,
) -> Any:
    """Build the DAG: ten steps in a row, and a leaf that keeps failed runs failed.

    :param spec: path of the model's TOML file; it is read by the tasks, never at parse
    :param dag_id: by default the name of the spec file without its ending
    :param schedule: a cron string (UTC; the run's day is the day it fires, on every Airflow
        version), a timetable, a list of assets, or None; by default every day at 02:00
    :param approval: a task before promote_champion that waits for the person of a spec with
        `approval = "required"`: `"hitl"` asks in Airflow's own pages (below 3.1 by tag), `"tag"`
        waits for the version's tag; by default promote_champion itself waits for the tag
    :param start_date: tz-aware; by default 2013-01-01, with `catchup` off
    :param retries: per task; refused data and broken specs are never retried
    :param pool: an Airflow pool for all tasks, such as one with one slot per model
    :param default_args: further arguments for every task; they win over the ones above

    The remaining arguments are those of the operators and of Airflow's DAG.
    """
    shared = {"retries": retries, "retry_delay": retry_delay, **({"pool": pool} if pool else {})}
    # Airflow asks for the callback before there are tasks: the mapping is filled below.
    operators: dict[str, RetrainStepOperator] = {}
    dag = DAG(
        dag_id=dag_id or Path(spec).stem,
        schedule=_timetable(schedule),
        start_date=start_date or datetime(2013, 1, 1, tzinfo=UTC),
        end_date=end_date,
        catchup=catchup,
        max_active_runs=max_active_runs,
        default_args={**shared, **(default_args or {})},
        params=_params(),
        tags=list(tags),
        on_failure_callback=FailedRunAlert(operators),
        doc_md=__doc__,
    )
    with dag:
        tasks = [
            operator(
                spec=str(spec),
                workspace=workspace,
                tracking_uri=tracking_uri,
                model=model,
                n_threads=n_threads,
            )
            for operator in _operators(approval)
        ]
        operators.update({task.task_id: task for task in tasks})
        for earlier, later in pairwise(tasks):
            earlier >> later
        # A failure runs down the chain as upstream_failed, past which only the summary is green.
        # This leaf takes it over without a worker: skipped steps leave it green, failed ones not.
        tasks[-2:] >> EmptyOperator(task_id="watcher", trigger_rule="none_failed", retries=0)
    return dag


def _operators(approval: Approval | None) -> Sequence[type[RetrainStepOperator]]:
    if approval is None:
        return STEP_OPERATORS
    from retrain_ops.airflow.approval import with_approval

    return with_approval(STEP_OPERATORS, approval)


def _timetable(schedule: Any) -> Any:
    """Airflow 2 and 3 read a bare cron string differently; a timetable says the same to both."""
    if isinstance(schedule, str):
        return CronTriggerTimetable(schedule, timezone="UTC")
    return schedule


def _params() -> dict[str, Any]:
    """The form of a manual run: another day, or training without a reason."""
    return {
        "window_end": Param(
            None,
            type=["null", "string"],
            format="date",
            description="Day to retrain for (UTC); empty means the day of the run.",
        ),
        "force": Param(False, type="boolean", description="Train even when nothing has drifted."),
    }
