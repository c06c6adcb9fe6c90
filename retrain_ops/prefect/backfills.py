"""Retraining again for days that are over, in their order."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Any

from prefect.deployments import run_deployment

from retrain_ops.errors import ConflictError
from retrain_ops.prefect.target import BACKFILL_TAG


def backfill(
    dates: Iterable[date],
    *,
    deployment: str,
    label: str = "1",
    force: bool = False,
    timeout_seconds: float | None = None,
    poll_interval: float = 5.0,
) -> dict[date, str]:
    """Runs a retraining deployment for each day, one after the other, oldest first.

    Every day is one flow run with the idempotency key `backfill/<deployment>/<day>/<label>`: an
    interrupted call can be repeated, finished days are not run again, and a running one is
    waited for. After a fix give another `label`. The runs are scheduled at the day itself, in
    the past, so Prefect starts them at once.

    Args:
        dates: window ends, in any order.
        deployment: `<flow name>/<deployment name>`. Its concurrency limit must be ENQUEUE:
            CANCEL_NEW cancels a backfill run whenever another one is under way.
        label: part of the idempotency key.
        force: train whatever the drift check says.
        timeout_seconds: patience per day; None waits for ever.
        poll_interval: seconds between looks at a run.

    Returns:
        The name of each day's final state, `Completed` or `NotYet`.

    Raises:
        ConflictError: a day did not complete; later days were not started.
    """
    ended: dict[date, str] = {}
    for day in sorted(set(dates)):
        run = run_deployment(
            name=deployment,
            parameters={"window_end": day.isoformat(), "force": force},
            scheduled_time=datetime.combine(day, time(2), tzinfo=UTC),
            idempotency_key=f"backfill/{deployment}/{day.isoformat()}/{label}",
            tags=[BACKFILL_TAG],
            timeout=timeout_seconds,
            poll_interval=poll_interval,
            as_subflow=False,
        )
        ended[day] = _completed(run, day, deployment)
    return ended


def _completed(run: Any, day: date, deployment: str) -> str:
    state = run.state
    if state is not None and state.is_completed():
        return str(state.name)
    ended = "was not started" if state is None else f"is {state.name}: {state.message}"
    advice = "fix it, then backfill again from this day on under another label"
    if state is not None and state.is_cancelled():
        advice = f"set collision_strategy: ENQUEUE on {deployment}, then use another label"
    raise ConflictError(f"the run of {day.isoformat()} ({run.name}) {ended}; {advice}")
