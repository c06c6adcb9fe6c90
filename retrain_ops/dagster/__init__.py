"""Dagster assets, schedules and sensors for a retrained model, for Dagster 1.13 or newer.

from retrain_ops.dagster import retraining_assets

defs = retraining_assets("flights.toml")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrain_ops.dagster.component import RetrainingComponent as RetrainingComponent
    from retrain_ops.dagster.definitions import retraining_assets as retraining_assets

# Resolved on first use: importing Dagster takes seconds.
_HOMES = {"RetrainingComponent": "component", "retraining_assets": "definitions"}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """`dg` lists the components that it finds here."""
    return sorted({*globals(), *_HOMES})
