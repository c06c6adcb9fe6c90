"""The one way to run any of the ten steps under any orchestrator."""

from __future__ import annotations

import importlib
import logging
import time
from dataclasses import asdict
from typing import Any

from retrain_ops.errors import NotYet, interruptions_shown, text_of
from retrain_ops.notify import send
from retrain_ops.run import Run, begin_attempt, record_step, run_record
from retrain_ops.stats.rules import recorded
from retrain_ops.steps.alerts import alert_failure
from retrain_ops.steps.order import refuse_behind_failure
from retrain_ops.workspace import LOCK_PATIENCE_S

log = logging.getLogger(__name__)

TRAINING = (
    "check_drift",
    "pull_data",
    "validate_data",
    "train",
    "evaluate",
    "promote_challenger",
)
ROLLOUT = ("shadow_test", "promote_champion", "watch_canary")
STEPS = (*TRAINING, *ROLLOUT, "summarise")


def run_step(
    name: str, run: Run, *, alert: bool = True, patience_s: float = LOCK_PATIENCE_S
) -> dict[str, Any]:
    """Runs one step under the model's lock and records how it went.

    The result is written to `<step>.json` of the run's key; what is returned is
    a small JSON dict: step, model, window_end, status, summary, for check_drift
    `triggered` and `reason`, and `warnings` where there are any.

    Args:
        name: one of `STEPS`.
        run: the run.
        alert: send an alert when the step fails; orchestrators that retry pass
            False until the last try.
        patience_s: how long to wait for the model's lock.

    Raises:
        BusyError: another run held the lock for longer; nothing was done.
        OutOfOrderError: the day before failed and the run is `ordered`; nothing was done.
        NotYet: the step has to wait; nothing is wrong.
        Exception: whatever the step raised, after it was recorded.
    """
    if name not in STEPS:
        raise ValueError(f"{name!r} is not a step; the steps are {', '.join(STEPS)}")
    with run.workspace.lock(patience_s=patience_s):
        if run.context.ordered:
            refuse_behind_failure(run)
        if name == STEPS[0]:
            begin_attempt(run)
        started = time.monotonic()
        entry: dict[str, Any] = {"status": "running", "try": run.context.try_number}
        record_step(run, name, entry | _page(run))
        try:
            with interruptions_shown():
                result = _said_before(run, name, _function(name)(run))
        except BaseException as problem:
            _record_failure(run, name, problem, time.monotonic() - started)
            if alert and not isinstance(problem, NotYet):
                alert_failure(run, name, _one_line(problem))
            raise
        _write_result(run, name, result)
        seconds = round(time.monotonic() - started, 3)
        entry = {"status": result.status, "summary": result.summary, "seconds": seconds}
        record_step(run, name, entry | _warned(run, name, result) | _lost_news(run, name, result))
    log.info("%s %s: %s", run.retrain_key, name, result.summary)
    if run.context.look and _is_news(result):
        # Nobody summarises a look, and the next one finds nothing to do.
        send(f"{run.model}: {result.summary}", webhook_url=run.webhook_url)
    return _small(run, name, result)


def _page(run: Run) -> dict[str, str]:
    return {"url": run.context.url} if run.context.url else {}


def _warned(run: Run, name: str, result: Any) -> dict[str, list[str]]:
    """What the step found odd, logged: no warning stays in a file that nobody opens."""
    warnings = _warnings(name, result)
    for text in warnings:
        log.warning("%s %s: %s", run.retrain_key, name, text)
    return {"warnings": warnings} if warnings else {}


def _warnings(name: str, result: Any) -> list[str]:
    """What is odd about the rows; those of a shadow are words of its record."""
    return [*getattr(result, "warnings", ())] if name in TRAINING else []


def _is_news(result: Any) -> bool:
    return result.status == "ok" and getattr(result, "verdict", "open") != "open"


def _function(name: str) -> Any:
    """Steps are imported when they run: parsing a DAG must not load NumPy or pyarrow."""
    return getattr(importlib.import_module(f"retrain_ops.steps.{name}"), name)


def _record_failure(run: Run, name: str, problem: BaseException, seconds: float) -> None:
    status = "not_yet" if isinstance(problem, NotYet) else "failed"
    entry = {"status": status, "error": _one_line(problem), "seconds": round(seconds, 3)}
    record_step(run, name, entry | _page(run))


def _said_before(run: Run, name: str, result: Any) -> Any:
    """What this key's step found and did before it was run again; its line stays what it was."""
    if name not in ROLLOUT or result.status != "idle" or run.context.look:
        return result
    path = run.path(f"{name}.json")
    record = run.workspace.recover_json(path)
    if record is None:
        return result
    try:
        before = type(result)(**record)
        log.debug("%s", before.summary)
    except (TypeError, ValueError) as problem:
        run.workspace.set_aside(path, f"it is no record of {name} ({problem})")
        return result
    return before


def _lost_news(run: Run, name: str, result: Any) -> dict[str, str]:
    """What an earlier attempt found whose record was damaged: what is over is not found twice."""
    if name not in ROLLOUT or result.status != "idle" or run.context.look:
        return {}
    attempts = run_record(run).get("earlier", [])
    found = [attempt.get("steps", {}).get(name, {}) for attempt in attempts]
    told = [entry for entry in found if entry.get("status") == "ok"]
    return {key: told[-1][key] for key in ("status", "summary")} if told else {}


def _write_result(run: Run, name: str, result: Any) -> None:
    """A rollout step that found nothing to do leaves the record of the day it did."""
    if name in ROLLOUT and result.status == "idle":
        return
    run.workspace.write_json(run.path(f"{name}.json"), _record(result))


def _record(result: Any) -> dict[str, Any]:
    """A result as plain data, without the quiet fields that are at their defaults."""
    kept = recorded(result)
    return {name: value for name, value in asdict(result).items() if name in kept}


def _small(run: Run, name: str, result: Any) -> dict[str, Any]:
    small = {
        "step": name,
        "model": run.model,
        "window_end": run.window.end.isoformat(),
        "status": result.status,
        "summary": result.summary,
    }
    for key in ("triggered", "reason", "outcome", "verdict", "candidate"):
        if hasattr(result, key):
            small[key] = getattr(result, key)
    warnings = _warnings(name, result)
    return {**small, "warnings": warnings} if warnings else small


def _one_line(problem: BaseException) -> str:
    text = " ".join(text_of(problem).split())
    return text if len(text) <= 500 else text[:497] + "..."
