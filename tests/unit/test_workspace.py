import multiprocessing
import os
from datetime import date

import pytest

from retrain_ops.errors import ConflictError, DataError
from retrain_ops.workspace import Workspace, canonical_json

DAY = date(2013, 8, 14)


@pytest.fixture
def workspace(tmp_path):
    return Workspace.open(str(tmp_path), "m")


def test_equal_bytes_are_not_written_again(workspace):
    path = workspace.key_path(DAY, "a.json")
    assert workspace.write(path, b"one")
    inode = os.stat(workspace.absolute(path)).st_ino
    assert not workspace.write(path, b"one")
    assert os.stat(workspace.absolute(path)).st_ino == inode


def test_other_bytes_replace_the_file_and_keep_the_old_one(workspace):
    path = workspace.key_path(DAY, "a.json")
    workspace.write(path, b"one")
    assert workspace.write(path, b"two")
    assert workspace.read(path) == b"two"
    folder = os.path.dirname(workspace.absolute(path)) + "/attempts"
    (kept,) = os.listdir(folder)
    assert kept.endswith("-a.json")
    with open(f"{folder}/{kept}", "rb") as file:
        assert file.read() == b"one"


def test_no_half_written_file_is_left_behind(workspace, monkeypatch):
    path = workspace.key_path(DAY, "a.json")
    workspace.write(path, b"old")

    def fail(_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        workspace.write(path, b"new")
    monkeypatch.undo()
    assert workspace.read(path) == b"old"
    names = os.listdir(os.path.dirname(workspace.absolute(path)))
    assert not [n for n in names if n.endswith(".tmp")]


def test_a_record_that_is_not_json_is_named(workspace):
    path = workspace.key_path(DAY, "decision.json")
    workspace.write(path, b"{half")
    with pytest.raises(DataError, match=r"decision\.json is not JSON"):
        workspace.read_json(path)


def test_json_bytes_depend_on_content_alone():
    assert canonical_json({"b": 1, "a": [1.5, None]}) == canonical_json({"a": [1.5, None], "b": 1})
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json({"a": float("nan")})


def test_keys_are_listed_oldest_first(workspace):
    assert workspace.list_keys() == []
    for day in (date(2013, 8, 15), DAY):
        workspace.write(workspace.key_path(day, "x"), b"1")
    assert workspace.list_keys() == [DAY, date(2013, 8, 15)]


def _hold(root, held, release):
    with Workspace.open(root, "m").lock():
        held.set()
        release.wait(30)


def test_a_second_writer_waits_and_a_killed_one_holds_nothing(workspace, tmp_path):
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(str(tmp_path), held, release))
    other.start()
    assert held.wait(30)
    with pytest.raises(ConflictError, match="another run has held"), workspace.lock(patience_s=0.2):
        pass
    other.kill()
    other.join()
    with workspace.lock(patience_s=5):
        pass
