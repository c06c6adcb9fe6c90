"""Buttons of a task: its MLflow run, the model version, the day's report.

A task pushes the addresses as one small XCom; on 3.x a link is worked out by the worker when
the task ends, on 2.x by the web server when somebody looks.
"""

from __future__ import annotations

from typing import Any, ClassVar

from retrain_ops.airflow.compat import BaseOperatorLink, pushed_value

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
