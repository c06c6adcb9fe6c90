"""Steps whose outcome a test decides, for the wiring of an orchestrator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from retrain_ops.errors import NotYet

SPEC = """\
[model]
name = "toy"

[source]
path = "rows"
label = "late"

[features]
numeric = ["a"]
"""


@dataclass(slots=True)
class Recorder:
    """Stands in for the steps: what was called, and who was told."""

    outcomes: dict[str, Callable[[Any], dict[str, Any]]] = field(default_factory=dict)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    alerts: list[tuple[str, str]] = field(default_factory=list)

    def run_step(self, name: str, run: Any, *, alert: bool = True) -> dict[str, Any]:
        self.calls.append((name, run))
        usual = {"step": name, "status": "ok", "summary": name, "triggered": True}
        if name == "summarise":
            usual["outcome"] = "skipped"
        try:
            return usual | self.outcomes.get(name, lambda run: {})(run)
        except Exception as error:
            if alert and not isinstance(error, NotYet):
                self.alert_failure(run, name, str(error))
            raise

    def alert_failure(self, run: Any, step: str, message: str) -> None:
        """Once per attempt, as the workspace's record does it."""
        if not self.alerts:
            self.alerts.append((step, message))

    @property
    def steps_run(self) -> list[str]:
        return [name for name, _ in self.calls]

    def fails(self, name: str, *errors: Exception) -> None:
        """The step raises these, one call after the other, and then succeeds."""
        left = list(errors)

        def outcome(run: Any) -> dict[str, Any]:
            if left:
                raise left.pop(0)
            return {}

        self.outcomes[name] = outcome
