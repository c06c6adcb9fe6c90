"""Where MLflow shows what a run left: its own page, the day's report, the model version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrain_ops.run import Run


def links_of(run: Run, result: Mapping[str, Any]) -> dict[str, str]:
    """The addresses that a step can name; a day that trained nothing has no MLflow run."""
    from retrain_ops.run import run_record

    record = run_record(run)
    found: dict[str, str] = {}
    if record.get("mlflow_run_id") and record.get("mlflow_experiment_id"):
        experiment, run_id = record["mlflow_experiment_id"], record["mlflow_run_id"]
        page = f"{run.client.tracking_uri}/#/experiments/{experiment}/runs/{run_id}"
        found |= {"mlflow_run": page, "report": f"{page}/artifacts/report.html"}
    version = result.get("candidate") or record.get("version")
    if version:
        found["model_version"] = run.registry.version_page(str(version))
    return found
