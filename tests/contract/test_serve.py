"""`retrain-ops serve` under load, on a real registry: swaps, a rollback, a killed worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from datetime import timedelta

import pyarrow as pa
import pytest

from devtools.load import Load
from devtools.servers.processes import ROOT, environment_python, free_port
from devtools.servers.scoring_server import ScoringServer
from devtools.serving import FIRST, promoted, small_model, wait_until
from retrain_ops import MlflowClient
from retrain_ops.registry.registry import Registry

NAME = "served_live"
CLIENT = ROOT / "devtools" / "kserve_client.py"
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


def test_a_kserve_client_is_answered_as_one_of_mlflow(server, client):
    python = environment_python("kserve", "")
    command = [str(python), str(CLIENT), f"127.0.0.1:{server.port}", NAME]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rows = pa.table({f"x{i}": [1.5, -0.25 * i] for i in range(3)})
    champion = Registry(client, NAME).snapshot().aliases["champion"]
    expected = small_model(3, seed=int(champion)).scores(rows).tolist()
    assert found.pop("predictions") == expected
    assert "x2" in found.pop("refused")
    assert found == {
        "live": True,
        "ready": True,
        "name": "retrain_ops",
        "inputs": ["x0", "x1", "x2"],
        "id": "mine",
    }
