"""Kubeflow Pipelines for a retrained model, compiled with kfp 2.17 or newer.

from retrain_ops.kubeflow import compile_pipelines

compile_pipelines("build", "/etc/retrain/flights.toml", image="registry.example.com/retrain:1")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrain_ops.kubeflow.pipeline import compile_pipelines as compile_pipelines
    from retrain_ops.kubeflow.pipeline import retraining_pipeline as retraining_pipeline
    from retrain_ops.kubeflow.pipeline import rollout_pipeline as rollout_pipeline
    from retrain_ops.kubeflow.submit import backfill as backfill
    from retrain_ops.kubeflow.submit import schedule as schedule

# Resolved on first use: the image that runs the steps has no kfp.
_HOMES = {
    "backfill": "submit",
    "compile_pipelines": "pipeline",
    "retraining_pipeline": "pipeline",
    "rollout_pipeline": "pipeline",
    "schedule": "submit",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
