"""A child of a process that had used the client can use it, and the parent still can."""

from __future__ import annotations

import os
import threading
import time

import pytest

from devtools.servers.faulty_server import FaultyServer, answers, stalls
from retrain_ops import MlflowClient

GOOD = answers(200, {"registered_model": {"name": "m"}})


def in_child(work):
    """The exit status of a forked child that runs `work`; -1 when it hangs for 20 s."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if work() else 2
        finally:
            os._exit(code)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return -1


def asks(client):
    return lambda: client.get_registered_model("m").name == "m"


def test_parent_and_children_take_turns():
    with FaultyServer([GOOD]) as server:
        client = MlflowClient(server.url, deadline=10.0)
        for _ in range(20):
            assert asks(client)()
            assert in_child(asks(client)) == 0
        assert len(server.requests) == 40


def test_a_fork_in_the_middle_of_another_threads_call_does_not_hang():
    with FaultyServer([stalls(1.0), GOOD]) as server:
        client = MlflowClient(server.url, deadline=10.0)
        waiting = threading.Thread(target=client.health)
        waiting.start()
        time.sleep(0.2)
        assert in_child(asks(client)) == 0
        waiting.join()


@pytest.mark.mlflow
def test_a_kept_connection_is_not_shared_with_a_child(mlflow_server):
    """Two processes reading one socket would steal each other's answers."""
    client = MlflowClient(mlflow_server.url, deadline=30.0)
    assert client.server_version().startswith("3.")
    for _ in range(5):
        pid = os.fork()
        if pid == 0:
            same = all(client.server_version().startswith("3.") for _ in range(20))
            os._exit(0 if same else 1)
        assert all(client.health() for _ in range(20))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
