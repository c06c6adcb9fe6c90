"""Decisions made of counts alone, as promote_challenger would write them, for tests of records."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from retrain_ops.decisions import record
from retrain_ops.decisions.judge import gate_report, outcome_of, reason_of
from retrain_ops.decisions.record import DECISION_FILE, Decision, NamedModel
from retrain_ops.spec.spec import RetrainSpec, parse_spec
from retrain_ops.stats.class_counts import SaidClasses
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.metrics import F1, Metric
from retrain_ops.stats.moderation import EarlierWindow
from retrain_ops.stats.tables import PairedRows
from retrain_ops.workspace import Workspace

END = date(2020, 2, 6)
SPEC = """\
[model]
name = "m"
[source]
path = "rows"
label = "y"
[features]
numeric = ["a"]
"""
SCHEMA = Path(record.__file__).with_name("decision.schema.json")
CHAMPION: NamedModel = {"retrain_key": "m/2020-01-20", "model_sha256": "a" * 64}


def spec() -> RetrainSpec:
    return parse_spec(SPEC, where="m.toml", folder=Path("."))


def random_cells(rng: np.random.Generator, days: int, gain: float = 0.0) -> np.ndarray:
    """int64[days, 8]; with `gain` the challenger finds more of the positives than the champion."""
    shares = np.array([600, 11, 11, 60, 40, 11 + 60 * gain, 11, 156.0])
    return rng.multinomial(900, shares / shares.sum(), size=days).astype(np.int64)


def split(rng: np.random.Generator, cells: np.ndarray, levels: int) -> dict[str, np.ndarray]:
    """The same rows dealt to some levels of a slice column."""
    parts, left = {}, cells.copy()
    for i in range(levels):
        last = i == levels - 1
        taken = left if last else rng.binomial(left, 1 / (levels - i))
        parts[f"l{i}"], left = taken, left - taken
    return parts


def of_problem(cells: np.ndarray, problem: str) -> np.ndarray:
    """As many rows, int64[days, 8], of a problem: models of amounts disagree on all of them, and of
    classes the label is the one that occurred."""
    counts = np.zeros_like(cells)
    if problem == "regression":
        counts[:, 1] = cells.sum(axis=1)
    if problem == "multiclass":
        counts[:, 4:] = cells[:, :4] + cells[:, 4:]
    return cells if problem == "binary" else counts


def _classes(rng: np.random.Generator, right: list[np.ndarray]) -> SaidClasses:
    """One of three classes, and another one where a model is wrong."""
    label = rng.integers(0, 3, len(right[0])).astype(np.uint8)
    old, new = ((label + 1 - one) % 3 for one in right)
    return SaidClasses(label, old, new, 3)


def scored(rng: np.random.Generator, cells: np.ndarray, metric: Metric = F1) -> PairedRows:
    """Rows with these joint counts, int64[days, 8], and scores that fit both decisions at 0.5;
    for a metric of amounts with labels and predictions, for one of classes with those."""
    day = np.repeat(np.arange(len(cells), dtype=np.int32), cells.sum(axis=1))
    cell = np.concatenate([np.repeat(np.arange(8), counts) for counts in cells])
    label, *said = (((cell >> bit) & 1).astype(np.uint8) for bit in (2, 1, 0))
    old, new = ((said[i] + np.sqrt(rng.random(len(cell)))) / 2 for i in (0, 1))
    target = None
    if metric.problem == "regression":
        target = rng.normal(1, 3, len(cell)) + rng.normal(size=len(cells))[day]
        old, new = (target + rng.normal(0, spread, len(cell)) for spread in (2, 1.8))
    return PairedRows(
        day=day,
        n_days=len(cells),
        label=label,
        decisions=(said[0], said[1]),
        scores=(old, new),
        target=target,
        classes=_classes(rng, said) if metric.problem == "multiclass" else None,
    )


def sums_of(
    rng: np.random.Generator, cells: Mapping[str, Mapping[str, np.ndarray]], rules: GateRules
) -> dict[str, dict[str, dict[str, list[list[int]]]]]:
    """Sums that fit these counts, of every metric that the rules name and that has any."""
    named = [rules.named(name) for name in sorted(rules.names)]
    rows = {
        column: {level: scored(rng, x, rules.scored_by) for level, x in by.items()}
        for column, by in cells.items()
    }
    return {
        metric.kind: {
            column: {level: [*r.sums(metric, r.everyone)[""]] for level, r in by.items()}
            for column, by in rows.items()
        }
        for metric in named
        if metric.kind
    }


def decision(
    cells: Mapping[str, Mapping[str, np.ndarray]],
    rules: GateRules,
    *,
    expected_levels: Mapping[str, list[str]] | None = None,
    facts: Mapping[str, Mapping[str, Any]] | None = None,
    queued: bool = False,
    sums: dict[str, dict[str, dict[str, list[list[int]]]]] | None = None,
    earlier: Sequence[EarlierWindow] = (),
) -> Decision:
    """A decision on these counts, as JSON reads it back."""
    plain = {c: {level: x.tolist() for level, x in by.items()} for c, by in cells.items()}
    gate = gate_report(
        plain,
        rules,
        expected_levels=expected_levels or {},
        facts=facts or {},
        sums=sums,
        earlier=earlier,
    )
    outcome = outcome_of(gate["verdict"], queued=queued)
    digest = spec().sha256()
    days = len(plain[""][""])
    content: Decision = {
        "schema": 1,
        "model": "m",
        "window_end": END.isoformat(),
        "outcome": outcome,
        "reason": reason_of(outcome, gate),
        "champion": CHAMPION,
        "spec_sha256": digest,
        "drift": {
            "triggered": True,
            "reason": "forced",
            "psi_max": None,
            "psi_max_feature": None,
            "features": [],
            "age_days": 17,
        },
        "challenger": {
            "model_sha256": "b" * 64,
            "threshold": 0.5,
            "rows": 9000,
            "positives": 900,
            "train_start": "2020-01-01",
            "train_end": "2020-01-20",
            "threshold_end": "2020-01-20",
        },
        "hashes": {"data_sha256": "c" * 64, "spec_sha256": digest, "model_sha256": "b" * 64},
        "gate": gate,
        "holdout": {
            "days": [f"2020-01-{21 + i}" for i in range(days)],
            "cut_days": [],
            "rows": int(np.sum(plain[""][""])),
            "cells": plain,
        },
        "auc": {"champion": 0.7, "challenger": 0.7},
    }
    if sums:
        content["holdout"]["sums"] = sums
    read: Decision = json.loads(json.dumps(content))
    return read


def stored(folder: Path, content: Decision) -> Workspace:
    """A workspace that holds this decision."""
    workspace = Workspace.open(str(folder), "m")
    workspace.write_json(workspace.key_path(END, DECISION_FILE), content)
    return workspace
