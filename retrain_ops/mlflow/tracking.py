"""The MLflow run of a retrain key: found or created once, overwritten in place."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence

from retrain_ops.errors import RemoteError
from retrain_ops.mlflow.client import TAKEN
from retrain_ops.mlflow.types import Experiment, MlflowRun
from retrain_ops.run import Run

HASH_TAGS = ("data_sha256", "spec_sha256", "model_sha256")
CHANGE_TAG = "retrain.change"  # how often the hashes of the run have changed
ROUNDS_TAG = "retrain.rounds"  # the highest step of any metric
CLAIM_TAG = "retrain.run"


def find_run(run: Run) -> MlflowRun | None:
    """The MLflow run of this key, if it has one."""
    found = _runs_of_key(run)
    return (_claimed(run, found) if len(found) > 1 else None) or _oldest(found)


def _runs_of_key(run: Run) -> list[MlflowRun]:
    experiment = run.client.get_experiment_by_name(experiment_name(run))
    if experiment is None:
        return []
    key = f"tags.retrain_key = '{run.retrain_key}'"
    return run.client.search_runs([experiment.experiment_id], key)


def _oldest(found: Sequence[MlflowRun]) -> MlflowRun | None:
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

    A run that is finished, carries equal hashes and has its artefacts is left as it is.
    Otherwise all of it is written again. Metrics are logged at the run's nominal time, a
    millisecond later for every change of the hashes: MLflow shows the newest point of a step,
    and a replay adds no second one.
    """
    tags = run_tags(run, hashes)
    known = _own_run(run, tags)
    same = _same_hashes(known, hashes)
    if known.status == "FINISHED" and same and _has_files(run, known, files):
        return known
    nominal_ms = int(run.instant.timestamp() * 1000)
    change = int(known.tags.get(CHANGE_TAG, "0")) + (0 if same else 1)
    # Not finished before the tags say what it is to become: a replay must not stop at them.
    run.client.update_run(known.run_id, "RUNNING")
    rounds = max((len(values) for values in history.values()), default=0)
    marks = {CHANGE_TAG: str(change), ROUNDS_TAG: str(max(rounds, _rounds(known)))}
    fresh = {k: v for k, v in params.items() if k not in known.params}  # params never change
    run.client.log_batch(known.run_id, metrics=(), params=fresh, tags={**tags, **marks})
    for path, data in sorted(files.items()):
        run.client.upload_artifact(known, path, data)
    points = _points(metrics, history, nominal_ms + change, _rounds(known))
    run.client.log_batch(known.run_id, metrics=points, params={}, tags={})
    run.client.update_run(known.run_id, "FINISHED", nominal_ms)
    return known


def _rounds(known: MlflowRun) -> int:
    """The highest step that an earlier attempt logged."""
    return int(known.tags.get(ROUNDS_TAG, "0"))


def _points(
    metrics: Mapping[str, float],
    history: Mapping[str, Sequence[float]],
    at_ms: int,
    earlier_rounds: int,
) -> list[tuple[str, float, int, int]]:
    points = [(name, value, at_ms, 0) for name, value in sorted(metrics.items())]
    for name, values in sorted(history.items()):
        points += [(name, value, at_ms, step) for step, value in enumerate(values, 1)]
        if values and earlier_rounds > len(values):
            # MLflow's newest value is that of the highest step: a shorter training ends there.
            points.append((name, values[-1], at_ms, earlier_rounds))
    return points


def _has_files(run: Run, known: MlflowRun, files: Mapping[str, bytes]) -> bool:
    """Whether MLflow still has the artefacts; somebody may have cleaned its store."""
    folders = {path.rpartition("/")[0] for path in files}
    there = {a.path for folder in folders for a in run.client.list_artifacts(known, folder)}
    return set(files) <= there


# -- one run per key, whoever asks ---------------------------------------------------


def _own_run(run: Run, tags: Mapping[str, str]) -> MlflowRun:
    """The key's run, made if there is none; spare ones, which lost the claim, are deleted.

    Two workspaces may create at once: MLflow has no unique key. So the run of a key is the one
    that its claim names, an experiment whose creation has one winner.
    """
    found = _runs_of_key(run)
    mine = _claimed(run, found) or _oldest(found) or _create(run, tags)
    owner = _claim(run, mine)
    for spare in (r for r in (*found, mine) if r.run_id != owner.run_id):
        run.client.delete_run(spare.run_id)
    return owner


def _create(run: Run, tags: Mapping[str, str]) -> MlflowRun:
    return run.client.create_run(
        run.client.get_or_create_experiment(experiment_name(run)),
        f"{run.model} {run.window.end.isoformat()}",
        int(run.instant.timestamp() * 1000),
        tags={k: v for k, v in tags.items() if k not in HASH_TAGS},
        key_tag=("retrain_key", run.retrain_key),
    )


def _claims(run: Run) -> Iterator[tuple[str, Experiment | None]]:
    """The claims of the key, by generation: one whose run a person deleted gives way."""
    for generation in itertools.count():
        name = f"retrain_ops/{experiment_name(run)}/run/{run.retrain_key}/{generation}"
        yield name, run.client.get_experiment_by_name(name)


def _claimed(run: Run, found: Sequence[MlflowRun]) -> MlflowRun | None:
    """Of the key's runs the one that a claim names."""
    by_id = {r.run_id: r for r in found}
    for _, claim in _claims(run):
        if claim is None:
            return None
        if claim.tags.get(CLAIM_TAG) in by_id:
            return by_id[claim.tags[CLAIM_TAG]]
    return None


def _claim(run: Run, mine: MlflowRun) -> MlflowRun:
    """The run that has the claim: `mine`, unless another was first."""
    for name, claim in _claims(run):
        if claim is None:
            try:
                made = run.client.create_experiment(name, tags={CLAIM_TAG: mine.run_id})
            except RemoteError as problem:
                if problem.error_code != TAKEN:
                    raise
                claim = run.client.get_experiment_by_name(name)
            else:
                run.client.delete_experiment(made)  # its name stays taken, out of sight
                return mine
        owner = claim.tags.get(CLAIM_TAG) if claim is not None else None
        alive = {r.run_id: r for r in (*_runs_of_key(run), mine)}
        if owner in alive:
            return alive[owner]
    raise AssertionError("generations of claims have no end")


def upload_once(run: Run, logged: MlflowRun, name: str, data: bytes) -> None:
    """Logs a file of the key, unless the run's tag `<stem>_sha256` says that it has these bytes."""
    tag = f"{name.partition('.')[0]}_sha256"
    digest = hashlib.sha256(data).hexdigest()
    if logged.tags.get(tag) != digest:
        run.client.upload_artifact(run.client.get_run(logged.run_id), name, data)
        run.client.set_tag(logged.run_id, tag, digest)


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
