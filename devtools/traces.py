"""What one day of a toy model left behind: everything that a second attempt could double."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

from retrain_ops.decisions.record import Decision, read_decision
from retrain_ops.mlflow.tracking import experiment_name
from retrain_ops.run import Run, RunContext, open_run


def open_toy(folder: Path, model: str, day: date, tracking_uri: str, **context: Any) -> Run:
    """A day of a model of `folder/toy.toml`."""
    return open_run(
        folder / "toy.toml",
        date=day,
        workspace=str(folder / "workspace"),
        tracking_uri=tracking_uri,
        model=model,
        n_threads=1,
        context=RunContext(**context),
    )


def traces(folder: Path, model: str, day: date, tracking_uri: str) -> dict[str, Any]:
    """Runs, versions, events, aliases, files, feature rows; equal for models with equal days."""
    run = open_toy(folder, model, day, tracking_uri)
    experiment = run.client.get_experiment_by_name(experiment_name(run))
    assert experiment is not None
    runs = run.client.search_runs([experiment.experiment_id])
    snapshot = run.registry.snapshot()
    candidate = run.registry.open_candidate()
    processed = folder / "workspace" / "data" / "processed" / model
    files = sorted(str(p.relative_to(processed)) for p in processed.rglob("*.parquet"))
    return {
        "runs": sorted(r.tags["execution_date"] for r in runs),
        "versions": [v.window_end.isoformat() for v in run.registry.versions()],
        "events": [(e.kind, e.version, e.previous) for e in snapshot.events],
        "aliases": dict(snapshot.aliases),
        "open": candidate and (candidate.number, candidate.state),
        "files": files,
        "torn": [p.name for p in (folder / "workspace" / model).rglob("*.tmp")],
        "feature_rows": _feature_rows(folder / "features.db", model),
        "decision": _content(read_decision(run.workspace, run.window.end)),
    }


def _feature_rows(database: Path, model: str) -> list[tuple[str, int, int]]:
    """By window: rows, and how many different ones."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT retrain_key, COUNT(*), COUNT(DISTINCT request_id) FROM features"
            " WHERE retrain_key LIKE ? GROUP BY 1 ORDER BY 1",
            (f"{model}/%",),
        ).fetchall()
    return [(key.rpartition("/")[2], count, different) for key, count, different in rows]


def _content(decision: Decision | None) -> dict[str, Any]:
    """A decision without the model's name, which differs from case to case."""
    assert decision is not None
    kept: dict[str, Any] = {k: decision.get(k) for k in ("outcome", "reason", "gate", "holdout")}
    hashes = decision.get("hashes")
    return kept | {"model_sha256": hashes["model_sha256"] if hashes else None}
