"""Prefect flows for a retrained model, for Prefect 3.

from retrain_ops.prefect import retraining_flow, rollout_flow

retrain = retraining_flow("flights.toml")
rollout = rollout_flow("flights.toml")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrain_ops.prefect.approval import Approval as Approval
    from retrain_ops.prefect.backfills import backfill as backfill
    from retrain_ops.prefect.blocks import MlflowCredentials as MlflowCredentials
    from retrain_ops.prefect.blocks import SlackWebhook as SlackWebhook
    from retrain_ops.prefect.flows import learning_flow as learning_flow
    from retrain_ops.prefect.flows import retraining_flow as retraining_flow
    from retrain_ops.prefect.flows import rollout_flow as rollout_flow

# Resolved on first use: importing Prefect takes seconds, and its server reads this package's
# blocks through the entry point without wanting a flow.
_HOMES = {
    "Approval": "approval",
    "MlflowCredentials": "blocks",
    "SlackWebhook": "blocks",
    "backfill": "backfills",
    "learning_flow": "flows",
    "retraining_flow": "flows",
    "rollout_flow": "flows",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
