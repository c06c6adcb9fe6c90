"""Joint counts of real model pairs on real days: the raw material of the calibration bench.

Models trained a week apart all through 2013, each pair on the days that follow the newer one:
int64[days, 8] for all rows and per level of origin and carrier, kept in build/bench/.
"""

from __future__ import annotations

import json
import os
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

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / "build" / "bench" / "flights_pairs.json"
FIRST, LAST = date(2013, 1, 1), date(2013, 12, 31)
TRAIN_DAYS, STEP_DAYS, HORIZON_DAYS = 22, 7, 21
COLUMNS = ("origin", "carrier")


@dataclass(frozen=True)
class Pair:
    """Two models on `days` consecutive days; `cells[column][level]` is int64[days, 8]."""

    first_day: str
    cells: dict[str, dict[str, np.ndarray]]

    @property
    def days(self) -> np.ndarray:
        """All rows."""
        return self.cells[""][""]


def load_pairs() -> list[Pair]:
    """The pairs of the year; trained and counted once, then read."""
    if not CACHE.exists():
        CACHE.parent.mkdir(parents=True, exist_ok=True)
        CACHE.write_text(json.dumps(_count_year()))
    return [_read(p) for p in json.loads(CACHE.read_text())]


def _read(stored: dict[str, Any]) -> Pair:
    cells = {
        column: {level: np.array(days, dtype=np.int64) for level, days in by.items()}
        for column, by in stored["cells"].items()
    }
    return Pair(first_day=stored["first_day"], cells=cells)


def _count_year() -> list[dict[str, Any]]:
    source = os.environ.setdefault("FLIGHTS_SOURCE", str(ROOT / "build" / "data" / "flights"))
    if not Path(source).exists():
        load_flights([source])
    spec = load_spec(ROOT / "dags" / "flights.toml")
    columns = (*spec.features.all, spec.source.label)
    days = [FIRST + timedelta(days=i) for i in range((LAST - FIRST).days + 1)]
    end = datetime(2014, 1, 2, tzinfo=UTC)
    table = Source(spec).read(days, columns=columns, before=end)
    table = table.filter(table[spec.source.label].is_valid())
    pairs, older = [], None
    ends = range(TRAIN_DAYS, len(days) - HORIZON_DAYS + 1, STEP_DAYS)
    for end_index in ends:
        newer = _train(spec, _between(table, days[end_index - TRAIN_DAYS], days[end_index - 1]))
        if older is not None:
            judged = _between(table, days[end_index], days[end_index + HORIZON_DAYS - 1])
            cells = _cells(spec, judged, older, newer)
            pairs.append({"first_day": days[end_index].isoformat(), "cells": cells})
        older = newer
    return pairs


def _between(table: pa.Table, first: date, last: date) -> pa.Table:
    days = table[DAY].to_numpy()
    return table.filter(pa.array((days >= np.datetime64(first)) & (days <= np.datetime64(last))))


def _labels(spec: RetrainSpec, table: pa.Table) -> np.ndarray:
    return table[spec.source.label].to_numpy().astype(np.uint8)


def _train(spec: RetrainSpec, table: pa.Table) -> Any:
    data = TrainingData(
        table=table,
        day=day_index(table)[0],
        label=_labels(spec, table),
        numeric=spec.features.numeric,
        categorical=spec.features.categorical,
    )
    trainer = resolve_trainer(spec.model.trainer)
    return trainer(data, params=spec.train, seed=spec.model.seed, n_threads=0)


def _cells(spec: RetrainSpec, table: pa.Table, older: Any, newer: Any) -> dict[str, Any]:
    codes, days = day_index(table)
    decisions = [decide(m, score(m, table, n_threads=0)) for m in (older, newer)]
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
