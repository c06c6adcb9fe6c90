"""The names that users import, all of them: whoever changes one changes this list on purpose."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PUBLIC = {
    "retrain_ops": "MlflowClient RetrainSpec Run Window __version__",
    "retrain_ops.models": """
        DEFAULT_PARAMS Feature GBDTClassifier GBDTRegressor LinearRegression LogisticRegression
        PoissonRegressor TabularModel TrainedModel Trainer TrainingData encode load_model
        resolve_loader resolve_trainer train_estimator train_gbdt train_linear
        train_logistic""",
    "retrain_ops.stats": """
        CalibrationLine CanaryRules CanaryVerdict Chi2Result Costs DelongResult Distances
        DriftReport DriftRules FairnessReport GateReport GateRules Guard KsResult PsiResult
        RowMetric ScoreMetrics ShadowRules ShadowVerdict average_precision calibration_line
        chi2_homogeneity compare_models day_permutation_p delong_test distances drift_report
        fairness_report judge judge_canary
        judge_shadow ks_test psi psi_from_counts psi_tolerance_p roc_auc score_metrics slice_report
        to_significant wasserstein_distance""",
    "retrain_ops.sources": "Part SourceError SourceKind UnreachableError",
    "retrain_ops.serving": "Answer Router create_app",
    "retrain_ops.airflow": """
        ApprovalSensor ApproveCandidateOperator CheckDriftOperator DriftMonitorOperator
        EvaluateOperator LearnOperator MlflowHook ModelOperator PerformanceMonitorOperator
        PromoteChallengerOperator PromoteChampionOperator PullDataOperator RollbackOperator
        SetAliasOperator ShadowTestOperator SlackNotifier SummariseOperator TrainOperator
        ValidateDataOperator WatchCanaryOperator drift_monitor_dag learning_dag
        performance_monitor_dag retraining_asset retraining_dag rollout_dag""",
    "retrain_ops.prefect": """
        Approval MlflowCredentials SlackWebhook backfill learning_flow retraining_flow
        rollout_flow""",
    "retrain_ops.dagster": "RetrainingComponent retraining_assets",
    "retrain_ops.kubeflow": """
        backfill compile_pipelines retraining_pipeline rollout_pipeline schedule""",
}
# Their modules need an orchestrator; the environment of each imports them for real.
ELSEWHERE = tuple(f"retrain_ops.{name}" for name in ("airflow", "prefect", "dagster", "kubeflow"))


@pytest.mark.parametrize("module", PUBLIC)
def test_a_module_offers_exactly_these_names(module: str) -> None:
    assert sorted(importlib.import_module(module).__all__) == sorted(PUBLIC[module].split())


@pytest.mark.parametrize("module", sorted(PUBLIC.keys() - set(ELSEWHERE)))
def test_every_name_can_be_imported(module: str) -> None:
    home = importlib.import_module(module)
    for name in home.__all__:
        found = getattr(home, name)
        assert found.__doc__ or not callable(found), f"{module}.{name} has no docstring"


@pytest.mark.parametrize("module", ELSEWHERE)
def test_every_name_of_an_orchestrator_is_defined_where_it_is_looked_for(module: str) -> None:
    folder = ROOT / module.replace(".", "/")
    for name, home in importlib.import_module(module)._HOMES.items():
        tree = ast.parse((folder / f"{home}.py").read_text())
        defined = {n.name: n for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef)}
        assert name in defined, f"{module}.{home} does not define {name}"
        assert ast.get_docstring(defined[name]), f"{module}.{name} has no docstring"


def test_the_command_is_there_as_a_script_and_as_a_module() -> None:
    script = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert script == {"retrain-ops": "retrain_ops.cli.main:process"}
    for command in (["retrain-ops"], [sys.executable, "-m", "retrain_ops.cli"]):
        done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("usage: retrain-ops ")
