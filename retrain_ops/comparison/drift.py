"""The newest days beside the reference that was frozen with the champion."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from retrain_ops.comparison.evidently import EvidentlyDrift, evidently_drift
from retrain_ops.comparison.scoring import REFERENCE_FILE, file_of_version
from retrain_ops.data.odd_days import (
    Oddity,
    counts_of_bins,
    counts_of_reference,
    odd_features,
)
from retrain_ops.data.reference import count_feature
from retrain_ops.data.source import day_index
from retrain_ops.data.window_rows import Strays, seen_rows
from retrain_ops.decisions.judge import drift_rules
from retrain_ops.errors import ConfigError, DataError, SourceError
from retrain_ops.registry.events import Version
from retrain_ops.run import Run
from retrain_ops.stats.drift import DriftReport, drift_report


class CurrentDrift(NamedTuple):
    """The report, the record of the counts for `drift_counts.json`, and what is odd about days.

    `rows` are those of the newest days that were compared, and `strays` what strayed of them.
    `evidently` is what Evidently says of them, where its statistics decide or its report is kept.
    """

    report: DriftReport
    record: dict[str, Any]
    odd: list[Oddity]
    rows: pa.Table
    strays: Strays
    evidently: EvidentlyDrift | None = None

    @property
    def decides(self) -> EvidentlyDrift | None:
        """Evidently's, where its statistics decide."""
        return self.evidently if self.evidently is not None and self.evidently.decides else None

    @property
    def triggered(self) -> bool:
        """Whether a day retrains, by the statistics that decide."""
        return (self.decides or self.report).triggered


def drift_of_features(run: Run, champion: Version) -> CurrentDrift:
    """The newest days against the champion's reference, counted into the same bins.

    Raises:
        ConfigError: a feature is not in the reference.
        SourceError: the newest days have no rows, or a feature is of another kind in all of them;
            where Evidently is asked, the champion's rows are gone.
    """
    frozen = json.loads(file_of_version(run, champion, REFERENCE_FILE))
    reference = frozen["features"]
    names = run.spec.drift_features
    unknown = [name for name in names if name not in reference]
    if unknown:
        raise ConfigError(
            f"the champion's reference has no feature {', '.join(unknown)}: it was trained by an "
            "older spec; retrain with --force"
        )
    table, strays = _current_rows(run)
    try:
        current = {n: count_feature(table, n, reference[n], n_threads=run.n_threads) for n in names}
    except DataError as problem:
        days = run.window.last_days(run.spec.drift.current_days)
        raise SourceError(f"the rows of {days[0]} to {days[-1]}: {problem}") from problem
    before = {n: np.asarray(reference[n]["counts"], dtype=np.int64) for n in names}
    report = drift_report(before, current, drift_rules(run.spec), seed=run.spec.model.seed)
    days = run.window.last_days(run.spec.drift.current_days)
    now = counts_of_bins(current, day_index(table)[1], days)
    odd = odd_features(now, counts_of_reference(frozen))
    theirs = None
    if run.spec.drift.engine == "evidently" or run.spec.drift.report:
        theirs = evidently_drift(run, champion, frozen["days"], table)
    return CurrentDrift(report, _counts_record(reference, current), odd, table, strays, theirs)


def _counts_record(
    reference: Mapping[str, Any], current: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """The counts behind the drift numbers; the reference's days stay in its own file."""
    features = {}
    for name, counts in current.items():
        frozen = reference[name]
        bins = {k: frozen[k] for k in ("kind", "edges", "levels") if k in frozen}
        totals = np.asarray(frozen["counts"], dtype=np.int64).sum(axis=0).tolist()
        features[name] = {**bins, "reference": totals, "current": counts.tolist()}
    return {"features": features}


def _current_rows(run: Run) -> tuple[pa.Table, Strays]:
    days = run.spec.drift.current_days
    newest = run.window.last_days(days)
    table, strays = seen_rows(run.source, newest, run.spec.drift_features, run.instant)
    if table.num_rows == 0:
        raise SourceError(
            f"{run.retrain_key}: the {days} days before the run have no rows, so nobody can say "
            "whether they drifted; load them and run again"
        )
    return table, strays
