"""Monitors: a DAG that asks for a retraining when a reason for one begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Unpack

from retrain_ops.airflow.base import LOCK_PATIENCE_S, ModelOperator
from retrain_ops.airflow.compat import (
    DAG,
    AirflowSkipException,
    Asset,
    asset_outlets,
    emit_asset_event,
)
from retrain_ops.airflow.factory import (
    Options,
    model_arguments,
    new_dag,
    per_segment,
    retraining_asset,
    schedule_of,
)

if TYPE_CHECKING:
    from retrain_ops.run import Run

__all__ = [
    "DriftMonitorOperator",
    "MonitorOperator",
    "PerformanceMonitorOperator",
    "drift_monitor_dag",
    "performance_monitor_dag",
]

AFTER_THE_NIGHT = "30 2 * * *"


class MonitorOperator(ModelOperator):
    """Succeeds, with an event of `asset`, when its condition begins; else it is skipped.

    The event carries model, window end, reason and a summary. While the condition lasts there is
    no second event, whoever looks; the task is skipped then, as it is when all is well.

    :param asset: whose events ask for the retraining, as `retraining_asset(spec)`

    The other parameters are those of every operator.
    """

    kind: ClassVar[Literal["drift", "degraded"]]

    def __init__(self, *, asset: Asset, **kwargs: Any) -> None:
        super().__init__(outlets=asset_outlets(asset), **kwargs)
        self.asset = asset

    @property
    def look_only(self) -> bool:
        """A monitor leaves the records of the day's own run alone."""
        return True

    def act(self, run: Run, context: Mapping[str, Any]) -> dict[str, Any]:
        """Look, and send the event if this look is the one that saw the condition begin."""
        from retrain_ops.steps.monitor import watch

        result = watch(self.kind, run, patience_s=LOCK_PATIENCE_S)
        if result.begins:
            segment = {} if self.segment is None else {"segment": self.segment}
            emit_asset_event(context, self.asset, {**result.event(run), **segment})
        return result.to_json()

    def _conclude(self, result: dict[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
        if result["begins"]:
            return result
        # A skipped task has no event, and returns nothing: its finding is pushed before.
        context["ti"].xcom_push(key="return_value", value=result)
        told = f"goes on since {result['since']}" if result["holds"] else "no"
        raise AirflowSkipException(f"{self.kind}: {told}: {result['summary']}")


class DriftMonitorOperator(MonitorOperator):
    """Asks whether the features have drifted, by the rules of `[drift]`."""

    step = "watch_drift"
    kind = "drift"


class PerformanceMonitorOperator(MonitorOperator):
    """Asks whether the champion has fallen behind on matured labels, by `[degraded]`."""

    step = "watch_performance"
    kind = "degraded"


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
