"""One alert per failed attempt, whoever notices the failure."""

from __future__ import annotations

import logging

from retrain_ops.notify import send
from retrain_ops.run import Run, run_record, steps_name

log = logging.getLogger(__name__)


def alert_failure(run: Run, step: str, message: str) -> bool:
    """Sends one alert per failed attempt, whoever notices the failure; True if this call did.

    Looks at the candidate alert by themselves, once per key and attempt too: theirs must not
    use up the alert of the day's own run.
    """
    record = run_record(run)
    attempt = record.get("attempt", 0)
    kind = "looks" if run.context.look else "attempts"
    sent = run.read("alerts.json", {"attempts": list, "looks": list})
    sent = sent or {"attempts": [], "looks": []}
    if attempt in sent[kind]:
        return False
    sent[kind] = [*sent[kind], attempt]
    run.workspace.overwrite_json(run.path("alerts.json"), sent)
    text = f"[FAILED] {run.model} {run.window.end.isoformat()}: {step}: {message}"
    log.error("%s", text)
    # A killed step cannot say where its log is: it noted the page when it began.
    page = record.get(steps_name(run), {}).get(step, {}).get("url") or run.context.url
    send(f"{text}\n{page}" if page else text, webhook_url=run.webhook_url)
    return True
