"""What the keys of a spec have to say for its `[model] problem`, and what they cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

from retrain_ops.spec.toml_tables import TableReader
from retrain_ops.spec.train import refused_problem
from retrain_ops.spec.validate import ValidateTable
from retrain_ops.stats.metrics import MetricName, metric_named
from retrain_ops.stats.metrics.amounts import LABEL_UNIT
from retrain_ops.stats.thresholds import Threshold

if TYPE_CHECKING:
    from retrain_ops.spec.spec import RetrainSpec

__all__ = ["check_noise", "check_problem", "derived_keys"]

_HAS = {"regression": "amounts", "multiclass": "classes"}

_IN_LABEL_UNITS = (
    ("gate", "min_improvement"),
    ("canary", "max_f1_drop"),
    ("canary", "gross_drop"),
)
"""Margins whose defaults are for shares: how much of an amount is much, the spec alone knows."""


Written = Mapping[str, Mapping[str, object]]
"""Table -> key -> value, as the file says it."""


def derived_keys(table: str, tables: Written) -> dict[str, object]:
    """What no file writes of a table, from the others as they are written."""
    model, source = tables["model"], tables["source"]
    if table != "gate" or not isinstance(model, dict) or not isinstance(source, dict):
        return {}
    return {"classes_of": source.get("label", "")} if model.get("problem") == "multiclass" else {}


def check_problem(reader: TableReader, spec: RetrainSpec, written: Written) -> None:
    """Refuses what does not fit the problem.

    Raises:
        ConfigError: with file and line.
    """
    _check_metric(reader, spec)
    refused = refused_problem(spec.model.trainer, spec.model.problem)
    if refused is not None:
        raise reader.error("model", "trainer", refused)
    if spec.model.problem != "binary":
        _check_labels(reader, spec)
        _check_margins(reader, spec, written)
    if spec.model.problem == "multiclass" and spec.serving.log:
        text = 'holds one number a request, and problem = "multiclass" has one for each class'
        raise reader.error("serving", "log", text)


def check_noise(reader: TableReader, spec: RetrainSpec) -> None:
    """Refuses a `[noise]` that has no labels of 0 and 1 to doubt, or too many days.

    Raises:
        ConfigError: with file and line.
    """
    if spec.noise is None:
        return
    if spec.model.problem != "binary":
        raise reader.error("noise", "", 'doubtful are labels of problem = "binary" only')
    if spec.noise.days > spec.window.train_days:
        raise reader.error("noise", "days", f"train_days is {spec.window.train_days}")


def _check_metric(reader: TableReader, spec: RetrainSpec) -> None:
    problem, asked = spec.model.problem, spec.gate.metric
    if spec.gate.problem != problem:
        of_classes = problem == "multiclass"
        named = {n: metric_named(n, classes=of_classes) for n in get_args(MetricName)}
        fit = [name for name, metric in named.items() if metric.problem == problem]
        raise reader.error(
            "gate",
            "metric",
            f'{asked} judges models of problem = "{spec.gate.problem}"; with [model] problem = '
            f'"{problem}" name one of {", ".join(fit)}',
        )


def _check_labels(reader: TableReader, spec: RetrainSpec) -> None:
    problem = spec.model.problem
    text = f'is of labels 0 and 1, and problem = "{problem}" has {_HAS[problem]}'
    if (spec.model.threshold, spec.model.threshold_value) != (Threshold().by, None):
        raise reader.error("model", "threshold", text)
    if spec.validate.label_rate != ValidateTable().label_rate:
        if problem == "regression":
            text += f"; give {spec.source.label} a range in [validate.ranges]"
        raise reader.error("validate", "label_rate", text)
    if spec.gate.max_calibration_error:
        raise reader.error("gate", "max_calibration_error", text)


def _check_margins(reader: TableReader, spec: RetrainSpec, written: Written) -> None:
    """Written, where they are in the unit of the label."""
    if spec.gate.scored_by.unit != LABEL_UNIT:
        return
    asked = list(_IN_LABEL_UNITS)
    if spec.gate.protected:
        asked.append(("gate", "slice_margin"))
    if spec.degraded is not None:
        asked.append(("degraded", "margin"))
    for table, key in asked:
        if key not in written.get(table, {}):
            raise reader.error(
                table,
                key,
                f"{spec.gate.metric} is in units of {spec.source.label}, for which there is no "
                "default: say how much",
            )
