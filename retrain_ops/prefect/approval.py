"""Approval by suspend and resume: the run frees its container until somebody has decided.

The decision ends in the tags of the candidate's version, where approvals by other means are:
Prefect remembers nothing that the registry does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run

from retrain_ops.registry.events import Version
from retrain_ops.rollout.approval import awaiting_answer, give_answer

if TYPE_CHECKING:
    from retrain_ops.run import Run

ASKED_TAG = "retrain.approval_flow_run"


class Approval(RunInput):  # type: ignore[misc]
    """What the form of a suspended run asks for."""

    approved: bool
    by: str = ""


def ask_for_approval(run: Run, timeout_seconds: int) -> bool:
    """Suspends this flow run until a person decides; True when the tags now say what.

    False when nobody waits for approval, or another flow run is suspended for it already.

    Raises:
        RuntimeError: the flow was not started by a deployment, so nothing could resume it.
    """
    candidate = awaiting_answer(run)
    if candidate is None or _asked_elsewhere(candidate):
        return False
    run.registry.set_tag(candidate, ASKED_TAG, str(flow_run.id))
    asked = f"Version {candidate.number} ({candidate.retrain_key}) passed its shadow: promote it?"
    answer = suspend_flow_run(
        wait_for_input=Approval.with_initial_data(description=asked),
        timeout=timeout_seconds,
        key=f"approval-{candidate.number}",
    )
    give_answer(run, candidate, approved=answer.approved, by=answer.by)
    return True


def _asked_elsewhere(candidate: Version) -> bool:
    """Whether another run waits for the answer; its state is asked, since runs can be deleted."""
    asked = candidate.tags.get(ASKED_TAG)
    if asked is None or asked == str(flow_run.id):
        return False
    try:
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(UUID(asked)).state
    except (ObjectNotFound, ValueError):  # a tag set by hand names no run
        return False
    return state is not None and not state.is_final()
