"""What the MLflow client returns: plain, frozen, typed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

LONGEST_PARAM = 6000
LONGEST_TAG = 8000
"""Characters of a run's param and tag; the server cuts what is longer and says nothing."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment; `lifecycle_stage` is "active" or "deleted"."""

    experiment_id: str
    name: str
    lifecycle_stage: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MlflowRun:
    """A run with the newest value of each metric; `start_time` in ms since 1970 (UTC)."""

    run_id: str
    experiment_id: str
    status: str
    artifact_uri: str
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    start_time: int = 0


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A model version; `version` is a string of digits, as MLflow means it.

    `aliases` is filled by `get_model_version` and `get_model_version_by_alias`; a search leaves
    it empty, since the server does.
    """

    name: str
    version: str
    source: str
    run_id: str
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    creation_timestamp: int = 0


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A registered model; `aliases` maps alias to version.

    `creation_timestamp` (ms since 1970, UTC) tells it from an earlier one of its name.
    """

    name: str
    aliases: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    creation_timestamp: int = 0


class Artifact(NamedTuple):
    """A file or folder of a run; `path` is relative to the run's artefact root."""

    path: str
    is_dir: bool
    size: int


def as_dict(pairs: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """MLflow's [{"key", "value"}] as a dict; a missing value is an empty text."""
    return {p["key"]: p.get("value", "") for p in pairs}


def as_pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    """A dict as MLflow's [{"key", "value"}]."""
    return [{"key": key, "value": value} for key, value in values.items()]


def read_experiment(raw: Mapping[str, Any]) -> Experiment:
    """From the server's JSON."""
    return Experiment(
        experiment_id=raw["experiment_id"],
        name=raw["name"],
        lifecycle_stage=raw.get("lifecycle_stage", "active"),
        tags=as_dict(raw.get("tags", [])),
    )


def read_run(raw: Mapping[str, Any]) -> MlflowRun:
    """From the server's JSON, in which NaN is the text "NaN"."""
    info, data = raw["info"], raw.get("data", {})
    return MlflowRun(
        run_id=info["run_id"],
        experiment_id=info["experiment_id"],
        status=info.get("status", ""),
        artifact_uri=info.get("artifact_uri", ""),
        tags=as_dict(data.get("tags", [])),
        params=as_dict(data.get("params", [])),
        metrics={m["key"]: float(m.get("value", 0.0)) for m in data.get("metrics", [])},
        start_time=int(info.get("start_time", 0)),
    )


def read_version(raw: Mapping[str, Any]) -> ModelVersion:
    """From the server's JSON."""
    return ModelVersion(
        name=raw["name"],
        version=raw["version"],
        source=raw.get("source", ""),
        run_id=raw.get("run_id", ""),
        tags=as_dict(raw.get("tags", [])),
        aliases=tuple(raw.get("aliases", ())),
        creation_timestamp=int(raw.get("creation_timestamp", 0)),
    )


def read_model(raw: Mapping[str, Any]) -> RegisteredModel:
    """From the server's JSON."""
    return RegisteredModel(
        name=raw["name"],
        aliases={a["alias"]: a["version"] for a in raw.get("aliases", [])},
        tags=as_dict(raw.get("tags", [])),
        creation_timestamp=int(raw.get("creation_timestamp", 0)),
    )
