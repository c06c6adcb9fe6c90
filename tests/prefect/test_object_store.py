"""A workspace on S3-compatible storage keeps the promises of one in a folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from devtools.servers.object_store import ObjectStore
from retrain_ops import lease
from retrain_ops.errors import BusyError
from retrain_ops.workspace import Workspace

DAY = date(2020, 2, 6)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with ObjectStore(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture(params=["store", "folder"])
def uri(
    request: pytest.FixtureRequest,
    store: ObjectStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    for name, value in store.variables().items():
        monkeypatch.setenv(name, value)
    return store.uri if request.param == "store" else str(tmp_path)


@pytest.fixture
def workspace(request: pytest.FixtureRequest, uri: str) -> Workspace:
    return Workspace.open(uri, f"m{request.node.name[:40]}".replace("[", "-").rstrip("]"))


def test_what_was_written_is_read(workspace: Workspace) -> None:
    path = workspace.key_path(DAY, "model.rtm")
    assert workspace.read(path) is None
    assert workspace.write(path, b"\0one")
    assert workspace.read(path) == b"\0one"
    workspace.write_json(workspace.key_path(DAY, "a.json"), {"n": 1})
    assert workspace.read_json(workspace.key_path(DAY, "a.json")) == {"n": 1}


def test_equal_bytes_write_nothing_and_others_keep_the_old_ones(workspace: Workspace) -> None:
    path = workspace.key_path(DAY, "decision.json")
    assert workspace.write(path, b"one")
    assert not workspace.write(path, b"one")
    assert workspace.write(path, b"two")
    assert workspace.read(path) == b"two"
    kept = workspace.key_path(DAY, "attempts/7692c3ad3540-decision.json")
    assert workspace.read(kept) == b"one"


def test_keys_are_listed_oldest_first(workspace: Workspace) -> None:
    assert workspace.list_keys() == []
    days = [date(2020, 2, d) for d in (6, 4, 5)]
    for day in days:
        workspace.write_json(workspace.key_path(day, "run.json"), {})
    assert workspace.list_keys() == sorted(days)


def test_a_writer_that_dies_leaves_the_old_file(workspace: Workspace, store: ObjectStore) -> None:
    """An object appears when its upload ends, so half of one is never read."""
    path = workspace.key_path(DAY, "decision.json")
    workspace.write(path, b"old")
    if workspace.is_local:
        return
    stream = workspace.filesystem.open_output_stream(workspace.absolute(path))
    stream.write(b"half of the ne")
    assert workspace.read(path) == b"old"
    stream.close()


HOLD = """
import os, sys
from retrain_ops.workspace import Workspace
with Workspace.open(sys.argv[1], "killed").lock(patience_s=0.0):
    print("held", flush=True)
    sys.stdin.read()
"""


COUNT = """
import sys
from retrain_ops.workspace import Workspace

uri, model, path = sys.argv[1:]
workspace = Workspace.open(uri, model)
for _ in range(5):
    with workspace.lock(patience_s=120.0):
        n = (workspace.read_json(path) or {"n": 0})["n"]
        workspace.write_json(path, {"n": n + 1})
"""


def test_one_process_at_a_time_has_the_lock(workspace: Workspace, uri: str) -> None:
    """Each counts by a read and a write: a second one in between would lose a count."""
    path = workspace.key_path(DAY, "count.json")
    command = [sys.executable, "-c", COUNT, uri, workspace.model, path]
    children = [subprocess.Popen(command) for _ in range(4)]
    assert [child.wait(300) for child in children] == [0] * 4
    assert workspace.read_json(path) == {"n": 20}


def test_a_lock_that_is_held_names_its_holder_and_one_that_was_killed_is_free(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in store.variables().items():
        monkeypatch.setenv(name, value)
    workspace = Workspace.open(store.uri, "killed")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, store.uri], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(BusyError, match=f"held by process {holder.pid} on "):
        workspace.lock(patience_s=0.0).__enter__()
    holder.kill()
    holder.wait()
    with pytest.raises(BusyError), workspace.lock(patience_s=0.0):
        raise AssertionError
    monkeypatch.setattr(lease, "LEASE_S", 3.0)
    with workspace.lock(patience_s=120.0):
        pass
    assert [name for name in store.objects() if "/.lock/" in name] == []
