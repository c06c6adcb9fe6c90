"""The MLflow run of a retrain key: found or created once, overwritten in place."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from retrain_ops.mlflow.client import MlflowRun
from retrain_ops.run import Run

HASH_TAGS = ("data_sha256", "spec_sha256", "model_sha256")


def find_run(run: Run) -> MlflowRun | None:
    """The MLflow run of this key, if it has one; the oldest, should a race have made two."""
    experiment = run.client.get_experiment(experiment_name(run))
    if experiment is None:
        return None
    found = run.client.search_runs(
        [experiment.experiment_id], f"tags.retrain_key = '{run.retrain_key}'"
    )
    return min(found, key=lambda r: (r.start_time, r.run_id), default=None)


def experiment_name(run: Run) -> str:
    """The experiment that the spec names, else the model's own name."""
    return run.spec.registry.experiment or run.model


def log_run(
    run: Run,
    *,
    hashes: Mapping[str, str],
    params: Mapping[str, str],
    metrics: Mapping[str, float],
    history: Mapping[str, Sequence[float]],
    files: Mapping[str, bytes],
) -> MlflowRun:
    """Writes the key's MLflow run: tags, params, metrics (`history`: by step) and artefacts.

    A run that is finished and carries equal hashes is left as it is. Otherwise
    tags and artefacts are overwritten and the metrics logged again, at the
    run's nominal time, so that a replay adds no second point.
    """
    known = find_run(run)
    if known is not None and known.status == "FINISHED" and _same_hashes(known, hashes):
        return known
    tags = run_tags(run, hashes)
    nominal_ms = int(run.instant.timestamp() * 1000)
    if known is None:
        experiment = run.client.get_or_create_experiment(experiment_name(run))
        known = run.client.create_run(
            experiment,
            f"{run.model} {run.window.end.isoformat()}",
            nominal_ms,
            tags=tags,
            key_tag=("retrain_key", run.retrain_key),
        )
    points = [(name, value, nominal_ms, 0) for name, value in sorted(metrics.items())]
    for name, values in sorted(history.items()):
        points += [(name, value, nominal_ms, step) for step, value in enumerate(values, 1)]
    fresh = {k: v for k, v in params.items() if k not in known.params}  # params never change
    for path, data in sorted(files.items()):
        run.client.upload_artifact(known, path, data)
    run.client.log_batch(known.run_id, metrics=points, params=fresh, tags=tags)
    run.client.update_run(known.run_id, "FINISHED", nominal_ms)
    return known


def upload_once(run: Run, logged: MlflowRun, name: str, data: bytes) -> None:
    """Logs a file of the key, unless the run's tag `<stem>_sha256` says that it has these bytes."""
    tag = f"{name.partition('.')[0]}_sha256"
    digest = hashlib.sha256(data).hexdigest()
    if logged.tags.get(tag) != digest:
        run.client.upload_artifact(run.client.get_run(logged.run_id), name, data)
        run.client.set_run_tag(logged.run_id, tag, digest)


def run_tags(run: Run, hashes: Mapping[str, str]) -> dict[str, str]:
    """The tags by which anybody finds the run of a day, or the day of a run."""
    return {
        "retrain_key": run.retrain_key,
        "execution_date": run.window.end.isoformat(),
        "logical_date": run.context.logical_date or run.instant.isoformat(),
        "dag_run_id": run.context.dag_run_id or f"{run.context.orchestrator}__{run.window.end}",
        "orchestrator": run.context.orchestrator,
        **hashes,
    }


def _same_hashes(known: MlflowRun, hashes: Mapping[str, str]) -> bool:
    return all(known.tags.get(k) == v for k, v in hashes.items())
