"""From counts to the gate report of a decision: one way, for the day itself and for every replay.

Nothing here reads a file or asks a server: the arguments are what a key's records store.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from retrain_ops.decisions.record import (
    BootstrapGate,
    BootstrapReason,
    DayCounts,
    EngineRecord,
    FeatureDriftRecord,
    GateRecord,
    Outcome,
    Trigger,
    Verdict,
)
from retrain_ops.spec.spec import RetrainSpec
from retrain_ops.stats.cells import (
    ALL_ROWS,
    CHALLENGER,
    LABEL,
    confusion,
    count_where,
    day_cells,
    total,
)
from retrain_ops.stats.drift import DriftRules
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.gates import judge
from retrain_ops.stats.metrics import F1
from retrain_ops.stats.moderation import EarlierWindow
from retrain_ops.stats.rounding import to_significant
from retrain_ops.stats.sums import Sums

DRIFT_COUNTS_FILE = "drift_counts.json"  # the current days, and the reference's totals
EVENT_FILE = "event.json"  # why an event asked for this window
EVENT_REASONS = ("drift", "degraded")
NORMAL_999 = 3.0902323  # 99.9 % quantile of the normal distribution


def drift_rules(spec: RetrainSpec) -> DriftRules:
    """The rules of the spec's `[drift]`."""
    table = spec.drift
    return DriftRules(
        trigger=table.trigger, threshold=table.threshold, alpha=table.alpha, draws=table.draws
    )


def drifted_by(engine: EngineRecord) -> bool:
    """Whether enough columns have drifted by Evidently: any, or the share that the spec asks for.

    The share is of the columns that could be compared.
    """
    compared = [column for column in engine["columns"].values() if column["score"] is not None]
    drifted = sum(column["drifted"] for column in compared)
    return drifted > 0 and drifted >= engine["share"] * len(compared)


def triggered_by(
    features: Sequence[FeatureDriftRecord], engine: EngineRecord
) -> list[FeatureDriftRecord]:
    """The features with Evidently's word on which of them start a retraining."""
    enough, columns = drifted_by(engine), engine["columns"]
    return [{**f, "triggers": enough and columns[f["name"]]["drifted"]} for f in features]


def reason_to_train(*, drifted: bool, degraded: bool, stale: bool, asked: str | None) -> Trigger:
    """The first that holds: drift, worse than another model, what an event asked for, age."""
    if drifted:
        return "drift"
    if degraded:
        return "degraded"
    return cast(Trigger, asked) if asked else "stale" if stale else "none"


def gate_report(
    cells: Mapping[str, Mapping[str, DayCounts]],
    rules: GateRules,
    *,
    expected_levels: Mapping[str, Sequence[str]],
    facts: Mapping[str, Mapping[str, Any]],
    sums: Sums | None = None,
    earlier: Sequence[EarlierWindow] = (),
) -> GateRecord:
    """The gates on the joint counts of a hold-out, `cells[column][level]`, and on its sums."""
    report = judge(
        cells, rules, expected_levels=expected_levels, facts=facts, sums=sums, earlier=earlier
    )
    return cast(GateRecord, report.to_json())


def bootstrap_report(
    cells: Mapping[str, Mapping[str, DayCounts]], *, auc: float | None, scores_usable: bool
) -> BootstrapGate:
    """The first champion: usable scores, and proven to rank better than a constant would.

    F1 is no bar here: in a stormy week deciding 1 for every row has a high F1,
    and that says nothing about the model. A constant has AUC 1/2.
    """
    counts = total(day_cells(cells[ALL_ROWS][ALL_ROWS]))
    positives = count_where(counts, LABEL)
    bound = auc_lower_bound(auc, min(positives, sum(counts) - positives))
    better = scores_usable and bound is not None and bound > 0.5
    lacking: BootstrapReason = "not_better_than_constant" if scores_usable else "scores_not_usable"
    return {
        "verdict": "pass" if better else "fail",
        "reason": "bootstrap" if better else lacking,
        "f1_champion": None,
        "f1_challenger": to_significant(F1.score(confusion(counts, CHALLENGER))),
        "difference": None,
        "lower_bound": None,
        "auc_lower_bound": to_significant(bound),
        "literal": None,
    }


def outcome_of(verdict: Verdict, *, queued: bool) -> Outcome:
    """The day's outcome; `queued` when another candidate was open, which only the registry knew."""
    if verdict == "pass":
        return "queued" if queued else "challenger"
    return "undecided" if verdict == "undecided" else "skipped"


def reason_of(outcome: Outcome, report: GateRecord | BootstrapGate) -> str:
    """Why the day ended so."""
    return "open_candidate" if outcome == "queued" else report["reason"]


def auc_lower_bound(auc: float | None, rarer: int) -> float | None:
    """AUC - z SE at 99.9 %, with the largest variance an AUC can have, auc (1 - auc) / min(P, N).

    `rarer` is min(P, N), the rows of the rarer class.

    Birnbaum and Klose (1957), Annals of Mathematical Statistics 28.
    """
    if auc is None or rarer == 0:
        return None
    return auc - NORMAL_999 * math.sqrt(auc * (1 - auc) / rarer)
