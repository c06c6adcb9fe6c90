import multiprocessing
import os
from datetime import date
from io import BytesIO
from pathlib import Path

import pytest

from retrain_ops.errors import ConflictError, DamagedError
from retrain_ops.workspace import Workspace, canonical_json

DAY = date(2013, 8, 14)
DAY_FOLDER = f"m/window_end={DAY}"


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
    with pytest.raises(DamagedError, match=r"decision\.json is damaged: it is not JSON"):
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


DAMAGES = {
    "a flipped bit": lambda path: path.write_bytes(path.read_bytes().replace(b"1", b"0")),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:5]),
    "empty": lambda path: path.write_bytes(b""),
    "other content": lambda path: path.write_bytes(b"{}"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_set_aside_and_written_over(workspace, damage, caplog):
    path = workspace.key_path(DAY, "train.json")
    workspace.write_json(path, {"rows": 101})
    DAMAGES[damage](Path(workspace.absolute(path)))
    with pytest.raises(DamagedError, match=r"train\.json is damaged: .* run its day again"):
        workspace.read_json(path)
    assert workspace.recover_json(path) is None
    assert "set aside as" in caplog.text
    assert workspace.read_json(path) is None
    assert len(list(Path(workspace.absolute(path)).parent.glob("attempts/damaged-*"))) == 1
    assert workspace.write_json(path, {"rows": 101})
    assert workspace.read_json(path) == {"rows": 101}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_write_does_not_stumble_over_damage(workspace, damage):
    path = workspace.key_path(DAY, "train.json")
    workspace.write_json(path, {"rows": 101})
    DAMAGES[damage](Path(workspace.absolute(path)))
    assert workspace.write_json(path, {"rows": 102})
    assert workspace.read_json(path) == {"rows": 102}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_hash_is_no_way_past_the_check(workspace, damage):
    path = workspace.key_path(DAY, "train.json")
    workspace.write_json(path, {"rows": 101})
    DAMAGES[damage](Path(workspace.absolute(f"{DAY_FOLDER}/sha256/train.json.sha256")))
    workspace.recover_json(path)
    assert workspace.write_json(path, {"rows": 101}) in (True, False)
    assert workspace.read_json(path) == {"rows": 101}


def test_a_writer_that_died_before_the_file_leaves_the_old_one_sound(workspace, monkeypatch):
    path = workspace.key_path(DAY, "train.json")
    workspace.write_json(path, {"rows": 1})
    whole = Workspace._replace

    def dies(self, target, data):
        if target == path:
            raise KeyboardInterrupt
        whole(self, target, data)

    monkeypatch.setattr(Workspace, "_replace", dies)
    with pytest.raises(KeyboardInterrupt):
        workspace.write_json(path, {"rows": 2})
    monkeypatch.undo()
    assert workspace.read_json(path) == {"rows": 1}
    workspace.write_json(path, {"rows": 2})
    assert workspace.read_json(path) == {"rows": 2}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_in_pieces_is_checked_as_one_in_memory(workspace, damage):
    path = workspace.processed_path(DAY)
    rows = BytesIO(b"rows 1" * 500_000)  # more than a piece
    assert workspace.opened(path) is None
    assert workspace.write_file(path, rows)
    assert not workspace.write_file(path, rows)
    assert workspace.is_sound(path)
    with workspace.opened(path) as file:
        assert file.read() == rows.getvalue()
    DAMAGES[damage](Path(workspace.absolute(path)))
    with pytest.raises(DamagedError, match=r"part-0\.parquet is damaged"):
        workspace.opened(path)
    assert not workspace.is_sound(path)  # and out of the way
    assert workspace.opened(path) is None
    assert workspace.write_file(path, BytesIO(b"other rows"))
    assert workspace.read(path) == b"other rows"
    DAMAGES[damage](Path(workspace.absolute(path)))
    assert workspace.write_file(path, rows)
    assert workspace.is_sound(path)


def test_files_of_an_older_release_have_no_hash_and_are_read(workspace):
    path = Path(workspace.absolute(workspace.key_path(DAY, "train.json")))
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"rows": 3}')
    assert workspace.read_json(workspace.key_path(DAY, "train.json")) == {"rows": 3}


def test_a_record_of_another_shape_is_damaged(workspace):
    path = workspace.key_path(DAY, "alerts.json")
    workspace.overwrite_json(path, {"attempts": "many"})
    with pytest.raises(DamagedError, match="'attempts' is not of the type"):
        workspace.read_json(path, {"attempts": list})


def test_a_foreign_folder_is_no_key(workspace):
    workspace.write_json(workspace.key_path(DAY, "train.json"), {})
    (Path(workspace.absolute(workspace.model)) / "window_end=someday").mkdir()
    assert workspace.list_keys() == [DAY]
