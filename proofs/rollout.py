"""Rollout to both of its ends on real flights, without waiting for real days.

One candidate is watched day by day until its canary is kept with all traffic.
Then a bad model (trained on reversed labels, and opened by hand past all gates)
is watched until it is rolled back by itself, and rolled back once more by hand,
which changes nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from devtools.weeks import SPEC
from retrain_ops.cli.main import run_day
from retrain_ops.comparison.scoring import REFERENCE_FILE, file_of_version
from retrain_ops.data.processed import read_processed
from retrain_ops.models.mlflow_flavor import MODEL_FILE
from retrain_ops.models.tabular import TabularModel
from retrain_ops.models.training import train_gbdt
from retrain_ops.registry.events import SHARE_TAG, Version
from retrain_ops.run import Run, RunContext, open_run
from retrain_ops.steps.pull_data import pull_data
from retrain_ops.steps.train import training_data

MODEL = "flights_rollout"


def prove(tracking_uri: str, workspace: Path, monday: date) -> dict[str, Any]:
    """Plays both ends and returns what happened, day by day."""

    def run_of(day: date, **context: bool) -> Run:
        return open_run(
            SPEC,
            date=day,
            workspace=str(workspace),
            tracking_uri=tracking_uri,
            model=MODEL,
            context=RunContext(**context),
        )

    _play(run_of(monday - timedelta(days=7), bootstrap=True))
    kept, day = _until(run_of, monday, "kept")
    bad = _plant(run_of(day))
    rolled_back, day = _until(run_of, day + timedelta(days=1), "rolled_back")
    registry = run_of(day).registry
    aliases = dict(registry.snapshot().aliases)
    now = datetime.now(UTC)
    epoch = registry.snapshot().epoch
    registry.rollback(registry.version(bad.number), effective_from=now, recorded_at=now)
    return {
        "kept": kept,
        "rolled_back": rolled_back,
        "second_rollback_moved_something": registry.snapshot().epoch != epoch
        or dict(registry.snapshot().aliases) != aliases,
        "aliases": aliases,
        "share_of_kept": registry.version(aliases["champion"]).tags.get(SHARE_TAG),
    }


def _play(run: Run) -> list[dict[str, Any]]:
    output = run_day(run)
    if output.get("exit_code"):
        raise RuntimeError(f"{run.retrain_key}: {output['message']}")
    steps: list[dict[str, Any]] = output["steps"]
    return steps


def _until(run_of: Any, day: date, verdict: str) -> tuple[list[str], date]:
    """Plays days until watch_canary says `verdict`; its line of every day that had a canary."""
    told = []
    for _ in range(60):
        steps = _play(run_of(day))
        watch = next(s for s in steps if s["step"] == "watch_canary")
        if watch["status"] != "idle":
            told.append(f"{day}: {watch['summary']}")
        if watch.get("verdict") == verdict:
            return told, day
        day += timedelta(days=1)
    raise RuntimeError(f"60 days passed and no canary was {verdict}")


def _plant(run: Run) -> Version:
    """A model of reversed labels as the next champion, with every gate passed by hand."""
    pull_data(run)  # the day may have had no reason to train
    model = _wrong_model(run)
    tomorrow = run.spec.window_at(run.window.end + timedelta(days=1))
    planted = replace(run, window=tomorrow)
    serving = run.registry.champion_as_of(run.instant)
    assert serving is not None
    reference = file_of_version(run, serving, REFERENCE_FILE)
    for name, data in ((MODEL_FILE, model.to_bytes()), (REFERENCE_FILE, reference)):
        run.client.upload_artifact(serving.source, f"planted/{name}", data)
    version = planted.registry.register(
        run_id=serving.run_id,
        source=f"{serving.source}/planted",
        tags={
            "retrain_key": f"{planted.retrain_key}-planted",
            "execution_date": planted.window.end.isoformat(),
            "model_sha256": hashlib.sha256(model.to_bytes()).hexdigest(),
            "reference_sha256": hashlib.sha256(reference).hexdigest(),
            "train_end": run.window.train[-1].isoformat(),
            "threshold_end": run.window.train[-1].isoformat(),
        },
        description="planted: reversed labels",
    )
    planted.registry.open_shadow(version, opened_at=planted.instant)
    version = planted.registry.version(version.number)
    planted.registry.promote(
        version,
        kind="promote",
        effective_from=planted.instant,
        recorded_at=datetime.now(UTC),
        share=run.spec.canary.share,
    )
    return version


def _wrong_model(run: Run) -> TabularModel:
    """Trained on reversed labels, and sure of the fifth of the flights it ranks highest."""
    label = run.spec.source.label
    table = read_processed(run.workspace, run.window.end)
    reversed_label = pc.subtract(pa.scalar(1, type=pa.int8()), table[label])
    table = table.set_column(table.schema.get_field_index(label), label, reversed_label)
    data = training_data(run, table)
    model = train_gbdt(data, params=run.spec.train, seed=run.spec.model.seed, n_threads=0)
    return model.with_threshold(float(np.quantile(model.scores(data.table), 0.8)))
