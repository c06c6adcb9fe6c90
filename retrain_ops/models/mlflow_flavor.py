"""The loader that MLflow calls for a registered model.

An MLmodel file whose `python_function` flavour names this module makes
`mlflow.pyfunc.load_model("models:/name@champion").predict(frame)` work without any
pickle. This module does not import mlflow: MLflow imports it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from retrain_ops.models.tabular import TabularModel, load_model
from retrain_ops.spec.train import packages_of

MODEL_FILE = "model.rtm"
PYTHON_ENV_FILE = "python_env.yaml"


def mlmodel_yaml(
    loader_module: str = __name__,
    *,
    inputs: Sequence[tuple[str, pa.DataType]] = (),
    of_classes: bool = False,
) -> str:
    """The text of the MLmodel file that belongs beside MODEL_FILE.

    A trainer of your own names its own module, which then has a `_load_pyfunc(path)`.

    Args:
        loader_module: has the loader.
        inputs: columns and what they hold; MLflow's server and pages show them, and MLflow
            refuses frames that lack one. None are said when empty.
        of_classes: a row's scores are one for each of several classes.
    """
    lines = [
        "flavors:",
        "  python_function:",
        f"    loader_module: {loader_module}",
        f"    data: {MODEL_FILE}",
        "    env:",
        f"      virtualenv: {PYTHON_ENV_FILE}",
    ]
    if inputs:
        columns = [{"name": name, "type": _mlflow_type(kind)} for name, kind in inputs]
        lines += [
            "signature:",
            f"  inputs: {_quoted(columns)}",
            f"  outputs: {_quoted(_scores(2 if of_classes else 1))}",
            "  params: null",
        ]
    return "\n".join(lines) + "\n"


def _scores(axes: int) -> list[dict[str, object]]:
    return [{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1] * axes}}]


def _quoted(value: object) -> str:
    """JSON as a YAML string in single quotes."""
    return "'" + json.dumps(value).replace("'", "''") + "'"


def _mlflow_type(kind: pa.DataType) -> str:
    """What MLflow calls the column that pandas makes of it."""
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "long"
    return "double" if pa.types.is_floating(kind) else "string"


def environment_files(trainer: str) -> dict[str, str]:
    """Beside the MLmodel file: what a process needs that loads a model of the trainer, by file
    name."""
    needed = ("retrain-ops", "numpy", "pyarrow", "scipy", *packages_of(trainer))
    version = ".".join(map(str, sys.version_info[:3]))
    return {
        "requirements.txt": "".join(f"{name}{_pinned(name)}\n" for name in needed),
        PYTHON_ENV_FILE: f"python: {version}\nbuild_dependencies:\n- pip\ndependencies:\n"
        "- -r requirements.txt\n",
    }


def _pinned(name: str) -> str:
    try:
        return f"=={metadata.version(name)}"
    except metadata.PackageNotFoundError:  # a source tree that nobody has installed
        return ""


@dataclass(frozen=True, slots=True, eq=False)
class PyFuncModel:
    """What MLflow wraps: predict(table) gives probabilities, not decisions."""

    model: TabularModel

    def predict(
        self, model_input: object, params: dict[str, Any] | None = None
    ) -> NDArray[np.float64]:
        """P(label = 1) of each row, float64 [n], or of each of `model.classes`, float64 [n, K];
        there are no inference parameters."""
        del params
        return self.model.scores(model_input)


def _load_pyfunc(path: str) -> PyFuncModel:
    """MLflow's entry point; `path` is the model file."""
    return PyFuncModel(load_model(path))
