"""Numbers into verdicts: drift, ranks, slices, gates, shadow and canary.

Everything starts from exact counts (`retrain_ops._core`); SciPy is imported
only when a distribution function is needed.
"""

from __future__ import annotations

from retrain_ops.stats.comparison import compare_models
from retrain_ops.stats.distances import (
    Chi2Result,
    Distances,
    chi2_homogeneity,
    distances,
    psi_tolerance_p,
)
from retrain_ops.stats.drift import DriftReport, DriftRules, drift_report
from retrain_ops.stats.fairness import FairnessReport, fairness_report
from retrain_ops.stats.gate_rules import GateRules, Guard
from retrain_ops.stats.gates import GateReport, judge
from retrain_ops.stats.metrics import Costs, RowMetric
from retrain_ops.stats.psi import PsiResult, day_permutation_p, psi, psi_from_counts
from retrain_ops.stats.ranks import (
    DelongResult,
    KsResult,
    average_precision,
    delong_test,
    ks_test,
    roc_auc,
    wasserstein_distance,
)
from retrain_ops.stats.rounding import to_significant
from retrain_ops.stats.scores import (
    CalibrationLine,
    ScoreMetrics,
    calibration_line,
    score_metrics,
)
from retrain_ops.stats.sequential import CanaryRules, CanaryVerdict, judge_canary
from retrain_ops.stats.shadow import ShadowRules, ShadowVerdict, judge_shadow
from retrain_ops.stats.slices import slice_report

__all__ = [
    "CalibrationLine",
    "CanaryRules",
    "CanaryVerdict",
    "Chi2Result",
    "Costs",
    "DelongResult",
    "Distances",
    "DriftReport",
    "DriftRules",
    "FairnessReport",
    "GateReport",
    "GateRules",
    "Guard",
    "KsResult",
    "PsiResult",
    "RowMetric",
    "ScoreMetrics",
    "ShadowRules",
    "ShadowVerdict",
    "average_precision",
    "calibration_line",
    "chi2_homogeneity",
    "compare_models",
    "day_permutation_p",
    "delong_test",
    "distances",
    "drift_report",
    "fairness_report",
    "judge",
    "judge_canary",
    "judge_shadow",
    "ks_test",
    "psi",
    "psi_from_counts",
    "psi_tolerance_p",
    "roc_auc",
    "score_metrics",
    "slice_report",
    "to_significant",
    "wasserstein_distance",
]
