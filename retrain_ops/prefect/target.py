"""Which model a flow retrains and where, and which day a flow run is for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrain_ops.mlflow.client import MlflowClient
    from retrain_ops.run import Run, RunContext, Trigger
    from retrain_ops.spec.spec import RetrainSpec

BACKFILL_TAG = "backfill"
_SCHEDULED_TAG = "auto-scheduled"  # set by Prefect's scheduler


@dataclass(frozen=True, slots=True)
class Target:
    """What the factory of a flow was called with; names of blocks, never their secrets."""

    spec: str
    workspace: str | None = None
    tracking_uri: str | None = None
    model: str | None = None
    n_threads: int = 0
    mlflow_block: str | None = None
    slack_block: str | None = None

    def open(self) -> Opener:
        """Loads spec and blocks, once per flow run: each block costs API requests.

        Raises:
            ConfigError: the spec is wrong.
        """
        from retrain_ops.prefect.blocks import MlflowCredentials, SlackWebhook
        from retrain_ops.spec.spec import load_spec

        spec = load_spec(self.spec)
        client = MlflowCredentials.load(self.mlflow_block).client() if self.mlflow_block else None
        slack = SlackWebhook.load(self.slack_block) if self.slack_block else None
        return Opener(self, spec, client, slack.url.get_secret_value() if slack else None)


@dataclass(frozen=True, slots=True)
class Opener:
    """Opens the runs of one flow run; its secrets are in no repr."""

    target: Target
    spec: RetrainSpec
    client: MlflowClient | None = None
    slack_webhook: Any = None

    def __repr__(self) -> str:
        return f"Opener({self.target!r})"

    @property
    def model(self) -> str:
        """The registered model's name."""
        return self.target.model or self.spec.model.name

    def newest_window_end(self, now: datetime) -> date:
        """The newest window end whose instant has come."""
        from retrain_ops.spec.window import newest_window_end

        return newest_window_end(now, self.spec.window.cutoff_time)

    def run(self, day: date, context: RunContext) -> Run:
        """The run of a day.

        Raises:
            ConfigError: no workspace or server is named.
        """
        import os

        from retrain_ops.run import open_run, require_workspace

        target = self.target
        return open_run(
            self.spec,
            date=day,
            workspace=require_workspace(
                target.workspace or os.environ.get("RETRAIN_OPS_WORKSPACE")
            ),
            tracking_uri=target.tracking_uri,
            model=target.model,
            n_threads=target.n_threads,
            context=context,
            client=self.client,
            slack_webhook=self.slack_webhook,
        )


def resolve_window_end(window_end: date | None, scheduled: datetime | None) -> date:
    """The day D: the parameter, otherwise the UTC day the run was scheduled for.

    Never the flow run's name, id or attempt, so that a late or repeated run sees the window of
    its day.

    Raises:
        ConfigError: neither is there.
    """
    from retrain_ops.errors import ConfigError
    from retrain_ops.spec.window import instant_in_utc

    if isinstance(window_end, datetime):
        return instant_in_utc(window_end).date()
    if window_end is not None:
        return window_end
    if scheduled is None:
        raise ConfigError('the run has no scheduled time; give it {"window_end": "YYYY-MM-DD"}')
    return instant_in_utc(scheduled).date()


def flow_facts(*, force: bool = False, bootstrap: bool = False, look: bool = False) -> RunContext:
    """Who started the flow run that this is called in: circumstance, never content."""
    from prefect.runtime import flow_run

    from retrain_ops.run import RunContext

    scheduled = flow_run.scheduled_start_time
    return RunContext(
        orchestrator="prefect",
        dag_run_id=str(flow_run.id or ""),
        logical_date="" if scheduled is None else scheduled.isoformat(),
        try_number=int(flow_run.run_count or 1),
        trigger=trigger_of(flow_run.tags or ()),
        forced=force,
        bootstrap=bootstrap,
        look=look,
    )


def trigger_of(tags: Any) -> Trigger:
    """The word for what started a flow run; it goes into run.json only."""
    if BACKFILL_TAG in tags:
        return "backfill"
    return "schedule" if _SCHEDULED_TAG in tags else "manual"
