"""A workspace on S3-compatible storage keeps the promises of one in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from devtools.servers.object_store import ObjectStore
from retrain_ops.workspace import Workspace

DAY = date(2020, 2, 6)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with ObjectStore(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture(params=["store", "folder"])
def workspace(
    request: pytest.FixtureRequest,
    store: ObjectStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Workspace:
    for name, value in store.variables().items():
        monkeypatch.setenv(name, value)
    uri = store.uri if request.param == "store" else str(tmp_path)
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


def test_the_lock_of_an_object_store_is_the_orchestrators(workspace: Workspace) -> None:
    with workspace.lock(patience_s=0.1):
        pass
    assert "concurrency slot" in " ".join((Workspace.lock.__doc__ or "").split())
