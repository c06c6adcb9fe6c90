"""An in-memory MLflow with the behaviour that real servers showed, for fast tests of protocols.

Last writer wins on aliases; a create of a taken name fails; a deleted
experiment keeps its name. `die_after` ends the "process" after that many
writes reached the server: the write happened, its answer never came.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from retrain_ops.errors import RemoteError
from retrain_ops.mlflow.types import Artifact, Experiment, MlflowRun, ModelVersion, RegisteredModel


class ProcessDied(BaseException):
    """Not an Exception: nothing may catch a kill -9."""


class Server:
    """The state that outlives every client."""

    def __init__(self) -> None:
        self.experiments: dict[str, Experiment] = {}
        self.runs: dict[str, MlflowRun] = {}
        self.models: dict[str, RegisteredModel] = {}
        self.versions: dict[tuple[str, str], ModelVersion] = {}
        self.artifacts: dict[str, bytes] = {}
        self.ids = itertools.count(1)
        self.writes = 0

    def delete_model(self, name: str) -> None:
        """By hand: model, versions and aliases go; experiments stay."""
        del self.models[name]
        self.versions = {k: v for k, v in self.versions.items() if k[0] != name}

    def version(self, name: str, number: str) -> ModelVersion:
        """What a write to a version needs to be there."""
        if (name, number) not in self.versions:
            raise missing(f"version {number} of {name}")
        return self.versions[name, number]

    def delete_version(self, name: str, number: str) -> None:
        """By hand: a version takes its aliases with it."""
        del self.versions[name, number]
        known = self.models[name]
        left = {k: v for k, v in known.aliases.items() if v != number}
        self.models[name] = replace(known, aliases=left)


def missing(what: str) -> RemoteError:
    problem = RemoteError(f"{what} is not there")
    problem.status, problem.error_code = 404, "RESOURCE_DOES_NOT_EXIST"
    return problem


def taken(name: str) -> RemoteError:
    problem = RemoteError(f"{name} already exists")
    problem.status, problem.error_code = 400, "RESOURCE_ALREADY_EXISTS"
    return problem


def _dies_after(writes: int) -> Callable[[int, str], None]:
    """Ends the process once the write after `writes` others has arrived."""

    def fault(count: int, when: str) -> None:
        if when == "after" and count > writes:
            raise ProcessDied

    return fault


class Client:
    """The part of MlflowClient that registry and tracking use.

    `fault(n, when)` is called before and after the n-th write of this client (from 1) with
    "before" or "after"; it may raise: `ProcessDied` is a kill -9, NetworkError a lost answer.
    """

    tracking_uri = "http://mlflow.example.com"

    def __init__(
        self,
        server: Server,
        die_after: int | None = None,
        fault: Callable[[int, str], None] | None = None,
    ) -> None:
        self.server = server
        self.count = 0
        self.fault = fault if die_after is None else _dies_after(die_after)

    def within(self, deadline: float) -> Client:
        """Calls take no time here."""
        del deadline
        return self

    def _writes(self) -> None:
        self.count += 1
        if self.fault is not None:
            self.fault(self.count, "before")

    def _wrote(self) -> None:
        self.server.writes += 1
        if self.fault is not None:
            self.fault(self.count, "after")

    # -- experiments and runs

    def get_experiment_by_name(self, name: str) -> Experiment | None:
        return self.server.experiments.get(name)

    def create_experiment(self, name: str, *, tags: Mapping[str, str] | None = None) -> str:
        self._writes()
        if name in self.server.experiments:
            raise taken(name)
        number = str(next(self.server.ids))
        self.server.experiments[name] = Experiment(
            experiment_id=number, name=name, lifecycle_stage="active", tags=dict(tags or {})
        )
        self._wrote()
        return number

    def get_or_create_experiment(self, name: str) -> str:
        known = self.get_experiment_by_name(name)
        return known.experiment_id if known else self.create_experiment(name)

    def delete_experiment(self, experiment_id: str) -> None:
        self._writes()
        for name, known in self.server.experiments.items():
            if known.experiment_id == experiment_id:
                self.server.experiments[name] = replace(known, lifecycle_stage="deleted")
        self._wrote()

    def search_runs(self, experiment_ids: Sequence[str], filter: str = "") -> list[MlflowRun]:
        key = filter.split("'")[1]
        return [r for r in self.server.runs.values() if r.tags.get("retrain_key") == key]

    def delete_run(self, run_id: str) -> None:
        self._writes()
        self.server.runs.pop(run_id, None)
        self._wrote()

    def get_run(self, run_id: str) -> MlflowRun:
        return self.server.runs[run_id]

    def create_run(
        self,
        experiment_id: str,
        run_name: str,
        start_time_ms: int,
        *,
        tags: Mapping[str, str],
        key_tag: tuple[str, str],
    ) -> MlflowRun:
        self._writes()
        run_id = f"r{next(self.server.ids)}"
        self.server.runs[run_id] = MlflowRun(
            run_id=run_id,
            experiment_id=experiment_id,
            status="RUNNING",
            artifact_uri=f"mlflow-artifacts:/{experiment_id}/{run_id}/artifacts",
            tags={**tags, **dict([key_tag])},
            params={},
            metrics={},
            start_time=start_time_ms,
        )
        self._wrote()
        return self.server.runs[run_id]

    def log_batch(
        self,
        run_id: str,
        *,
        metrics: Sequence[tuple[str, float, int, int]],
        params: Mapping[str, str],
        tags: Mapping[str, str],
    ) -> None:
        self._writes()
        known = self.server.runs[run_id]
        self.server.runs[run_id] = replace(
            known,
            tags={**known.tags, **tags},
            params={**known.params, **params},
            metrics={**known.metrics, **{m[0]: m[1] for m in metrics}},
        )
        self._wrote()

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        self._writes()
        known = self.server.runs[run_id]
        self.server.runs[run_id] = replace(known, tags={**known.tags, key: value})
        self._wrote()

    def update_run(self, run_id: str, status: str, end_time_ms: int | None = None) -> None:
        self._writes()
        self.server.runs[run_id] = replace(self.server.runs[run_id], status=status)
        self._wrote()

    def upload_artifact(self, run: MlflowRun | str, path: str, data: bytes | Path) -> str:
        self._writes()
        payload = data if isinstance(data, bytes) else Path(data).read_bytes()
        base = run if isinstance(run, str) else run.artifact_uri
        self.server.artifacts[f"{base}/{path}"] = payload
        self._wrote()
        return hashlib.sha256(payload).hexdigest()

    def list_artifacts(self, run: MlflowRun, path: str = "") -> list[Artifact]:
        base = f"{run.artifact_uri}/"
        found = [n.removeprefix(base) for n in self.server.artifacts if n.startswith(base + path)]
        return [Artifact(name, False, len(self.server.artifacts[base + name])) for name in found]

    def download_artifact(self, source: Any, path: str) -> bytes:
        base = source if isinstance(source, str) else source.artifact_uri
        if f"{base}/{path}" not in self.server.artifacts:
            raise RemoteError(f"{base}/{path} is not there")
        return self.server.artifacts[f"{base}/{path}"]

    # -- registry

    def get_registered_model(self, name: str) -> RegisteredModel | None:
        return self.server.models.get(name)

    def ensure_registered_model(self, name: str) -> None:
        self._writes()
        if name not in self.server.models:
            self.server.models[name] = RegisteredModel(
                name=name, aliases={}, tags={}, creation_timestamp=next(self.server.ids)
            )
            self._wrote()

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        self._writes()
        known = self.server.models[name]
        self.server.models[name] = replace(known, tags={**known.tags, key: value})
        self._wrote()

    def create_model_version(
        self,
        name: str,
        source: str,
        run_id: str,
        *,
        tags: Mapping[str, str],
        description: str,
        key_tag: tuple[str, str],
    ) -> ModelVersion:
        self._writes()
        taken_numbers = [int(v) for n, v in self.server.versions if n == name]
        number = str(1 + max(taken_numbers, default=0))
        self.server.versions[name, number] = ModelVersion(
            name=name,
            version=number,
            source=source,
            run_id=run_id,
            tags=dict(tags),
            aliases=(),
            creation_timestamp=0,
        )
        self._wrote()
        return self.server.versions[name, number]

    def delete_model_version(self, name: str, version: str) -> None:
        self._writes()
        if (name, version) in self.server.versions:
            self.server.delete_version(name, version)
        self._wrote()

    def get_model_version(self, name: str, version: str) -> ModelVersion | None:
        return self.server.versions.get((name, version))

    def search_model_versions(self, filter: str) -> list[ModelVersion]:
        name = filter.split("'")[1]
        return [v for (n, _), v in self.server.versions.items() if n == name]

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        self._writes()
        known = self.server.version(name, version)
        self.server.versions[name, version] = replace(known, tags={**known.tags, key: value})
        self._wrote()

    def delete_model_version_tag(self, name: str, version: str, key: str) -> None:
        self._writes()
        known = self.server.version(name, version)
        left = {k: v for k, v in known.tags.items() if k != key}
        self.server.versions[name, version] = replace(known, tags=left)
        self._wrote()

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        self._writes()
        self.server.version(name, version)
        known = self.server.models[name]
        self.server.models[name] = replace(known, aliases={**known.aliases, alias: version})
        self._wrote()

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        self._writes()
        known = self.server.models[name]
        left = {k: v for k, v in known.aliases.items() if k != alias}
        self.server.models[name] = replace(known, aliases=left)
        self._wrote()
