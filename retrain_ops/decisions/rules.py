"""`[gate]` as decision.json writes it."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from retrain_ops.stats.metrics import MetricRef

__all__ = ["CostsRecord", "GuardRulesRecord", "RulesRecord"]


class CostsRecord(TypedDict):
    """What a row of each cell costs, exact; see :class:`retrain_ops.stats.metrics.Costs`."""

    tn: str
    fp: str
    fn: str
    tp: str


class GuardRulesRecord(TypedDict):
    """One entry of `guards`; see :class:`retrain_ops.stats.gate_rules.Guard`."""

    metric: MetricRef
    max_drop: str


class RulesRecord(TypedDict):
    """The spec's `[gate]`, resolved. Limits that are off are left out."""

    mode: Literal["paired", "literal"]
    min_improvement: str
    confidence: float
    protected: list[str]
    slice_margin: float
    min_rows: int
    min_positives: int
    min_discordant: int
    undecided_protected: Literal["block", "allow_with_warning", "human"]
    watched: list[str]
    watched_alpha: float
    min_days: int
    resample_unit: Literal["day", "row"]
    cooldown_days: NotRequired[int]
    min_holdout_rows: NotRequired[int]
    min_label_coverage: NotRequired[float]
    max_model_bytes: NotRequired[int]
    max_calibration_error: NotRequired[float]
    max_forgetting: NotRequired[float]
    metric: NotRequired[MetricRef]
    beta: NotRequired[str]
    costs: NotRequired[CostsRecord]
    quantile: NotRequired[str]
    variance: NotRequired[Literal["window", "moderated"]]
    classes_of: NotRequired[str]
    guards: NotRequired[list[GuardRulesRecord]]
