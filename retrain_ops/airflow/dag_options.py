"""What the DAG factories share: arguments, schedules, the asset that asks for training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypedDict, TypeVar

from retrain_ops.airflow.base import ModelOperator
from retrain_ops.airflow.callbacks import FailedRunAlert
from retrain_ops.airflow.compat import (
    DAG,
    Asset,
    CronTriggerTimetable,
    task_group,
    time_or_assets,
)

__all__ = [
    "Options",
    "model_arguments",
    "new_dag",
    "per_segment",
    "retraining_asset",
    "schedule_of",
]


T = TypeVar("T", bound=ModelOperator)


class Options(TypedDict, total=False):
    """Arguments of every factory, all optional.

    `dag_id` is by default the name of the spec file, with a word for what the DAG is for.
    `start_date` is tz-aware, by default 2013-01-01; no DAG catches up unless `catchup` is set.
    `workspace`, `tracking_uri`, `model`, `mlflow_conn_id`, `slack_conn_id` and `n_threads` go to
    every operator. `retries` (1) and `retry_delay` (5 minutes) are per task; refused data and
    broken specs are never retried. `pool` holds all tasks, `max_active_tis_per_dag` bounds how
    many segments are at work in one task at a time. `default_args` are further arguments of
    every task and win over the ones above.
    """

    dag_id: str | None
    start_date: datetime | None
    end_date: datetime | None
    catchup: bool
    workspace: str | None
    tracking_uri: str | None
    model: str | None
    mlflow_conn_id: str | None
    slack_conn_id: str | None
    n_threads: int
    retries: int
    retry_delay: timedelta
    pool: str | None
    max_active_tis_per_dag: int | None
    tags: Sequence[str]
    default_args: Mapping[str, Any] | None


_MODEL_ARGUMENTS = (
    "workspace",
    "tracking_uri",
    "model",
    "mlflow_conn_id",
    "slack_conn_id",
    "n_threads",
)
_TASK_ARGUMENTS = ("pool", "max_active_tis_per_dag")


def retraining_asset(spec: str | Path, model: str | None = None) -> Asset:
    """The asset (dataset on 2.x) whose events ask for a retraining of the model.

    It is named by `model`, else by the spec's file name: parsing a DAG does not read the spec.
    """
    return Asset(f"retrain-ops://{model or Path(spec).stem}/retraining")


def model_arguments(spec: str | Path, options: Options) -> dict[str, Any]:
    """The arguments that every operator of a factory gets."""
    given = {name: options[name] for name in _MODEL_ARGUMENTS if name in options}  # type: ignore[literal-required]
    return {"spec": str(spec), **given}


def schedule_of(schedule: Any, assets: Sequence[Asset] = ()) -> Any:
    """A schedule that means the same on 2.x and 3.x.

    A bare cron string does not: a timetable says that a run is for the moment it fires, in UTC.
    """
    if isinstance(schedule, str):
        schedule = CronTriggerTimetable(schedule, timezone="UTC")
    if not assets or isinstance(schedule, Sequence):
        return schedule
    return list(assets) if schedule is None else time_or_assets(schedule, assets)


def new_dag(
    spec: str | Path,
    suffix: str,
    *,
    schedule: Any,
    operators: Mapping[str, ModelOperator],
    options: Options,
    doc_md: str | None,
    **more: Any,
) -> DAG:
    """A DAG with one run at a time and one alert per failed run.

    `operators`, by task id, may still be empty: the alert looks into it when a run has failed.

    Raises:
        TypeError: an option is none of `Options`.
    """
    for name in options.keys() - Options.__annotations__.keys():
        raise TypeError(f"unexpected keyword argument {name!r}")
    tasks = {name: options[name] for name in _TASK_ARGUMENTS if options.get(name)}  # type: ignore[literal-required]
    return DAG(
        dag_id=options.get("dag_id") or f"{Path(spec).stem}{suffix}",
        schedule=schedule,
        start_date=options.get("start_date") or datetime(2013, 1, 1, tzinfo=UTC),
        end_date=options.get("end_date"),
        catchup=options.get("catchup", False),
        max_active_runs=1,
        default_args={
            "retries": options.get("retries", 1),
            "retry_delay": options.get("retry_delay", timedelta(minutes=5)),
            **tasks,
            **(options.get("default_args") or {}),
        },
        tags=list(options.get("tags", ("retraining",))),
        on_failure_callback=FailedRunAlert(operators),
        doc_md=doc_md,
        **more,
    )


def per_segment(build: Callable[..., list[T]], segments: Sequence[str]) -> list[T]:
    """The tasks of `build()`; with segments those of a task group that is expanded over them.

    In a mapped group a segment goes on whatever becomes of the others.
    """
    if not segments:
        return build()
    tasks: list[T] = []

    @task_group(group_id="segments")  # type: ignore[untyped-decorator]
    def one(segment: str) -> None:
        tasks.extend(build(segment=segment, map_index_template="{{ task.segment }}"))

    one.expand(segment=list(segments))
    return tasks
