"""What every operator of a model shares: its arguments, credentials, waiting, being stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from retrain_ops.airflow.compat import (
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseOperator,
    date_time_trigger,
)
from retrain_ops.airflow.context import (
    NEWEST,
    is_last_try,
    newest_window_end,
    resolve_window_end,
    run_context,
)
from retrain_ops.airflow.links import EXTRA_LINKS, LINKS_KEY

if TYPE_CHECKING:
    from datetime import date

    from retrain_ops.errors import BusyError
    from retrain_ops.run import Run
    from retrain_ops.spec.spec import RetrainSpec

__all__ = ["LOCK_PATIENCE_S", "ModelOperator"]

# A step that is not ready says until when; a moment already past must not make a busy loop.
_WAIT_AT_LEAST = timedelta(seconds=15)
# The model's lock: a short wait costs a worker less than a deferral, a long one must not hold it.
LOCK_PATIENCE_S = 30.0
_LOOK_AT_LOCK_EVERY = timedelta(minutes=1)
_BUSY_AT_MOST = timedelta(hours=6)


class ModelOperator(BaseOperator):  # type: ignore[misc]
    """A task on one model; a subclass says in `act` what it does.

    :param spec: path of the model's TOML file (templated)
    :param window_end: the day D as `YYYY-MM-DD`; by default the day of the run; `newest` is the
        newest day whose instant has come, for tasks that look after a rollout (templated)
    :param workspace: folder or URI of all files, by default `RETRAIN_OPS_WORKSPACE` (templated)
    :param tracking_uri: MLflow server, by default the spec's or the environment's (templated)
    :param model: registered name that replaces the spec's (templated)
    :param segment: what `${SEGMENT}` stands for in the spec (templated)
    :param mlflow_conn_id: an `mlflow` connection; it wins over `tracking_uri` (templated)
    :param slack_conn_id: a `slackwebhook` connection for messages, by default the environment
        variable that the spec names (templated)
    :param n_threads: threads of one step; 0 means as many as the machine grants
    """

    # What its alerts call it, and its task id by default.
    step: ClassVar[str]
    step_trigger_rule: ClassVar[str] = "all_success"
    template_fields: Sequence[str] = (
        "spec",
        "window_end",
        "workspace",
        "tracking_uri",
        "model",
        "segment",
        "mlflow_conn_id",
        "slack_conn_id",
    )
    operator_extra_links = EXTRA_LINKS
    ui_color = "#e8f1f8"

    def __init__(
        self,
        *,
        spec: str,
        window_end: str | None = None,
        workspace: str | None = None,
        tracking_uri: str | None = None,
        model: str | None = None,
        segment: str | None = None,
        mlflow_conn_id: str | None = None,
        slack_conn_id: str | None = None,
        n_threads: int = 0,
        task_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("trigger_rule", self.step_trigger_rule)
        super().__init__(task_id=task_id or self.step, **kwargs)
        self.spec = spec
        self.window_end = window_end
        self.workspace = workspace
        self.tracking_uri = tracking_uri
        self.model = model
        self.segment = segment
        self.mlflow_conn_id = mlflow_conn_id
        self.slack_conn_id = slack_conn_id
        self.n_threads = n_threads

    def act(self, run: Run, context: Mapping[str, Any]) -> dict[str, Any]:
        """Do it; the dict it returns is small."""
        raise NotImplementedError

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Act; the dict becomes the XCom."""
        return self._perform(context)

    def resume(
        self, context: Mapping[str, Any], event: object = None, busy_since: str | None = None
    ) -> dict[str, Any]:
        """Come back from a wait: look at the world again, and perhaps wait once more."""
        return self._perform(context, busy_since)

    def on_kill(self) -> None:
        """Leave the step at once: the C core looks for this every 50 ms and cancels its work.

        On 3.x the handler that calls this returns to the step, so only an exception stops it.
        """
        import sys

        from retrain_ops.errors import CancelledError

        if not isinstance(sys.exception(), AirflowTaskTimeout):
            raise CancelledError(f"{self.step} was stopped by Airflow; clear the task to redo it")

    def open_run(self, context: Mapping[str, Any]) -> Run:
        """The run this task instance belongs to; credentials go to the client as arguments."""
        import os

        from retrain_ops.run import open_run, require_workspace

        spec, day = self._spec_and_day(context)
        return open_run(
            spec,
            date=day,
            workspace=require_workspace(self.workspace or os.environ.get("RETRAIN_OPS_WORKSPACE")),
            tracking_uri=self.tracking_uri,
            model=self.model,
            segment=self.segment,
            n_threads=self.n_threads,
            context=run_context(context, segment=self.segment, look=self.look_only),
            client=self._client(),
            slack_webhook=self.slack_webhook(),
        )

    @property
    def look_only(self) -> bool:
        """Whether the task keeps its records apart from those of the day's own run."""
        return self.window_end == NEWEST

    def slack_webhook(self) -> str | None:
        """Where messages go, when a connection says so."""
        from retrain_ops.airflow.connections import slack_webhook_url

        return slack_webhook_url(self.slack_conn_id) if self.slack_conn_id else None

    def _client(self) -> Any:
        from retrain_ops.airflow.connections import MlflowHook

        return MlflowHook(self.mlflow_conn_id).get_conn() if self.mlflow_conn_id else None

    def _spec_and_day(self, context: Mapping[str, Any]) -> tuple[str | RetrainSpec, date]:
        """The spec, loaded only where it takes the spec's cut-off to know the day."""
        if self.window_end != NEWEST:
            return self.spec, resolve_window_end(context, self.window_end)
        from retrain_ops.spec.spec import load_spec

        spec = load_spec(self.spec, segment=self.segment)
        return spec, newest_window_end(context, spec.window.cutoff_time)

    def _perform(self, context: Mapping[str, Any], busy_since: str | None = None) -> dict[str, Any]:
        from retrain_ops.errors import BusyError, ConfigError, DataError, NotYet
        from retrain_ops.registry.links import links_of
        from retrain_ops.steps.alerts import alert_failure

        run = self.open_run(context)
        try:
            result = self.act(run, context)
        except NotYet as wait:
            self._wait(wait.until)
        except BusyError as busy:
            self._wait_for_lock(run, context, busy, busy_since)
        except (ConfigError, DataError) as error:
            # The same rows fail the same way: a retry would only delay the red run.
            alert_failure(run, self.step, str(error))
            raise AirflowFailException(str(error)) from error
        context["ti"].xcom_push(key=LINKS_KEY, value=links_of(run, result))
        return self._conclude(result, context)

    def _conclude(self, result: dict[str, Any], context: Mapping[str, Any]) -> dict[str, Any]:
        return result

    def _wait(self, until: datetime, **kwargs: Any) -> NoReturn:
        """Free the worker until `until`; the triggerer wakes the task.

        Who looks again and again does not wait: it is skipped until its next look.
        """
        if self.window_end == NEWEST:
            raise AirflowSkipException(f"not yet: wait until {until.isoformat()}")
        moment = max(until, datetime.now(UTC) + _WAIT_AT_LEAST)
        self.log.info("%s waits until %s", self.step, moment.isoformat(timespec="seconds"))
        self.defer(trigger=date_time_trigger(moment), method_name="resume", kwargs=kwargs)
        raise AssertionError("defer returned")

    def _wait_for_lock(
        self,
        run: Run,
        context: Mapping[str, Any],
        busy: BusyError,
        since: str | None,
        **kept: Any,
    ) -> NoReturn:
        """Another run of the model is at work, which is normal for some hours.

        `resume` gets `kept` back; all of it must survive JSON.
        """
        from retrain_ops.steps.alerts import alert_failure

        now = datetime.now(UTC)
        began = datetime.fromisoformat(since) if since else now
        if now - began >= _BUSY_AT_MOST:
            if is_last_try(context):
                alert_failure(run, self.step, str(busy))
            raise busy
        self.log.warning("%s", busy)
        self._wait(now + _LOOK_AT_LOCK_EVERY, busy_since=began.isoformat(), **kept)
