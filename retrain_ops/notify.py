"""One Slack message, or a line in the log that says why there was none.

A notification must never fail a retraining run, and the webhook's URL is a
secret: whoever has it can post. So nothing is raised, and the URL is in no
log, message or repr.
"""

from __future__ import annotations

import logging
import re
import time
from contextlib import suppress

from retrain_ops.busy import busy_with
from retrain_ops.errors import import_problem

log = logging.getLogger(__name__)

TIMEOUT_S = 10
ATTEMPTS = 3
RETRY_AFTER_MAX_S = 30.0
TEXT_MAX = 4000  # Slack cuts longer messages; ours would lose their end
_HALF_ENTITY = re.compile(r"&[a-z]*$")


def prepare() -> None:
    """Imports what `send` needs, for processes that have no time for it once a signal has come."""
    with suppress(ImportError):  # `send` reports it
        import slack_sdk.webhook  # noqa: F401


def send(text: str, *, webhook_url: str | None) -> bool:
    """Posts `text` to a Slack incoming webhook; True when Slack took it.

    Without a URL nothing is sent and nothing is wrong. A missing slack_sdk, a
    refused or unreachable webhook is logged as an error and gives False. A 429
    is tried again after Retry-After (at most 30 s, three attempts in all).
    """
    if not webhook_url:
        return False
    try:
        from slack_sdk.webhook import WebhookClient
    except ImportError as problem:
        log.error("no Slack message: %s", import_problem(problem, "slack_sdk", "slack-sdk"))
        return False
    short = escaped(text)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with busy_with("waiting for Slack"):
                answer = WebhookClient(webhook_url, timeout=TIMEOUT_S).send(text=short)
        except Exception as problem:
            # The text of these errors may hold the URL; their type says enough.
            log.error("no Slack message: %s", type(problem).__name__)
            return False
        if answer.status_code == 200:
            return True
        if answer.status_code != 429 or attempt == ATTEMPTS:
            log.error("no Slack message: the webhook answered %d", answer.status_code)
            return False
        time.sleep(_retry_after(dict(answer.headers)))
    return False


def escaped(text: str) -> str:
    """`text` as Slack shows it: `<!channel>` in a value of a column calls nobody."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return safe if len(safe) <= TEXT_MAX else _HALF_ENTITY.sub("", safe[: TEXT_MAX - 3]) + "..."


def _retry_after(headers: dict[str, str]) -> float:
    """Seconds to wait, in [0, RETRY_AFTER_MAX_S]; 1 when the header is missing or odd."""
    wanted = next((v for k, v in headers.items() if k.lower() == "retry-after"), "1")
    try:
        return min(max(float(wanted), 0.0), RETRY_AFTER_MAX_S)
    except ValueError:
        return 1.0
