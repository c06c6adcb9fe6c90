"""Airflow operators and DAG factories, for Airflow 2.9 to 3.x.

from retrain_ops.airflow import retraining_dag

dag = retraining_dag("/opt/airflow/dags/flights.toml")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrain_ops.airflow.approval import ApprovalSensor as ApprovalSensor
    from retrain_ops.airflow.approval import ApproveCandidateOperator as ApproveCandidateOperator
    from retrain_ops.airflow.base import ModelOperator as ModelOperator
    from retrain_ops.airflow.connections import MlflowHook as MlflowHook
    from retrain_ops.airflow.dag_options import retraining_asset as retraining_asset
    from retrain_ops.airflow.dags import drift_monitor_dag as drift_monitor_dag
    from retrain_ops.airflow.dags import learning_dag as learning_dag
    from retrain_ops.airflow.dags import performance_monitor_dag as performance_monitor_dag
    from retrain_ops.airflow.dags import retraining_dag as retraining_dag
    from retrain_ops.airflow.dags import rollout_dag as rollout_dag
    from retrain_ops.airflow.monitor_operators import DriftMonitorOperator as DriftMonitorOperator
    from retrain_ops.airflow.monitor_operators import (
        PerformanceMonitorOperator as PerformanceMonitorOperator,
    )
    from retrain_ops.airflow.notifier import SlackNotifier as SlackNotifier
    from retrain_ops.airflow.operators import CheckDriftOperator as CheckDriftOperator
    from retrain_ops.airflow.operators import EvaluateOperator as EvaluateOperator
    from retrain_ops.airflow.operators import LearnOperator as LearnOperator
    from retrain_ops.airflow.operators import PromoteChallengerOperator as PromoteChallengerOperator
    from retrain_ops.airflow.operators import PromoteChampionOperator as PromoteChampionOperator
    from retrain_ops.airflow.operators import PullDataOperator as PullDataOperator
    from retrain_ops.airflow.operators import ShadowTestOperator as ShadowTestOperator
    from retrain_ops.airflow.operators import SummariseOperator as SummariseOperator
    from retrain_ops.airflow.operators import TrainOperator as TrainOperator
    from retrain_ops.airflow.operators import ValidateDataOperator as ValidateDataOperator
    from retrain_ops.airflow.operators import WatchCanaryOperator as WatchCanaryOperator
    from retrain_ops.airflow.registry_operators import RollbackOperator as RollbackOperator
    from retrain_ops.airflow.registry_operators import SetAliasOperator as SetAliasOperator

# Resolved on first use: Airflow's provider manager imports this package to read its metadata,
# long before it wants an operator.
_HOMES = {
    "ModelOperator": "base",
    "retraining_dag": "dags",
    "ApprovalSensor": "approval",
    "ApproveCandidateOperator": "approval",
    "rollout_dag": "dags",
    "retraining_asset": "dag_options",
    "MlflowHook": "connections",
    "DriftMonitorOperator": "monitor_operators",
    "PerformanceMonitorOperator": "monitor_operators",
    "drift_monitor_dag": "dags",
    "learning_dag": "dags",
    "performance_monitor_dag": "dags",
    "SlackNotifier": "notifier",
    "CheckDriftOperator": "operators",
    "EvaluateOperator": "operators",
    "LearnOperator": "operators",
    "PromoteChallengerOperator": "operators",
    "PromoteChampionOperator": "operators",
    "PullDataOperator": "operators",
    "ShadowTestOperator": "operators",
    "SummariseOperator": "operators",
    "TrainOperator": "operators",
    "ValidateDataOperator": "operators",
    "WatchCanaryOperator": "operators",
    "RollbackOperator": "registry_operators",
    "SetAliasOperator": "registry_operators",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
