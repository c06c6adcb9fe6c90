"""Buttons of a task: its MLflow run, the model version, the day's report.

A task pushes the addresses as one small XCom; on 3.x a link is worked out by the worker when
the task ends, on 2.x by the web server when somebody looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from retrain_ops.airflow.compat import BaseOperatorLink, pushed_value

if TYPE_CHECKING:
    from retrain_ops.run import Run

__all__ = ["EXTRA_LINKS", "LINKS_KEY", "MlflowRunLink", "ModelVersionLink", "ReportLink"]

LINKS_KEY = "links"


class _PushedLink(BaseOperatorLink):  # type: ignore[misc]
    """An address that the task pushed; greyed out where it pushed none."""

    pushed: ClassVar[str]

    def get_link(self, operator: object, *, ti_key: Any) -> str:
        """The address, or "" when the task has none."""
        return str((pushed_value(ti_key, LINKS_KEY) or {}).get(self.pushed, ""))


class MlflowRunLink(_PushedLink):
    """The MLflow run of the day."""

    name = "MLflow run"
    pushed = "mlflow_run"


class ModelVersionLink(_PushedLink):
    """The version that the task registered, judged or moved."""

    name = "Model version"
    pushed = "model_version"


class ReportLink(_PushedLink):
    """The day's page among the artifacts of its MLflow run."""

    name = "Report"
    pushed = "report"


EXTRA_LINKS = (MlflowRunLink(), ModelVersionLink(), ReportLink())


def links_of(run: Run, result: Mapping[str, Any]) -> dict[str, str]:
    """The addresses that a task can name; a day that trained nothing has no MLflow run."""
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
