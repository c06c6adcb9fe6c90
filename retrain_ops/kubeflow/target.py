"""Which model the pipelines retrain, and what a container is called with. Needs no kfp."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypedDict

from retrain_ops.errors import ConfigError

__all__ = ["Options", "Target", "target_of"]

COMMAND = ("retrain-ops", "kubeflow", "step")
_ENVIRONMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Options that a step is called with -> how the command line writes them.
_FLAGS = {
    "workspace": "--workspace",
    "tracking_uri": "--tracking-uri",
    "model": "--model",
    "n_threads": "--threads",
    "retries": "--retries",
    "retry_delay_seconds": "--retry-delay",
    "url": "--url",
}


class Options(TypedDict, total=False):
    """Arguments of the pipelines, all optional.

    `name` heads the pipelines; by default `model`, else the name of the spec file. `workspace` is
    the folder or URI of all files, by default `RETRAIN_OPS_WORKSPACE` in the container;
    `tracking_uri` the MLflow server, by default the spec's or the container's; `model` another
    registered name for the same spec. `n_threads` is for one step; 0 means as many as the pod is
    granted. `retries` (1) and `retry_delay_seconds` (60) are per step, within its pod; refused data
    and broken specs are never retried. `url` is the address of Kubeflow's page, for links in
    messages and in `run.json`.

    `secrets` are environment variables, each from `<secret>/<key>`; `config_map` is mounted as the
    folder of the spec. `cpu` and `memory` are limits of a pod in Kubernetes' words ("4", "8Gi"),
    `timeout_seconds` how long one may run.
    """

    name: str | None
    workspace: str | None
    tracking_uri: str | None
    model: str | None
    n_threads: int
    retries: int
    retry_delay_seconds: float
    url: str | None
    secrets: Mapping[str, str]
    config_map: str | None
    cpu: str | None
    memory: str | None
    timeout_seconds: int | None


@dataclass(frozen=True, slots=True)
class Target:
    """What the pipelines are compiled for."""

    spec: str
    image: str
    name: str
    options: Options

    def arguments(self, step: str) -> list[str]:
        """What a container gets behind its command; the executor input follows.

        Nothing of a run's parameters is among them: those come in the executor input, as data.
        """
        given = {name: self.options.get(name) for name in _FLAGS}
        chosen = [f"{_FLAGS[name]}={value}" for name, value in given.items() if value is not None]
        return [step, f"--spec={self.spec}", *chosen]

    @property
    def secrets(self) -> list[tuple[str, str, str]]:
        """Environment variable, secret and key of each secret.

        Raises:
            ConfigError: one is no `<secret>/<key>`, or its variable has no variable's name.
        """
        found = []
        for variable, place in self.options.get("secrets", {}).items():
            secret, _, key = place.partition("/")
            if not (_ENVIRONMENT.fullmatch(variable) and secret and key):
                raise ConfigError(
                    f"the secret {variable}={place} cannot be read: write it as "
                    "VARIABLE=<secret>/<key>, such as MLFLOW_TRACKING_PASSWORD=mlflow/password"
                )
            found.append((variable, secret, key))
        return found


def target_of(spec: str, image: str, options: Options) -> Target:
    """The target of a pipeline's arguments.

    Raises:
        TypeError: an option is none of `Options`.
        ConfigError: no image is named, or the spec's path is not absolute.
    """
    for name in options.keys() - Options.__annotations__.keys():
        raise TypeError(f"unexpected keyword argument {name!r}")
    if not image:
        raise ConfigError("name the image that holds retrain_ops, such as ghcr.io/team/retrain:1")
    if not PurePosixPath(spec).is_absolute():
        raise ConfigError(
            f"the spec {spec!r} must be an absolute path: it is read in the container"
        )
    name = options.get("name") or options.get("model") or PurePosixPath(spec).stem
    # Kubeflow makes names of Kubernetes' objects of it.
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not plain:
        raise ConfigError(f"the name {name!r} has neither a letter nor a digit: give another one")
    return Target(spec, image, plain, options)
