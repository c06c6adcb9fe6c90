"""Real model pairs on real days: the raw material of the calibration bench.

Models trained a week apart all through 2013, each pair on the days that follow the newer one:
int64[days, 8] for all rows and per level of origin and carrier, and the rows with both scores,
kept in build/bench/.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from retrain_ops import _core
from retrain_ops.comparison.scoring import decide, score
from retrain_ops.data.categories import slice_codes
from retrain_ops.data.source import Source, day_index
from retrain_ops.examples.flights import main as load_flights
from retrain_ops.models.training import TrainingData, resolve_trainer
from retrain_ops.spec.spec import RetrainSpec, load_spec
from retrain_ops.spec.window import DAY
from retrain_ops.stats.tables import PairedRows
from retrain_ops.stats.thresholds import Threshold

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / "build" / "bench" / "flights_pairs.json"
SCORES = CACHE.with_suffix(".npz")
FIRST, LAST = date(2013, 1, 1), date(2013, 12, 31)
TRAIN_DAYS, STEP_DAYS, HORIZON_DAYS = 22, 7, 21
COLUMNS = ("origin", "carrier")
COLUMNS_OF_ROWS = ("day", "label", "older", "newer")
FLOOR = 0.5


@dataclass(frozen=True)
class Pair:
    """Two models on `days` consecutive days; `cells[column][level]` is int64[days, 8].

    `rows` have the decisions at the best F1 out of fold, `at_floor` those at the best recall with
    a precision of `FLOOR`.
    """

    first_day: str
    cells: dict[str, dict[str, np.ndarray]]
    rows: PairedRows | None = None
    at_floor: PairedRows | None = None

    @property
    def days(self) -> np.ndarray:
        """All rows."""
        return self.cells[""][""]


def load_pairs() -> list[Pair]:
    """The pairs of the year; trained and counted once, then read."""
    if not (CACHE.exists() and SCORES.exists()):
        CACHE.parent.mkdir(parents=True, exist_ok=True)
        counted, scored = _count_year()
        CACHE.write_text(json.dumps(counted))
        np.savez(SCORES, **scored)
    with np.load(SCORES) as scored:
        return [_read(p, scored) for p in json.loads(CACHE.read_text())]


def _read(stored: dict[str, Any], scored: Any) -> Pair:
    cells = {
        column: {level: np.array(days, dtype=np.int64) for level, days in by.items()}
        for column, by in stored["cells"].items()
    }
    first_day = stored["first_day"]
    day, label, old, new = (scored[f"{first_day}.{name}"] for name in COLUMNS_OF_ROWS)
    rows, at_floor = (
        PairedRows(
            day=day,
            n_days=HORIZON_DAYS,
            label=label,
            decisions=((old >= a).astype(np.uint8), (new >= b).astype(np.uint8)),
            scores=(old, new),
        )
        for a, b in (stored["thresholds"], stored["floors"])
    )
    return Pair(first_day=first_day, cells=cells, rows=rows, at_floor=at_floor)


def _count_year() -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    source = os.environ.setdefault("FLIGHTS_SOURCE", str(ROOT / "build" / "data" / "flights"))
    if not Path(source).exists():
        load_flights([source])
    spec = load_spec(ROOT / "dags" / "flights.toml")
    columns = (*spec.features.all, spec.source.label)
    days = [FIRST + timedelta(days=i) for i in range((LAST - FIRST).days + 1)]
    end = datetime(2014, 1, 2, tzinfo=UTC)
    table = Source(spec).read(days, columns=columns, before=end)
    table = table.filter(table[spec.source.label].is_valid())
    pairs, scored, older = [], {}, None
    ends = range(TRAIN_DAYS, len(days) - HORIZON_DAYS + 1, STEP_DAYS)
    for end_index in ends:
        newer = _train(spec, _between(table, days[end_index - TRAIN_DAYS], days[end_index - 1]))
        if older is not None:
            judged = _between(table, days[end_index], days[end_index + HORIZON_DAYS - 1])
            first_day, models = days[end_index].isoformat(), (older[0], newer[0])
            scores = [score(model, judged, n_threads=0) for model in models]
            cells = _cells(spec, judged, models, scores)
            thresholds = {
                "thresholds": [model.threshold for model in models],
                "floors": [older[1], newer[1]],
            }
            pairs.append({"first_day": first_day, "cells": cells, **thresholds})
            columns = day_index(judged)[0], _labels(spec, judged), *scores
            for name, column in zip(COLUMNS_OF_ROWS, columns, strict=True):
                scored[f"{first_day}.{name}"] = column
        older = newer
    return pairs, scored


def _between(table: pa.Table, first: date, last: date) -> pa.Table:
    days = table[DAY].to_numpy()
    return table.filter(pa.array((days >= np.datetime64(first)) & (days <= np.datetime64(last))))


def _labels(spec: RetrainSpec, table: pa.Table) -> np.ndarray:
    return table[spec.source.label].to_numpy().astype(np.uint8)


class _BothThresholds(Threshold):
    """The best F1, and beside it the threshold at the floor of precision."""

    __slots__ = ("floor",)

    def choose(self, score: np.ndarray, label: np.ndarray) -> float:
        """The first; `floor` keeps the other."""
        floor = Threshold("recall_at_precision", FLOOR).choose(score, label)
        object.__setattr__(self, "floor", floor)
        return Threshold().choose(score, label)


def _train(spec: RetrainSpec, table: pa.Table) -> tuple[Any, float]:
    """The model, and its threshold at the floor of precision."""
    rule = _BothThresholds()
    data = TrainingData(
        table=table,
        day=day_index(table)[0],
        label=_labels(spec, table),
        numeric=spec.features.numeric,
        categorical=spec.features.categorical,
        threshold=rule,
    )
    trainer = resolve_trainer(spec.model.trainer)
    return trainer(data, params=spec.train, seed=spec.model.seed, n_threads=0), rule.floor


def _cells(
    spec: RetrainSpec, table: pa.Table, models: Sequence[Any], scores: Sequence[np.ndarray]
) -> dict[str, Any]:
    codes, days = day_index(table)
    decisions = [decide(m, s) for m, s in zip(models, scores, strict=True)]
    cells = {}
    for column in ("", *COLUMNS):
        if column:
            levels, level = slice_codes(table[column], column)
        else:
            levels, level = [""], np.zeros(table.num_rows, dtype=np.int32)
        counts = _core.joint_cells(
            codes, level, _labels(spec, table), decisions[0], decisions[1], len(days), len(levels)
        )
        cells[column] = {name: counts[:, i, :].tolist() for i, name in enumerate(levels)}
    return cells
