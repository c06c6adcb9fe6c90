"""A decision judged again from what its key stored, without a server and without the data.

What only the registry knew (the champion, an open candidate) and what a person
asked for are taken from the record; everything else is computed anew.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

import numpy as np

from retrain_ops.decisions.amounts import constant_report
from retrain_ops.decisions.earlier import earlier_of_record
from retrain_ops.decisions.judge import (
    DRIFT_COUNTS_FILE,
    EVENT_FILE,
    bootstrap_report,
    drift_rules,
    gate_report,
    outcome_of,
    reason_of,
    reason_to_train,
    triggered_by,
)
from retrain_ops.decisions.record import (
    BootstrapGate,
    Decision,
    DegradedRecord,
    FeatureDriftRecord,
    GateRecord,
    SliceRecord,
    compared,
    require_decision,
)
from retrain_ops.errors import DataError
from retrain_ops.spec.spec import RetrainSpec
from retrain_ops.stats.cells import ALL_ROWS
from retrain_ops.stats.degraded import DegradedRules, judge_degraded
from retrain_ops.stats.drift import drift_report
from retrain_ops.stats.gate_rules import rules_of_record
from retrain_ops.stats.metrics import metric_of_record
from retrain_ops.workspace import Workspace

REFERENCE_FILE = "reference.json"
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Replay:
    """Stored and recomputed decision; `notes` say which parts could not be recomputed."""

    stored: Decision
    computed: Decision
    notes: tuple[str, ...]

    @property
    def differences(self) -> list[dict[str, Any]]:
        """The fields that differ: path, stored value, computed value; empty when equal."""
        return list(_differences("", self.stored, self.computed))


def replay(spec: RetrainSpec, workspace: Workspace, window_end: date) -> Replay:
    """Judges a stored decision again.

    Raises:
        ConfigError: the key has no decision.
        DataError: its counts or rules are malformed.
    """
    stored = require_decision(workspace, window_end)
    computed = copy.deepcopy(stored)
    notes: list[str] = []
    try:
        if spec.sha256() == stored["spec_sha256"]:
            notes += _replay_drift(spec, workspace, window_end, computed)
        else:
            notes.append("drift not replayed: the spec has changed since (its rules are in it)")
        _replay_degraded(computed)
        event = workspace.read_json(workspace.key_path(window_end, EVENT_FILE)) or {}
        _replay_reason(spec, computed, event.get("reason"))
        _replay_gate(workspace, window_end, computed)
    except (KeyError, TypeError) as problem:
        raise DataError(f"the decision of {window_end} is malformed: {problem!r}") from problem
    return Replay(stored=stored, computed=computed, notes=tuple(notes))


def _replay_drift(
    spec: RetrainSpec, workspace: Workspace, window_end: date, decision: Decision
) -> list[str]:
    """PSI and p values from the counts of the current days and the champion's reference."""
    champion = decision["champion"]
    if champion is None:
        return []
    frozen_at = date.fromisoformat(champion["retrain_key"].rpartition("/")[2])
    reference = workspace.read_json(workspace.key_path(frozen_at, REFERENCE_FILE))
    counts = workspace.read_json(workspace.key_path(window_end, DRIFT_COUNTS_FILE))
    if reference is None or counts is None:
        missing = REFERENCE_FILE if reference is None else DRIFT_COUNTS_FILE
        return [f"drift not replayed: {missing} is not in the workspace"]
    names = spec.drift_features
    report = drift_report(
        {n: np.asarray(reference["features"][n]["counts"], dtype=np.int64) for n in names},
        {n: np.asarray(counts["features"][n]["current"], dtype=np.int64) for n in names},
        drift_rules(spec),
        seed=spec.model.seed,
    )
    plain = report.to_json()
    drift = decision["drift"]
    drift["features"] = cast(list[FeatureDriftRecord], plain["features"])
    if "engine" in drift:  # what it said of the rows is a fact of the record
        drift["features"] = triggered_by(drift["features"], drift["engine"])
    drift["psi_max"] = cast(float | None, plain["psi_max"])
    drift["psi_max_feature"] = report.feature_max
    drift["age_days"] = (window_end - frozen_at).days
    return []


def _replay_degraded(decision: Decision) -> None:
    record = decision["drift"].get("degraded")
    if record is None:
        return
    windows = [
        (w["first"], w["last"], w["reference"], w["cells"], w.get("sums"))
        for w in record["windows"]
    ]
    metric = metric_of_record(record.get("metric"))
    report = judge_degraded(windows, DegradedRules(**record["rules"]), metric)
    decision["drift"]["degraded"] = cast(DegradedRecord, report.to_json())


def _replay_reason(spec: RetrainSpec, decision: Decision, asked: str | None) -> None:
    """Why the day trained; that a person forced or bootstrapped it is a fact of the record."""
    drift = decision["drift"]
    if drift["reason"] in ("forced", "bootstrap"):
        return
    age, degraded = drift["age_days"], drift.get("degraded")
    reason = reason_to_train(
        drifted=any(feature["triggers"] for feature in drift["features"]),
        degraded=degraded is not None and degraded["triggered"],
        stale=age is not None and age > spec.drift.max_age_days,
        asked=asked,
    )
    drift["reason"], drift["triggered"] = reason, reason != "none"


def _replay_gate(workspace: Workspace, window_end: date, decision: Decision) -> None:
    if "gate" not in decision:
        if not decision["drift"]["triggered"]:
            decision["outcome"], decision["reason"] = "no_train", "no_drift"
        return
    report: GateRecord | BootstrapGate
    stored = compared(decision)
    if stored is None:
        report = _replay_bootstrap(decision, cast(BootstrapGate, decision["gate"]))
    else:
        report = gate_report(
            decision["holdout"]["cells"],
            rules_of_record(stored["rules"]),
            expected_levels=_expected_levels(workspace, window_end, decision, stored["slices"]),
            facts={check["name"]: check["facts"] for check in stored.get("checks", [])},
            sums=decision["holdout"].get("sums"),
            earlier=earlier_of_record(stored),
        )
    outcome = outcome_of(report["verdict"], queued=decision["outcome"] == "queued")
    decision["gate"], decision["outcome"] = report, outcome
    decision["reason"] = reason_of(outcome, report)


def _replay_bootstrap(decision: Decision, stored: BootstrapGate) -> BootstrapGate:
    """A model of amounts or classes was compared with a constant too, by rules."""
    holdout, usable = decision["holdout"], stored["reason"] != "scores_not_usable"
    auc = decision["auc"]["challenger"]
    if "rules" not in stored:
        return bootstrap_report(holdout["cells"], auc=auc, scores_usable=usable)
    return constant_report(
        holdout["cells"],
        holdout.get("sums", {}),
        rules_of_record(stored["rules"]),
        constant=stored["constant"],
        above=stored["above"],
        auc=auc,
        scores_usable=usable,
    )


def _expected_levels(
    workspace: Workspace,
    window_end: date,
    decision: Decision,
    slices: Sequence[SliceRecord],
) -> dict[str, list[str]]:
    """The levels of the frozen reference; without that file, those that the record itself names."""
    reference = workspace.read_json(workspace.key_path(window_end, REFERENCE_FILE))
    columns = [c for c in decision["holdout"]["cells"] if c != ALL_ROWS]
    if reference is not None and all(c in reference["slices"] for c in columns):
        return {c: reference["slices"][c] for c in columns}
    return {c: [s["level"] for s in slices if s["column"] == c] for c in columns}


def _differences(path: str, stored: Any, computed: Any) -> Iterator[dict[str, Any]]:
    if isinstance(stored, dict) and isinstance(computed, dict):
        for key in sorted(stored.keys() | computed.keys()):
            below = f"{path}.{key}" if path else key
            yield from _differences(below, stored.get(key, _ABSENT), computed.get(key, _ABSENT))
    elif isinstance(stored, list) and isinstance(computed, list) and len(stored) == len(computed):
        for index, pair in enumerate(zip(stored, computed, strict=True)):
            yield from _differences(f"{path}[{index}]", *pair)
    elif type(stored) is not type(computed) or stored != computed:
        shown = [None if v is _ABSENT else v for v in (stored, computed)]
        yield {"field": path, "stored": shown[0], "computed": shown[1]}
