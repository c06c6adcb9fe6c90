from __future__ import annotations

import logging
import sys
import time

import pytest

from devtools.servers.slack_server import SlackServer
from retrain_ops import notify


@pytest.fixture(autouse=True)
def seen(caplog):
    caplog.set_level(logging.DEBUG)
    yield caplog
    assert "canary-webhook-secret" not in caplog.text


def test_a_message_arrives_as_written():
    with SlackServer() as slack:
        assert notify.send("[OK] flights é \n 2013", webhook_url=slack.url) is True
        assert [m["text"] for m in slack.messages] == ["[OK] flights é \n 2013"]


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("expected /rows/day=<day>/*.parquet", "expected /rows/day=&lt;day&gt;/*.parquet"),
        ("c: such as <!channel>, <@U1>", "c: such as &lt;!channel&gt;, &lt;@U1&gt;"),
        ("a &lt; b & c", "a &amp;lt; b &amp; c"),
    ],
)
def test_no_value_is_read_as_slacks_markup(text, sent):
    with SlackServer() as slack:
        assert notify.send(text, webhook_url=slack.url) is True
        assert [(m["sent"], m["text"]) for m in slack.messages] == [(sent, text)]


@pytest.mark.parametrize("before", range(notify.TEXT_MAX - 8, notify.TEXT_MAX + 2))
def test_a_long_text_is_cut_between_characters_and_never_within_an_entity(before):
    sent = notify.escaped("x" * before + "<y>" * 3)
    assert len(sent) <= notify.TEXT_MAX
    assert sent.endswith("...")
    whole = sent.removesuffix("...").lstrip("x")
    assert whole in ("", "&lt;", "&lt;y")


@pytest.mark.parametrize("url", [None, ""])
def test_without_a_url_nothing_is_sent_and_nothing_is_wrong(url, caplog):
    assert notify.send("x", webhook_url=url) is False
    assert caplog.text == ""


def test_a_refusal_is_logged_and_not_raised(caplog):
    with SlackServer(answers=[(404, {})]) as slack:
        assert notify.send("x", webhook_url=slack.url) is False
    assert "answered 404" in caplog.text


def test_an_unreachable_webhook_is_logged_and_not_raised(caplog):
    with SlackServer() as slack:
        url = slack.url
    assert notify.send("x", webhook_url=url) is False
    assert "no Slack message" in caplog.text


@pytest.mark.parametrize(
    "url", ["not a url canary-webhook-secret", "file:///canary-webhook-secret"]
)
def test_a_url_that_is_none_is_logged_without_it(url):
    assert notify.send("x", webhook_url=url) is False


def test_a_rate_limit_is_waited_out():
    with SlackServer(answers=[(429, {"Retry-After": "1"})]) as slack:
        start = time.monotonic()
        assert notify.send("x", webhook_url=slack.url) is True
        assert time.monotonic() - start >= 1.0
        assert (slack.attempts, len(slack.messages)) == (2, 1)


def test_a_rate_limit_that_lasts_ends_in_a_log_line(caplog, monkeypatch):
    pauses: list[float] = []
    monkeypatch.setattr(notify.time, "sleep", pauses.append)
    with SlackServer(answers=[(429, {"Retry-After": "86400"})] * 5) as slack:
        assert notify.send("x", webhook_url=slack.url) is False
        assert slack.attempts == 3
    assert pauses == [30.0, 30.0]


def test_a_long_message_is_cut():
    with SlackServer() as slack:
        assert notify.send("x" * 10_000, webhook_url=slack.url) is True
        assert len(slack.messages[0]["text"]) == 4000


def test_a_missing_slack_sdk_is_said_clearly(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "slack_sdk.webhook", None)
    assert notify.send("x", webhook_url="http://127.0.0.1:1/canary-webhook-secret") is False
    assert "pip install slack-sdk" in caplog.text
