"""`retrain-ops serve` under load, on a real registry: swaps, a rollback, a killed worker."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from devtools.serving import FIRST, promoted, small_model, wait_until
from retrain_ops import MlflowClient
from retrain_ops.registry.registry import Registry

NAME = "served_live"
BODY = b'{"inputs": {"x0": 1.5, "x1": -0.25, "x2": null}}'
JSON = {"content-type": "application/json"}
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


class Load:
    """Closed-loop clients, each on a connection that it opens again when it breaks."""

    def __init__(self, port: int, clients: int = 3) -> None:
        self.port = port
        self.answers: Counter[tuple[int, str | None]] = Counter()
        self.lately: list[str | None] = [None] * clients
        self.broken = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(i,)) for i in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self._stop.is_set():
            try:
                connection.request("POST", "/invocations", BODY, JSON)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                self.broken += 1
                connection.close()
                continue
            version = answer.getheader("x-model-version")
            self.answers[answer.status, version] += 1
            self.lately[client] = version
        connection.close()

    def all_by(self, version: str) -> bool:
        """Whether every client's newest answer came from the version."""
        return set(self.lately) == {version}


class Server:
    """The command, and requests to it on connections of their own."""

    def __init__(self, spec: Path, port: int, workers: int) -> None:
        self.port = port
        command = [sys.executable, "-m", "retrain_ops.cli", "serve", "--spec", str(spec)]
        command += ["--port", str(port), "--workers", str(workers)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    def ready(self) -> bool:
        assert self.process.poll() is None, "the server ended"
        return self.get("/ready")[0] == 200

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        found = [int(pid) for pid in children.read_text().split()]
        return [p for p in found if b"spawn_main" in Path(f"/proc/{p}/cmdline").read_bytes()]

    def stop(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=60)
        return self.process.returncode, output


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def client(mlflow_server):
    client = MlflowClient(mlflow_server.url)
    promoted(client, NAME, small_model(3))
    return client


@pytest.fixture
def server(client, mlflow_server, tmp_path):
    spec = tmp_path / "served.toml"
    spec.write_text(SPEC.format(uri=mlflow_server.url))
    server = Server(spec, free_port(), workers=2)
    try:
        wait_until(server.ready, OSError)
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


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
