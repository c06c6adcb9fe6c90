"""What a model is asked for: one small object for each `[model] problem`, which the steps ask."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from retrain_ops.problems.binary import BINARY
from retrain_ops.problems.multiclass import MULTICLASS
from retrain_ops.problems.problem import Problem, Scored
from retrain_ops.problems.regression import REGRESSION
from retrain_ops.spec.spec import RetrainSpec

__all__ = ["BINARY", "MULTICLASS", "REGRESSION", "Problem", "Scored", "problem_of"]

_BY_NAME: Mapping[str, Problem] = MappingProxyType(
    {p.name: p for p in (BINARY, MULTICLASS, REGRESSION)}
)


def problem_of(spec: RetrainSpec) -> Problem:
    """The problem of `[model] problem`."""
    return _BY_NAME[spec.model.problem]
