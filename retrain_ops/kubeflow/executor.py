"""What Kubeflow hands a container, and what it reads back: its executor protocol, without kfp."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrain_ops.errors import ConfigError
from retrain_ops.workspace import replace_file

# Schemes of an artifact's address -> where the launcher expects its file in the container.
_MOUNTS = {"gs://": "/gcs/", "minio://": "/minio/", "s3://": "/s3/"}


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a run: its input parameters, and the outputs that are expected of it."""

    values: Mapping[str, Any]
    outputs: Mapping[str, Any]

    def text(self, name: str) -> str:
        """A parameter that is text; "" where it was not given.

        Raises:
            ConfigError: it is something else.
        """
        value = self.values.get(name, "")
        if not isinstance(value, str):
            raise ConfigError(f"the parameter {name} must be text, it is {value!r}")
        return value

    def flag(self, name: str) -> bool:
        """A parameter that is yes or no; no where it was not given.

        Raises:
            ConfigError: it is something else.
        """
        value = self.values.get(name, False)
        if not isinstance(value, bool):
            raise ConfigError(f"the parameter {name} must be true or false, it is {value!r}")
        return value

    def write(
        self,
        parameters: Mapping[str, Any],
        metrics: Mapping[str, float],
        page: bytes | None,
    ) -> None:
        """Writes the executor output: the parameters and artifacts among these that are expected.

        `metrics` are those of the artifact `metrics`, `page` the HTML of the artifact `report`.
        """
        wanted = {n: parameters[n] for n in self.outputs.get("parameters", {}) if n in parameters}
        artifacts = {}
        for name, slot in self.outputs.get("artifacts", {}).items():
            (artifact,) = slot["artifacts"]
            if name == "metrics":
                artifact = artifact | {"metadata": dict(metrics)}
            elif page is not None:
                _write(_local(artifact), page)
            artifacts[name] = {"artifacts": [artifact]}
        document = {"parameterValues": wanted, "artifacts": artifacts}
        _write(Path(self.outputs["outputFile"]), json.dumps(document).encode())


def read_task(text: str) -> Task:
    """The task of an executor input.

    Raises:
        ConfigError: it is none, as when the command was not started by Kubeflow.
    """
    try:
        given = json.loads(text)
        values, outputs = given.get("inputs", {}).get("parameterValues", {}), given["outputs"]
        if isinstance(values, dict) and isinstance(outputs["outputFile"], str):
            return Task(values, outputs)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ConfigError(
        f"the executor input {text[:80]!r} is none of Kubeflow's: it is a JSON object with inputs "
        'and outputs, which a pipeline writes as "{{$}}"'
    )


def _local(artifact: Mapping[str, Any]) -> Path:
    """The file of an artifact, which the launcher uploads when the task is over."""
    uri = str(artifact.get("customPath") or artifact["uri"])
    for scheme, mount in _MOUNTS.items():
        if uri.startswith(scheme):
            return Path(mount + uri.removeprefix(scheme))
    return Path(uri)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, data)
