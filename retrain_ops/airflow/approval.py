"""A person's answer between shadow and promotion: asked in Airflow's own pages, or by tag.

Both tasks skip at once when no candidate waits, send one Slack message per candidate, end when an
answer has come in any way, and leave it in the tags of the version: `promote_champion` acts on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from retrain_ops.airflow.base import LOCK_PATIENCE_S
from retrain_ops.airflow.compat import HITL, AirflowSkipException, BaseOperator, park, parks
from retrain_ops.airflow.context import is_last_try
from retrain_ops.airflow.operators import PromoteChampionOperator, RetrainStepOperator

if HITL:
    from airflow.providers.standard.operators.hitl import ApprovalOperator
else:
    ApprovalOperator = BaseOperator

if TYPE_CHECKING:
    from retrain_ops.registry.events import Version
    from retrain_ops.run import Run

__all__ = ["Approval", "ApprovalSensor", "ApproveCandidateOperator", "with_approval"]

Approval = Literal["hitl", "tag"]

_LOOK_EVERY = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A candidate that waits for an answer, until silence becomes one."""

    run: Run
    candidate: Version
    expires: datetime

    def next_look(self, every: timedelta) -> datetime:
        return min(datetime.now(UTC) + every, self.expires)


class ApprovalSensor(RetrainStepOperator):
    """Waits, deferred, until the open candidate is approved, rejected or expired.

    :param poke_interval: seconds between two looks at the tags of its version

    The other parameters are those of every step.
    """

    step = "approval"
    step_trigger_rule = "none_failed"

    def __init__(self, *, poke_interval: float = 300.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.poke_interval = poke_interval

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        """Skip when nobody has to be asked."""
        return self.resume(context, asked=False)

    def resume(
        self,
        context: Mapping[str, Any],
        event: object = None,
        busy_since: str | None = None,
        asked: bool = True,
    ) -> dict[str, Any]:
        """Look again; any answer ends the wait."""
        waiting = _look(self, context, busy_since, asked=asked)
        if waiting is not None:
            self._wait(waiting.next_look(timedelta(seconds=self.poke_interval)))
        return _nobody_waits(self, asked)


class ApproveCandidateOperator(RetrainStepOperator, ApprovalOperator):  # type: ignore[misc]
    """Asks in Airflow's pages (3.1 and later) whether the open candidate is to be promoted.

    Approve or Reject ends in the tags of its version, with the name of the person. From 3.3 on the
    task also ends within a quarter of an hour when the answer came in another way.
    """

    step = "approval"
    step_trigger_rule = "none_failed"
    template_fields: Sequence[str] = RetrainStepOperator.template_fields

    def __init__(self, **kwargs: Any) -> None:
        if not HITL:
            raise RuntimeError("Airflow asks people from 3.1 on: use ApprovalSensor")
        super().__init__(subject="Promote the candidate?", **kwargs)

    def execute(self, context: Mapping[str, Any]) -> Any:
        """Skip when nobody has to be asked; otherwise ask, and free the worker."""
        return self.resume(context)

    def resume(
        self,
        context: Mapping[str, Any],
        event: object = None,
        busy_since: str | None = None,
        asked: bool = False,
        answer: Mapping[str, Any] | None = None,
    ) -> Any:
        """Go on, also after a wait for the model's lock: ask, look again, or record the answer."""
        if answer is not None:
            return self._record(context, answer, busy_since)
        waiting = _look(self, context, busy_since, link=self._link(context), asked=asked)
        if waiting is None:
            return _nobody_waits(self, asked)
        if asked and parks():
            park(self._patience(waiting))
        self._describe(waiting)
        context["ti"].xcom_push(key="candidate", value=waiting.candidate.number)
        self.response_timeout = self._patience(waiting)
        return ApprovalOperator.execute(self, context)

    def execute_complete(
        self, context: Mapping[str, Any], event: Mapping[str, Any]
    ) -> dict[str, Any]:
        """An answer, or time to look whether one came by another way."""
        if event.get("error_type") == "timeout":
            return dict(self.resume(context, asked=True))
        # Not the parent's own, which would skip promote_champion: that step closes the candidate.
        reply = super(ApprovalOperator, self).execute_complete(context, dict(event))
        user = reply["responded_by_user"] or {}
        ti = context["ti"]
        number = ti.xcom_pull(task_ids=ti.task_id, key="candidate", map_indexes=ti.map_index)
        answer = {
            "number": number,
            "approved": reply["chosen_options"] == [self.APPROVE],
            "by": user.get("name") or user.get("id") or "",
            "at": reply["responded_at"].isoformat(),
        }
        return self._record(context, answer)

    def _record(
        self, context: Mapping[str, Any], answer: Mapping[str, Any], busy_since: str | None = None
    ) -> dict[str, Any]:
        """Keeps the answer about the version that was asked about, unless it has been decided."""
        from retrain_ops.errors import BusyError

        run = self.open_run(context)
        try:
            with run.workspace.lock(patience_s=LOCK_PATIENCE_S):
                recorded = _answered(run, **answer)
        except BusyError as busy:
            self._wait_for_lock(run, context, busy, busy_since, answer=dict(answer))
        return {"step": self.step, "candidate": answer["number"], **recorded}

    def _describe(self, waiting: _Waiting) -> None:
        from retrain_ops.rollout.approval import evidence

        run, candidate = waiting.run, waiting.candidate
        day = candidate.window_end.isoformat()
        page = run.registry.version_page(candidate.number)
        self.subject = f"{run.model} {day}: promote version {candidate.number}?"
        self.body = "\n".join(
            [f"- {line}" for line in evidence(run, candidate)]
            + ["", f"[Version {candidate.number} in MLflow]({page})"]
        )

    def _patience(self, waiting: _Waiting) -> timedelta:
        """Until the next look around, where a task can look around; else until it expires."""
        until = waiting.next_look(_LOOK_EVERY) if parks() else waiting.expires
        return max(until - datetime.now(UTC), timedelta(seconds=1))

    def _link(self, context: Mapping[str, Any]) -> str | None:
        try:
            return str(self.generate_link_to_ui_from_context(context=context))
        except ValueError:  # Airflow does not know its own address ([api] base_url)
            return None


class PromoteAnsweredOperator(PromoteChampionOperator):
    """`promote_champion` behind an approval task, which has done the waiting.

    A candidate about which another run still asks is left to the next look.
    """

    def _wait(self, until: datetime, **busy: Any) -> NoReturn:
        if busy:  # for the model's lock
            super()._wait(until, **busy)
        raise AirflowSkipException("the candidate waits for approval; the next look promotes it")


def with_approval(
    operators: Sequence[type[RetrainStepOperator]], approval: Approval | None
) -> tuple[type[RetrainStepOperator], ...]:
    """`operators` with the approval task before promote_champion.

    `"hitl"` below 3.1 means the tag, so that one DAG file serves both majors.
    """
    if approval is None:
        return tuple(operators)
    asks = ApproveCandidateOperator if HITL and approval == "hitl" else ApprovalSensor
    at = operators.index(PromoteChampionOperator)
    return (*operators[:at], asks, PromoteAnsweredOperator, *operators[at + 1 :])


def _look(
    operator: RetrainStepOperator,
    context: Mapping[str, Any],
    busy_since: str | None,
    *,
    asked: bool,
    link: str | None = None,
) -> _Waiting | None:
    """The candidate that waits for an answer; the first look asks for it."""
    from retrain_ops.errors import BusyError
    from retrain_ops.rollout.approval import ask, awaiting_answer
    from retrain_ops.steps.alerts import alert_failure

    run = operator.open_run(context)
    try:
        with run.workspace.lock(patience_s=LOCK_PATIENCE_S):
            candidate = awaiting_answer(run)
            if candidate is None:
                return None
            return _Waiting(run, candidate, ask(run, candidate, link=link))
    except BusyError as busy:
        operator._wait_for_lock(run, context, busy, busy_since, asked=asked)
    except Exception as problem:
        if is_last_try(context):
            alert_failure(run, operator.step, str(problem))
        raise


def _nobody_waits(operator: RetrainStepOperator, asked: bool) -> dict[str, Any]:
    if not asked:
        raise AirflowSkipException("no candidate waits for approval")
    return {"step": operator.step, "status": "answered"}


def _answered(run: Run, number: str, *, approved: bool, by: str, at: str) -> dict[str, str]:
    from retrain_ops.rollout.approval import give_answer

    version = run.registry.version(number)
    if version.state != "shadow_passed":
        return {"status": version.state}
    when = datetime.fromisoformat(at)
    answer = give_answer(run, version, approved=approved, by=by, at=when)
    return {"status": answer.verdict, "by": answer.by}
