"""A step in its container: it reads the task, runs the step, and leaves Kubeflow its outputs."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, cast, get_args

from retrain_ops.decisions.digest import day_numbers
from retrain_ops.decisions.record import read_decision
from retrain_ops.errors import ConfigError, DataError, NotYet, OutOfOrderError
from retrain_ops.kubeflow.executor import Task
from retrain_ops.report import HTML_FILE
from retrain_ops.run import Run, RunContext, Trigger, open_run, require_workspace
from retrain_ops.spec.spec import load_spec
from retrain_ops.spec.window import newest_window_end
from retrain_ops.steps.alerts import alert_failure
from retrain_ops.steps.runner import run_step

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MACROS = ("[[", "{{")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model's steps run: what the pipeline was compiled with."""

    spec: str
    workspace: str | None = None
    tracking_uri: str | None = None
    model: str | None = None
    n_threads: int = 0
    retries: int = 1
    retry_delay_seconds: float = 60.0
    url: str | None = None

    def open_run(self, task: Task, *, try_number: int = 1) -> Run:
        """The run that a task works on.

        Raises:
            ConfigError: the spec or a parameter is wrong, or no workspace or server is named.
        """
        return open_run(
            self.spec,
            date=self._day(task),
            workspace=require_workspace(self.workspace),
            tracking_uri=self.tracking_uri,
            model=self.model,
            n_threads=self.n_threads,
            context=_context(task, self.url, try_number),
        )

    def _day(self, task: Task) -> date:
        """The window end of a day; for a look, the newest one whose instant has come."""
        if not _is_look(task):
            return window_end_of(task.text("window_end"))
        now = _instant(task.text("as_of"))
        return newest_window_end(now, load_spec(self.spec).window.cutoff_time)


def window_end_of(text: str) -> date:
    """The window end of a run.

    Raises:
        ConfigError: it is no day, such as a macro that the backend has not expanded.
    """
    _refuse_macro("window_end", text, "2006-01-02")
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ConfigError(f"window_end is {text!r}: it must be a day, written as 2013-08-14")


def _instant(text: str) -> datetime:
    """When a look is; now where its run does not say."""
    _refuse_macro("as_of", text, "2006-01-02T15:04:05Z")
    try:
        instant = datetime.fromisoformat(text) if text else datetime.now(UTC)
    except ValueError as problem:
        raise ConfigError(
            f"as_of is {text!r}: it must be an instant, written as 2013-08-14T02:15:00Z, or empty"
        ) from problem
    if instant.tzinfo is None:
        raise ConfigError(f"as_of {text!r} has no time zone: write it as {text}Z")
    return instant


def _refuse_macro(name: str, text: str, layout: str) -> None:
    """A backend that does not know a macro hands it on as it is written."""
    if any(sign in text for sign in _MACROS):
        raise ConfigError(
            f"{name} is {text!r}: the backend has not expanded it. [[ScheduledTime.{layout}]] is "
            "for recurring runs, and needs Kubeflow Pipelines 2.16 or newer"
        )


def _is_look(task: Task) -> bool:
    return "as_of" in task.values


def _context(task: Task, url: str | None, try_number: int) -> RunContext:
    """Who started the run: circumstance, never content. A backfill wants its days in order."""
    run_id, trigger = task.text("run_id"), task.text("trigger") or "manual"
    if trigger not in get_args(Trigger):
        words = ", ".join(get_args(Trigger))
        raise ConfigError(f"trigger is {trigger!r}: it must be one of {words}")
    look = _is_look(task)
    return RunContext(
        orchestrator="kubeflow",
        dag_run_id=run_id,
        logical_date=task.text("as_of" if look else "window_end"),
        try_number=try_number,
        trigger=cast(Trigger, trigger),
        forced=task.flag("force"),
        bootstrap=task.flag("bootstrap"),
        url=f"{url.rstrip('/')}/#/runs/details/{run_id}" if url else "",
        reason=task.text("reason"),
        look=look,
        ordered=trigger == "backfill" and not look,
    )


def perform(step: str, place: Place, task: Task) -> dict[str, Any]:
    """Runs a step and writes its outputs; the step's small dict.

    A step that has to wait ends well, with the status `not_yet`: a later look finishes it.

    Raises:
        Exception: whatever the last try raised; the task fails.
    """
    result = _tried(step, place, task)
    run = place.open_run(task)
    page = run.workspace.read_as_it_is(run.path(HTML_FILE)) if step == "summarise" else None
    outputs = {name: result.get(name) for name in ("triggered", "outcome", "summary")}
    given = {name: value for name, value in outputs.items() if value is not None}
    task.write(given, dict(_metrics(run, step, result)), page)
    return result


def _tried(step: str, place: Place, task: Task) -> dict[str, Any]:
    """The tries are made here: a pod that Kubeflow starts again knows neither which try it is nor
    that the data was refused."""
    for number in range(1, place.retries + 2):
        run, last = place.open_run(task, try_number=number), number > place.retries
        try:
            return run_step(step, run, alert=last)
        except NotYet as wait:
            return {"step": step, "status": "not_yet", "summary": str(wait)}
        except OutOfOrderError:
            raise
        except Exception as error:
            final = last or isinstance(error, ConfigError | DataError)
            if final:
                _end_failed(run, step, error)
                raise
        except BaseException as stopped:  # by a signal: nobody tries again
            alert_failure(run, step, str(stopped))
            raise
        time.sleep(place.retry_delay_seconds)
    raise AssertionError("the last try returns or raises")


def _end_failed(run: Run, step: str, error: Exception) -> None:
    """No task runs behind a failed one, and a day ends with its summary always."""
    alert_failure(run, step, str(error))
    if not run.context.look and step != "summarise":
        try:
            run_step("summarise", run)
        except Exception as problem:  # the step's own error is the one to show
            error.add_note(f"no summary: {problem}")


def _metrics(run: Run, step: str, result: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """Numbers that Kubeflow shows and compares over runs."""
    if step == "check_drift":
        found = run.read("check_drift.json") or {}
        if found.get("psi_max") is not None:
            yield "psi_max", float(found["psi_max"])
        yield "triggered", float(bool(result["triggered"]))
    if step == "summarise":
        yield from day_numbers(read_decision(run.workspace, run.window.end))
