"""Who trains, and what `[train]` may say: our own trainers know their parameters and ranges."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from numbers import Real
from types import MappingProxyType
from typing import Any, Literal

from retrain_ops import _core
from retrain_ops.errors import ConfigError

NATIVE = "gbdt"

ProblemName = Literal["binary", "multiclass", "regression"]
"""What a model is asked for: a yes or no, one of several classes, or an amount."""

# The trainer learns from all rows of its window; early stopping would need others.
DEFAULT_PARAMS: Mapping[str, int | float] = MappingProxyType(
    {k: v for k, v in _core.gbdt_params({}).items() if k != "early_stopping_rounds"}
)
"""Parameters of the default trainer and their defaults; `models.training` says what they do."""

_CHECKS: Mapping[str, Callable[[dict[str, Any]], dict[str, int | float]]] = MappingProxyType(
    {NATIVE: _core.gbdt_params, "logistic": _core.linear_params, "linear": _core.linear_params}
)
_LINEAR: Mapping[str, int | float] = MappingProxyType(_core.linear_params({}))
DEFAULTS: Mapping[str, Mapping[str, int | float]] = MappingProxyType(
    {NATIVE: DEFAULT_PARAMS, "logistic": _LINEAR, "linear": _LINEAR}
)
"""Our own trainers by name, with their parameters' defaults."""
OURS = ", ".join(f'"{name}"' for name in DEFAULTS)
"""Their names, for messages."""

_PACKAGES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "xgboost": ("xgboost",),
    "lightgbm": ("lightgbm",),
    "sklearn": ("scikit-learn", "skops"),
})  # fmt: skip
TRAINER_FORMS = f'{OURS}, "xgboost", "lightgbm", "sklearn:Class" or "package.module:function"'

_CLASS = re.compile(r"sklearn:[A-Za-z_]\w*")
_FUNCTION = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


_PROBLEMS: Mapping[str, tuple[ProblemName, ...]] = MappingProxyType({
    NATIVE: ("binary", "multiclass", "regression"),
    "logistic": ("binary",),
    "linear": ("regression",),
    "xgboost": ("binary", "regression"),
    "lightgbm": ("binary", "regression"),
    "sklearn": ("binary",),
})  # fmt: skip
"""What each trainer can be asked for; a function of the user's own refuses by itself."""


def refused_problem(trainer: str, problem: ProblemName) -> str | None:
    """Why a trainer cannot train for a problem; None where it can."""
    known = _PROBLEMS.get(trainer.partition(":")[0] if is_library(trainer) else trainer)
    if known is None or problem in known:
        return None
    others = ", ".join(f'"{name}"' for name, asked in _PROBLEMS.items() if problem in asked)
    alone = " and ".join(f'"{name}"' for name in known)
    return (
        f'"{trainer}" trains for problem = {alone} alone; for "{problem}" take {others} or a '
        "function of your own"
    )


def is_trainer(name: str) -> bool:
    """Whether `name` has one of the TRAINER_FORMS."""
    return name in DEFAULTS or is_library(name) or _FUNCTION.fullmatch(name) is not None


def is_library(name: str) -> bool:
    """Whether another library trains, whose models `load_model` reads."""
    return name in ("xgboost", "lightgbm") or _CLASS.fullmatch(name) is not None


def packages_of(name: str) -> tuple[str, ...]:
    """What pip installs for the models of a trainer's library; nothing for others."""
    return _PACKAGES[name.partition(":")[0]] if is_library(name) else ()


def refused_param(params: Mapping[str, object], trainer: str = NATIVE) -> tuple[str, str] | None:
    """The first parameter that our trainer of that name refuses and why, or None."""
    known = DEFAULTS[trainer]
    for name, value in params.items():
        if name not in known:
            return name, f"unknown parameter; known parameters: {', '.join(sorted(known))}"
        if isinstance(value, bool) or not isinstance(value, Real):
            return name, f"must be a number, it is {value!r}"
        try:
            _CHECKS[trainer]({name: value})
        except TypeError:
            return name, "is too large"
        except ValueError as problem:
            return name, str(problem).removeprefix(f"{name} ")
    return None


def full_params(params: Mapping[str, object], trainer: str = NATIVE) -> dict[str, int | float]:
    """All parameters of our trainer of that name, those of `params` over the defaults.

    Raises:
        ConfigError: one is unknown, no number or out of its range.
    """
    refused = refused_param(params, trainer)
    if refused is not None:
        raise ConfigError(f"training parameter {refused[0]}: {refused[1]}")
    return _CHECKS[trainer](dict(params))
