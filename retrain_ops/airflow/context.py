"""From an Airflow context to the day of a run, and to the facts that go into its record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from retrain_ops.airflow.compat import asset_event_extras

if TYPE_CHECKING:
    from retrain_ops.run import RunContext, Trigger

# As an operator's `window_end`: the newest day whose instant has come, for runs that look after
# a rollout at any hour.
NEWEST = "newest"

# The words of `RunContext.trigger` for Airflow's run types. They go into run.json only;
# the day never depends on them, so that a backfill sees the window the schedule saw.
_TRIGGERS: dict[str, Trigger] = {
    "scheduled": "schedule",
    "backfill": "backfill",
    "asset_triggered": "asset",
    "dataset_triggered": "asset",
    "manual": "manual",
}


def resolve_window_end(context: Mapping[str, Any], window_end: object = None) -> date:
    """The day D of a run, in UTC, from the first source that names one.

    In this order: the operator's `window_end`, `dag_run.conf["window_end"]`, the partition date,
    the `window_end` in the extra of an asset event (the newest when several events were merged
    into one run), the end of the data interval, the logical date, `run_after`. Never the run id,
    the run type or the try number. A run has a partition or events, or an interval of its own:
    the interval that 2.x gives to a run started by events is only the span of their sources.

    Raises `ConfigError` when a value is no day, or when nothing names one.
    """
    from retrain_ops.errors import ConfigError

    for name, value in _candidates(context, window_end):
        # A template that rendered nothing leaves "" or "None" behind.
        if value is not None and value not in ("", "None"):
            return _utc_day(value, name)
    raise ConfigError(
        "the run has neither a data interval nor a logical date, partition, event or run_after; "
        'start it with {"window_end": "YYYY-MM-DD"} as its configuration'
    )


def newest_window_end(context: Mapping[str, Any], cutoff: time) -> date:
    """The day that a run without a day of its own looks as of, unless its form names one."""
    from retrain_ops.spec.window import instant_in_utc, newest_window_end

    asked = _conf(context).get("window_end")
    if asked:
        return _utc_day(asked, 'conf["window_end"]')
    names = ("data_interval_end", "logical_date")
    times = [context.get(name) for name in names]
    now = next((t for t in times if t is not None), None) or context["dag_run"].run_after
    return newest_window_end(instant_in_utc(now), cutoff)


def run_context(
    context: Mapping[str, Any], *, segment: str | None = None, look: bool = False
) -> RunContext:
    """Who started the run, and as which attempt: circumstance, never content.

    Of the events that started it only those of this `segment` say why.
    """
    from retrain_ops.run import RunContext

    conf = _conf(context)
    dag_run = context["dag_run"]
    run_type = getattr(dag_run.run_type, "value", dag_run.run_type)
    logical_date = context.get("logical_date")
    return RunContext(
        orchestrator="airflow",
        dag_run_id=str(dag_run.run_id),
        logical_date="" if logical_date is None else logical_date.isoformat(),
        try_number=int(getattr(context.get("ti"), "try_number", None) or 1),
        trigger=_TRIGGERS.get(str(run_type), "manual"),
        forced=bool(conf.get("force", False)),
        bootstrap=bool(conf.get("bootstrap", False)),
        url=str(getattr(context.get("ti"), "log_url", None) or ""),
        reason=_event_reason(context, segment),
        look=look,
    )


def is_last_try(context: Mapping[str, Any]) -> bool:
    """Whether a failure now is the task's last: earlier ones are retried and alert nobody."""
    ti = context["ti"]
    return int(ti.try_number) > int(ti.max_tries)


def _candidates(context: Mapping[str, Any], window_end: object) -> Iterator[tuple[str, object]]:
    """Where a day may come from, in order; runs without a logical date lack its keys on 3.x."""
    dag_run = context.get("dag_run")
    yield "window_end", window_end
    yield 'conf["window_end"]', _conf(context).get("window_end")
    yield "partition_date", getattr(dag_run, "partition_date", None)
    yield "asset event", max(_event_days(context), default=None)
    yield "data_interval_end", _interval_end(context)
    yield "logical_date", context.get("logical_date")
    yield "run_after", getattr(dag_run, "run_after", None)


def _interval_end(context: Mapping[str, Any]) -> Any:
    """None when the interval is not the logical date's: `airflow dags trigger --logical-date` of
    3.x leaves it at the present."""
    start, end = context.get("data_interval_start"), context.get("data_interval_end")
    logical = context.get("logical_date")
    if start is None or end is None or logical is None:
        return end
    return end if start <= logical <= end else None


def _event_days(context: Mapping[str, Any]) -> Iterator[date]:
    for extra in asset_event_extras(context):
        if extra.get("window_end"):
            yield _utc_day(extra["window_end"], "window_end of an asset event")


def _event_reason(context: Mapping[str, Any], segment: str | None) -> str:
    """The reason of the newest event of this segment; "" when no event started the run."""
    found = [
        (str(extra.get("window_end", "")), str(extra["reason"]))
        for extra in asset_event_extras(context)
        if extra.get("reason") and extra.get("segment") == segment
    ]
    return max(found)[1] if found else ""


def _conf(context: Mapping[str, Any]) -> Mapping[str, Any]:
    return getattr(context.get("dag_run"), "conf", None) or {}


def _utc_day(value: object, name: str) -> date:
    """A day, or an instant truncated to its day in UTC."""
    from retrain_ops.errors import ConfigError
    from retrain_ops.spec.window import instant_in_utc, parse_window_end

    if isinstance(value, datetime):
        return instant_in_utc(value).date()
    if isinstance(value, date):
        return value
    try:
        return parse_window_end(str(value))
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error
