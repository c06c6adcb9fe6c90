"""Recurring runs and ordered backfills, by a client of the API server."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

from retrain_ops.errors import ConflictError

EVERY_NIGHT = "0 0 2 * * *"
EVERY_QUARTER = "0 */15 * * * *"
_DAY = "[[ScheduledTime.2006-01-02]]"
_ENDED = ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
_INSTANT = "[[ScheduledTime.2006-01-02T15:04:05Z]]"


def schedule(
    client: Any,
    files: Iterable[str | Path],
    *,
    experiment: str,
    cron: str = EVERY_NIGHT,
    rollout_cron: str = EVERY_QUARTER,
) -> dict[str, str]:
    """Makes a recurring run of each compiled pipeline; one of the same name is replaced.

    One run at a time, and no catching up of missed ticks: `backfill` runs those days. Kubeflow's
    cron has six fields, seconds first; its zone is the server's, by default UTC.

    Args:
        client: a `kfp.Client`.
        files: what `compile_pipelines` returned.
        experiment: name of the experiment that the runs belong to.
        cron: when the day's pipeline runs.
        rollout_cron: when the look at the open candidate runs.

    Returns:
        The id of each recurring run by its name, that of the file.
    """
    home = client.create_experiment(experiment).experiment_id
    made = {}
    for name, file in ((Path(file).stem, file) for file in files):
        look = name.endswith("-rollout")
        old = _recurring(client, home, name)
        new = client.create_recurring_run(
            experiment_id=home,
            job_name=name,
            cron_expression=rollout_cron if look else cron,
            max_concurrency=1,
            no_catchup=True,
            params={"as_of": _INSTANT} if look else {"window_end": _DAY, "trigger": "schedule"},
            pipeline_package_path=str(file),
            enable_caching=False,
        )
        # The old one goes last: in between there are two of them, and never none.
        for found in old:
            client.delete_recurring_run(found)
        made[name] = new.recurring_run_id
    return made


def _recurring(client: Any, experiment_id: str, name: str) -> list[str]:
    """Ids of the recurring runs of that name."""
    found, token = [], ""
    while True:
        page = client.list_recurring_runs(
            page_token=token, page_size=100, experiment_id=experiment_id
        )
        runs = page.recurring_runs or []
        found += [run.recurring_run_id for run in runs if run.display_name == name]
        token = page.next_page_token
        if not token:
            return found


def backfill(
    client: Any,
    file: str | Path,
    dates: Iterable[date],
    *,
    experiment: str,
    timeout_seconds: float = 86400.0,
    poll_interval: float = 15.0,
) -> dict[date, str]:
    """Runs the day's pipeline for each day, one after the other, oldest first.

    Args:
        client: a `kfp.Client`.
        file: the compiled pipeline of a day.
        dates: window ends, in any order.
        experiment: name of the experiment that the runs belong to.
        timeout_seconds: patience per day.
        poll_interval: seconds between looks at a run.

    Returns:
        The id of each day's run.

    Raises:
        ConflictError: a day did not succeed; later days were not started.
        TimeoutError: a day took longer; its run goes on, later days were not started.
    """
    ended: dict[date, str] = {}
    for day in sorted(set(dates)):
        run = client.create_run_from_pipeline_package(
            str(file),
            arguments={"window_end": day.isoformat(), "trigger": "backfill"},
            run_name=f"{Path(file).stem} {day.isoformat()} backfill",
            experiment_name=experiment,
            enable_caching=False,
        )
        state = _ended(client, run.run_id, timeout_seconds, poll_interval)
        if state != "SUCCEEDED":
            raise ConflictError(
                f"the run of {day.isoformat()} ({run.run_id}) is {state}; fix it, then backfill "
                "again from this day on"
            )
        ended[day] = run.run_id
    return ended


def _ended(client: Any, run_id: str, timeout_seconds: float, poll_interval: float) -> str:
    """The state that a run ended in; the client's own wait does not know CANCELED."""
    patience = time.monotonic() + timeout_seconds
    while (state := str(client.get_run(run_id).state)) not in _ENDED:
        if time.monotonic() > patience:
            raise TimeoutError(f"the run {run_id} is {state} after {timeout_seconds:g} s")
        time.sleep(poll_interval)
    return state
