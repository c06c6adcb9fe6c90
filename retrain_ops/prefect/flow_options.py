"""What the flow factories share: their arguments, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any, TypedDict

from prefect import flow

from retrain_ops.prefect.callbacks import FailedRunAlert
from retrain_ops.prefect.target import Opener, Target
from retrain_ops.prefect.tasks import Steps
from retrain_ops.run import RunContext

__all__ = ["Options", "new_flow", "steps_of", "target_of"]

RUN_LIMIT_S = 6 * 3600.0  # far below the 24 h after which a managed run is ended


class Options(TypedDict, total=False):
    """Arguments of every factory, all optional.

    `name` is by default the name of the spec file, behind a word for what the flow is for.
    `workspace` is the folder or URI of all files, by default `RETRAIN_OPS_WORKSPACE`;
    `tracking_uri` the MLflow server, by default the spec's or the environment's; `model` another
    registered name for the same spec. `n_threads` is for one step; 0 means as many as the
    machine grants. `mlflow_block` names an `MlflowCredentials` block, which wins over
    `tracking_uri`; `slack_block` a `SlackWebhook` block, by default the spec's variable is used.
    `retries` (1) and `retry_delay_seconds` (60) are per task; refused data and broken specs are
    never retried. `timeout_seconds` (6 hours) is for the whole run; a C call notices within
    100 ms.
    """

    name: str | None
    workspace: str | None
    tracking_uri: str | None
    model: str | None
    n_threads: int
    retries: int
    retry_delay_seconds: float
    timeout_seconds: float | None
    mlflow_block: str | None
    slack_block: str | None


def target_of(spec: str | Path, options: Options) -> Target:
    """The part of the options that says what to retrain and where.

    Raises:
        TypeError: an option is none of `Options`.
    """
    for name in options.keys() - Options.__annotations__.keys():
        raise TypeError(f"unexpected keyword argument {name!r}")
    names = {field.name for field in fields(Target)} & options.keys()
    return Target(str(spec), **{name: options[name] for name in names})  # type: ignore[literal-required]


def steps_of(opener: Opener, day: date, context: RunContext, options: Options) -> Steps:
    """The steps of one flow run."""
    return Steps(
        opener=opener,
        day=day,
        context=context,
        retries=options.get("retries", 1),
        retry_delay_seconds=options.get("retry_delay_seconds", 60.0),
    )


def new_flow(function: Callable[..., Any], verb: str, target: Target, options: Options) -> Any:
    """The flow `<verb>-<name of the spec file>`, with one alert per failed run."""
    alert = FailedRunAlert(target)
    return flow(
        name=options.get("name") or f"{verb}-{Path(target.spec).stem}",
        timeout_seconds=options.get("timeout_seconds", RUN_LIMIT_S),
        validate_parameters=True,
        persist_result=False,
        on_failure=[alert],
        on_crashed=[alert],
    )(function)
