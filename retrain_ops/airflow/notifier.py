"""A message to Slack from any callback of Airflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from retrain_ops.airflow.compat import BaseNotifier

__all__ = ["SlackNotifier"]

_FAILED = (
    "[FAILED] {{ dag.dag_id }} {{ run_id }}{% if ti is defined and ti %}: {{ ti.task_id }} "
    "{{ ti.log_url | default('', true) }}{% endif %}"
)


class SlackNotifier(BaseNotifier):  # type: ignore[misc]
    """Posts a line to a Slack incoming webhook; it never fails what it reports.

    `on_failure_callback=SlackNotifier(slack_conn_id="slack")`, for tasks beside those of a
    factory, whose failures are reported already.

    :param text: the line (templated); by default which task of which run failed, and its log
    :param slack_conn_id: a `slackwebhook` connection; by default the environment variable
        `SLACK_WEBHOOK_URL` is asked (templated)
    """

    template_fields: Sequence[str] = ("text", "slack_conn_id")

    def __init__(self, *, text: str = _FAILED, slack_conn_id: str | None = None) -> None:
        super().__init__()
        self.text = text
        self.slack_conn_id = slack_conn_id

    def notify(self, context: Mapping[str, Any]) -> None:
        """Post it; rate limits are respected, the webhook's address is in no log."""
        from retrain_ops.airflow.connections import slack_webhook_url, usual_slack_webhook
        from retrain_ops.notify import send

        conn_id = self.slack_conn_id
        webhook = slack_webhook_url(conn_id) if conn_id else usual_slack_webhook()
        send(self.text, webhook_url=webhook)
