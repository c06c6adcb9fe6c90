"""One message per failure, with its cause and the page where the rest is to be read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.servers.slack_server import SlackServer
from devtools.synthetic import FIRST, toy_run
from retrain_ops.run import RunContext, begin_attempt, record_step, run_record
from retrain_ops.steps import runner
from retrain_ops.steps.alerts import alert_failure
from retrain_ops.steps.runner import run_step

PAGE = "http://airflow.example.com/dags/toy/runs/r/tasks/"


@pytest.fixture
def slack():
    with SlackServer() as server:
        yield server


@pytest.fixture
def open_run(tmp_path, slack):
    def opened(task=""):
        context = RunContext(url=PAGE + task if task else "")
        run = toy_run(tmp_path, Client(Server()), FIRST, context=context)
        return replace(run, slack_webhook=slack.url)

    return opened


def texts(slack):
    return [message["text"] for message in slack.messages]


def test_a_failed_step_tells_its_cause_and_its_own_page_once(open_run, slack, monkeypatch):
    def fails(run):
        raise ConnectionError("the registry did not answer")

    monkeypatch.setattr(runner, "_function", lambda name: fails)
    run = open_run("evaluate")
    begin_attempt(run)
    with pytest.raises(ConnectionError):
        run_step("evaluate", run)
    alert_failure(open_run("summarise"), "evaluate", "noticed once more")
    cause = f"[FAILED] toy {FIRST}: evaluate: the registry did not answer"
    assert texts(slack) == [f"{cause}\n{PAGE}evaluate"]


class SchedulerStopsIt(BaseException):
    """What a scheduler raises for a signal, as Dagster does."""


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SchedulerStopsIt])
def test_a_step_whose_library_hid_the_interruption_says_what_ended_it(
    open_run, slack, monkeypatch, kind
):
    def fails(run):
        try:
            raise kind("cancelled by signal 2 (SIGINT)")
        except kind as problem:
            raise ImportError("initialization failed") from problem

    monkeypatch.setattr(runner, "_function", lambda name: fails)
    run = open_run("evaluate")
    begin_attempt(run)
    with pytest.raises(kind):
        run_step("evaluate", run)
    assert run_record(run)["steps"]["evaluate"]["error"] == "cancelled by signal 2 (SIGINT)"
    assert [text.splitlines()[0] for text in texts(slack)] == [
        f"[FAILED] toy {FIRST}: evaluate: cancelled by signal 2 (SIGINT)"
    ]


def test_a_killed_step_is_told_with_the_page_that_it_noted_when_it_began(open_run, slack):
    run = open_run("train")
    begin_attempt(run)
    record_step(run, "train", {"status": "running", "url": run.context.url})
    alert_failure(open_run("summarise"), "train", "it did not end")
    assert texts(slack) == [f"[FAILED] toy {FIRST}: train: it did not end\n{PAGE}train"]


def test_where_there_is_no_page_the_cause_stands_alone(open_run, slack):
    alert_failure(open_run(), "train", "no memory")
    assert texts(slack) == [f"[FAILED] toy {FIRST}: train: no memory"]


def test_a_new_attempt_is_told_anew(open_run, slack):
    for _ in range(2):
        begin_attempt(open_run())
        alert_failure(open_run(), "train", "no memory")
    assert len(texts(slack)) == 2
