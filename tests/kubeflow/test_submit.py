"""Submissions over a socket, to a server that speaks Kubeflow's API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from devtools.servers.kubeflow_server import KubeflowServer
from devtools.synthetic import FIRST
from retrain_ops.errors import ConflictError
from retrain_ops.kubeflow import backfill, schedule
from tests.kubeflow.conftest import World
from tests.kubeflow.test_week import BOOTSTRAP, WEEK

GOLDEN = Path(__file__).parent / "golden"
FILES = [GOLDEN / "retrain-flights.yaml", GOLDEN / "retrain-flights-rollout.yaml"]
DAYS = [date(2026, 1, n) for n in range(1, 6)]


@pytest.fixture
def kubeflow() -> Iterator[KubeflowServer]:
    with KubeflowServer() as server:
        yield server


def client_of(server: KubeflowServer) -> Any:
    import kfp

    return kfp.Client(host=server.url)


def day_of(run: dict[str, Any]) -> str:
    return str(run["runtime_config"]["parameters"]["window_end"])


def test_a_schedule_is_two_recurring_runs_and_made_again_it_is_still_two(
    kubeflow: KubeflowServer,
) -> None:
    client = client_of(kubeflow)
    first = schedule(client, FILES, experiment="flights")
    second = schedule(client, FILES, experiment="flights")
    assert set(first) == set(second) == {"retrain-flights", "retrain-flights-rollout"}
    day, look = kubeflow.all("recurringruns")
    assert [day["recurring_run_id"], look["recurring_run_id"]] == list(second.values())
    for made in (day, look):
        assert (made["max_concurrency"], made["no_catchup"]) == (1, True)
        assert made["pipeline_spec"]["pipeline_spec"]["root"]
    assert day["trigger"]["cron_schedule"]["cron"] == "0 0 2 * * *"
    assert day["runtime_config"]["parameters"] == {
        "window_end": "[[ScheduledTime.2006-01-02]]",
        "trigger": "schedule",
    }
    assert look["runtime_config"]["parameters"] == {
        "as_of": "[[ScheduledTime.2006-01-02T15:04:05Z]]"
    }
    assert len(kubeflow.all("experiments")) == 1


def test_a_schedule_leaves_those_of_other_models_alone(kubeflow: KubeflowServer) -> None:
    for number in range(3):  # more than a page
        other = {"display_name": f"retrain-{number}", "experiment_id": "experiments-1"}
        kubeflow.receive("POST", "/apis/v2beta1/recurringruns", json.dumps(other).encode())
    for _ in range(2):
        schedule(client_of(kubeflow), FILES, experiment="flights")
    assert len(kubeflow.all("recurringruns")) == 5


@pytest.mark.parametrize("state", ["FAILED", "CANCELED"])
def test_a_backfill_goes_in_order_and_stops_behind_a_day_that_did_not_succeed(
    kubeflow: KubeflowServer, state: str
) -> None:
    kubeflow.perform = lambda run: state if day_of(run) == "2026-01-03" else "SUCCEEDED"
    with pytest.raises(ConflictError, match=f"2026-01-03 .* is {state}"):
        backfill(client_of(kubeflow), FILES[0], DAYS[::-1], experiment="flights")
    assert [day_of(run) for run in kubeflow.all("runs")] == [str(day) for day in DAYS[:3]]
    kubeflow.perform = lambda run: "SUCCEEDED"
    ended = backfill(client_of(kubeflow), FILES[0], DAYS[2:], experiment="flights")
    assert list(ended) == DAYS[2:]


def test_a_backfill_that_takes_too_long_starts_no_later_day(kubeflow: KubeflowServer) -> None:
    kubeflow.perform = lambda run: "RUNNING"
    with pytest.raises(TimeoutError, match="is RUNNING after 0 s"):
        backfill(
            client_of(kubeflow),
            FILES[0],
            DAYS,
            experiment="flights",
            timeout_seconds=0,
            poll_interval=0,
        )
    assert len(kubeflow.all("runs")) == 1


def test_submitted_days_run_what_was_compiled(world: World, kubeflow: KubeflowServer) -> None:
    """The YAML that crosses the socket is the one that runs; the third day has lost its rows."""
    world.run(BOOTSTRAP, bootstrap=True)
    gone = world.folder / "rows" / f"day={FIRST.fromordinal(WEEK[2].toordinal() - 1)}"
    gone.rename(world.folder / "gone")

    def perform(run: dict[str, Any]) -> str:
        given = dict(run["runtime_config"]["parameters"])
        return "SUCCEEDED" if world.run(given.pop("window_end"), **given) else "FAILED"

    kubeflow.perform = perform
    file = world.compile()[0]
    with pytest.raises(ConflictError, match=str(WEEK[2])):
        backfill(client_of(kubeflow), file, WEEK[:5], experiment="toy")
    (world.folder / "gone").rename(gone)
    backfill(client_of(kubeflow), file, WEEK[2:5], experiment="toy")
    decided = {path for path in world.content() if path.endswith("decision.json")}
    assert len(decided) == 6
    assert len(world.alerts()) == 1
