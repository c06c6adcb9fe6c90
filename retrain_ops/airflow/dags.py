"""One call builds the retraining DAG of a model, another the one that looks after its rollout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from retrain_ops.airflow.base import ModelOperator
from retrain_ops.airflow.compat import DAG, Asset, EmptyOperator, Param
from retrain_ops.airflow.context import NEWEST
from retrain_ops.airflow.dag_options import (
    Options,
    model_arguments,
    new_dag,
    per_segment,
    retraining_asset,
    schedule_of,
)
from retrain_ops.airflow.monitor_operators import (
    DriftMonitorOperator,
    MonitorOperator,
    PerformanceMonitorOperator,
)
from retrain_ops.airflow.operators import (
    CheckDriftOperator,
    EvaluateOperator,
    LearnOperator,
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

AFTER_THE_NIGHT = "30 2 * * *"

ROLLOUT_OPERATORS: tuple[type[RetrainStepOperator], ...] = (
    ShadowTestOperator,
    PromoteChampionOperator,
    WatchCanaryOperator,
)
# The order of the DAG; each runs after the one before it.
STEP_OPERATORS: tuple[type[RetrainStepOperator], ...] = (
    CheckDriftOperator,
    PullDataOperator,
    ValidateDataOperator,
    TrainOperator,
    EvaluateOperator,
    PromoteChallengerOperator,
    *ROLLOUT_OPERATORS,
    SummariseOperator,
)

NIGHTLY = "0 2 * * *"
EVERY_QUARTER = "*/15 * * * *"


def retraining_dag(
    spec: str | Path,
    *,
    schedule: Any = NIGHTLY,
    approval: Approval | None = None,
    events: Sequence[Asset] | None = None,
    segments: Sequence[str] = (),
    **options: Unpack[Options],
) -> DAG:
    """Build the DAG: ten steps in a row, and a leaf that keeps failed runs failed.

    A run that an event started trains for the event's reason, on the event's day. One run of a
    model is at work at a time.

    :param spec: path of the model's TOML file; it is read by the tasks, never at parse
    :param schedule: a cron string (UTC; the run's day is the day it fires, on every Airflow
        version), a timetable, a list of assets, or None; by default every day at 02:00
    :param events: assets that start a run beside the schedule; by default the model's own, for
        which the monitors of the same spec send events; () for none
    :param segments: a task group is expanded over these, in which `${SEGMENT}` of the spec
        stands for one of them: models of their own on rows of their own
    :param approval: a task before promote_champion that waits for the person of a spec with
        `approval = "required"`: `"hitl"` asks in Airflow's own pages (below 3.1 by tag), `"tag"`
        waits for the version's tag; by default promote_champion itself waits for the tag

    The remaining arguments are those of `Options`.
    """
    if events is None:
        events = [retraining_asset(spec, options.get("model"))]
    cron = schedule if isinstance(schedule, str) else None
    day = partial(_day, CheckDriftOperator, cron=cron, approval=approval)
    return _day_dag(
        spec,
        "",
        day,
        segments,
        options,
        schedule=schedule_of(schedule, events),
        params=_params(),
        doc_md=retraining_dag.__doc__,
    )


def learning_dag(
    spec: str | Path,
    *,
    schedule: Any = NIGHTLY,
    approval: Approval | None = None,
    segments: Sequence[str] = (),
    **options: Unpack[Options],
) -> DAG:
    """Build the DAG of a model that learns day by day: `retrain-ops learn`, every night.

    The ten steps of `retraining_dag`, whether anything has drifted or not; train learns the days
    since the last run, each once, whatever runs again. The spec needs a `[learn]` table. A run
    with the configuration `{"bootstrap": true}` learns the first champion.

    :param spec: path of the model's TOML file; it is read by the tasks, never at parse
    :param schedule: as in `retraining_dag`; by default every day at 02:00 UTC
    :param approval: as in `retraining_dag`
    :param segments: as in `retraining_dag`

    The remaining arguments are those of `Options`.
    """
    cron = schedule if isinstance(schedule, str) else None
    day = partial(_day, LearnOperator, cron=cron, approval=approval)
    return _day_dag(
        spec,
        "_learn",
        day,
        segments,
        options,
        schedule=schedule_of(schedule),
        params={"window_end": _params()["window_end"]},
        doc_md=learning_dag.__doc__,
    )


def _day_dag(
    spec: str | Path,
    suffix: str,
    day: Callable[..., list[RetrainStepOperator]],
    segments: Sequence[str],
    options: Options,
    **more: Any,
) -> DAG:
    """The steps of a day, and the leaf that keeps failed runs failed."""
    # Airflow asks for the callback before there are tasks: the mapping is filled below.
    operators: dict[str, ModelOperator] = {}
    dag = new_dag(spec, suffix, operators=operators, options=options, **more)
    with dag:
        tasks = per_segment(partial(day, **model_arguments(spec, options)), segments)
        operators.update({task.task_id: task for task in tasks})
        # A failure runs down the chain as upstream_failed, past which only the summary is green.
        # This leaf takes it over without a worker: skipped steps leave it green, failed ones not.
        tasks[-2:] >> EmptyOperator(task_id="watcher", trigger_rule="none_failed", retries=0)
    return dag


def rollout_dag(
    spec: str | Path, *, schedule: Any = EVERY_QUARTER, **options: Unpack[Options]
) -> DAG:
    """Build the DAG that looks after the open candidate: shadow, promotion, canary.

    It looks as of the newest day whose instant has come, and waits for nothing: what is not over
    yet, or is being worked on by another run, is skipped until the next look.

    :param spec: path of the model's TOML file; it is read by the tasks, never at parse
    :param schedule: by default every 15 minutes

    The remaining arguments are those of `Options`.
    """
    operators: dict[str, ModelOperator] = {}
    dag = new_dag(
        spec,
        "_rollout",
        schedule=schedule_of(schedule),
        operators=operators,
        options=options,
        params={"window_end": _params()["window_end"]},
        doc_md=rollout_dag.__doc__,
    )
    with dag:
        arguments = {**model_arguments(spec, options), "window_end": NEWEST}
        tasks = _in_a_row([operator(**arguments) for operator in ROLLOUT_OPERATORS])
        operators.update({task.task_id: task for task in tasks})
    return dag


def _day(
    first: type[CheckDriftOperator],
    *,
    cron: str | None,
    approval: Approval | None,
    **arguments: Any,
) -> list[RetrainStepOperator]:
    """The ten steps of one model, and the task that waits for a person where one is wanted."""
    begin = first(**arguments, cron=cron)
    return _in_a_row([begin, *(operator(**arguments) for operator in _later(approval))])


def _later(approval: Approval | None) -> Sequence[type[RetrainStepOperator]]:
    if approval is None:
        return STEP_OPERATORS[1:]
    from retrain_ops.airflow.approval import with_approval

    return with_approval(STEP_OPERATORS[1:], approval)


def _in_a_row(tasks: list[RetrainStepOperator]) -> list[RetrainStepOperator]:
    for earlier, later in pairwise(tasks):
        earlier >> later
    return tasks


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


def drift_monitor_dag(
    spec: str | Path,
    *,
    schedule: Any = AFTER_THE_NIGHT,
    asset: Asset | None = None,
    segments: Sequence[str] = (),
    **options: Unpack[Options],
) -> DAG:
    """Build the DAG that asks for a retraining when drift begins.

    Worth having where the retraining DAG itself runs less often than drift can begin: on a
    weekly timetable, or on events alone. A nightly one looks for itself.

    :param spec: path of the model's TOML file; it is read by the tasks, never at parse
    :param schedule: by default every day, half an hour after the usual instant
    :param asset: whose events are sent; by default the one that `retraining_dag` listens to
    :param segments: as in `retraining_dag`; each has its own condition and events

    The remaining arguments are those of `Options`.
    """
    return _monitor_dag(DriftMonitorOperator, "_drift", spec, schedule, asset, segments, options)


def performance_monitor_dag(
    spec: str | Path,
    *,
    schedule: Any = AFTER_THE_NIGHT,
    asset: Asset | None = None,
    segments: Sequence[str] = (),
    **options: Unpack[Options],
) -> DAG:
    """Build the DAG that asks for a retraining when the champion begins to fall behind.

    The spec needs a `[degraded]` table: in how many windows of matured labels, by how much.

    :param spec: path of the model's TOML file; it is read by the tasks, never at parse
    :param schedule: by default every day, half an hour after the usual instant
    :param asset: whose events are sent; by default the one that `retraining_dag` listens to
    :param segments: as in `retraining_dag`; each has its own condition and events

    The remaining arguments are those of `Options`.
    """
    operator = PerformanceMonitorOperator
    return _monitor_dag(operator, "_performance", spec, schedule, asset, segments, options)


def _monitor_dag(
    operator: type[MonitorOperator],
    suffix: str,
    spec: str | Path,
    schedule: Any,
    asset: Asset | None,
    segments: Sequence[str],
    options: Options,
) -> DAG:
    operators: dict[str, ModelOperator] = {}
    dag = new_dag(
        spec,
        suffix,
        schedule=schedule_of(schedule),
        operators=operators,
        options=options,
        doc_md=operator.__doc__,
    )
    asset = asset or retraining_asset(spec, options.get("model"))
    arguments = {**model_arguments(spec, options), "asset": asset}

    def look(**segment: Any) -> list[ModelOperator]:
        return [operator(**arguments, **segment)]

    with dag:
        tasks = per_segment(look, segments)
        operators.update({task.task_id: task for task in tasks})
    return dag
