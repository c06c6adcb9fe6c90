"""train: the challenger, from the window's training days, and its frozen reference."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pyarrow as pa

from retrain_ops.comparison.noise import LeftOut, without_noise
from retrain_ops.comparison.online import learnt
from retrain_ops.comparison.replay import with_replay
from retrain_ops.comparison.scoring import REFERENCE_FILE
from retrain_ops.data.labels import labelled, labels_of, rows_of_days
from retrain_ops.data.processed import read_processed
from retrain_ops.data.reference import build_reference, slice_levels
from retrain_ops.data.source import day_index
from retrain_ops.data.window_rows import pulled_columns
from retrain_ops.errors import ValidationError
from retrain_ops.models.mlflow_flavor import MODEL_FILE
from retrain_ops.models.training import TrainedModel, TrainingData, resolve_trainer
from retrain_ops.problems import problem_of
from retrain_ops.run import Run
from retrain_ops.spec.train import is_library
from retrain_ops.stats.rounding import to_significant
from retrain_ops.stats.rules import quiet
from retrain_ops.workspace import canonical_json

# By round, for MLflow: how a training went is no part of what was decided.
LOSSES_FILE = "losses.json"


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What was trained; `threshold_end` is the newest day that chose the threshold.

    `threshold_by` and `threshold_value` are the rule that did, where it is not the best F1;
    `left_out` counts the rows whose labels `[noise]` found too doubtful, by day and slice;
    `replayed` those of `rows` that are of days before the window; `classes` are what a model of
    several tells apart, in the order of its probabilities.
    """

    model_sha256: str
    reference_sha256: str
    threshold: float | None
    rows: int
    positives: int
    train_start: str
    train_end: str
    threshold_end: str
    threshold_by: str = quiet("f1")
    threshold_value: float | None = quiet(None)
    left_out: LeftOut | None = quiet(None)
    replayed: int | None = quiet(None)
    classes: tuple[str, ...] = quiet(())

    @property
    def status(self) -> str:
        """Always `ok`: what cannot be trained is an error."""
        return "ok"

    @property
    def summary(self) -> str:
        """One line for people."""
        doubtful = sum((self.left_out or {}).get("day", {}).values())
        without = f", without {doubtful} whose labels are doubtful" if doubtful else ""
        old = f", {self.replayed} of them from memory" if self.replayed else ""
        return f"{self.rows} rows, {self.train_start} to {self.train_end}{old}{without}"


def train(run: Run) -> TrainResult:
    """Trains on `window.train` and writes `model.rtm`, `reference.json` and `losses.json`.

    Raises:
        ValidationError: the training days hold no labelled rows, or all have one label.
    """
    table = read_processed(run.workspace, run.window.end, days=run.window.train, columns=_seen(run))
    trainer = resolve_trainer(run.spec.model.trainer)
    rows, left_out = training_data(run, table), None
    if run.spec.noise is not None:
        rows, left_out = without_noise(run, rows, trainer, run.spec.noise)
    rows, replayed = with_replay(run, rows, trainer)
    if run.spec.learn is not None:
        model: TrainedModel = learnt(run, rows, run.spec.learn)
    else:
        model = trainer(
            rows,
            params=run.spec.train,
            seed=run.spec.model.seed,
            n_threads=run.n_threads,
        )
    data, reference = model.to_bytes(), canonical_json(_reference(run, table))
    run.workspace.write(run.path(MODEL_FILE), data)
    run.workspace.write(run.path(REFERENCE_FILE), reference)
    losses = [to_significant(loss) for loss in getattr(model, "losses", ())]
    run.workspace.write_json(run.path(LOSSES_FILE), {"oof_log_loss": losses})
    first, last = run.window.train[0].isoformat(), run.window.train[-1].isoformat()
    return TrainResult(
        model_sha256=hashlib.sha256(data).hexdigest(),
        reference_sha256=hashlib.sha256(reference).hexdigest(),
        threshold=problem_of(run.spec).threshold(model),
        rows=len(rows.label),
        positives=labels_of(run.spec).positives(rows.table[run.spec.source.label]),
        train_start=first,
        train_end=last,
        threshold_end=last,
        threshold_by=run.spec.model.threshold,
        threshold_value=run.spec.model.threshold_value,
        left_out=left_out,
        replayed=replayed,
        classes=rows.classes,
    )


def _seen(run: Run) -> tuple[str, ...] | None:
    """The columns that are read; a trainer of the user's own may look at any."""
    if ":" in run.spec.model.trainer and not is_library(run.spec.model.trainer):
        return None
    return pulled_columns(run.spec)


def training_data(run: Run, table: pa.Table) -> TrainingData:
    """What a trainer gets: the labelled rows of the training days.

    Raises:
        ValidationError: there are none, or all have one label.
    """
    table = labelled(rows_of_days(table, run.window.train), run.spec)
    labels = labels_of(run.spec)
    label = labels.values(table, run.spec.source.label)
    lacking = labels.lacking(label)
    if lacking:
        first, last = run.window.train[0], run.window.train[-1]
        raise ValidationError(
            f"{run.retrain_key}: the training days {first} to {last} hold {label.size} rows with a "
            f"known {run.spec.source.label}, {lacking}: there is nothing to learn"
        )
    learnt, classes = labels.learnt(label)
    return TrainingData(
        table=table,
        day=day_index(table)[0],
        label=learnt,
        numeric=run.spec.features.numeric,
        categorical=run.spec.features.categorical,
        threshold=run.spec.threshold,
        problem=run.spec.model.problem,
        classes=classes,
    )


def _reference(run: Run, table: pa.Table) -> dict[str, object]:
    """All features are frozen, not today's drift set alone: the set may change later.

    The levels of the label are those of the rows that have one: no other is judged.
    """
    label = run.spec.source.label
    found = build_reference(
        table,
        numeric=run.spec.features.numeric,
        categorical=run.spec.features.categorical,
        slices=run.spec.slice_columns,
        bins=run.spec.drift.bins,
        n_threads=run.n_threads,
    )
    if label in run.spec.slice_columns:
        found["slices"][label] = slice_levels(labelled(table, run.spec), label)[0]
    return found
