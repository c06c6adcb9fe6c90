"""Who trains, and what `[train]` may say: the trainer "gbdt" knows its parameters and ranges."""

from __future__ import annotations

import re
from collections.abc import Mapping
from numbers import Real
from types import MappingProxyType

from retrain_ops import _core
from retrain_ops.errors import ConfigError

NATIVE = "gbdt"

# The trainer learns from all rows of its window; early stopping would need others.
DEFAULT_PARAMS: Mapping[str, int | float] = MappingProxyType(
    {k: v for k, v in _core.gbdt_params({}).items() if k != "early_stopping_rounds"}
)
"""Parameters of the default trainer and their defaults; `models.training` says what they do."""

_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_trainer(name: str) -> bool:
    """Whether `name` is "gbdt" or has the form "package.module:function"."""
    return name == NATIVE or _FUNCTION.fullmatch(name) is not None


def refused_param(params: Mapping[str, object]) -> tuple[str, str] | None:
    """The first parameter that the trainer "gbdt" refuses and why, or None."""
    for name, value in params.items():
        if name not in DEFAULT_PARAMS:
            return name, f"unknown parameter; known parameters: {', '.join(sorted(DEFAULT_PARAMS))}"
        if isinstance(value, bool) or not isinstance(value, Real):
            return name, f"must be a number, it is {value!r}"
        try:
            _core.gbdt_params({name: value})
        except TypeError:
            return name, "is too large"
        except ValueError as problem:
            return name, str(problem).removeprefix(f"{name} ")
    return None


def full_params(params: Mapping[str, object]) -> dict[str, int | float]:
    """All parameters of the trainer "gbdt", those of `params` over the defaults.

    Raises:
        ConfigError: one is unknown, no number or out of its range.
    """
    refused = refused_param(params)
    if refused is not None:
        raise ConfigError(f"training parameter {refused[0]}: {refused[1]}")
    return _core.gbdt_params(dict(params))
