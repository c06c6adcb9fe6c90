"""On Airflow 2, whose versions send an event's extra in two ways, a monitor's event has its day."""

from __future__ import annotations

import sys
import types
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.airflow.conftest import Recorder, play

INSTANT = datetime(2013, 8, 14, 2, tzinfo=UTC)
EVENT = {"model": "toy", "window_end": "2013-08-14", "reason": "drift"}
DAG_FILE = """\
from retrain_ops.airflow import drift_monitor_dag, retraining_dag

consumer = retraining_dag("/nowhere/toy.toml")
monitor = drift_monitor_dag("/nowhere/toy.toml", retries=0)
"""


def _result(begins: bool) -> SimpleNamespace:
    told = {"begins": begins, "holds": True, "since": "2013-08-14", "summary": "PSI 0.3"}
    return SimpleNamespace(begins=begins, event=lambda run: EVENT, to_json=lambda: told)


@pytest.mark.usefixtures("recorder")
def test_an_edge_is_one_event_with_day_and_reason_and_a_level_none(
    airflow_home: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.models.dagbag import DagBag
    from airflow.models.dataset import DatasetEvent
    from airflow.utils.session import create_session

    (airflow_home / "datasets").mkdir()
    (airflow_home / "datasets" / "toy_dags.py").write_text(DAG_FILE)
    bag = DagBag(str(airflow_home / "datasets"), include_examples=False)
    bag.sync_to_db()
    monitor: Any = types.ModuleType("retrain_ops.monitoring.monitor")
    monkeypatch.setitem(sys.modules, "retrain_ops.monitoring.monitor", monitor)
    states = []
    for day, begins in ((0, True), (1, False)):
        monitor.watch = lambda kind, run, *, patience_s, begins=begins: _result(begins)
        run = play(bag.dags["toy_drift"], INSTANT.replace(day=14 + day))
        states += [str(ti.state) for ti in run.get_task_instances()]
    assert states == ["success", "skipped"]
    with create_session() as session:
        found = [event.extra for event in session.query(DatasetEvent)]
    assert found == [EVENT]
