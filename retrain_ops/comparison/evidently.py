"""Evidently's statistics of the newest days beside the rows that the champion was trained on.

Evidently is imported when a spec asks for it; it needs pandas below 3.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, cast

import numpy as np
import pyarrow as pa

from retrain_ops.data.categories import numbers, texts
from retrain_ops.data.processed import read_processed
from retrain_ops.decisions.judge import drifted_by
from retrain_ops.decisions.record import ColumnScore, EngineRecord
from retrain_ops.errors import ConfigError, DataError, SourceError, import_problem
from retrain_ops.registry.events import Version
from retrain_ops.run import Run
from retrain_ops.spec.evidently import EvidentlyTable
from retrain_ops.spec.spec import RetrainSpec
from retrain_ops.stats.rounding import to_json_value

__all__ = ["EvidentlyDrift", "evidently_drift"]


@dataclass(frozen=True, slots=True)
class EvidentlyDrift:
    """What Evidently `version` says of each column, and its snapshot, which has the pictures."""

    version: str
    columns: Mapping[str, ColumnScore]
    share: float
    decides: bool
    snapshot: Any = field(repr=False, compare=False)

    @property
    def triggered(self) -> bool:
        """Whether enough columns have drifted: any, or the share that the spec asks for."""
        return drifted_by(self.to_record())

    def to_record(self) -> EngineRecord:
        """Plain data, floats to 9 significant digits."""
        columns = cast(dict[str, ColumnScore], to_json_value(dict(self.columns)))
        return {
            "name": "evidently",
            "version": self.version,
            "share": self.share,
            "columns": columns,
        }


def evidently_drift(
    run: Run, champion: Version, days: Sequence[str], current: pa.Table
) -> EvidentlyDrift:
    """Evidently's statistics over the spec's drift features.

    Args:
        run: the run.
        champion: whose rows are the reference, as it pulled them.
        days: its training days, as their dates' text.
        current: the newest days' rows.

    Raises:
        ConfigError: Evidently is not there, or does not know a method.
        SourceError: the champion's rows are gone.
    """
    names = run.spec.drift_features
    try:
        rows = read_processed(
            run.workspace,
            champion.window_end,
            days=[date.fromisoformat(day) for day in days],
            columns=names,
        )
    except DataError as problem:
        raise SourceError(
            f"Evidently compares rows, and those of the champion {champion.retrain_key} cannot be "
            f'read: {problem}; or set engine = "native", which needs its counts alone'
        ) from problem
    columns = {name: _values(run.spec, rows, name) for name in names}
    newest = {name: _values(run.spec, current, name) for name in names}
    known = [n for n in names if columns[n].size and newest[n].size]
    return _scored(run, {n: columns[n] for n in known}, {n: newest[n] for n in known})


def _values(spec: RetrainSpec, table: pa.Table, name: str) -> Any:
    """A column's values, those that are missing left out, as Evidently leaves them out itself."""
    if name in spec.features.numeric:
        values = numbers(table[name], name).astype(np.float64)
        return values[np.isfinite(values)]
    return np.asarray(texts(table[name], name).drop_null().to_pylist(), dtype=object)


def _scored(run: Run, reference: Mapping[str, Any], current: Mapping[str, Any]) -> EvidentlyDrift:
    evidently = _imported()
    table = run.spec.drift.evidently
    scores: dict[str, ColumnScore] = {
        name: {"method": None, "score": None, "threshold": None, "drifted": False}
        for name in run.spec.drift_features
    }
    snapshot = None
    if current:
        snapshot = _snapshot(run, table, reference, current)
        scores |= dict(_scores(snapshot.dict()))
    decides = run.spec.drift.engine == "evidently"
    return EvidentlyDrift(evidently.__version__, scores, table.share, decides, snapshot)


def _snapshot(
    run: Run, table: EvidentlyTable, reference: Mapping[str, Any], current: Mapping[str, Any]
) -> Any:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    numeric = [name for name in current if name in run.spec.features.numeric]
    defined = DataDefinition(
        numerical_columns=numeric,
        categorical_columns=[name for name in current if name not in numeric],
    )
    preset = DataDriftPreset(columns=[*current], **_options(table, current))
    given = {"timestamp": run.instant.replace(tzinfo=None), "name": run.retrain_key}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return Report([preset], include_tests=True).run(
                Dataset.from_pandas(_frame(current), defined),
                Dataset.from_pandas(_frame(reference), defined),
                metadata={"model": run.model, "retrain_key": run.retrain_key},
                **given,
            )
        except Exception as problem:
            raise _refused(run, problem) from problem


def _refused(run: Run, problem: Exception) -> Exception:
    """What Evidently says of a method that it does not know, or that a column cannot have."""
    words = ("StatTestNotFound", "StatTestInvalidFeatureType")
    if any(word in type(problem).__name__ for word in words):
        return run.spec.error("drift", "evidently", f"Evidently refuses it: {problem}")
    return DataError(f"{run.retrain_key}: Evidently cannot compare the rows: {problem}")


def _options(table: EvidentlyTable, columns: Mapping[str, Any]) -> dict[str, Any]:
    """The table in Evidently's words."""
    given = {
        "method": table.method,
        "num_method": table.numeric_method,
        "cat_method": table.categorical_method,
        "per_column_method": {n: m for n, m in table.methods.items() if n in columns},
        "threshold": table.threshold,
        "num_threshold": table.numeric_threshold,
        "cat_threshold": table.categorical_threshold,
        "per_column_threshold": {n: t for n, t in table.thresholds.items() if n in columns},
        "drift_share": table.share,
    }
    return {name: value for name, value in given.items() if value}


def _frame(columns: Mapping[str, Any]) -> Any:
    """Columns side by side; a shorter one, of fewer known values, is filled with missing ones."""
    import pandas as pd

    return pd.DataFrame({name: pd.Series(values) for name, values in columns.items()})


def _scores(found: Mapping[str, Any]) -> list[tuple[str, ColumnScore]]:
    """Columns of a snapshot; whether one has drifted is what its test says."""
    failed = {
        test["metric_config"]["metric_id"]: test["status"] == "FAIL" for test in found["tests"]
    }
    return [
        (
            metric["config"]["column"],
            {
                "method": str(metric["config"]["method"]),
                "score": float(metric["value"]),
                "threshold": float(metric["config"]["threshold"]),
                "drifted": failed[metric["id"]],
            },
        )
        for metric in found["metrics"]
        if "column" in metric["config"]
    ]


def _imported() -> Any:
    try:
        import evidently
    except ImportError as error:
        packages = "'retrain-ops[evidently]', with pandas below 3"
        raise ConfigError(import_problem(error, "Evidently", packages)) from error
    return evidently
