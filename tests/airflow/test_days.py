"""A run's day is the same however the run was started."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from tests.airflow.conftest import AIRFLOW_3, Recorder

EVENTS_KEY = "triggering_asset_events" if AIRFLOW_3 else "triggering_dataset_events"
INSTANT = datetime(2013, 8, 14, 2, tzinfo=UTC)
DAY = date(2013, 8, 14)
LATER = datetime(2026, 11, 23, 17, 20, tzinfo=UTC)


def _dag_run(**fields: Any) -> SimpleNamespace:
    defaults = {
        "conf": None,
        "run_id": "manual__1999-01-01T00:00:00+00:00",
        "run_type": "manual",
        "run_after": LATER,
        "partition_date": None,
    }
    return SimpleNamespace(**defaults | fields)


def _interval(start: datetime, end: datetime) -> dict[str, Any]:
    return {"logical_date": start, "data_interval_start": start, "data_interval_end": end}


def _events(*days: str) -> dict[str, Any]:
    events = [SimpleNamespace(extra={"window_end": day, "reason": "drift"}) for day in days]
    return {EVENTS_KEY: {"drift": events}}


def _event_run(**fields: Any) -> SimpleNamespace:
    return _dag_run(run_type="asset_triggered" if AIRFLOW_3 else "dataset_triggered", **fields)


CONTEXTS = {
    "scheduled or backfilled at 02:00, as on every version with our timetable": (
        _interval(INSTANT, INSTANT) | {"dag_run": _dag_run(run_type="scheduled")},
        DAY,
    ),
    "a data interval (a bare cron string on 2.x) ends on the day the run is for": (
        _interval(INSTANT - timedelta(days=1), INSTANT) | {"dag_run": _dag_run()},
        DAY,
    ),
    "manual with a logical date": (
        _interval(INSTANT + timedelta(hours=9), INSTANT + timedelta(hours=9))
        | {"dag_run": _dag_run()},
        DAY,
    ),
    "triggered for a logical date, with the interval of the present": (
        {"logical_date": INSTANT, "data_interval_start": LATER, "data_interval_end": LATER}
        | {"dag_run": _dag_run()},
        DAY,
    ),
    "manual without one: the day it was started": ({"dag_run": _dag_run()}, LATER.date()),
    "a null logical date, key present": (
        {"logical_date": None, "data_interval_end": None, "dag_run": _dag_run()},
        LATER.date(),
    ),
    "conf beats the logical date": (
        _interval(LATER, LATER) | {"dag_run": _dag_run(conf={"window_end": "2013-08-14"})},
        DAY,
    ),
    "an empty field of the form does not count": (
        _interval(INSTANT, INSTANT) | {"dag_run": _dag_run(conf={"window_end": None})},
        DAY,
    ),
    "a partition date beats events and run_after": (
        {"dag_run": _event_run(partition_date=INSTANT), **_events("2013-09-01")},
        DAY,
    ),
    "an asset event's extra beats run_after": (
        {"dag_run": _event_run(), **_events("2013-08-14")},
        DAY,
    ),
    "of several events in one run the newest day": (
        {"dag_run": _event_run(), **_events("2013-08-12", "2013-08-14", "2013-08-13")},
        DAY,
    ),
    "an event beats the interval that 2.x makes up from its source": (
        _interval(LATER, LATER) | {"dag_run": _event_run(), **_events("2013-08-14")},
        DAY,
    ),
    "an event without a day": (
        {"dag_run": _event_run(), EVENTS_KEY: {"a": [SimpleNamespace(extra={})]}},
        LATER.date(),
    ),
    "an instant in another zone is truncated in UTC": (
        {
            "dag_run": _dag_run(),
            "logical_date": datetime(2013, 8, 13, 22, tzinfo=timezone(-timedelta(hours=4))),
        },
        DAY,
    ),
}


@pytest.mark.parametrize("case", CONTEXTS)
def test_the_day_of_a_run(case: str) -> None:
    from retrain_ops.airflow.context import resolve_window_end

    context, day = CONTEXTS[case]
    assert resolve_window_end(context) == day


@pytest.mark.parametrize(
    "given", ["2013-08-14", "2013-08-14T02:00:00", "2013-08-13T22:00:00-04:00", DAY, INSTANT]
)
def test_an_explicit_day_beats_everything(given: object) -> None:
    from retrain_ops.airflow.context import resolve_window_end

    conf = _dag_run(conf={"window_end": "2013-01-01"})
    assert resolve_window_end(_interval(LATER, LATER) | {"dag_run": conf}, given) == DAY


@pytest.mark.parametrize("given", ["", "None", None])
def test_a_template_that_rendered_nothing_is_no_day(given: object) -> None:
    from retrain_ops.airflow.context import resolve_window_end

    assert resolve_window_end(_interval(INSTANT, INSTANT), given) == DAY


@pytest.mark.parametrize(
    "given",
    [
        "14.08.2013",
        "2013-13-01",
        "yesterday",
        14,
    ],
)
def test_what_is_no_day_is_refused_and_named(given: object) -> None:
    from retrain_ops.airflow.context import resolve_window_end
    from retrain_ops.errors import ConfigError

    with pytest.raises(ConfigError, match="window_end"):
        resolve_window_end({"dag_run": _dag_run()}, given)


def test_neither_run_id_nor_type_nor_attempt_changes_the_day() -> None:
    from retrain_ops.airflow.context import resolve_window_end

    days = {
        resolve_window_end(
            _interval(INSTANT, INSTANT)
            | {
                "dag_run": _dag_run(run_id=run_id, run_type=run_type),
                "ti": SimpleNamespace(try_number=attempt),
            }
        )
        for run_id in ("backfill__2014-01-01T02:00:00", "x")
        for run_type in ("backfill", "scheduled", "manual", "asset_triggered")
        for attempt in (1, 7)
    }
    assert days == {DAY}


@pytest.mark.parametrize(
    ("run_type", "trigger"),
    [
        ("scheduled", "schedule"),
        ("backfill", "backfill"),
        ("manual", "manual"),
        ("asset_triggered", "asset"),
        ("dataset_triggered", "asset"),
    ],
)
def test_the_record_says_what_started_the_run(
    recorder: Recorder, run_type: str, trigger: str
) -> None:
    from retrain_ops.airflow.context import run_context

    dag_run = _dag_run(run_type=run_type, run_id="r1", conf={"force": True})
    context = run_context(
        _interval(INSTANT, INSTANT) | {"dag_run": dag_run, "ti": SimpleNamespace(try_number=2)}
    )
    assert context.trigger == trigger
    assert context.orchestrator == "airflow"
    assert context.dag_run_id == "r1"
    assert context.logical_date == "2013-08-14T02:00:00+00:00"
    assert context.try_number == 2
    assert context.forced
    assert not context.bootstrap


def test_the_reason_of_an_event_goes_to_its_own_segment(recorder: Recorder) -> None:
    from retrain_ops.airflow.context import run_context

    extra = {"window_end": "2013-08-14", "reason": "degraded", "segment": "eu"}
    context = {"dag_run": _event_run(), EVENTS_KEY: {"a": [SimpleNamespace(extra=extra)]}}
    assert run_context(context, segment="eu").reason == "degraded"
    assert run_context(context, segment="us").reason == ""
    assert run_context(context).reason == ""
