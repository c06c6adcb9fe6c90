"""Models by version, and scores of whole tables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from retrain_ops.errors import CorruptError, DataError, RemoteError
from retrain_ops.models.mlflow_flavor import MODEL_FILE
from retrain_ops.models.tabular import TabularModel
from retrain_ops.models.training import TrainedModel, resolve_loader
from retrain_ops.registry.events import Version
from retrain_ops.run import Run
from retrain_ops.spec.train import NATIVE

REFERENCE_FILE = "reference.json"
SHA256_TAGS = {MODEL_FILE: "model_sha256", REFERENCE_FILE: "reference_sha256"}

Scores = npt.NDArray[np.float64]


def model_folder(trained: Mapping[str, Any]) -> str:
    """Where train's files lie among the run's artefacts.

    Named by their bytes: a re-run after a fix adds a folder, and the version
    that serves keeps the files it was registered with.
    """
    both = trained["model_sha256"] + trained["reference_sha256"]
    return f"model/{hashlib.sha256(both.encode()).hexdigest()[:16]}"


def file_of_version(run: Run, version: Version, name: str) -> bytes:
    """A file that was frozen with a version: from the workspace, else from MLflow.

    The workspace holds the newest attempt of a key, which may be another one.

    Raises:
        CorruptError: MLflow's copy is not what was registered.
        DataError: neither place has the file.
    """
    expected = version.tags[SHA256_TAGS[name]]
    kept = run.workspace.recover(run.workspace.key_path(version.window_end, name))
    if kept is not None and hashlib.sha256(kept).hexdigest() == expected:
        return kept
    downloaded = _download(run, version, name)
    if hashlib.sha256(downloaded).hexdigest() != expected:
        raise CorruptError(
            f"{name} of version {version.number} at {version.source} is not what was registered "
            f"(its SHA-256 differs from the version's tag); roll back to another version"
        )
    return downloaded


def _download(run: Run, version: Version, name: str) -> bytes:
    try:
        return run.client.download_artifact(version.source, name)
    except RemoteError as problem:
        raise DataError(
            f"{name} of version {version.number} is not in the workspace, and {version.source} "
            f"does not give it either ({problem}); restore one of them"
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


def score(model: TrainedModel, table: pa.Table, *, n_threads: int) -> Scores:
    """Probabilities of the positive class, float64 (rows,)."""
    if isinstance(model, TabularModel):
        return model.scores(table, n_threads=n_threads)
    found = np.asarray(model.predict_proba(table, n_threads=n_threads), dtype=np.float64)
    return found[:, 1] if found.ndim == 2 else found


def decide(model: TrainedModel, scores: Scores) -> npt.NDArray[np.uint8]:
    """Decisions at the model's own threshold, uint8 (rows,); a NaN score decides 0."""
    return np.asarray(scores >= model.threshold, dtype=np.uint8)
