"""Retraining in production that is scheduled, audited and reversible.

The names below are loaded when they are first used, so that importing the
package, as every DAG parse does, costs milliseconds and opens nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrain_ops.mlflow.client import MlflowClient
    from retrain_ops.run import Run
    from retrain_ops.spec.spec import RetrainSpec
    from retrain_ops.spec.window import Window

__version__ = "0.1.0"
__all__ = ["MlflowClient", "RetrainSpec", "Run", "Window", "__version__"]

_HOMES = {
    "MlflowClient": "mlflow.client",
    "RetrainSpec": "spec.spec",
    "Run": "run",
    "Window": "spec.window",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
