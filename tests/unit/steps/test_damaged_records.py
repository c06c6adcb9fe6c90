"""Records that hold what nobody wrote: set aside and made anew, never a traceback."""

from __future__ import annotations

import json
import types
from datetime import timedelta

import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.synthetic import FIRST, toy_run
from retrain_ops.decisions.record import read_decision, recover_decision
from retrain_ops.errors import ConfigError, DamagedError, import_problem
from retrain_ops.monitoring import monitor
from retrain_ops.rollout import news
from retrain_ops.run import run_record
from retrain_ops.steps import runner
from retrain_ops.steps.alerts import alert_failure
from retrain_ops.steps.watch_canary import CanaryResult

DAY = FIRST + timedelta(days=17)


@pytest.fixture
def run(tmp_path):
    return toy_run(tmp_path, Client(Server()), DAY)


def left(run, name, content):
    """A file as a hand or a disk leaves it, without its hash."""
    run.workspace._replace(run.path(name), json.dumps(content).encode())


def aside(run, name):
    folder = run.workspace.absolute(run.path("attempts"))
    found = run.workspace.filesystem.get_file_info(_in(folder))
    return any(i.base_name.startswith("damaged-") and i.base_name.endswith(name) for i in found)


def _in(folder):
    import pyarrow.fs as pafs

    return pafs.FileSelector(folder, allow_not_found=True)


@pytest.mark.parametrize("step", ["check_drift", "pull_data", "train", "evaluate"])
@pytest.mark.parametrize("content", [{}, {"data_sha256": 5, "rows": "x", "hashes": 1}, [], 7])
def test_a_record_that_others_need_is_named_with_the_step_that_makes_it(run, step, content):
    left(run, f"{step}.json", content)
    with pytest.raises(ConfigError, match=f"--step {step}"):
        run.require(step)
    assert aside(run, f"{step}.json")


@pytest.mark.parametrize(
    "content",
    [
        {"attempt": 1, "steps": {"train": "x"}},
        {"attempt": 1, "steps": {}, "earlier": ["x"]},
        {"attempt": 1, "steps": {}, "earlier": [{"steps": {"train": None}}]},
        {"attempt": 1, "steps": {}, "looks": []},
    ],
)
def test_a_run_json_of_other_types_is_no_record(run, content):
    left(run, "run.json", content)
    assert run_record(run) == {}


def test_alerts_of_other_types_do_not_stop_an_alert(run):
    left(run, "run.json", {"attempt": 3, "steps": {}})
    left(run, "alerts.json", {"attempts": [1], "looks": None})
    assert alert_failure(run, "train", "it fell over")
    assert not alert_failure(run, "train", "it fell over")


@pytest.mark.parametrize(
    "content",
    [
        {"window_end": "junk", "holds": True, "since": None, "told_by": None},
        {"window_end": DAY.isoformat(), "holds": True},
        {"window_end": DAY.isoformat(), "holds": True, "since": 5, "told_by": None},
    ],
)
def test_a_monitor_that_finds_no_state_looks_as_if_for_the_first_time(run, monkeypatch, content):
    monkeypatch.setattr(monitor, "settle", lambda run: None)
    monkeypatch.setattr(monitor, "decide_champion", lambda run: object())
    monkeypatch.setitem(monitor._LOOKS, "drift", lambda run, champion: (True, "PSI 1.000 (a)"))
    run.workspace._replace("toy/monitors/drift.json", json.dumps(content).encode())
    found = monitor.watch("drift", run)
    assert (found.holds, found.begins, found.since) == (True, True, DAY.isoformat())


@pytest.mark.parametrize("content", [{}, {"verdict": "kept", "color": 1}])
def test_what_a_damaged_record_said_comes_from_the_earlier_attempt(run, monkeypatch, content):
    looked = CanaryResult("kept", "2", day=7, min_days=7, labelled=900, reason="no_harm")
    step = types.SimpleNamespace(watch_canary=lambda run: looked)
    monkeypatch.setattr(runner, "_function", lambda name: getattr(step, name))
    runner.begin_attempt(run)
    first = runner.run_step("watch_canary", run)
    left(run, "watch_canary.json", content)
    run.workspace.filesystem.delete_file(
        run.workspace.absolute(run.path("sha256/watch_canary.json.sha256"))
    )
    runner.begin_attempt(run)
    step.watch_canary = lambda run: CanaryResult("idle")
    runner.run_step("watch_canary", run)
    entry = run_record(run)["steps"]["watch_canary"]
    assert (entry["status"], entry["summary"]) == ("ok", first["summary"])
    assert aside(run, "watch_canary.json")


def test_a_damaged_list_of_hashes_says_nothing_against_its_file(run):
    run.workspace.write(run.path("a.json"), b'{"a": 1}')
    for damaged in (b"", b"[1, 2]", b"{}", b"0123456789abcdef"):
        run.workspace._replace(run.path("sha256/a.json.sha256"), damaged)
        assert run.read("a.json") == {"a": 1}
        assert not run.workspace.is_sound(run.path("a.json"))
    run.workspace.write(run.path("a.json"), b'{"a": 1}')
    assert run.workspace.is_sound(run.path("a.json"))


def test_a_package_that_is_there_and_broken_is_not_said_to_be_missing():
    absent = import_problem(ModuleNotFoundError("No module named 'x'"), "X", "x")
    assert absent == "X is not installed: pip install x"
    broken = import_problem(ImportError("failed to map segment"), "X", "x")
    assert "X is installed and cannot be imported (failed to map segment)" in broken
    assert "more memory" in broken


@pytest.mark.parametrize("content", [{}, {"schema": "1"}, {"schema": None, "outcome": "skipped"}])
def test_a_decision_that_names_no_schema_is_damaged_and_made_anew(run, content):
    left(run, "decision.json", content)
    with pytest.raises(DamagedError, match=r"decision\.json is damaged: it names no schema"):
        read_decision(run.workspace, DAY)
    assert recover_decision(run.workspace, DAY) is None
    assert aside(run, "decision.json")


@pytest.mark.parametrize("content", [{}, {"1": "toy/2020-01-18"}, {"epochs": [1]}])
def test_a_spoilt_list_of_what_was_reported_makes_no_news(run, content):
    run.workspace._replace("toy/reported.json", json.dumps(content).encode())
    assert news.unreported(run, ("promote",)) is None
    assert run.workspace.read_json("toy/reported.json") == {"epochs": {}}
