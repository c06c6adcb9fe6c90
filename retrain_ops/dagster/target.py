"""Which model the definitions retrain and where, and who started a Dagster run."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypedDict

import dagster as dg

from retrain_ops.run import Run, RunContext, Trigger, open_run, require_workspace
from retrain_ops.spec.spec import load_spec
from retrain_ops.spec.window import instant_in_utc, newest_window_end

__all__ = ["Options", "Target", "run_context", "target_of"]

PARTITION_TAG = "dagster/partition"
FORCE_TAG = "retrain_ops/force"
BOOTSTRAP_TAG = "retrain_ops/bootstrap"
REASON_TAG = "retrain_ops/reason"
_SCHEDULED_TAG = ".dagster/scheduled_execution_time"
# The tag that Dagster's schedulers set -> the word of `RunContext.trigger`; a backfill comes first.
_TRIGGERS: Mapping[str, Trigger] = {
    "dagster/backfill": "backfill",
    "dagster/schedule_name": "schedule",
    "dagster/sensor_name": "asset",
}


class Options(TypedDict, total=False):
    """Arguments of the factory and attributes of the component, all optional.

    `name` heads asset keys, jobs and the pool; by default `model`, else the name of the spec file.
    `start_date` (2013-01-01) is the first partition. `workspace` is the folder or URI of all
    files, by default `RETRAIN_OPS_WORKSPACE`; `tracking_uri` the MLflow server, by default the
    spec's or the environment's; `model` another registered name for the same spec. `n_threads`
    is for one step; 0 means as many as the machine grants. `retries` (1) and
    `retry_delay_seconds` (60) are per step; refused data and broken specs are never retried.
    `url` is the webserver's address, for links in messages and in `run.json`.
    """

    name: str | None
    start_date: str
    workspace: str | None
    tracking_uri: str | None
    model: str | None
    n_threads: int
    retries: int
    retry_delay_seconds: float
    url: str | None


@dataclass(frozen=True, slots=True)
class Target:
    """What the factory was called with."""

    spec: str
    name: str
    options: Options

    def key(self, kind: str) -> dg.AssetKey:
        """The asset `<name>/<kind>`: day, drift, challenger or champion."""
        return dg.AssetKey([self.name, kind])

    def open_run(self, day: date, context: RunContext) -> Run:
        """The run of a day.

        Raises:
            ConfigError: the spec is wrong, or no workspace or server is named.
        """
        given = self.options
        return open_run(
            self.spec,
            date=day,
            workspace=require_workspace(
                given.get("workspace") or os.environ.get("RETRAIN_OPS_WORKSPACE")
            ),
            tracking_uri=given.get("tracking_uri"),
            model=given.get("model"),
            n_threads=given.get("n_threads", 0),
            context=context,
        )

    def day_of(self, run: dg.DagsterRun) -> date:
        """The partition of a run; of one without, the newest day whose instant has come.

        Raises:
            ConfigError: the spec is wrong.
        """
        partition = run.tags.get(PARTITION_TAG)
        if partition is not None:
            return date.fromisoformat(partition)
        scheduled = run.tags.get(_SCHEDULED_TAG)
        now = instant_in_utc(datetime.fromisoformat(scheduled)) if scheduled else datetime.now(UTC)
        return newest_window_end(now, load_spec(self.spec).window.cutoff_time)


def target_of(spec: str | Path, options: Options) -> Target:
    """The target of a factory's arguments.

    Raises:
        TypeError: an option is none of `Options`.
    """
    for name in options.keys() - Options.__annotations__.keys():
        raise TypeError(f"unexpected keyword argument {name!r}")
    name = options.get("name") or options.get("model") or Path(spec).stem
    return Target(str(spec), re.sub(r"\W", "_", name), options)


def run_context(
    run: dg.DagsterRun, target: Target, *, try_number: int = 1, look: bool = False
) -> RunContext:
    """Who started the run, and as which attempt: circumstance, never content.

    A backfill wants its days in order; Dagster holds to that for assets, and not for jobs.
    """
    tags: Mapping[str, Any] = run.tags
    trigger: Trigger = next((word for tag, word in _TRIGGERS.items() if tag in tags), "manual")
    url = target.options.get("url")
    return RunContext(
        orchestrator="dagster",
        dag_run_id=run.run_id,
        logical_date=str(tags.get(_SCHEDULED_TAG, "")),
        try_number=try_number,
        trigger=trigger,
        forced=tags.get(FORCE_TAG) == "true",
        bootstrap=tags.get(BOOTSTRAP_TAG) == "true",
        url=f"{url.rstrip('/')}/runs/{run.run_id}" if url else "",
        reason=str(tags.get(REASON_TAG, "")),
        look=look,
        ordered=trigger == "backfill" and not look,
    )
