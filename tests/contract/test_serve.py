"""`retrain-ops serve` under load, on a real registry: swaps, a rollback, a killed worker."""

from __future__ import annotations

import json
import os
import signal
from datetime import timedelta

import pytest

from devtools.load import Load
from devtools.servers.processes import free_port
from devtools.servers.scoring_server import ScoringServer
from devtools.serving import FIRST, promoted, small_model, wait_until
from retrain_ops import MlflowClient
from retrain_ops.registry.registry import Registry

NAME = "served_live"
SPEC = """
[model]
name = "served_live"
[source]
path = "rows"
label = "y"
[features]
numeric = ["x0", "x1", "x2"]
[registry]
tracking_uri = "{uri}"
"""


@pytest.fixture(scope="module")
def client(mlflow_server):
    client = MlflowClient(mlflow_server.url)
    promoted(client, NAME, small_model(3))
    return client


@pytest.fixture
def server(client, mlflow_server, tmp_path):
    spec = tmp_path / "served.toml"
    spec.write_text(SPEC.format(uri=mlflow_server.url))
    with ScoringServer(spec, free_port(), workers=2) as server:
        yield server


def test_swap_rollback_and_a_killed_worker_under_load(server, client):
    registry = Registry(client, NAME)
    later = FIRST + timedelta(days=100)
    with Load(server.port) as load:
        wait_until(lambda: load.all_by("1"))
        promoted(client, NAME, small_model(3, seed=2))
        wait_until(lambda: load.all_by("2"))
        registry.rollback(effective_from=later, recorded_at=later)
        wait_until(lambda: load.all_by("1"))
        before = set(server.workers())
        assert load.broken == 0
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: len(set(server.workers()) - before) == 1)
        wait_until(lambda: load.all_by("1"))
    assert set(load.answers) == {(200, "1"), (200, "2")}
    answered = sum(load.answers.values())
    counted = server.get("/metrics")[1].decode().splitlines()
    ok = next(line for line in counted if line.startswith("retrain_ops_serving_requests_total"))
    assert answered <= int(ok.split()[-1]) <= answered + load.broken
    code, output = server.stop()
    assert (code, json.loads(output)["status"]) == (0, "stopped")
