"""Models by version, and scores of whole tables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Any

import pyarrow as pa

from retrain_ops.data.processed import read_schema
from retrain_ops.errors import (
    ConflictError,
    CorruptError,
    DamagedError,
    DataError,
    RemoteError,
)
from retrain_ops.mlflow.client import MlflowClient
from retrain_ops.models.mlflow_flavor import MODEL_FILE, mlmodel_yaml
from retrain_ops.models.training import TrainedModel, resolve_loader
from retrain_ops.registry.events import Version
from retrain_ops.run import Run
from retrain_ops.spec.train import DEFAULTS, NATIVE, is_library
from retrain_ops.workspace import Workspace, earlier_attempt

REFERENCE_FILE = "reference.json"
SHA256_TAGS = {MODEL_FILE: "model_sha256", REFERENCE_FILE: "reference_sha256"}


def model_folder(trained: Mapping[str, Any]) -> str:
    """Where train's files lie among the run's artefacts.

    Named by their bytes: a re-run after a fix adds a folder, and the version
    that serves keeps the files it was registered with.
    """
    both = trained["model_sha256"] + trained["reference_sha256"]
    return f"model/{hashlib.sha256(both.encode()).hexdigest()[:16]}"


def mlmodel_of(run: Run, trainer: str, window_end: date) -> bytes:
    """The MLmodel file that lies beside the model of a trainer and window.

    Its columns are those of the window's rows; without them the features' kinds must do.
    """
    names, inputs = run.spec.features.all, []
    of_classes = run.spec.model.problem == "multiclass"
    try:
        schema = read_schema(run.workspace, window_end)
        inputs = [(name, schema.field(name).type) for name in names]
    except (DataError, DamagedError, KeyError):
        numeric = run.spec.features.numeric
        inputs = [(n, pa.float64() if n in numeric else pa.string()) for n in names]
    if trainer in DEFAULTS or is_library(trainer):
        return mlmodel_yaml(inputs=inputs, of_classes=of_classes).encode()
    own = trainer.partition(":")[0]
    return mlmodel_yaml(own, inputs=inputs, of_classes=of_classes).encode()


def file_of_version(run: Run, version: Version, name: str) -> bytes:
    """A file that was frozen with a version: from the workspace, else from MLflow.

    Raises:
        ConflictError: the version's tag does not say which bytes were registered.
        CorruptError: MLflow's copy is not what was registered.
        DataError: neither place has the file.
    """
    kept = kept_file(run.workspace, version, name, look_only=False)
    return kept if kept is not None else _download(run, version, name)


def registered_file(client: MlflowClient, version: Version, name: str) -> bytes:
    """A file that was frozen with a version, from MLflow.

    Raises:
        ConflictError: the version's tag does not say which bytes were registered.
        CorruptError: MLflow's copy is not what was registered.
        RemoteError: MLflow does not have the file.
    """
    downloaded = client.download_artifact(version.source, name)
    if hashlib.sha256(downloaded).hexdigest() != registered_sha256(version, name):
        raise CorruptError(
            f"{name} of version {version.number} at {version.source} is not what was registered "
            f"(its SHA-256 differs from the version's tag); roll back to another version"
        )
    return downloaded


def registered_sha256(version: Version, name: str) -> str:
    """The hash with which a file of a version was registered.

    Raises:
        ConflictError: the tag that says so was removed.
    """
    tag = SHA256_TAGS[name]
    if tag not in version.tags:
        raise ConflictError(
            f"version {version.number}: the tag {tag} is gone; set it to the one that train.json "
            f"of {version.retrain_key} names, or roll back to another version"
        )
    return version.tags[tag]


def kept_file(
    workspace: Workspace, version: Version, name: str, *, look_only: bool
) -> bytes | None:
    """The file as it was registered, if the workspace still has those bytes.

    It holds the newest attempt of a key, which may be another one, and earlier ones aside.

    Args:
        workspace: where to look.
        version: the version.
        name: a name of `SHA256_TAGS`.
        look_only: leave a damaged file where it is.
    """
    expected = registered_sha256(version, name)
    for path in (name, earlier_attempt(name, expected)):
        full = workspace.key_path(version.window_end, path)
        try:
            data = workspace.read(full) if look_only else workspace.recover(full)
        except DamagedError:
            continue
        if data is not None and hashlib.sha256(data).hexdigest() == expected:
            return data
    return None


def _download(run: Run, version: Version, name: str) -> bytes:
    try:
        return registered_file(run.client, version, name)
    except RemoteError as problem:
        raise DataError(
            f"{name} of version {version.number} is not in the workspace, and {version.source} "
            f"does not give it either ({problem}); restore one of them, or roll back to another "
            "version"
        ) from problem


def load_version(run: Run, version: Version) -> TrainedModel:
    """The model of a version, its bytes checked against the version's tag."""
    data = file_of_version(run, version, MODEL_FILE)
    return resolve_loader(version.tags.get("trainer", NATIVE))(data)


def load_challenger(run: Run) -> TrainedModel:
    """The model that this key's train step wrote.

    Raises:
        DataError: it is not there.
    """
    data = run.workspace.read(run.path(MODEL_FILE))
    if data is None:
        raise DataError(f"{run.retrain_key}: {MODEL_FILE} is not there; run train again")
    return resolve_loader(run.spec.model.trainer)(data)
