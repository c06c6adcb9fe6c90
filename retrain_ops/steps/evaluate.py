"""evaluate: champion and challenger on the same hold-out rows, as counts per day and slice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from retrain_ops.comparison.counts import count_models
from retrain_ops.comparison.degraded import seen_until
from retrain_ops.comparison.scoring import (
    REFERENCE_FILE,
    load_challenger,
    load_version,
    mlmodel_of,
    model_folder,
)
from retrain_ops.comparison.seasons import count_seasons
from retrain_ops.data.labels import labelled, labels_of
from retrain_ops.data.memory import MEMORY_FILE
from retrain_ops.data.processed import read_processed
from retrain_ops.decisions.champion import champion_of_key
from retrain_ops.decisions.curves import REPORT_FILE
from retrain_ops.decisions.seasons import SeasonRecord
from retrain_ops.errors import DataError, ValidationError
from retrain_ops.mlflow.tracking import log_run
from retrain_ops.models.mlflow_flavor import MODEL_FILE, environment_files
from retrain_ops.problems import BINARY, problem_of
from retrain_ops.problems.problem import Constant
from retrain_ops.registry.events import Version
from retrain_ops.run import Run, note
from retrain_ops.stats.cells import ALL_ROWS, CHALLENGER, CHAMPION, day_cells
from retrain_ops.stats.gates import metric_days
from retrain_ops.stats.metrics import F1, Metric
from retrain_ops.stats.paired import score_by_days
from retrain_ops.stats.rounding import to_significant
from retrain_ops.stats.rules import quiet
from retrain_ops.stats.sums import Sums
from retrain_ops.stats.tables import Cells
from retrain_ops.steps.train import LOSSES_FILE


@dataclass(frozen=True, slots=True)
class EvaluateResult:
    """What the hold-out counted.

    `cells[column][level]` is one list of 8 joint counts (:mod:`retrain_ops.stats.cells`) per day
    of `days`. `expected_levels` are those of the training days. `calibration` counts the
    challenger's scores by bin, None when they are not probabilities. `sums[kind][column][level]`
    (:mod:`retrain_ops.stats.sums`) are there when `[gate]` names a metric of scores, amounts or
    classes. `constant` is what a first model of amounts or classes was compared with, `above` the
    rows with a label above the median one, or not of the most common class. `seasons` are those
    that `[memory]` knows.
    """

    days: list[str]
    cut_days: list[str]
    rows: int
    cells: dict[str, dict[str, list[list[int]]]]
    expected_levels: dict[str, list[str]]
    auc_champion: float | None
    auc_challenger: float | None
    scores_usable: bool
    labelled: int
    requests: int
    model_bytes: int
    calibration: Mapping[str, Any] | None
    hashes: dict[str, str]
    sums: Sums | None = quiet(None)
    constant: Constant = quiet(None)
    above: int | None = quiet(None)
    seasons: Mapping[str, SeasonRecord] | None = quiet(None)

    @property
    def status(self) -> str:
        """Always `ok`: the verdict is promote_challenger's."""
        return "ok"

    @property
    def summary(self) -> str:
        """One line for people."""
        ranked = self.rows and self.auc_challenger is not None
        auc = f", AUC {self.auc_champion} -> {self.auc_challenger}" if ranked else ""
        return f"{self.rows} hold-out rows on {len(self.days)} days{auc}"


def evaluate(run: Run) -> EvaluateResult:
    """Scores the hold-out and logs the day to MLflow.

    Raises:
        ValidationError: no labelled hold-out row is left to judge by.
        DataError: what train wrote is not there.
    """
    champion = champion_of_key(run)
    days, cut = _fair_days(run, champion)
    requested = read_processed(run.workspace, run.window.end, days=days)
    table = labelled(requested, run.spec)
    if table.num_rows == 0:
        raise ValidationError(
            f"{run.retrain_key}: the hold-out has no row with a known {run.spec.source.label} on "
            f"{len(days)} days"
        )
    levels, problem = _expected_levels(run), problem_of(run.spec)
    constant = _constant(run) if champion is None else None
    old, new = None if champion is None else load_version(run, champion), load_challenger(run)
    counted = count_models(
        run,
        table,
        old,
        new,
        slices=run.spec.slice_columns,
        constant=constant,
    )
    pictures = {
        "champion": problem.picture(counted.label, counted.champion),
        "challenger": problem.picture(counted.label, counted.challenger),
    }
    run.workspace.write_json(run.path(REPORT_FILE), {problem.picture_name: pictures})
    result = EvaluateResult(
        days=[d.isoformat() for d in counted.days],
        cut_days=[d.isoformat() for d in cut],
        rows=table.num_rows,
        cells=_plain(counted.cells),
        expected_levels=levels,
        auc_champion=problem.rank(counted.label, counted.champion),
        auc_challenger=problem.rank(counted.label, counted.challenger),
        scores_usable=problem.usable(counted.challenger),
        labelled=table.num_rows,
        requests=requested.num_rows,
        model_bytes=len(run.workspace.read(run.path(MODEL_FILE)) or b""),
        calibration=pictures["challenger"] if problem is BINARY else None,
        hashes=_hashes(run),
        sums=counted.sums or None,
        constant=constant,
        above=problem.above(counted.label) if champion is None else None,
        seasons=count_seasons(run, champion, old, new) if champion and old else None,
    )
    _log(run, result)
    return result


def _fair_days(run: Run, champion: Version | None) -> tuple[tuple[date, ...], tuple[date, ...]]:
    """Hold-out days that the champion neither learnt from nor chose its threshold on."""
    if champion is None:
        return run.window.holdout, ()
    seen = seen_until(champion)
    fair = tuple(d for d in run.window.holdout if d.isoformat() > seen)
    return fair, tuple(d for d in run.window.holdout if d not in fair)


def _constant(run: Run) -> Constant:
    """What the constant model says that a first champion has to beat."""
    name = run.spec.source.label
    table = read_processed(run.workspace, run.window.end, days=run.window.train, columns=[name])
    label = labels_of(run.spec).values(labelled(table, run.spec), name)
    return problem_of(run.spec).stand_in(label, run.spec.gate)


def _expected_levels(run: Run) -> dict[str, list[str]]:
    """The levels of each slice column on the training days, from the frozen reference.

    Raises:
        DataError: the reference is not there, or it does not know a slice column.
    """
    reference = run.read(REFERENCE_FILE)
    where = run.workspace.absolute(run.path(REFERENCE_FILE))
    if reference is None:
        raise DataError(f"{run.retrain_key}: {where} is not there; run train again")
    levels: dict[str, list[str]] = reference.get("slices", {})
    unknown = [column for column in run.spec.slice_columns if column not in levels]
    if unknown:
        raise DataError(
            f"{run.retrain_key}: {where} has no levels of the slice column {', '.join(unknown)}: "
            "it was written by an older spec; run train again"
        )
    return {column: levels[column] for column in run.spec.slice_columns}


def _plain(cells: Cells) -> dict[str, dict[str, list[list[int]]]]:
    return {
        column: {level: counts.tolist() for level, counts in by.items()}
        for column, by in cells.items()
    }


def _hashes(run: Run) -> dict[str, str]:
    return {
        "data_sha256": run.require("pull_data")["data_sha256"],
        "spec_sha256": run.spec.sha256(),
        "model_sha256": run.require("train")["model_sha256"],
        **_memory_hash(run),
    }


def _memory_hash(run: Run) -> dict[str, str]:
    """Of the list of samples that train saw; nothing without `[memory]`."""
    noted = run.workspace.read(run.path(MEMORY_FILE)) if run.spec.memory else None
    return {} if noted is None else {"memory_sha256": hashlib.sha256(noted).hexdigest()}


def _log(run: Run, result: EvaluateResult) -> None:
    trained = run.require("train")
    drift = run.require("check_drift")
    logged = log_run(
        run,
        hashes=result.hashes,
        params=_params(run, trained, drift),
        metrics=_metrics(result, trained, drift, run.spec.gate.scored_by),
        history=run.read(LOSSES_FILE) or {},
        files=_files(run, model_folder(trained)),
    )
    note(
        run,
        mlflow_run_id=logged.run_id,
        mlflow_experiment_id=logged.experiment_id,
        artifact_uri=logged.artifact_uri,
    )


def _files(run: Run, folder: str) -> dict[str, bytes]:
    """What MLflow keeps of the model; train has just written it."""
    kept = {name: run.workspace.read(run.path(name)) for name in (MODEL_FILE, REFERENCE_FILE)}
    files = {f"{folder}/{name}": data for name, data in kept.items() if data is not None}
    mlmodel = mlmodel_of(run, run.spec.model.trainer, run.window.end)
    needed = environment_files(run.spec.model.trainer)
    beside = {f"{folder}/{name}": text.encode() for name, text in needed.items()}
    return {f"{folder}/MLmodel": mlmodel, **beside, **files}


def _params(run: Run, trained: Mapping[str, Any], drift: Mapping[str, Any]) -> dict[str, str]:
    params = {f"train.{k}": str(v) for k, v in run.spec.train.items()}
    return params | {
        "trainer": run.spec.model.trainer,
        "seed": str(run.spec.model.seed),
        "train_start": trained["train_start"],
        "train_end": trained["train_end"],
        "reason": drift["reason"],
    }


def _logged_name(metric: Metric) -> str:
    """Older servers of MLflow refuse the colon of a metric of one's own."""
    return metric.name.replace(":", ".")


def _metrics(
    result: EvaluateResult, trained: Mapping[str, Any], drift: Mapping[str, Any], metric: Metric
) -> dict[str, float]:
    """The spec's metric under its own name, and F1 beside any other of a yes or no."""
    cells = day_cells(result.cells[ALL_ROWS][ALL_ROWS])
    bootstrap = drift["champion"] is None  # nobody is there to compare with: no sums either
    scores = {
        f"{scored_by.name.replace(':', '.')}_{role}": to_significant(
            score_by_days(days, said, scored_by)[0]
        )
        for scored_by in ((F1, metric) if metric.problem == "binary" else (metric,))
        if not (bootstrap and scored_by.kind and scored_by.kind not in (result.sums or {}))
        for days in [metric_days(cells, scored_by, result.sums or {}, ALL_ROWS, ALL_ROWS)]
        for role, said in (("challenger", CHALLENGER), ("champion", CHAMPION))
        if role == "challenger" or not bootstrap
    }
    left_out = trained.get("left_out")
    metrics = {
        "rows_train": float(trained["rows"]),
        "rows_holdout": float(result.rows),
        "threshold": trained["threshold"],
        "auc_challenger": result.auc_challenger,
        "auc_champion": result.auc_champion,
        "psi_max": drift["psi_max"],
        **({"rows_left_out": sum(left_out["day"].values())} if left_out else {}),
        "rows_replayed": trained.get("replayed"),
        **{
            f"{_logged_name(metric)}_{role}_{name}": season[role]
            for name, season in (result.seasons or {}).items()
            for role in ("champion", "challenger")
        },
        **scores,
    }
    return {k: float(v) for k, v in metrics.items() if v is not None}
