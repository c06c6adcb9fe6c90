"""One run: the spec, the window, where files lie, who serves, and who called.

A run is the argument of every step. Opening one reads the spec file and
nothing else: no socket, no data.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any, Literal

from retrain_ops.data.source import Source
from retrain_ops.errors import ConfigError
from retrain_ops.mlflow.client import MlflowClient
from retrain_ops.registry.events import utc_text
from retrain_ops.registry.registry import Registry
from retrain_ops.spec.spec import RetrainSpec, load_spec
from retrain_ops.spec.window import Window, day_that_has_come
from retrain_ops.workspace import Shape, Workspace

RUN_FILE = "run.json"
# What later steps read in the record of an earlier one.
_READ_BY_OTHERS: Mapping[str, Shape] = {
    "check_drift": {"reason": str, "features": list, "champion": (dict, NoneType)},
    "pull_data": {"data_sha256": str},
    "train": {
        "model_sha256": str,
        "reference_sha256": str,
        "rows": int,
        "train_start": str,
        "train_end": str,
        "threshold_end": str,
    },
    "evaluate": {"hashes": dict, "cells": dict, "days": list, "cut_days": list, "rows": int},
}
Trigger = Literal["schedule", "manual", "backfill", "asset"]


@dataclass(frozen=True, slots=True)
class RunContext:
    """Circumstances of a run: they are recorded, and change no decision.

    `forced` and `bootstrap` are the exception: a person asked for training. So is `reason`, why
    the event that started the run asked for it; check_drift keeps it with the key.

    An `ordered` run is refused while the newest earlier day that was begun has failed.

    A `look` judges the open candidate only. It shares its key with the run of the day, so its
    steps and alerts are kept apart from that run's.
    """

    orchestrator: str = "cli"
    dag_run_id: str = ""
    logical_date: str = ""
    try_number: int = 1
    trigger: Trigger = "manual"
    forced: bool = False
    bootstrap: bool = False
    url: str = ""  # the page of the task or run that is at work, where the orchestrator has one
    reason: str = ""
    look: bool = False
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """Spec + window + workspace + registry: all that a step needs."""

    spec: RetrainSpec
    window: Window
    workspace: Workspace
    registry: Registry
    context: RunContext
    n_threads: int = 0
    slack_webhook: str | None = field(default=None, repr=False)
    source_version: str = ""

    @property
    def webhook_url(self) -> str | None:
        """Where messages go: as given, otherwise the variable that the spec names."""
        return self.slack_webhook or os.environ.get(self.spec.notify.slack_webhook_env)

    @property
    def model(self) -> str:
        """The registered model's name."""
        return self.spec.model.name

    @property
    def retrain_key(self) -> str:
        """`<model>/<window_end>`: the identity under which nothing is ever doubled."""
        return f"{self.model}/{self.window.end.isoformat()}"

    @property
    def instant(self) -> datetime:
        """The run's nominal time."""
        return self.window.instant

    @property
    def source(self) -> Source:
        """The daily rows, at the version that check_drift has pinned for this key."""
        return Source(self.spec, self.source_version or self.pinned_version)

    @property
    def pinned_version(self) -> str:
        """The version of the source's table that this key was run on; empty where it has none."""
        return str((self.read("check_drift.json") or {}).get("source_version", ""))

    @property
    def client(self) -> MlflowClient:
        """The tracking server."""
        return self.registry.client

    def path(self, name: str) -> str:
        """A file of this run's key."""
        return self.workspace.key_path(self.window.end, name)

    def read(self, name: str, shape: Shape = MappingProxyType({})) -> dict[str, Any] | None:
        """A JSON record of this run's key; a damaged one is set aside and counts as not there."""
        return self.workspace.recover_json(self.path(name), shape)

    def require(self, step: str) -> dict[str, Any]:
        """The record that an earlier step left.

        Raises:
            ConfigError: that step has not run for this window.
        """
        record = self.read(f"{step}.json", _READ_BY_OTHERS[step])
        if record is None:
            raise ConfigError(
                f"{self.retrain_key}: {step} has left no sound record at "
                f"{self.workspace.absolute(self.path(step + '.json'))}; run it first "
                f"(retrain-ops run --step {step})"
            )
        return record


def open_run(
    spec: str | Path | RetrainSpec,
    *,
    date: date,
    workspace: str,
    tracking_uri: str | None = None,
    model: str | None = None,
    segment: str | None = None,
    n_threads: int = 0,
    context: RunContext | None = None,
    client: MlflowClient | None = None,
    slack_webhook: str | None = None,
) -> Run:
    """The run of one window end.

    Args:
        spec: path of the TOML spec, or the spec where it has been loaded.
        date: the window end D.
        workspace: folder or URI for everything that the run writes.
        tracking_uri: the MLflow server; otherwise the spec's, otherwise `MLFLOW_TRACKING_URI`.
        model: another registered name for the same spec.
        segment: what `${SEGMENT}` stands for in the file of a spec that serves many.
        n_threads: OpenMP team size; 0 = all processors that the process may use.
        context: who called.
        client: an MLflow client with credentials of its own; it wins over `tracking_uri`.
        slack_webhook: where messages go; otherwise the variable that the spec names.

    Raises:
        ConfigError: the spec is wrong, no server is named, or the day lies in the future.
    """
    if not isinstance(spec, RetrainSpec):
        spec = load_spec(spec, segment=segment)
    spec = spec.named(model)
    client = client or MlflowClient(tracking_uri or spec.registry.tracking_uri or None)
    return Run(
        spec=spec,
        window=spec.window_at(day_that_has_come(date, datetime.now(UTC))),
        workspace=Workspace.open(workspace, spec.model.name),
        registry=Registry(client=client, name=spec.model.name),
        context=context or RunContext(),
        n_threads=n_threads,
        slack_webhook=slack_webhook,
    )


# -- run.json: circumstances, one file per key ------------------------------------


def run_record(run: Run) -> dict[str, Any]:
    """The key's run.json; empty when there is none, or when it was damaged and set aside."""
    path, record = run.path(RUN_FILE), run.read(RUN_FILE)
    if record is None or _is_run_record(record):
        return record or {}
    run.workspace.set_aside(path, "it is no record of a run")
    return {}


def _is_run_record(record: Mapping[str, Any]) -> bool:
    earlier = record.get("earlier", [])
    if not isinstance(record.get("attempt"), int) or not isinstance(earlier, list):
        return False
    attempts = (record, *earlier)
    return all(isinstance(a, dict) and _are_steps(a.get("steps", {})) for a in attempts) and (
        _are_steps(record.get("looks", {}))
    )


def _are_steps(steps: object) -> bool:
    """Whether it is what :func:`record_step` writes: entries by step."""
    return isinstance(steps, dict) and all(
        isinstance(e, dict) and isinstance(e.get("status"), str) for e in steps.values()
    )


def begin_attempt(run: Run) -> int:
    """Starts the next attempt of a key and returns its number, from 1."""
    record = run_record(run)
    attempt = int(record.get("attempt", 0)) + 1
    earlier = list(record.get("earlier", []))
    if record:
        kept = ("attempt", "dag_run_id", "started_at", "steps")
        earlier.append({k: record[k] for k in kept if k in record})
    run.workspace.overwrite_json(
        run.path(RUN_FILE),
        {
            "retrain_key": run.retrain_key,
            "attempt": attempt,
            "orchestrator": run.context.orchestrator,
            "dag_run_id": run.context.dag_run_id,
            "logical_date": run.context.logical_date,
            "trigger": run.context.trigger,
            "reason": run.context.reason,
            "started_at": utc_text(datetime.now(UTC)),
            "steps": {},
            "earlier": earlier[-20:],
        },
    )
    return attempt


def record_step(run: Run, step: str, entry: Mapping[str, Any]) -> None:
    """Notes how a step of the current attempt, or of a look, went."""
    record = run_record(run)
    if not record:
        if not run.context.look:
            begin_attempt(run)
        record = run_record(run) or {"retrain_key": run.retrain_key, "attempt": 0}
    record.setdefault(steps_name(run), {})[step] = dict(entry)
    run.workspace.overwrite_json(run.path(RUN_FILE), record)


def steps_name(run: Run) -> str:
    """The part of run.json that holds this run's steps."""
    return "looks" if run.context.look else "steps"


def note(run: Run, **facts: Any) -> None:
    """Adds circumstances (versions, ids) to the current attempt."""
    record = run_record(run) or {"retrain_key": run.retrain_key, "attempt": 1, "steps": {}}
    record.update(facts)
    run.workspace.overwrite_json(run.path(RUN_FILE), record)


def require_workspace(value: str | None) -> str:
    """The workspace as given.

    Raises:
        ConfigError: none was given.
    """
    if not value:
        raise ConfigError("name a workspace: --workspace, or RETRAIN_OPS_WORKSPACE")
    return value
