"""The one place that knows Airflow's versions: 2.9 to 2.11 and 3.x under the same names.

Everything else under `retrain_ops.airflow` imports from here. Names are taken from where each
major wants them taken, so no file of ours raises a deprecation warning on either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    "BaseOperator",
    "CronTriggerTimetable",
    "EmptyOperator",
    "Param",
    "asset_event_extras",
    "date_time_trigger",
    "park",
    "parks",
]

# Asked instead of tried: a broken installation of 3.x must not fall through to the 2.x paths.
AIRFLOW_3: bool = find_spec("airflow.sdk") is not None

if AIRFLOW_3:
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.sdk import DAG, BaseOperator, CronTriggerTimetable, Param
    from airflow.sdk.exceptions import (
        AirflowFailException,
        AirflowSkipException,
        AirflowTaskTimeout,
    )
else:
    from airflow.exceptions import (
        AirflowFailException,
        AirflowSkipException,
        AirflowTaskTimeout,
    )
    from airflow.models.baseoperator import BaseOperator
    from airflow.models.dag import DAG
    from airflow.models.param import Param
    from airflow.operators.empty import EmptyOperator
    from airflow.timetables.trigger import CronTriggerTimetable

# Airflow asks people from 3.1 on.
HITL: bool = AIRFLOW_3 and find_spec("airflow.sdk.execution_time.hitl") is not None

# What a run was started by, as the context of each major calls it.
_EVENT_KEYS = ("triggering_asset_events", "triggering_dataset_events")


def date_time_trigger(moment: datetime) -> Any:
    """A trigger that fires at `moment` (UTC) without blocking the triggerer's event loop."""
    if AIRFLOW_3:
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger
    else:
        from airflow.triggers.temporal import DateTimeTrigger
    return DateTimeTrigger(moment=moment)


def asset_event_extras(context: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the extras of the asset (3.x) or dataset (2.x) events that started the run."""
    for name in _EVENT_KEYS:
        for events in (context.get(name) or {}).values():
            yield from (event.extra or {} for event in events)


def parks() -> bool:
    """Whether a task that asked a person waits without a trigger, and can be woken (3.3)."""
    from airflow.sdk import exceptions

    return hasattr(exceptions, "TaskAwaitingInput")


def park(timeout: timedelta) -> NoReturn:
    """Go on waiting for the person whom the task has asked already, where it `parks`."""
    from airflow.sdk.exceptions import TaskAwaitingInput

    raise TaskAwaitingInput(method_name="execute_complete", timeout=timeout)
