"""summarise: always, last: one line to the log and, when configured, to Slack."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from retrain_ops.decisions.record import Decision, require_decision
from retrain_ops.errors import CancelledError, is_expected
from retrain_ops.notify import send
from retrain_ops.report import write_report
from retrain_ops.run import Run, run_record
from retrain_ops.steps.order import failure_of
from retrain_ops.steps.runner import TRAINING

log = logging.getLogger(__name__)

CLOSED_WORDS = {
    "rejected": "was rejected",
    "expired": "expired",
    "failed": "failed its shadow",
    "rolled_back": "was rolled back",
}
ENDINGS = {"rejected": "rejected", "expired": "expired", "behind": "expired", "fail": "failed"}
SKIPPED_WORDS = ("skipped", "undecided", "queued")


@dataclass(frozen=True, slots=True)
class SummaryResult:
    """The day in one line; `outcome` is an outcome of the decision, or `failed`."""

    outcome: str
    line: str

    @property
    def status(self) -> str:
        """`failed` when a step failed, which the orchestrator's run shows as well."""
        return "failed" if self.outcome == "failed" else "ok"

    @property
    def summary(self) -> str:
        """The line itself."""
        return self.line


def summarise(run: Run) -> SummaryResult:
    """Writes the day's line; a re-run with the same line sends nothing again.

    A failed day sends its one alert, unless the step that failed has sent it.
    """
    record = run_record(run)
    failure = failure_of(run)
    if failure is not None:
        from retrain_ops.steps.alerts import alert_failure

        alert_failure(run, *failure)
        where = f"{run.model} {run.window.end.isoformat()}"
        return SummaryResult(outcome="failed", line=f"[FAILED] {where}: {': '.join(failure)}")
    outcome, line = _line(run, record.get("steps", {}))
    _report(run)
    earlier = run.read("summarise.json", {"line": str})
    log.info("%s", line)
    if earlier is None or earlier["line"] != line:
        send(line, webhook_url=run.webhook_url)
    return SummaryResult(outcome=outcome, line=line)


def _report(run: Run) -> None:
    """The day's page; the day is decided, so a page that cannot be made is only logged."""
    try:
        write_report(run)
    except CancelledError:
        raise
    except Exception as problem:
        origin = not is_expected(problem)  # a full disk is no mistake in code
        log.warning("%s: no report.html: %s", run.retrain_key, problem, exc_info=origin)


def _line(run: Run, steps: dict[str, Any]) -> tuple[str, str]:
    where = f"{run.model} {run.window.end.isoformat()}"
    decision = require_decision(run.workspace, run.window.end)
    parts = [_outcome_line(where, steps, decision, _ended_as(run)), *_rollout_news(steps)]
    parts += _warnings(steps)
    return decision["outcome"], " | ".join(parts)


def _ended_as(run: Run) -> str | None:
    """How the key's own candidate ended: before this run, or in its own rollout steps."""
    record = run_record(run)
    if record.get("ended_as"):
        return str(record["ended_as"])
    for step in ("promote_champion", "shadow_test"):
        look = run.read(f"{step}.json") or {}
        own = look.get("candidate") is not None and look["candidate"] == record.get("version")
        if own and look.get("verdict") in ENDINGS:
            return ENDINGS[look["verdict"]]
    return None


def _outcome_line(where: str, steps: dict[str, Any], decision: Decision, ended: str | None) -> str:
    outcome = decision["outcome"]
    if outcome == "no_train":
        drift = decision["drift"]
        psi = f"PSI max {drift['psi_max']} ({drift['psi_max_feature']})"
        return f"[NO TRAIN, no drift] {where}: {psi}"
    parts = steps.get("promote_challenger", {}).get("summary", outcome)
    if outcome in SKIPPED_WORDS:
        return f"{parts} ({where})"
    if ended in CLOSED_WORDS:
        return f"[closed] {where}: its candidate {CLOSED_WORDS[ended]}, which is final; {parts}"
    return f"[OK] {where}: {parts}"


def _rollout_news(steps: dict[str, Any]) -> list[str]:
    names = ("shadow_test", "promote_champion", "watch_canary")
    parts = [steps[n]["summary"] for n in names if n in steps and steps[n]["status"] == "ok"]
    waiting = steps.get("promote_champion", {})
    # The question went out once; the daily line is what keeps it from being forgotten.
    return [*parts, waiting["error"]] if waiting.get("status") == "not_yet" else parts


def _warnings(steps: dict[str, Any]) -> list[str]:
    """The first thing that was odd about the rows, and how much more there was."""
    every = [text for name in TRAINING for text in steps.get(name, {}).get("warnings", ())]
    found = list(dict.fromkeys(every))  # check_drift and validate_data read the same days
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return [f"warning: {found[0]}{more}"] if found else []
