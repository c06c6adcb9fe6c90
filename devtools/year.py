"""The year on flights, a challenger every day: what the bare rule and the paired gate promote.

Gates only: whoever passes serves from the next day on, without shadow's verdict, canary or
queue. Every model is trained on the days of its own window; hold-outs come after them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from devtools.weeks import SPEC
from retrain_ops import _core
from retrain_ops.data.categories import slice_codes
from retrain_ops.data.source import Source, day_index
from retrain_ops.decisions.earlier import MOST
from retrain_ops.models.training import TrainingData, resolve_trainer
from retrain_ops.problems import BINARY
from retrain_ops.problems.binary import decisions as decisions_of
from retrain_ops.spec.spec import RetrainSpec, load_spec
from retrain_ops.spec.window import DAY
from retrain_ops.stats.cells import day_cells
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.gates import judge
from retrain_ops.stats.moderation import EarlierWindow, earlier_window
from retrain_ops.stats.paired import compare

FIRST_RUN, LAST_RUN = date(2013, 2, 1), date(2013, 12, 23)
NEXT_DAYS = 7
Z95 = 1.959964


@dataclass(frozen=True)
class World:
    """Labelled rows of the year, and what each day's model decides on all of them.

    `decisions` is uint8[runs, rows]; `day` the index of each row's day in `days`.
    """

    days: tuple[date, ...]
    day: np.ndarray
    label: np.ndarray
    levels: dict[str, tuple[list[str], np.ndarray]]
    runs: tuple[date, ...]
    decisions: np.ndarray


def prove(*, every: int = 1) -> dict[str, Any]:
    """The policies over the year; `every` > 1 trains on every so many days only."""
    spec = load_spec(SPEC)
    world = _train_year(spec, every)
    literal = replace(spec.gate, mode="literal")
    return {
        "runs": len(world.runs),
        "literal": play(world, spec, literal),
        "paired": play(world, spec, spec.gate),
        "moderated": play(world, spec, replace(spec.gate, variance="moderated")),
    }


def _train_year(spec: RetrainSpec, every: int) -> World:
    count = (LAST_RUN - FIRST_RUN).days // every + 1
    runs = tuple(FIRST_RUN + timedelta(days=every * i) for i in range(count))
    first = spec.window_at(runs[0]).train[0]
    days = [first + timedelta(days=i) for i in range((date(2013, 12, 31) - first).days + 1)]
    columns = (*spec.features.all, spec.source.label)
    table = Source(spec).read(days, columns=columns, before=datetime(2014, 1, 2, tzinfo=UTC))
    table = table.filter(table[spec.source.label].is_valid())
    codes, found = day_index(table)
    decisions = np.zeros((len(runs), table.num_rows), dtype=np.uint8)
    for i, run in enumerate(runs):
        model = _train(spec, table, spec.window_at(run).train)
        decisions[i] = decisions_of(BINARY.scored(model, table, n_threads=0))
    return World(
        days=found,
        day=codes,
        label=table[spec.source.label].to_numpy().astype(np.uint8),
        levels={c: slice_codes(table[c], c) for c in spec.slice_columns},
        runs=runs,
        decisions=decisions,
    )


def _train(spec: RetrainSpec, table: pa.Table, days: Sequence[date]) -> Any:
    values = table[DAY].to_numpy()
    inside = (values >= np.datetime64(days[0])) & (values <= np.datetime64(days[-1]))
    rows = table.filter(pa.array(inside))
    data = TrainingData(
        table=rows,
        day=day_index(rows)[0],
        label=rows[spec.source.label].to_numpy().astype(np.uint8),
        numeric=spec.features.numeric,
        categorical=spec.features.categorical,
    )
    trainer = resolve_trainer(spec.model.trainer)
    return trainer(data, params=spec.train, seed=spec.model.seed, n_threads=0)


def play(world: World, spec: RetrainSpec, rules: GateRules) -> dict[str, Any]:
    """One policy: who serves when, and how good that was."""
    champion, gains = 0, []
    judged: list[tuple[Sequence[date], EarlierWindow | None]] = []
    served = np.zeros(len(world.days), dtype=np.int64)  # which model answers on each day
    for challenger, run in enumerate(world.runs):
        if challenger == 0:
            continue
        holdout = spec.window_at(run).holdout
        counted = cells(world, champion, challenger, holdout)
        verdict = judge(counted, rules, earlier=_apart(judged, holdout[0]))
        paired = compare(day_cells(counted[""][""]))
        judged.append((holdout, earlier_window(run.isoformat(), paired)))
        if verdict.verdict == "pass":
            following = tuple(run + timedelta(days=i) for i in range(1, NEXT_DAYS + 1))
            after = cells(world, champion, challenger, following, slices=False)[""][""]
            gains.append(float(compare(day_cells(after)).difference or 0.0))
            champion = challenger
            served[[i for i, d in enumerate(world.days) if d > run]] = challenger
    since = world.days.index(world.runs[0]) + 1
    return {**summary(gains), "pooled_f1": round(_pooled(world, served, since), 5)}


def _apart(
    judged: Sequence[tuple[Sequence[date], EarlierWindow | None]], first: date
) -> tuple[EarlierWindow, ...]:
    """The newest windows before `first` that share no day, as a run picks them."""
    found: list[EarlierWindow] = []
    for days, window in reversed(judged):
        if window is not None and days[-1] < first and len(found) < MOST:
            found.append(window)
            first = days[0]
    return tuple(found)


def summary(gains: Sequence[float]) -> dict[str, Any]:
    """Promotions, their mean difference of F1 over the next days, and how many gained."""
    n, wins = len(gains), sum(g > 0 for g in gains)
    if n == 0:
        return {"promotions": 0, "mean_gain": None, "win_share": None, "win_interval": None}
    p = wins / n
    middle = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 * np.sqrt(p * (1 - p) / n + Z95**2 / (4 * n * n)) / (1 + Z95**2 / n)
    return {
        "promotions": n,
        "mean_gain": round(float(np.mean(gains)), 5),
        "win_share": round(p, 4),
        "win_interval": [round(float(middle - half), 4), round(float(middle + half), 4)],
    }


def cells(
    world: World, champion: int, challenger: int, days: Sequence[date], *, slices: bool = True
) -> dict[str, dict[str, np.ndarray]]:
    """Joint counts of two models on some days, for all rows and per level of each slice column."""
    wanted = [i for i, d in enumerate(world.days) if d in set(days)]
    rows = np.flatnonzero(np.isin(world.day, wanted))
    if not len(rows):
        return {"": {"": np.zeros((0, 8), dtype=np.int64)}}
    day = np.searchsorted(wanted, world.day[rows]).astype(np.int32)
    columns = {"": ([""], np.zeros(len(world.day), dtype=np.int32))}
    columns |= world.levels if slices else {}
    counted = {}
    for column, (names, codes) in columns.items():
        counts = _core.joint_cells(
            day,
            np.ascontiguousarray(codes[rows]),
            np.ascontiguousarray(world.label[rows]),
            np.ascontiguousarray(world.decisions[champion, rows]),
            np.ascontiguousarray(world.decisions[challenger, rows]),
            len(wanted),
            len(names),
        )
        present = {name: counts[:, i, :] for i, name in enumerate(names)}
        counted[column] = {k: v for k, v in present.items() if v.any()}
    return counted


def _pooled(world: World, served: np.ndarray, since: int) -> float:
    """F1 of the policy over all rows from day `since` on, each answered by who served."""
    rows = np.flatnonzero(world.day >= since)
    said = world.decisions[served[world.day[rows]], rows]
    label = world.label[rows]
    return float(2 * (said & label).sum() / (said.sum() + label.sum()))
