"""What takes long is said on standard error, and what is quick is not."""

from __future__ import annotations

import socket
import threading

import pytest

from devtools.synthetic import SPEC
from retrain_ops import MlflowClient
from retrain_ops.busy import busy_with, innermost
from retrain_ops.cli import progress as module
from retrain_ops.cli.main import main
from retrain_ops.cli.progress import progress


@pytest.fixture
def soon(monkeypatch):
    """Two seconds are none."""
    monkeypatch.setattr(module, "SILENT_S", 0.0)
    monkeypatch.setattr(module, "LOOK_S", 0.01)


def until_reported(monkeypatch, count=1):
    """An event that is set once so many lines were written, and the lines."""
    lines, enough = [], threading.Event()

    def write(stream, text):
        lines.append(text)
        if len(lines) >= count:
            enough.set()

    monkeypatch.setattr(module, "write", write)
    return lines, enough


def test_the_innermost_wait_is_the_one_that_counts():
    assert innermost() is None
    with busy_with("outer"):
        with busy_with("inner"):
            assert innermost()[2] == "inner"
        assert innermost()[2] == "outer"
    assert innermost() is None


def test_a_wait_is_reported_once_and_then_from_time_to_time(soon, monkeypatch):
    lines, once = until_reported(monkeypatch)
    with progress(), busy_with("waiting for a bus"):
        assert once.wait(60)
    assert lines == ["retrain-ops: waiting for a bus, 0 s\n"]
    monkeypatch.setattr(module, "AGAIN_S", 0.01)
    lines, thrice = until_reported(monkeypatch, 3)
    with progress(), busy_with("waiting for a bus"):
        assert thrice.wait(60)


def test_at_a_terminal_the_open_line_of_a_step_is_ended(soon, monkeypatch):
    lines, once = until_reported(monkeypatch)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress(), busy_with("running train"):
        assert once.wait(60)
    assert lines[0].startswith("\nretrain-ops: running train, ")


def test_a_command_says_that_the_registry_does_not_answer(soon, tmp_path, monkeypatch):
    """A server that takes the connection and says nothing."""
    (tmp_path / "toy.toml").write_text(SPEC)
    monkeypatch.setattr("retrain_ops.run.MlflowClient", lambda uri: MlflowClient(uri, deadline=2.0))
    lines, _ = until_reported(monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        where = ["--spec", str(tmp_path / "toy.toml"), "--workspace", str(tmp_path)]
        assert main(["status", *where, "--tracking-uri", address]) == 1
    assert lines[0] == f"retrain-ops: waiting for MLflow at {address}, 0 s\n"
