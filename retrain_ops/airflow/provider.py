"""What Airflow's provider manager asks for."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Metadata by Airflow's provider schema; asked for at start-up, so it imports nothing else."""
    return {
        "package-name": "retrain-ops",
        "name": "Retrain Ops",
        "description": "Retraining in production that is scheduled, audited and reversible.",
        "versions": _versions(),
    }


def _versions() -> list[str]:
    """Empty in a source tree that was never installed, where no entry point exists either."""
    try:
        return [version("retrain-ops")]
    except PackageNotFoundError:
        return []
