"""Under the real scheduler and triggerer: one event for one reason, waits that hold nobody up."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from devtools.servers.airflow_server import AirflowServer, wait_until
from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from devtools.synthetic import FIRST, SPEC, write_days
from tests.airflow.conftest import REPO

BOOTSTRAP, CHANGED = FIRST + timedelta(days=17), FIRST + timedelta(days=36)
QUIET, DRIFTED = FIRST + timedelta(days=18), FIRST + timedelta(days=36)
# The newer model is kept back by a cooldown, so the champion falls behind it.
KEPT_BACK = SPEC.replace("[gate]", "[gate]\ncooldown_days = 60") + "\n[degraded]\ndays = 5\n"
SHADOW_S = 90
WITHIN_S = 300.0

DAG_FILE = """\
from datetime import UTC, datetime
from retrain_ops.airflow import drift_monitor_dag, performance_monitor_dag, retraining_dag

past = {{
    "start_date": datetime(2020, 1, 1, tzinfo=UTC), "end_date": datetime(2020, 12, 31, tzinfo=UTC),
    "retries": 0, "n_threads": 1,
}}
folder = {folder!r}

drifting = retraining_dag(folder + "/drifting.toml", schedule=None, **past)
drifting_monitor = drift_monitor_dag(folder + "/drifting.toml", **past)
ageing = retraining_dag(folder + "/ageing.toml", schedule=None, **past)
ageing_monitor = performance_monitor_dag(folder + "/ageing.toml", **past)
nightly = retraining_dag(folder + "/nightly.toml", **past)
waiting = retraining_dag(folder + "/waiting.toml", schedule=None, events=(), **past)
"""


@dataclass(frozen=True, slots=True)
class World:
    """Real servers around synthetic rows; a model is named like its spec file."""

    folder: Path
    airflow: AirflowServer
    mlflow: MlflowServer

    def run(self, model: str, day: date, **context: Any) -> Any:
        from retrain_ops.run import RunContext, open_run

        return open_run(
            self.folder / f"{model}.toml",
            date=day,
            workspace=str(self.folder / "workspace"),
            tracking_uri=self.mlflow.url,
            n_threads=1,
            context=RunContext(**context),
        )

    def play(self, model: str, day: date, **context: Any) -> str:
        """A whole day without Airflow, to come where a test begins."""
        from retrain_ops.cli.main import run_day

        return str(run_day(self.run(model, day, **context))["outcome"])

    def start(self, dag_id: str, day: date) -> str:
        body = {"logical_date": None, "conf": {"window_end": day.isoformat()}}
        return str(self.airflow.api("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def finished(self, dag_id: str, run_id: str) -> str:
        path = f"/dags/{dag_id}/dagRuns/{run_id}"
        state: list[str] = []

        def over() -> bool:
            state[:] = [self.airflow.api("GET", path)["state"]]
            return state[0] in ("success", "failed")

        wait_until(f"{dag_id} {run_id}", WITHIN_S, over)
        return state[0]

    def look(self, dag_id: str, day: date) -> str:
        """One run of a monitor; the state of its task."""
        run_id = self.start(dag_id, day)
        assert self.finished(dag_id, run_id) == "success"
        (task,) = self.airflow.tasks(dag_id, run_id).values()
        return str(task["state"])

    def started_by_event(self, dag_id: str) -> dict[str, Any]:
        """The one run of a DAG that no person and no schedule starts, when it is over."""
        wait_until(f"a run of {dag_id}", WITHIN_S, lambda: bool(self.airflow.runs(dag_id)))
        (run,) = self.airflow.runs(dag_id)
        assert run["run_type"] == "asset_triggered"
        assert self.finished(dag_id, run["dag_run_id"]) == "success"
        return run

    def events(self, model: str) -> list[dict[str, Any]]:
        """The extras of all events of the model's asset, oldest first."""
        found = self.airflow.api("GET", "/assets/events?limit=100&order_by=timestamp")
        extras = [event["extra"] for event in found["asset_events"]]
        return [extra for extra in extras if extra.get("model") == model]

    def figures(self) -> dict[str, Any]:
        """Per model: looks of its monitor, events, and the runs that those started."""
        found: dict[str, Any] = {}
        for model, monitor in (("drifting", "drifting_drift"), ("ageing", "ageing_performance")):
            runs = self.airflow.runs(model)
            found[model] = {
                "looks": len(self.airflow.runs(monitor)),
                "events": self.events(model),
                "runs": len(runs),
                "run_types": sorted({run["run_type"] for run in runs}),
            }
        found["nightly"] = {"looks": 0, "runs": len(self.airflow.runs("nightly"))}
        (waiting,) = self.airflow.runs("waiting")
        begun, ended = (datetime.fromisoformat(waiting[k]) for k in ("start_date", "end_date"))
        found["waiting"] = {"shadow_s": SHADOW_S, "run_s": (ended - begun).total_seconds()}
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("events")
    write_days(folder / "rows", 60, rule_changes=18, shift_from=20, shift=0.6)
    write_days(folder / "even", 60, rule_changes=18)
    for model, spec in (("drifting", SPEC), ("nightly", SPEC), ("ageing", KEPT_BACK)):
        named = spec.replace('name = "toy"', f'name = "{model}"')
        rows = named.replace('path = "rows"', 'path = "even"') if model == "ageing" else named
        (folder / f"{model}.toml").write_text(rows)
    (folder / "dags").mkdir()
    (folder / "dags" / "all_dags.py").write_text(DAG_FILE.format(folder=str(folder)))
    with ExitStack() as servers:
        mlflow = servers.enter_context(MlflowServer(folder / "mlflow", mlflow_python()))
        airflow = AirflowServer(
            python=Path(sys.executable),
            home=folder / "airflow",
            dags=folder / "dags",
            environment={
                "PYTHONPATH": str(REPO),
                "MLFLOW_TRACKING_URI": mlflow.url,
                "RETRAIN_OPS_WORKSPACE": str(folder / "workspace"),
            },
        )
        world = World(folder, airflow, mlflow)
        for model in ("drifting", "nightly", "ageing"):
            assert world.play(model, BOOTSTRAP, bootstrap=True) == "challenger"
        assert world.play("ageing", CHANGED, forced=True) == "skipped"
        servers.enter_context(airflow)
        for dag_id in (
            *("drifting", "drifting_drift", "ageing", "ageing_performance"),
            *("nightly", "waiting"),
        ):
            airflow.wait_for_dag(dag_id)
            airflow.unpause(dag_id)
        yield world
        if figures := os.environ.get("RETRAIN_OPS_FIGURES"):
            Path(figures).write_text(json.dumps(world.figures(), indent=1))


def test_drift_that_begins_is_one_event_and_one_run_of_its_day(world: World) -> None:
    assert world.look("drifting_drift", QUIET) == "skipped"
    assert world.look("drifting_drift", DRIFTED) == "success"
    run = world.started_by_event("drifting")
    assert world.look("drifting_drift", DRIFTED + timedelta(days=1)) == "skipped"
    (event,) = world.events("drifting")
    assert (event["window_end"], event["reason"]) == (DRIFTED.isoformat(), "drift")
    assert [r["dag_run_id"] for r in world.airflow.runs("drifting")] == [run["dag_run_id"]]
    record = world.run("drifting", DRIFTED).read("run.json")
    assert (record["trigger"], record["reason"]) == ("asset", "drift")
    decision = world.run("drifting", DRIFTED).read("decision.json")
    assert (decision["window_end"], decision["drift"]["reason"]) == (event["window_end"], "drift")


def test_a_monitor_that_was_down_costs_nothing_the_night_sees_the_drift(world: World) -> None:
    world.airflow.reprocess_day("nightly", DRIFTED.isoformat(), within_s=WITHIN_S)
    decision = world.run("nightly", DRIFTED).read("decision.json")
    assert decision["drift"]["reason"] == "drift"
    assert decision["outcome"] == "challenger"
    assert world.events("nightly") == []
    # However a day was started, it decides the same: all but the model's name.
    event = world.run("drifting", DRIFTED).read("decision.json")
    assert _nameless(decision, "nightly") == _nameless(event, "drifting")


def _nameless(decision: dict[str, Any], model: str) -> str:
    del decision["spec_sha256"], decision["hashes"]["spec_sha256"]
    return json.dumps(decision, sort_keys=True).replace(model, "model")


def test_labels_that_decay_are_one_event_and_a_retraining_called_degraded(world: World) -> None:
    day = CHANGED + timedelta(days=8)
    assert world.look("ageing_performance", CHANGED) == "skipped"
    assert world.look("ageing_performance", day) == "success"
    world.started_by_event("ageing")
    assert world.look("ageing_performance", day + timedelta(days=1)) == "skipped"
    (event,) = world.events("ageing")
    assert (event["window_end"], event["reason"]) == (day.isoformat(), "degraded")
    assert world.run("ageing", day).read("decision.json")["drift"]["reason"] == "degraded"


def test_a_shadow_of_now_is_waited_for_by_the_triggerer(world: World) -> None:
    """Dates of now, a shadow that ends in seconds: deferred while it lasts, then promoted."""
    begin = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    today = begin.date()
    first = today - timedelta(days=36)
    write_days(world.folder / "now", 36, rule_changes=18, shift_from=18, shift=0.6, first=first)
    _write_requests(world.folder / "now", begin)
    spec = SPEC.replace('name = "toy"', 'name = "waiting"').replace('"rows"', '"now"')
    spec = spec.replace("[shadow]", f"[shadow]\nhours = {SHADOW_S / 3600}")
    spec = spec.replace("[window]", f'[window]\ncutoff_time = "{begin.time().isoformat()}"')
    (world.folder / "waiting.toml").write_text(spec)
    bootstrap = first + timedelta(days=17)
    assert world.play("waiting", bootstrap, bootstrap=True) == "challenger"
    run_id = world.start("waiting", today)

    def state() -> str:
        return str(world.airflow.tasks("waiting", run_id)["shadow_test"]["state"])

    wait_until("the shadow's wait", WITHIN_S, lambda: state() in ("deferred", "success"))
    assert state() == "deferred"
    assert datetime.now(UTC) < begin + timedelta(seconds=SHADOW_S)
    assert world.finished("waiting", run_id) == "success"
    assert datetime.now(UTC) >= begin + timedelta(seconds=SHADOW_S)
    snapshot = world.run("waiting", today).registry.snapshot()
    assert dict(snapshot.aliases) == {"champion": "2", "previous": "1"}


def _write_requests(folder: Path, begin: datetime) -> None:
    """A hundred requests within the shadow, their labels not known yet."""
    rng = np.random.default_rng(1)
    times = [begin + timedelta(seconds=SHADOW_S * i / 100) for i in range(100)]
    table = pa.table(
        {
            "request_id": [f"now-{i:05d}" for i in range(100)],
            "event_time": pa.array(times, type=pa.timestamp("us", tz="UTC")),
            "a": (rng.normal(size=100) + 0.6).astype(np.float32),
            "b": rng.normal(size=100).astype(np.float32),
            "c": rng.choice(["x", "y"], size=100).tolist(),
            "late": pa.nulls(100, pa.int8()),
        }
    )
    target = folder / f"day={begin.date().isoformat()}"
    target.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, target / "part-0.parquet")
