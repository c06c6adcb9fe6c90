"""What Airflow's provider manager asks for."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

_LINKS = ("MlflowRunLink", "ModelVersionLink", "ReportLink")

# The form of the `mlflow` connection. Airflow 3 reads it here, 2.x asks the hook for it.
MLFLOW_FIELDS: dict[str, dict[str, Any]] = {
    "ca_path": {"label": "CA file or folder", "schema": {"type": ["string", "null"]}}
}
MLFLOW_FORM: dict[str, Any] = {
    # What is not in the form has no meaning here.
    "hidden-fields": ["extra"],
    "relabeling": {
        "host": "Tracking server",
        "schema": "Scheme (http or https)",
        "login": "User name (basic authentication)",
        "password": "Password, or a token without a user name",
    },
    "placeholders": {
        "host": "https://mlflow.example.com",
        "schema": "http",
        "port": "5000",
        "ca_path": "/etc/ssl/private-ca.pem",
    },
}


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
                "hook-class-name": "retrain_ops.airflow.connections.MlflowHook",
                "hook-name": "MLflow",
                "conn-fields": MLFLOW_FIELDS,
                "ui-field-behaviour": MLFLOW_FORM,
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
