"""The one place that knows Airflow's versions: 2.9 to 2.11 and 3.x under the same names.

Everything else under `retrain_ops.airflow` imports from here. Names are taken from where each
major wants them taken, so no file of ours raises a deprecation warning on either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from importlib.util import find_spec
from typing import Any, NoReturn

__all__ = [
    "AIRFLOW_3",
    "DAG",
    "HITL",
    "AirflowFailException",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "Asset",
    "BaseHook",
    "BaseNotifier",
    "BaseOperator",
    "BaseOperatorLink",
    "CronTriggerTimetable",
    "EmptyOperator",
    "Param",
    "TaskGroup",
    "asset_event_extras",
    "asset_outlets",
    "date_time_trigger",
    "emit_asset_event",
    "failed_instance",
    "park",
    "parks",
    "pushed_value",
    "task_group",
    "time_or_assets",
]

# Asked instead of tried: a broken installation of 3.x must not fall through to the 2.x paths.
AIRFLOW_3: bool = find_spec("airflow.sdk") is not None

if AIRFLOW_3:
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import (
        DAG,
        Asset,
        AssetOrTimeSchedule,
        BaseHook,
        BaseNotifier,
        BaseOperator,
        BaseOperatorLink,
        CronTriggerTimetable,
        Param,
        TaskGroup,
        task_group,
    )
    from airflow.sdk.exceptions import (
        AirflowFailException,
        AirflowSkipException,
        AirflowTaskTimeout,
    )
else:
    from airflow.datasets import Dataset as Asset
    from airflow.decorators import task_group
    from airflow.exceptions import (
        AirflowFailException,
        AirflowSkipException,
        AirflowTaskTimeout,
    )
    from airflow.hooks.base import BaseHook
    from airflow.models.baseoperator import BaseOperator
    from airflow.models.baseoperatorlink import BaseOperatorLink
    from airflow.models.dag import DAG
    from airflow.models.param import Param
    from airflow.notifications.basenotifier import BaseNotifier
    from airflow.operators.empty import EmptyOperator
    from airflow.timetables.trigger import CronTriggerTimetable
    from airflow.utils.task_group import TaskGroup

# Airflow asks people from 3.1 on.
HITL: bool = AIRFLOW_3 and find_spec("airflow.sdk.execution_time.hitl") is not None

# Whether a task can give the event of its outlet an extra: 2.10 and later. On 2.9 an outlet
# would emit an event without day and reason, so there the task has none and emits by itself.
_OUTLETS_CARRY_EXTRA: bool = AIRFLOW_3 or find_spec("airflow.datasets.metadata") is not None


def date_time_trigger(moment: datetime) -> Any:
    """A trigger that fires at `moment` (UTC) without blocking the triggerer's event loop."""
    if AIRFLOW_3:
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger
    else:
        from airflow.triggers.temporal import DateTimeTrigger
    return DateTimeTrigger(moment=moment)


def time_or_assets(timetable: Any, assets: Sequence[Asset]) -> Any:
    """A schedule that starts a run at its times, and when each of `assets` has had an event."""
    if AIRFLOW_3:
        return AssetOrTimeSchedule(timetable=timetable, assets=assets)
    from airflow.timetables.datasets import DatasetOrTimeSchedule

    return DatasetOrTimeSchedule(timetable=timetable, datasets=assets)


def asset_event_extras(context: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the extras of the asset (3.x) or dataset (2.x) events that started the run.

    On 2.x they are a query, which a run that datasets did not start is spared.
    """
    if AIRFLOW_3:
        found = context.get("triggering_asset_events")
    elif getattr(context.get("dag_run"), "run_type", None) == "dataset_triggered":
        found = context.get("triggering_dataset_events")
    else:
        found = None
    for events in (found or {}).values():
        yield from (event.extra or {} for event in events)


def asset_outlets(asset: Asset) -> list[Asset]:
    """The `outlets` of a task that calls `emit_asset_event`."""
    return [asset] if _OUTLETS_CARRY_EXTRA else []


def emit_asset_event(context: Mapping[str, Any], asset: Asset, extra: Mapping[str, Any]) -> None:
    """Emit an event of `asset` with day and reason; on 2.10 and later when the task succeeds."""
    if _OUTLETS_CARRY_EXTRA:
        context["outlet_events"][asset].extra = dict(extra)
        return
    from airflow.datasets.manager import dataset_manager
    from airflow.utils.session import create_session

    with create_session() as session:
        dataset_manager.register_dataset_change(
            task_instance=context["ti"], dataset=asset, extra=dict(extra), session=session
        )


def failed_instance(context: Mapping[str, Any]) -> Any:
    """The task instance that made a DAG run fail, in the run's own callback.

    On 2.x the context has any of the run's instances, perhaps one that could only not start.
    """
    if AIRFLOW_3 or context.get("dag_run") is None:
        return context.get("ti")
    failed = context["dag_run"].get_task_instances(state=["failed"])
    return min(failed, key=lambda ti: ti.end_date, default=context.get("ti"))


def pushed_value(ti_key: Any, key: str) -> Any:
    """The XCom that a task instance pushed under `key`, or None."""
    if AIRFLOW_3:
        from airflow.sdk.execution_time.xcom import XCom
    else:
        from airflow.models.xcom import XCom
    return XCom.get_value(ti_key=ti_key, key=key)


def parks() -> bool:
    """Whether a task that asked a person waits without a trigger, and can be woken (3.3)."""
    from airflow.sdk import exceptions

    return hasattr(exceptions, "TaskAwaitingInput")


def park(timeout: timedelta) -> NoReturn:
    """Go on waiting for the person whom the task has asked already, where it `parks`."""
    from airflow.sdk.exceptions import TaskAwaitingInput

    raise TaskAwaitingInput(method_name="execute_complete", timeout=timeout)
