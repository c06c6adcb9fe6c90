"""A model behind HTTP: MLflow's scoring protocol, answered by the registry's champion."""

from __future__ import annotations

from retrain_ops.serving.app import create_app
from retrain_ops.serving.router import Answer, Router

__all__ = ["Answer", "Router", "create_app"]
