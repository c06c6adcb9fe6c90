"""Under the real scheduler and triggerer: one event for one reason, waits that hold nobody up."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from devtools.servers.processes import PATIENCE_S, wait_until
from devtools.synthetic import FIRST, SPEC, write_days
from tests.airflow.servers import Servers

BOOTSTRAP, CHANGED = FIRST + timedelta(days=17), FIRST + timedelta(days=36)
QUIET, DRIFTED = FIRST + timedelta(days=18), FIRST + timedelta(days=36)
# The newer model is kept back by a cooldown, so the champion falls behind it.
KEPT_BACK = SPEC.replace("[gate]", "[gate]\ncooldown_days = 60") + "\n[degraded]\ndays = 5\n"
# Seconds of a shadow of now. A machine so busy that the run comes too late gets a longer one.
SHADOWS = {"waiting_1": 60, "waiting_2": 240, "waiting_3": 810}

DAG_FILE = """\
from datetime import UTC, datetime
from retrain_ops.airflow import drift_monitor_dag, performance_monitor_dag, retraining_dag

folder = {folder!r}
past = {{
    "start_date": datetime(2020, 1, 1, tzinfo=UTC), "end_date": datetime(2020, 12, 31, tzinfo=UTC),
    "retries": 0, "n_threads": 1, "workspace": folder + "/workspace",
}}

drifting = retraining_dag(folder + "/drifting.toml", schedule=None, **past)
drifting_monitor = drift_monitor_dag(folder + "/drifting.toml", **past)
ageing = retraining_dag(folder + "/ageing.toml", schedule=None, **past)
ageing_monitor = performance_monitor_dag(folder + "/ageing.toml", **past)
nightly = retraining_dag(folder + "/nightly.toml", **past)
for name in {waiting!r}:
    globals()[name] = retraining_dag(folder + f"/{{name}}.toml", schedule=None, events=(), **past)
"""


@dataclass(frozen=True, slots=True)
class World:
    """Synthetic rows; a model is named like its spec file."""

    folder: Path
    servers: Servers

    def run(self, model: str, day: date, **context: Any) -> Any:
        from retrain_ops.run import RunContext, open_run

        return open_run(
            self.folder / f"{model}.toml",
            date=day,
            workspace=str(self.folder / "workspace"),
            tracking_uri=self.servers.mlflow.url,
            n_threads=1,
            context=RunContext(**context),
        )

    def play(self, model: str, day: date, **context: Any) -> str:
        """A whole day without Airflow, to come where a test begins."""
        from retrain_ops.cli.main import run_day

        return str(run_day(self.run(model, day, **context))["outcome"])

    def read(self, model: str, day: date, name: str) -> dict[str, Any]:
        """A file of the model's day."""
        found: dict[str, Any] = self.run(model, day).read(name)
        return found

    def look(self, dag_id: str, day: date) -> str:
        """One run of a monitor; the state of its task."""
        run_id = self.servers.trigger(dag_id, day)
        assert self.servers.ended(dag_id, run_id) == "success"
        (task,) = self.servers.airflow.tasks(dag_id, run_id).values()
        return str(task["state"])

    def started_by_event(self, dag_id: str) -> dict[str, Any]:
        """The one run of a DAG that no person and no schedule starts, when it is over."""
        runs = self.servers.airflow.runs
        wait_until(f"a run of {dag_id}", PATIENCE_S, lambda: bool(runs(dag_id)))
        run = self.servers.only_run(dag_id)
        assert run["run_type"] == "asset_triggered"
        assert self.servers.ended(dag_id, run["dag_run_id"]) == "success"
        return run

    def events(self, model: str) -> list[dict[str, Any]]:
        """The extras of all events of the model's asset, oldest first."""
        found = self.servers.airflow.api("GET", "/assets/events?limit=100&order_by=timestamp")
        extras = [event["extra"] for event in found["asset_events"]]
        return [extra for extra in extras if extra.get("model") == model]

    def watch(self, model: str, monitor: str, *days: date) -> Watched:
        """Three looks, of which the second finds a reason to retrain."""
        before, found, after = days
        looks = [self.look(monitor, before), self.look(monitor, found)]
        run = self.started_by_event(model)
        return Watched([*looks, self.look(monitor, after)], run)

    def night(self) -> dict[str, Any]:
        """The nightly run of a day whose drift no monitor has seen; its decision."""
        airflow = self.servers.airflow
        airflow.reprocess_day("nightly", DRIFTED.isoformat(), within_s=PATIENCE_S)
        return self.read("nightly", DRIFTED, "decision.json")


@dataclass(frozen=True, slots=True)
class Watched:
    """What a monitor saw in three days, and the run that its event started."""

    looks: list[str]
    run: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shadow:
    """A run that waits for a shadow of now, and when it was seen to."""

    model: str
    begin: datetime
    run_id: str
    deferred: datetime

    @property
    def end(self) -> datetime:
        return self.begin + timedelta(seconds=SHADOWS[self.model])


@dataclass(frozen=True, slots=True)
class Stories:
    """All begin at once, each in a thread; a test waits for the end of its own."""

    shadow: Future[Shadow]
    drifting: Future[Watched]
    ageing: Future[Watched]
    night: Future[dict[str, Any]]


@pytest.fixture(scope="module")
def world(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("events")
    write_days(folder / "rows", 60, rule_changes=18, shift_from=20, shift=0.6)
    write_days(folder / "even", 60, rule_changes=18)
    for model, spec in (("drifting", SPEC), ("nightly", SPEC), ("ageing", KEPT_BACK)):
        named = spec.replace('name = "toy"', f'name = "{model}"')
        rows = named.replace('path = "rows"', 'path = "even"') if model == "ageing" else named
        (folder / f"{model}.toml").write_text(rows)
    world = World(folder, servers)
    for model in ("drifting", "nightly", "ageing"):
        assert world.play(model, BOOTSTRAP, bootstrap=True) == "challenger"
    assert world.play("ageing", CHANGED, forced=True) == "skipped"
    dag_ids = ("drifting", "drifting_drift", "ageing", "ageing_performance", "nightly", *SHADOWS)
    text = DAG_FILE.format(folder=str(folder), waiting=tuple(SHADOWS))
    servers.add_dags("events", text, dag_ids)
    yield world
    if figures := os.environ.get("RETRAIN_OPS_FIGURES"):
        Path(figures).write_text(json.dumps(_figures(world), indent=1))


@pytest.fixture(scope="module")
def stories(world: World) -> Iterator[Stories]:
    with ThreadPoolExecutor(4) as pool:
        shadow = pool.submit(_deferred_shadow, world)
        wait([shadow])  # its clock runs: the others keep out of its way until it lies down
        days = [DRIFTED + timedelta(days=d) for d in (0, 1)]
        later = [CHANGED + timedelta(days=d) for d in (8, 9)]
        yield Stories(
            shadow,
            pool.submit(world.watch, "drifting", "drifting_drift", QUIET, *days),
            pool.submit(world.watch, "ageing", "ageing_performance", CHANGED, *later),
            pool.submit(world.night),
        )


def _figures(world: World) -> dict[str, Any]:
    """Per model: looks of its monitor, events, and the runs that those started."""
    runs_of = world.servers.airflow.runs
    found: dict[str, Any] = {}
    for model, monitor in (("drifting", "drifting_drift"), ("ageing", "ageing_performance")):
        runs = runs_of(model)
        found[model] = {
            "looks": len(runs_of(monitor)),
            "events": world.events(model),
            "runs": len(runs),
            "run_types": sorted({run["run_type"] for run in runs}),
        }
    found["nightly"] = {"looks": 0, "runs": len(runs_of("nightly"))}
    model = [name for name in SHADOWS if runs_of(name)][-1]
    run = world.servers.only_run(model)
    begun, ended = (datetime.fromisoformat(run[k]) for k in ("start_date", "end_date"))
    seconds = (ended - begun).total_seconds()
    found["waiting"] = {"shadow_s": SHADOWS[model], "run_s": seconds}
    return found


def test_a_shadow_of_now_is_waited_for_by_the_triggerer(world: World, stories: Stories) -> None:
    """Dates of now, a shadow that ends in seconds: deferred while it lasts, then promoted."""
    shadow = stories.shadow.result()
    assert shadow.deferred < shadow.end
    assert world.servers.ended(shadow.model, shadow.run_id) == "success"
    assert datetime.now(UTC) >= shadow.end
    snapshot = world.run(shadow.model, shadow.begin.date()).registry.snapshot()
    assert dict(snapshot.aliases) == {"champion": "2", "previous": "1"}


def test_drift_that_begins_is_one_event_and_one_run_of_its_day(
    world: World, stories: Stories
) -> None:
    drifting = stories.drifting.result()
    assert drifting.looks == ["skipped", "success", "skipped"]
    (event,) = world.events("drifting")
    assert (event["window_end"], event["reason"]) == (DRIFTED.isoformat(), "drift")
    run = world.servers.only_run("drifting")
    assert run["dag_run_id"] == drifting.run["dag_run_id"]
    record = world.read("drifting", DRIFTED, "run.json")
    assert (record["trigger"], record["reason"]) == ("asset", "drift")
    decision = world.read("drifting", DRIFTED, "decision.json")
    assert (decision["window_end"], decision["drift"]["reason"]) == (event["window_end"], "drift")


def test_a_monitor_that_was_down_costs_nothing_the_night_sees_the_drift(
    world: World, stories: Stories
) -> None:
    decision = stories.night.result()
    assert decision["drift"]["reason"] == "drift"
    assert decision["outcome"] == "challenger"
    assert world.events("nightly") == []
    # However a day was started, it decides the same: all but the model's name.
    stories.drifting.result()
    event = world.read("drifting", DRIFTED, "decision.json")
    assert _nameless(decision, "nightly") == _nameless(event, "drifting")


def _nameless(decision: dict[str, Any], model: str) -> str:
    kept = {k: v for k, v in decision.items() if k not in ("spec_sha256", "hashes")}
    kept["hashes"] = {k: v for k, v in decision["hashes"].items() if k != "spec_sha256"}
    assert len(kept) == len(decision) - 1
    return json.dumps(kept, sort_keys=True).replace(model, "model")


def test_labels_that_decay_are_one_event_and_a_retraining_called_degraded(
    world: World, stories: Stories
) -> None:
    day = CHANGED + timedelta(days=8)
    assert stories.ageing.result().looks == ["skipped", "success", "skipped"]
    (event,) = world.events("ageing")
    assert (event["window_end"], event["reason"]) == (day.isoformat(), "degraded")
    assert world.read("ageing", day, "decision.json")["drift"]["reason"] == "degraded"


def _deferred_shadow(world: World) -> Shadow:
    """A run that comes to its shadow while it lasts, and lies down."""
    for model in SHADOWS:
        shadow = _shadow(world, model)
        if shadow is not None:
            return shadow
    raise AssertionError(f"the run came too late to a shadow of {SHADOWS[model]} s")


def _shadow(world: World, model: str) -> Shadow | None:
    """None when the shadow is over before the run comes to it."""
    begin = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    today, rows = begin.date(), f"rows_of_{model}"
    first = today - timedelta(days=36)
    write_days(world.folder / rows, 36, rule_changes=18, shift_from=18, shift=0.6, first=first)
    _write_requests(world.folder / rows, begin, SHADOWS[model])
    spec = SPEC.replace('name = "toy"', f'name = "{model}"').replace('"rows"', f'"{rows}"')
    spec = spec.replace("[shadow]", f"[shadow]\nhours = {SHADOWS[model] / 3600}")
    spec = spec.replace("[window]", f'[window]\ncutoff_time = "{begin.time().isoformat()}"')
    (world.folder / f"{model}.toml").write_text(spec)
    assert world.play(model, first + timedelta(days=17), bootstrap=True) == "challenger"
    run_id = world.servers.trigger(model, today)

    def state() -> str:
        return str(world.servers.airflow.tasks(model, run_id)["shadow_test"]["state"])

    wait_until("the shadow's wait", PATIENCE_S, lambda: state() in ("deferred", "success"))
    seen = Shadow(model, begin, run_id, datetime.now(UTC))
    if state() == "deferred":
        return seen
    assert seen.deferred >= seen.end, "the run did not wait for the end of its shadow"
    return None


def _write_requests(folder: Path, begin: datetime, seconds: int) -> None:
    """A hundred requests within the shadow, their labels not known yet."""
    rng = np.random.default_rng(1)
    times = [begin + timedelta(seconds=seconds * i / 100) for i in range(100)]
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
