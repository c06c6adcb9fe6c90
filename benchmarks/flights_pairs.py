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
from retrain_ops.data.categories import slice_codes
from retrain_ops.data.labels import labelled, labels_of
from retrain_ops.data.source import Source, day_index
from retrain_ops.examples.flights import main as load_flights
from retrain_ops.models.training import TrainingData, resolve_trainer, train_gbdt
from retrain_ops.problems import BINARY, Scored
from retrain_ops.problems.binary import decisions
from retrain_ops.spec.spec import RetrainSpec, load_spec
from retrain_ops.spec.window import DAY
from retrain_ops.stats.tables import PairedRows, paired_amounts
from retrain_ops.stats.thresholds import Threshold

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / "build" / "bench" / "flights_pairs.json"
SCORES = CACHE.with_suffix(".npz")
AMOUNTS = CACHE.with_name("flights_minutes_pairs.npz")
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


def load_amounts() -> list[PairedRows]:
    """The same weeks with the delay in minutes; trained once, then read."""
    if not AMOUNTS.exists():
        AMOUNTS.parent.mkdir(parents=True, exist_ok=True)
        np.savez(AMOUNTS, **_predict_year())
    with np.load(AMOUNTS) as stored:
        weeks = sorted({name.partition(".")[0] for name in stored})
        columns = [[stored[f"{week}.{name}"] for name in COLUMNS_OF_ROWS] for week in weeks]
    return [
        paired_amounts(day, HORIZON_DAYS, label, (older, newer))
        for day, label, older, newer in columns
    ]


def _predict_year() -> dict[str, np.ndarray]:
    spec, table, days = _year("flights_minutes")
    found, older = {}, None
    for end in range(TRAIN_DAYS, len(days) - HORIZON_DAYS + 1, STEP_DAYS):
        rows = _between(table, days[end - TRAIN_DAYS], days[end - 1])
        newer = train_gbdt(_data(spec, rows), params=spec.train, seed=spec.model.seed, n_threads=0)
        if older is not None:
            judged = _between(table, days[end], days[end + HORIZON_DAYS - 1])
            both = (model.scores(judged) for model in (older, newer))
            columns = day_index(judged)[0], _data(spec, judged).label, *both
            for name, column in zip(COLUMNS_OF_ROWS, columns, strict=True):
                found[f"{days[end].isoformat()}.{name}"] = column
        older = newer
    return found


def _data(spec: RetrainSpec, table: pa.Table) -> TrainingData:
    return TrainingData(
        table=table,
        day=day_index(table)[0],
        label=labels_of(spec).values(table, spec.source.label),
        numeric=spec.features.numeric,
        categorical=spec.features.categorical,
        problem=spec.model.problem,
    )


def _year(name: str) -> tuple[RetrainSpec, pa.Table, list[date]]:
    """A spec of flights, the labelled rows of its source, and their days."""
    source = os.environ.setdefault(f"{name.upper()}_SOURCE", str(ROOT / "build" / "data" / name))
    if not Path(source).exists():
        load_flights([source, "--label", "minutes" if name == "flights_minutes" else "late"])
    spec = load_spec(ROOT / "dags" / f"{name}.toml")
    columns = (*spec.features.all, spec.source.label)
    days = [FIRST + timedelta(days=i) for i in range((LAST - FIRST).days + 1)]
    end = datetime(2014, 1, 2, tzinfo=UTC)
    return spec, labelled(Source(spec).read(days, columns=columns, before=end), spec), days


def _count_year() -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    spec, table, days = _year("flights")
    pairs, scored, older = [], {}, None
    ends = range(TRAIN_DAYS, len(days) - HORIZON_DAYS + 1, STEP_DAYS)
    for end_index in ends:
        newer = _train(spec, _between(table, days[end_index - TRAIN_DAYS], days[end_index - 1]))
        if older is not None:
            judged = _between(table, days[end_index], days[end_index + HORIZON_DAYS - 1])
            first_day, models = days[end_index].isoformat(), (older[0], newer[0])
            scored_by = [BINARY.scored(model, judged, n_threads=0) for model in models]
            scores, cells = [s.scores for s in scored_by], _cells(spec, judged, scored_by)
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


def _cells(spec: RetrainSpec, table: pa.Table, scored_by: Sequence[Scored]) -> dict[str, Any]:
    codes, days = day_index(table)
    said = [decisions(scored) for scored in scored_by]
    cells = {}
    for column in ("", *COLUMNS):
        if column:
            levels, level = slice_codes(table[column], column)
        else:
            levels, level = [""], np.zeros(table.num_rows, dtype=np.int32)
        counts = _core.joint_cells(
            codes, level, _labels(spec, table), said[0], said[1], len(days), len(levels)
        )
        cells[column] = {name: counts[:, i, :].tolist() for i, name in enumerate(levels)}
    return cells
