"""Days that a schedule asked for and no run came: recorded, and told once, by the next run.

An orchestrator that runs one day at a time and does not catch up drops the days that pass while
a run waits, or while its DAG is paused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import date

from retrain_ops.notify import send
from retrain_ops.run import Run

log = logging.getLogger(__name__)


def record_missed(run: Run, due: Callable[[date], Iterable[date]]) -> tuple[date, ...]:
    """The days before this run's that nobody ran and nobody was told of yet.

    They go into `<model>/missed.json` and into one message.

    Args:
        run: a run that the schedule started.
        due: the days of the schedule after the day given, up to the run's own.
    """
    newest = _newest_scheduled(run)
    if newest is None:
        return ()
    path = f"{run.model}/missed.json"
    known = run.workspace.recover_json(path) or {}
    missed = tuple(
        day
        for day in due(newest)
        if newest < day < run.window.end and day.isoformat() not in known and not _ran(run, day)
    )
    if missed:
        noticed = {day.isoformat(): {"noticed_by": run.window.end.isoformat()} for day in missed}
        run.workspace.overwrite_json(path, known | noticed)
        text = _message(run, missed)
        log.warning("%s", text)
        send(text, webhook_url=run.webhook_url)
    return missed


def _message(run: Run, missed: tuple[date, ...]) -> str:
    days = ", ".join(day.isoformat() for day in missed)
    return (
        f"[MISSED] {run.model}: no run came for {days}; they passed while another run waited or "
        "the schedule was paused. Nothing is lost but their records: backfill them to have those"
    )


def _newest_scheduled(run: Run) -> date | None:
    """The newest earlier day that a schedule ran; what lies before it was looked at then."""
    for day in reversed(run.workspace.list_keys()):
        if day < run.window.end and _record(run, day).get("trigger") == "schedule":
            return day
    return None


def _ran(run: Run, day: date) -> bool:
    return bool(_record(run, day).get("steps"))


def _record(run: Run, day: date) -> dict[str, object]:
    return run.workspace.recover_json(run.workspace.key_path(day, "run.json")) or {}
