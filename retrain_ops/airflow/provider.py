"""What Airflow's provider manager asks for."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

_LINKS = ("MlflowRunLink", "ModelVersionLink", "ReportLink")


def get_provider_info() -> dict[str, Any]:
    """Metadata by Airflow's provider schema; asked for at start-up, so it imports nothing else."""
    return {
        "package-name": "retrain-ops",
        "name": "Retrain Ops",
        "description": "Retraining in production that is scheduled, audited and reversible.",
        "versions": _versions(),
        "connection-types": [
            {
                "connection-type": "mlflow",
                "hook-class-name": "retrain_ops.airflow.hooks.MlflowHook",
                "hook-name": "MLflow",
            }
        ],
        "extra-links": [f"retrain_ops.airflow.links.{name}" for name in _LINKS],
        "notifications": ["retrain_ops.airflow.notifier.SlackNotifier"],
    }


def _versions() -> list[str]:
    """Empty in a source tree that was never installed, where no entry point exists either."""
    try:
        return [version("retrain-ops")]
    except PackageNotFoundError:
        return []
