"""Monitors: tasks that ask for a retraining when a reason for one begins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from retrain_ops.airflow.base import LOCK_PATIENCE_S, ModelOperator
from retrain_ops.airflow.compat import (
    AirflowSkipException,
    Asset,
    asset_outlets,
    emit_asset_event,
)

if TYPE_CHECKING:
    from retrain_ops.run import Run

__all__ = [
    "DriftMonitorOperator",
    "MonitorOperator",
    "PerformanceMonitorOperator",
]


class MonitorOperator(ModelOperator):
    """Succeeds, with an event of `asset`, when its condition begins; else it is skipped.

    The event carries model, window end, reason and a summary. While the condition lasts there is
    no second event, whoever looks; the task is skipped then, as it is when all is well.

    :param asset: whose events ask for the retraining, as `retraining_asset(spec)`

    The other parameters are those of every operator.
    """

    kind: ClassVar[Literal["drift", "degraded"]]

    def __init__(self, *, asset: Asset, **kwargs: Any) -> None:
        super().__init__(outlets=asset_outlets(asset), **kwargs)
        self.asset = asset

    @property
    def look_only(self) -> bool:
        """A monitor leaves the records of the day's own run alone."""
        return True

    def act(self, run: Run, context: Mapping[str, Any]) -> dict[str, Any]:
        """Look, and send the event if this look is the one that saw the condition begin."""
        from retrain_ops.monitoring.monitor import watch

        result = watch(self.kind, run, patience_s=LOCK_PATIENCE_S)
        if result.begins:
            segment = {} if self.segment is None else {"segment": self.segment}
            emit_asset_event(context, self.asset, {**result.event(run), **segment})
        return result.to_json()

    def _conclude(self, result: dict[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
        if result["begins"]:
            return result
        # A skipped task has no event, and returns nothing: its finding is pushed before.
        context["ti"].xcom_push(key="return_value", value=result)
        state = f"goes on since {result['since']}" if result["holds"] else "no"
        raise AirflowSkipException(f"{self.kind}: {state}: {result['summary']}")


class DriftMonitorOperator(MonitorOperator):
    """Asks whether the features have drifted, by the rules of `[drift]`."""

    step = "watch_drift"
    kind = "drift"


class PerformanceMonitorOperator(MonitorOperator):
    """Asks whether the champion has fallen behind on matured labels, by `[degraded]`."""

    step = "watch_performance"
    kind = "degraded"
