"""Counts of everything that a second run could double, and what became of them."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any

import pyarrow.parquet as pq

from devtools.flights_week.places import Places
from retrain_ops.decisions.record import DECISION_FILE
from retrain_ops.mlflow.tracking import experiment_name
from retrain_ops.run import Run

# Compared before and after; everything in them must stay as it was.
KINDS = (
    "processed_files",
    "processed_rows",
    "feature_rows",
    "mlflow_runs",
    "versions",
    "events",
    "aliases",
    "decisions",
)


def count(places: Places, days: Sequence[date], tracking_uri: str) -> dict[str, Any]:
    """What is there now, by window end where it belongs to one."""
    run = places.open_run(days[-1], tracking_uri)
    files = sorted((places.workspace / "data" / "processed" / run.model).rglob("*.parquet"))
    rows = Counter[str]()
    for file in files:
        rows[file.parent.name.removeprefix("window_end=")] += pq.read_metadata(file).num_rows
    snapshot = run.registry.snapshot()
    return {
        "processed_files": len(files),
        "processed_rows": dict(sorted(rows.items())),
        "feature_rows": _feature_rows(places, run),
        "mlflow_runs": _by_window(r.tags["execution_date"] for r in _mlflow_runs(run)),
        "versions": _by_window(v.window_end.isoformat() for v in run.registry.versions()),
        "events": len(snapshot.events),
        "aliases": dict(sorted(snapshot.aliases.items())),
        "decisions": {day.isoformat(): _digest(places, day, tracking_uri) for day in days},
    }


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The kinds that changed; a proof wants none."""
    return [kind for kind in KINDS if before[kind] != after[kind]]


def show(stages: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """Totals side by side, stage by stage."""
    titles = (
        "files in data/processed",
        "rows in data/processed",
        "rows in the feature table",
        "MLflow runs",
        "most MLflow runs of one window",
        "model versions",
        "changes of @champion",
        "aliases",
    )
    columns = [_totals(counts) for _, counts in stages]
    lines = ["".ljust(32) + "".join(name.rjust(26) for name, _ in stages)]
    for i, title in enumerate(titles):
        lines.append(title.ljust(32) + "".join(column[i].rjust(26) for column in columns))
    return "\n".join(lines)


def _totals(counts: dict[str, Any]) -> tuple[str, ...]:
    runs = counts["mlflow_runs"]
    aliases = ", ".join(f"{name} {number}" for name, number in counts["aliases"].items())
    numbers = (
        counts["processed_files"],
        sum(counts["processed_rows"].values()),
        sum(counts["feature_rows"].values()),
        sum(runs.values()),
        max(runs.values(), default=0),
        sum(counts["versions"].values()),
        counts["events"],
    )
    return (*(f"{number:,}" for number in numbers), aliases)


def _mlflow_runs(run: Run) -> list[Any]:
    experiment = run.client.get_experiment_by_name(experiment_name(run))
    return run.client.search_runs([experiment.experiment_id]) if experiment else []


def _feature_rows(places: Places, run: Run) -> dict[str, int]:
    if not places.features.exists():
        return {}
    table = run.spec.publish.table
    with contextlib.closing(sqlite3.connect(places.features)) as database:
        query = f'SELECT retrain_key, COUNT(*) FROM "{table}" GROUP BY 1 ORDER BY 1'
        return dict(database.execute(query).fetchall())


def _by_window(ends: Any) -> dict[str, int]:
    return dict(sorted(Counter(ends).items()))


def _digest(places: Places, day: date, tracking_uri: str) -> str:
    run = places.open_run(day, tracking_uri)
    data = run.workspace.read(run.path(DECISION_FILE)) or b""
    return hashlib.sha256(data).hexdigest()
