"""Every decided day leaves its page, in the workspace and in MLflow; none can fail the day."""

import errno
import importlib.util
import logging
from datetime import timedelta

import pytest

import retrain_ops.report
from devtools.synthetic import FIRST, bootstrap, toy_run, write_days
from retrain_ops.cli.main import run_day
from retrain_ops.run import RunContext

START = FIRST + timedelta(days=20)


@pytest.fixture
def world(tmp_path, client, messages):
    write_days(tmp_path / "rows", 30)
    bootstrap(tmp_path, client, START)
    return tmp_path


def test_each_kind_of_day_leaves_its_page_and_a_rerun_the_same_bytes(world, client, monkeypatch):
    forced = RunContext(forced=True)
    uploaded = []
    upload = client.upload_artifact
    monkeypatch.setattr(
        client,
        "upload_artifact",
        lambda run, path, data: uploaded.append(path) or upload(run, path, data),
    )
    pages = {}
    for day, context in ((1, RunContext()), (2, forced)):
        run = toy_run(world, client, START + timedelta(days=day), context=context)
        run_day(run)
        pages[day] = run.workspace.read(run.path("report.html"))
        run_day(run)
        assert run.workspace.read(run.path("report.html")) == pages[day]
    assert uploaded.count("report.html") == 1
    assert b"Nothing called for training" in pages[1]
    assert b"F1 by slice" in pages[2]
    assert b"ROC" in pages[2]


def test_the_page_is_logged_to_the_run_of_the_day(world, client):
    from retrain_ops.mlflow.tracking import find_run

    run = toy_run(world, client, START)
    logged = find_run(run)
    page = run.workspace.read(run.path("report.html"))
    assert client.download_artifact(logged.artifact_uri, "report.html") == page


def test_the_page_across_days_is_logged_to_the_newest_run(world, client):
    from retrain_ops.mlflow.tracking import find_run

    def page_of(run):
        artifacts = find_run(run).artifact_uri
        return client.download_artifact(artifacts, "days.html").decode()

    first = toy_run(world, client, START)
    before = page_of(first)
    assert str(START) in before
    run_day(toy_run(world, client, START + timedelta(days=1)))
    assert page_of(first) == before  # a quiet day asks MLflow for nothing more
    newest = toy_run(world, client, START + timedelta(days=2), context=RunContext(forced=True))
    run_day(newest)
    days = [START + timedelta(days=n) for n in range(3)]
    assert [str(day) in page_of(newest) for day in days] == [True] * 3
    run_day(first)
    assert page_of(first) == before


def test_without_jinja_the_day_is_complete_and_the_log_says_what_to_install(
    world, client, monkeypatch, caplog
):
    known = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "jinja2" else known(name)
    )
    run = toy_run(world, client, START + timedelta(days=1))
    with caplog.at_level(logging.WARNING):
        assert run_day(run)["outcome"] == "no_train"
    assert "pip install jinja2" in caplog.text
    assert not run.workspace.exists(run.path("report.html"))


def test_a_page_that_cannot_be_made_fails_nothing(world, client, monkeypatch, caplog):
    monkeypatch.setattr(retrain_ops.report, "render", lambda *a, **k: 1 / 0)
    run = toy_run(world, client, START + timedelta(days=1))
    assert run_day(run)["outcome"] == "no_train"
    assert "no report.html: division by zero" in caplog.text
    assert "Traceback" in caplog.text


def test_a_disk_without_room_for_the_page_is_named_without_a_traceback(
    world, client, monkeypatch, caplog
):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "report.html")

    monkeypatch.setattr(retrain_ops.report, "render", full)
    run = toy_run(world, client, START + timedelta(days=1))
    assert run_day(run)["outcome"] == "no_train"
    assert "no report.html: [Errno 28] No space left on device" in caplog.text
    assert "Traceback" not in caplog.text
