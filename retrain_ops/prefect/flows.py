"""One call builds the flow that retrains a model; another the one that looks after its rollout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Literal, Unpack

from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.logging import get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed, Failed, State

from retrain_ops.errors import ConflictError
from retrain_ops.prefect.approval import ask_for_approval
from retrain_ops.prefect.artifacts import emit_news, write_artifacts
from retrain_ops.prefect.flow_options import Options, new_flow, steps_of, target_of
from retrain_ops.prefect.target import Opener, flow_facts, resolve_window_end
from retrain_ops.prefect.tasks import NOT_YET, Steps
from retrain_ops.run import RunContext
from retrain_ops.spec.learn import require_learn
from retrain_ops.steps.runner import ROLLOUT, TRAINING

SLOT_PATIENCE_S = 900.0
# A killed run gives its slot back after this; every lease costs a renewal in three quarters of it.
SLOT_LEASE_S = 120.0


def retraining_flow(spec: str | Path, **options: Unpack[Options]) -> Any:
    """Build the flow of one day: ten steps in a row, a task each.

    Its parameters are `window_end` (the day D; by default the UTC day the run was scheduled
    for), `force` (train without a reason) and `bootstrap` (train the first champion). When
    nothing has drifted, the five steps after `check_drift` are not run. A failed step ends the
    run as Failed, with one alert. A shadow or an approval that is still open completes it as
    `NotYet`: the rollout flow, or the next day's run, looks again.

    Args:
        spec: path of the model's TOML file; it is read by the runs, never at import.
        options: those of `Options`.

    Raises:
        TypeError: an option is none of `Options`.
    """
    target = target_of(spec, options)

    def retrain(
        window_end: date | None = None, force: bool = False, bootstrap: bool = False
    ) -> Any:
        facts = flow_facts(force=force, bootstrap=bootstrap)
        return _one_day(target.open(), window_end, facts, options)

    return new_flow(retrain, "retrain", target, options)


def learning_flow(spec: str | Path, **options: Unpack[Options]) -> Any:
    """Build the flow of a model that learns day by day: `retrain-ops learn` as a flow.

    The ten steps of `retraining_flow`, whether anything has drifted or not; train learns the
    days since the last run, each once, whatever runs again. Its parameters are `window_end` and
    `bootstrap` (learn the first champion). A spec without `[learn]` ends the run as Failed.

    Args:
        spec: path of the model's TOML file; it is read by the runs, never at import.
        options: those of `Options`.

    Raises:
        TypeError: an option is none of `Options`.
    """
    target = target_of(spec, options)

    def learn(window_end: date | None = None, bootstrap: bool = False) -> Any:
        opener = target.open()
        require_learn(opener.spec)
        facts = flow_facts(force=True, bootstrap=bootstrap)
        return _one_day(opener, window_end, facts, options)

    return new_flow(learn, "learn", target, options)


def _one_day(opener: Opener, window_end: date | None, facts: RunContext, options: Options) -> State:
    day = resolve_window_end(window_end, flow_run.scheduled_start_time)
    with model_slot(opener.model):
        return _play_day(steps_of(opener, day, facts, options))


def rollout_flow(
    spec: str | Path,
    *,
    approval: Literal["tag", "suspend"] = "tag",
    approval_timeout_seconds: int = 3 * 86400,
    **options: Unpack[Options],
) -> Any:
    """Build the flow that looks after the open candidate: shadow, promotion, canary.

    A run looks and ends; nothing sleeps until a shadow is over. Its one parameter is
    `window_end`: as of which day to look, by default the newest whose instant has come.

    Args:
        spec: path of the model's TOML file; it is read by the runs, never at import.
        approval: with `"suspend"` the first run that finds a candidate waiting for a person
            suspends itself, which frees its container, and goes on when it is resumed; the
            candidate's tag counts all the same.
        approval_timeout_seconds: how long such a run stays suspended.
        options: those of `Options`.

    Raises:
        TypeError: an option is none of `Options`.
    """
    target = target_of(spec, options)

    def rollout(window_end: date | None = None) -> Any:
        opener = target.open()
        day = window_end or opener.newest_window_end(flow_run.scheduled_start_time)
        steps = steps_of(opener, day, flow_facts(look=True), options)
        with model_slot(opener.model):
            entries = [steps("shadow_test"), steps("promote_champion")]
            if approval == "suspend" and ask_for_approval(steps.run(), approval_timeout_seconds):
                entries[-1] = steps("promote_champion")
            entries.append(steps("watch_canary"))
            _show(steps, entries)
        return _conclude(entries, _summaries(entries))

    return new_flow(rollout, "rollout", target, options)


@contextmanager
def model_slot(model: str) -> Iterator[None]:
    """One run of a model at a time, on whatever machine, before it begins its first step.

    Raises:
        ConflictError: another run kept the slot for a quarter of an hour.
    """
    slot = f"retrain-ops-{model}"
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(slot, 1)
    waiting = concurrency(
        slot, timeout_seconds=SLOT_PATIENCE_S, lease_duration=SLOT_LEASE_S, strict=True
    )
    try:
        waiting.__enter__()
    except TimeoutError as problem:
        raise ConflictError(
            f"another run has kept the concurrency slot {slot} for {SLOT_PATIENCE_S:.0f} s; "
            "wait for it or cancel it, then run this one again"
        ) from problem
    try:
        yield
    finally:
        waiting.__exit__(None, None, None)


def _play_day(steps: Steps) -> State:
    """The steps of a day in order, a summary always, and the flow run's final state."""
    try:
        entries = _play(steps)
    except Exception:
        _summary_of_failure(steps)
        raise
    entries.append(steps("summarise"))
    _show(steps, entries, write_artifacts)
    if entries[-1]["status"] == "failed":
        return Failed(message=entries[-1]["summary"])
    return _conclude(entries, entries[-1]["summary"])


def _play(steps: Steps) -> list[dict[str, Any]]:
    first = steps(TRAINING[0])
    rest = (*TRAINING[1:], *ROLLOUT) if first["triggered"] else ROLLOUT
    return [first, *(steps(name) for name in rest)]


def _show(steps: Steps, entries: Sequence[dict[str, Any]], *more: Callable[..., None]) -> None:
    """Events and artifacts; the day is decided, so a failure to show it fails nothing."""
    for show in (emit_news, *more):
        try:
            show(steps.run(), entries)
        except Exception as problem:
            get_run_logger().warning("%s: %s", show.__name__, problem)


def _summary_of_failure(steps: Steps) -> None:
    """The step's own error is the one to show, whatever happens to the summary."""
    try:
        steps("summarise")
    except Exception as problem:
        get_run_logger().error("no summary: %s", problem)


def _conclude(entries: Sequence[dict[str, Any]], summary: str) -> State:
    """One log line for the run: each counts against a free tier's limits."""
    waiting = [entry for entry in entries if entry["status"] == "not_yet"]
    message = "; ".join([summary, *(entry["message"] for entry in waiting)])
    get_run_logger().info("%s", message)
    data = {"status": "not_yet" if waiting else "ok", "steps": list(entries)}
    name = NOT_YET if waiting else "Completed"
    return Completed(name=name, message=message, data=data)


def _summaries(entries: Sequence[dict[str, Any]]) -> str:
    return "; ".join(entry["summary"] for entry in entries if "summary" in entry)
