"""The loader that MLflow calls for a registered model.

An MLmodel file whose `python_function` flavour names this module makes
`mlflow.pyfunc.load_model("models:/name@champion").predict(frame)` work without any
pickle. This module does not import mlflow: MLflow imports it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrain_ops.models.tabular import TabularModel, load_model

MODEL_FILE = "model.rtm"


def mlmodel_yaml(loader_module: str = __name__) -> str:
    """The text of the MLmodel file that belongs beside MODEL_FILE.

    A trainer of your own names its own module, which then has a `_load_pyfunc(path)`.
    """
    flavour = f"    loader_module: {loader_module}\n    data: {MODEL_FILE}\n"
    return f"flavors:\n  python_function:\n{flavour}"


@dataclass(frozen=True, slots=True, eq=False)
class PyFuncModel:
    """What MLflow wraps: predict(table) gives probabilities, not decisions."""

    model: TabularModel

    def predict(
        self, model_input: object, params: dict[str, Any] | None = None
    ) -> NDArray[np.float64]:
        """P(label = 1) of each row, float64 [n]; there are no inference parameters."""
        del params
        return self.model.scores(model_input)


def _load_pyfunc(path: str) -> PyFuncModel:
    """MLflow's entry point; `path` is the model file."""
    return PyFuncModel(load_model(path))
