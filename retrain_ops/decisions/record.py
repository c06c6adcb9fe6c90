"""decision.json: its shape, the one reader and the one writer.

It says what a day decided, from which counts, under which hashes. Content only: no times, ids,
versions, paths or attempts, so equal inputs give equal bytes on any machine under any
orchestrator. Champions are named by retrain key and model hash, because version numbers belong
to one registry. `decision.schema.json` says the same to readers in other languages; a test keeps
the two alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Final, Literal, NotRequired, TypedDict, cast

from retrain_ops.data.pins import Sourced, source_of
from retrain_ops.decisions.rules import CostsRecord, RulesRecord
from retrain_ops.decisions.seasons import SeasonRecord
from retrain_ops.errors import ConfigError, DamagedError, DataError
from retrain_ops.run import Run
from retrain_ops.stats.checks import CheckName
from retrain_ops.stats.metrics import Metric, MetricRef, metric_of_record
from retrain_ops.stats.thresholds import ThresholdRule
from retrain_ops.workspace import Workspace

SCHEMA: Final = 1
DECISION_FILE = "decision.json"

Outcome = Literal["challenger", "skipped", "undecided", "queued", "no_train"]
Trigger = Literal["bootstrap", "forced", "drift", "degraded", "stale", "none"]
Verdict = Literal["pass", "fail", "undecided"]
GateReason = Literal[
    "better",
    "not_better",
    "not_proven",
    "protected_regression",
    "watched_regression",
    "guard_regression",
    "undefined",
    "too_few_days",
    "protected_undecided",
    "guard_undecided",
    CheckName,
]
BootstrapReason = Literal["bootstrap", "not_better_than_constant", "scores_not_usable"]
SliceReason = Literal[
    "",
    "not_shown",
    "regression",
    "vanished",
    "too_few_rows",
    "too_few_positives",
    "too_few_discordant",
    "too_few_days",
    "undefined",
]

DayCounts = list[list[int]]
"""One list of 8 joint counts per day; see :mod:`retrain_ops.stats.cells`."""

DaySumsRecord = list[list[int]]
"""One list of sums per day, whole numbers of any size; see :mod:`retrain_ops.stats.sums`."""


class NamedModel(TypedDict):
    """A model by the key that trained it and the SHA-256 of its bytes."""

    retrain_key: str
    model_sha256: str


class FeatureDriftRecord(TypedDict):
    """One feature; see :class:`retrain_ops.stats.drift.FeatureDrift`."""

    name: str
    psi: float | None
    debiased: float | None
    p_value: float | None
    verdict: Literal["drift", "not_proven", "no_drift", "undecided"]
    triggers: bool
    rows_reference: int
    rows_current: int
    bins: int


class ColumnScore(TypedDict):
    """A column by Evidently; nothing but `drifted` = false where a side has no value at all."""

    method: str | None
    score: float | None
    threshold: float | None
    drifted: bool


class EngineRecord(TypedDict):
    """Whose statistics decided instead of ours, in which version, and what it said by column."""

    name: Literal["evidently"]
    version: str
    share: float
    columns: dict[str, ColumnScore]


class DegradedRulesRecord(TypedDict):
    """The spec's `[degraded]`; see :class:`retrain_ops.stats.degraded.DegradedRules`."""

    margin: float
    confidence: float
    windows: int
    of: int
    days: int
    min_days: int


class MetricRecord(TypedDict):
    """A metric other than F1, with what the spec has set of it."""

    name: MetricRef
    beta: NotRequired[str]
    costs: NotRequired[CostsRecord]
    quantile: NotRequired[str]
    classes: NotRequired[bool]


class DegradedWindowRecord(TypedDict):
    """One window; see :class:`retrain_ops.stats.degraded.DegradedWindow`."""

    first: str
    last: str
    reference: NamedModel | None
    cells: DayCounts
    sums: NotRequired[DaySumsRecord]
    rows: int
    days: int
    f1_champion: float | None
    f1_reference: float | None
    score_champion: NotRequired[float | None]
    score_reference: NotRequired[float | None]
    difference: float | None
    upper_bound: float | None
    verdict: Literal["degraded", "no", "undecided"]


class DegradedRecord(TypedDict):
    """The champion beside a newer model on matured rows, newest window first."""

    triggered: bool
    live_f1: float | None
    live_score: NotRequired[float | None]
    metric: NotRequired[MetricRecord]
    rules: DegradedRulesRecord
    windows: list[DegradedWindowRecord]


class DriftRecord(TypedDict):
    """Why the day trained a model, or did not; `degraded` only when the spec has the table,
    `engine` only where another one's statistics decided."""

    triggered: bool
    reason: Trigger
    psi_max: float | None
    psi_max_feature: str | None
    features: list[FeatureDriftRecord]
    age_days: int | None
    degraded: NotRequired[DegradedRecord]
    engine: NotRequired[EngineRecord]


class PairedRecord(TypedDict):
    """Both models on the same rows: F1, and scores of the metric where it is another one; `_exact`
    is a fraction, null for a root."""

    rows: int
    positives: int
    discordant: int
    days: int
    f1_champion: float | None
    f1_champion_exact: str | None
    f1_challenger: float | None
    f1_challenger_exact: str | None
    score_champion: NotRequired[float | None]
    score_champion_exact: NotRequired[str | None]
    score_challenger: NotRequired[float | None]
    score_challenger_exact: NotRequired[str | None]
    difference: float | None
    standard_error: float | None
    lower_bound: float | None


class SliceRecord(PairedRecord):
    """One level of a slice column; see :class:`retrain_ops.stats.gates.SliceVerdict`."""

    column: str
    level: str
    role: Literal["protected", "watched", "reported"]
    verdict: Verdict
    reason: SliceReason
    p_value: float | None
    p_adjusted: float | None


class CheckRecord(TypedDict):
    """One limit; see :class:`retrain_ops.stats.checks.Check`."""

    name: CheckName
    verdict: Verdict
    value: float | None
    limit: float
    needed: int | None
    unit: Literal["rows", "days"] | None
    facts: dict[str, Any]


class GuardRecord(TypedDict):
    """One further metric; see :class:`retrain_ops.stats.guards.GuardVerdict`."""

    metric: MetricRef
    max_drop: str
    verdict: Verdict
    reason: Literal["", "not_shown", "undefined", "too_few_days"]
    score_champion: float | None
    score_champion_exact: str | None
    score_challenger: float | None
    score_challenger_exact: str | None
    difference: float | None
    standard_error: float | None
    lower_bound: float | None


class EarlierWindowRecord(TypedDict):
    """See :class:`retrain_ops.stats.moderation.EarlierWindow`."""

    window_end: str
    days: int
    design_effect: float


class ModerationRecord(TypedDict):
    """What the bound borrowed; see :class:`retrain_ops.stats.moderation.Moderation`."""

    windows: list[EarlierWindowRecord]
    degrees: float
    design_effect: float


class GateRecord(PairedRecord):
    """Challenger against champion; see :class:`retrain_ops.stats.gates.GateReport`."""

    verdict: Verdict
    reason: GateReason
    literal: bool | None
    slices: list[SliceRecord]
    rules: RulesRecord
    needs_human: bool
    warnings: list[str]
    checks: NotRequired[list[CheckRecord]]
    guards: NotRequired[list[GuardRecord]]
    moderation: NotRequired[ModerationRecord]


class BootstrapGate(TypedDict):
    """The first champion has nobody to beat but a constant.

    A model of amounts or classes is compared with it row by row, the constant in the champion's
    place; `above` are the rows that it has to tell apart: with a label above the median one, or not
    of the most common class.
    """

    verdict: Literal["pass", "fail"]
    reason: BootstrapReason
    f1_champion: None
    f1_challenger: float | None
    difference: float | None
    lower_bound: float | None
    auc_lower_bound: float | None
    literal: None
    score_champion: NotRequired[float | None]
    score_challenger: NotRequired[float | None]
    standard_error: NotRequired[float | None]
    rows: NotRequired[int]
    days: NotRequired[int]
    constant: NotRequired[float | list[float] | None]
    above: NotRequired[int]
    rules: NotRequired[RulesRecord]


class ChallengerRecord(TypedDict):
    """What train made, from which days, without rows `left_out`, with those `replayed`."""

    model_sha256: str
    reference_sha256: NotRequired[str]
    threshold: float | None
    threshold_by: NotRequired[ThresholdRule]
    threshold_value: NotRequired[float]
    rows: int
    positives: int
    train_start: str
    train_end: str
    threshold_end: str
    left_out: NotRequired[dict[str, dict[str, int]]]
    replayed: NotRequired[int]
    classes: NotRequired[list[str]]


class Hashes(TypedDict):
    """SHA-256 of the pulled rows, the spec, the challenger, and the memory where there is one."""

    data_sha256: str
    spec_sha256: str
    model_sha256: str
    memory_sha256: NotRequired[str]


class HoldoutRecord(TypedDict):
    """The rows that judged: `cells[column][level]`, and `sums[kind][column][level]` of the metrics
    that the rules name; `cut_days` taught the champion."""

    days: list[str]
    cut_days: list[str]
    rows: int
    cells: dict[str, dict[str, DayCounts]]
    sums: NotRequired[dict[str, dict[str, dict[str, DaySumsRecord]]]]


class AucRecord(TypedDict):
    """Area under the ROC curve on the hold-out; of amounts and classes, of the rows `above`."""

    champion: float | None
    challenger: float | None


class Judged(TypedDict, total=False):
    """What a day adds that trained a model: all of it, or nothing; `seasons` with `[memory]`."""

    challenger: ChallengerRecord
    hashes: Hashes
    gate: GateRecord | BootstrapGate
    holdout: HoldoutRecord
    auc: AucRecord
    seasons: dict[str, SeasonRecord]


class Decision(Judged, Sourced):
    """The content of decision.json. Numbers have 9 significant digits."""

    schema: Literal[1]
    model: str
    window_end: str
    outcome: Outcome
    reason: str
    champion: NamedModel | None
    spec_sha256: str
    drift: DriftRecord


# -- reading ----------------------------------------------------------------------


def read_decision(workspace: Workspace, window_end: date) -> Decision | None:
    """The decision of a key, or None when it has none.

    Raises:
        DataError: the file is not a decision of a known schema.
    """
    path = workspace.key_path(window_end, DECISION_FILE)
    return _of_known_schema(workspace, path, workspace.read_json_as_it_is(path))


def recover_decision(workspace: Workspace, window_end: date) -> Decision | None:
    """`read_decision` for a run, which makes anew what is damaged."""
    path = workspace.key_path(window_end, DECISION_FILE)
    return _of_known_schema(workspace, path, workspace.recover_json(path, {"schema": int}))


def _of_known_schema(
    workspace: Workspace, path: str, content: Mapping[str, Any] | None
) -> Decision | None:
    if content is not None and not isinstance(content.get("schema"), int):
        raise DamagedError(
            f"{workspace.absolute(path)} is damaged: it names no schema; run its day again, which "
            "makes it anew"
        )
    if content is not None and content["schema"] != SCHEMA:
        raise DataError(
            f"{workspace.absolute(path)} has schema {content['schema']!r}, not {SCHEMA}: "
            "another version of retrain_ops wrote it; read it with that version"
        )
    return cast(Decision, content)


def require_decision(workspace: Workspace, window_end: date) -> Decision:
    """The decision of a key.

    Raises:
        ConfigError: the key has none.
        DataError: the file is not a decision of a known schema.
    """
    decision = read_decision(workspace, window_end)
    if decision is None:
        path = workspace.absolute(workspace.key_path(window_end, DECISION_FILE))
        raise ConfigError(
            f"{workspace.model} has no decision for {window_end} at {path}; "
            "`retrain-ops status` lists the days that have one"
        )
    return decision


def compared(decision: Decision) -> GateRecord | None:
    """The gate's report, when the day judged a challenger against a champion."""
    if "gate" not in decision or decision["champion"] is None:
        return None
    return cast(GateRecord, decision["gate"])


def metric_of(gate: GateRecord | BootstrapGate, column: str = "") -> Metric:
    """The metric that the gate compared by, all rows or the slices of a column."""
    rules = gate["rules"]
    of_class = column and column == rules.get("classes_of")
    name = "accuracy" if of_class else rules.get("metric", "f1")
    return metric_of_record({**rules, "name": name})


def scores_of(found: PairedRecord | BootstrapGate) -> tuple[float | None, float | None]:
    """Champion's and challenger's score in the metric of the gate."""
    champion = found.get("score_champion", found["f1_champion"])
    return champion, found.get("score_challenger", found["f1_challenger"])


def degraded_scores(window: DegradedWindowRecord) -> tuple[float | None, float | None]:
    """Champion's and the other model's score in the metric of the record."""
    champion = window.get("score_champion", window["f1_champion"])
    return champion, window.get("score_reference", window["f1_reference"])


# -- writing ----------------------------------------------------------------------


def write_decision(
    run: Run, *, outcome: Outcome, reason: str, drift: Mapping[str, Any], judged: Judged
) -> None:
    """Writes the key's decision.

    Args:
        run: of the key.
        outcome, reason: of the day.
        drift: the record of check_drift.
        judged: what a day that trained a model adds; empty for one that did not.
    """
    source = source_of(run.workspace, run.window.end) if judged else Sourced()
    content: Decision = {
        "schema": SCHEMA,
        "model": run.model,
        "window_end": run.window.end.isoformat(),
        "outcome": outcome,
        "reason": reason,
        "champion": drift["champion"],
        "spec_sha256": run.spec.sha256(),
        "drift": _drift_record(drift),
        **judged,
        **source,
    }
    run.workspace.write_json(run.path(DECISION_FILE), content)


def _drift_record(drift: Mapping[str, Any]) -> DriftRecord:
    """The champion stands above; the comparison of `[degraded]` only where the spec has it."""
    record: DriftRecord = {
        "triggered": drift["triggered"],
        "reason": drift["reason"],
        "psi_max": drift["psi_max"],
        "psi_max_feature": drift["psi_max_feature"],
        "features": drift["features"],
        "age_days": drift["age_days"],
    }
    for name in ("degraded", "engine"):
        if drift.get(name) is not None:
            record[name] = drift[name]
    return record
