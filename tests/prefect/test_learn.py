"""A model that learns day by day as a flow: the command line's bytes, and each day once."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

import retrain_ops.run
from devtools.doubles.registry_server import Client, Server
from devtools.doubles.steps import Recorder
from devtools.servers.prefect_server import PrefectServer
from devtools.synthetic import FIRST, files_of, toy_run, write_days
from devtools.worlds import LEARN
from retrain_ops.cli.main import run_day
from retrain_ops.run import RunContext

BOOTSTRAP = FIRST + timedelta(days=17)
DAY = BOOTSTRAP + timedelta(days=3)
TOY = LEARN.replace('name = "toy"', 'name = "flow_learner"')
FILES = ("decision.json", "model.rtm", "reference.json", "check_drift.json")


def test_its_days_are_the_command_lines_and_again_change_nothing(
    prefect_server: PrefectServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrain_ops.prefect import learning_flow

    server, client = Server(), Client(Server())
    monkeypatch.setattr(retrain_ops.run, "MlflowClient", lambda *_: Client(server))
    write_days(tmp_path / "rows", 25)
    (tmp_path / "toy.toml").write_text(TOY)
    learn = learning_flow(tmp_path / "toy.toml", workspace=str(tmp_path / "flow"), retries=0)
    for day in (BOOTSTRAP, DAY):
        first = day == BOOTSTRAP
        assert learn(window_end=day, bootstrap=first, return_state=True).is_completed()
        context = RunContext(forced=True, bootstrap=first)
        run_day(toy_run(tmp_path, client, day, spec=TOY, workspace="cli", context=context))
    known = _content(tmp_path / "flow")
    assert known == _content(tmp_path / "cli")
    counts = len(server.versions), len(server.runs)
    assert learn(window_end=DAY, return_state=True).is_completed()
    assert _content(tmp_path / "flow") == known
    assert (len(server.versions), len(server.runs)) == counts


def _content(workspace: Path) -> dict[str, bytes]:
    states = {p.name: p.read_bytes() for p in workspace.rglob("online/*/*.rtm")}
    assert len(states) == 4  # the first batch, and three days
    return files_of(workspace, FILES) | states


def test_it_trains_whatever_drift_says_and_refuses_a_spec_that_does_not_learn(
    recorder: Recorder, options: dict[str, Any]
) -> None:
    from retrain_ops.prefect import learning_flow

    day = date(2013, 8, 14)
    refused = learning_flow(**options)(window_end=day, return_state=True)
    assert refused.is_failed()
    assert "[learn]: is missing: only a spec with it learns" in refused.message
    assert (recorder.steps_run, len(recorder.alerts)) == ([], 1)
    options["spec"].write_text(LEARN)
    assert learning_flow(**options)(window_end=day, return_state=True).is_completed()
    assert {run.context.forced for _, run in recorder.calls} == {True}
