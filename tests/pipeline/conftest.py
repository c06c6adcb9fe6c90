"""Nothing in these tests may reach Slack; alerts and summaries are collected instead."""

from __future__ import annotations

import pytest

import retrain_ops.steps.alerts
import retrain_ops.steps.runner
import retrain_ops.steps.summarise
from devtools.doubles.registry_server import Client, Server


@pytest.fixture
def messages(monkeypatch):
    sent: list[str] = []

    def collect(text, *, webhook_url):
        sent.append(text)
        return True

    monkeypatch.setattr(retrain_ops.steps.alerts, "send", collect)
    monkeypatch.setattr(retrain_ops.steps.runner, "send", collect)
    monkeypatch.setattr(retrain_ops.steps.summarise, "send", collect)
    return sent


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def client(server):
    return Client(server)
