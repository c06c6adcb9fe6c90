"""evaluate: champion and challenger on the same hold-out rows, as counts per day and slice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from retrain_ops import _core
from retrain_ops.comparison.degraded import seen_until
from retrain_ops.comparison.scoring import (
    REFERENCE_FILE,
    Scores,
    decide,
    load_challenger,
    load_version,
    model_folder,
    score,
)
from retrain_ops.data.categories import slice_codes
from retrain_ops.data.labels import label_values, labelled, rows_of_days
from retrain_ops.data.processed import read_processed
from retrain_ops.data.source import day_index
from retrain_ops.decisions.curves import REPORT_FILE, curve, usable
from retrain_ops.decisions.judge import ALL_ROWS, f1_of_cells
from retrain_ops.decisions.record import champion_of_key
from retrain_ops.errors import DataError
from retrain_ops.mlflow.tracking import log_run
from retrain_ops.models.mlflow_flavor import MODEL_FILE, mlmodel_yaml
from retrain_ops.models.training import NATIVE
from retrain_ops.registry.registry import Version
from retrain_ops.run import Run, note
from retrain_ops.stats.ranks import roc_auc
from retrain_ops.stats.rounding import to_significant
from retrain_ops.steps.train import LOSSES_FILE


@dataclass(frozen=True, slots=True)
class EvaluateResult:
    """Joint counts of label, champion decision and challenger decision.

    `cells[column][level]` is one list of 8 counts per day of `days`; the index
    of a count is 4 * label + 2 * champion + challenger. Column "" is all rows.
    `calibration` counts the challenger's scores by bin, None when they are no probabilities.
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
    calibration: dict[str, list[int]] | None
    hashes: dict[str, str]

    @property
    def status(self) -> str:
        """Always `ok`: the verdict is promote_challenger's."""
        return "ok"

    @property
    def summary(self) -> str:
        """One line for people."""
        auc = f", AUC {self.auc_champion} -> {self.auc_challenger}" if self.rows else ""
        return f"{self.rows} hold-out rows on {len(self.days)} days{auc}"


def evaluate(run: Run) -> EvaluateResult:
    """Scores the hold-out and logs the day to MLflow.

    Raises:
        DataError: no labelled hold-out row is left to judge by.
    """
    champion = champion_of_key(run)
    days, cut = _fair_days(run, champion)
    requested = rows_of_days(read_processed(run.workspace, run.window.end), days)
    table = labelled(requested, run.spec.source.label)
    if table.num_rows == 0:
        raise DataError(f"{run.retrain_key}: the hold-out has no labelled rows on {len(days)} days")
    label = label_values(table, run.spec.source.label)
    challenger_scores, challenger = _challenger_scores(run, table)
    champion_scores, champion_decides = _champion_scores(run, champion, table)
    cells, codes = _joint_cells(run, table, label, champion_decides, challenger)
    curves = {
        "champion": curve(label, champion_scores),
        "challenger": curve(label, challenger_scores),
    }
    run.workspace.write_json(run.path(REPORT_FILE), {"curves": curves})
    result = EvaluateResult(
        days=[d.isoformat() for d in codes],
        cut_days=[d.isoformat() for d in cut],
        rows=table.num_rows,
        cells=cells,
        expected_levels={
            c: (run.read(REFERENCE_FILE) or {})["slices"][c] for c in run.spec.slice_columns
        },
        auc_champion=_auc(label, champion_scores),
        auc_challenger=_auc(label, challenger_scores),
        scores_usable=usable(challenger_scores) and bool(np.ptp(challenger_scores) > 0),
        labelled=table.num_rows,
        requests=requested.num_rows,
        model_bytes=len(run.workspace.read(run.path(MODEL_FILE)) or b""),
        calibration=curves["challenger"],
        hashes=_hashes(run),
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


def _challenger_scores(run: Run, table: pa.Table) -> tuple[Scores, np.ndarray]:
    model = load_challenger(run)
    scores = score(model, table, n_threads=run.n_threads)
    return scores, decide(model, scores)


def _champion_scores(
    run: Run, champion: Version | None, table: pa.Table
) -> tuple[Scores | None, np.ndarray]:
    """Without a champion the constant model stands in: it decides 1 for every row."""
    if champion is None:
        return None, np.ones(table.num_rows, dtype=np.uint8)
    model = load_version(run, champion)
    scores = score(model, table, n_threads=run.n_threads)
    return scores, decide(model, scores)


def _joint_cells(
    run: Run, table: pa.Table, label: np.ndarray, champion: np.ndarray, challenger: np.ndarray
) -> tuple[dict[str, dict[str, list[list[int]]]], tuple[date, ...]]:
    codes, days = day_index(table)
    cells = {}
    for column in (ALL_ROWS, *run.spec.slice_columns):
        if column == ALL_ROWS:
            levels, level = [ALL_ROWS], np.zeros(table.num_rows, dtype=np.int32)
        else:
            levels, level = slice_codes(table[column], column)
        counts = _core.joint_cells(
            codes,
            level,
            label,
            champion,
            challenger,
            len(days),
            len(levels),
            n_threads=run.n_threads,
        )
        cells[column] = {name: counts[:, i, :].tolist() for i, name in enumerate(levels)}
    return cells, days


def _auc(label: np.ndarray, scores: Scores | None) -> float | None:
    if scores is None or label.min() == label.max():
        return None
    return to_significant(roc_auc(label, scores))


def _hashes(run: Run) -> dict[str, str]:
    return {
        "data_sha256": run.require("pull_data")["data_sha256"],
        "spec_sha256": run.spec.sha256(),
        "model_sha256": run.require("train")["model_sha256"],
    }


def _log(run: Run, result: EvaluateResult) -> None:
    trained = run.require("train")
    drift = run.require("check_drift")
    logged = log_run(
        run,
        hashes=result.hashes,
        params=_params(run, trained, drift),
        metrics=_metrics(result, trained, drift),
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
    return {f"{folder}/MLmodel": _mlmodel(run.spec.model.trainer).encode(), **files}


def _mlmodel(trainer: str) -> str:
    return mlmodel_yaml() if trainer == NATIVE else mlmodel_yaml(trainer.partition(":")[0])


def _params(run: Run, trained: Mapping[str, Any], drift: Mapping[str, Any]) -> dict[str, str]:
    params = {f"train.{k}": str(v) for k, v in run.spec.train.items()}
    return params | {
        "trainer": run.spec.model.trainer,
        "seed": str(run.spec.model.seed),
        "train_start": trained["train_start"],
        "train_end": trained["train_end"],
        "reason": drift["reason"],
    }


def _metrics(
    result: EvaluateResult, trained: Mapping[str, Any], drift: Mapping[str, Any]
) -> dict[str, float]:
    totals = np.asarray(result.cells[ALL_ROWS][ALL_ROWS], dtype=np.int64).sum(axis=0)
    metrics = {
        "rows_train": float(trained["rows"]),
        "rows_holdout": float(result.rows),
        "threshold": trained["threshold"],
        "auc_challenger": result.auc_challenger,
        "auc_champion": result.auc_champion,
        "psi_max": drift["psi_max"],
        "f1_challenger": f1_of_cells(totals, bit=1),
        "f1_champion": f1_of_cells(totals, bit=2),
    }
    return {k: float(v) for k, v in metrics.items() if v is not None}
