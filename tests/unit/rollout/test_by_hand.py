"""Changes by hand in surroundings that have no room left."""

from __future__ import annotations

import errno
import os
from datetime import timedelta

import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.synthetic import FIRST, toy_run
from retrain_ops.registry.registry import Registry
from retrain_ops.rollout.by_hand import roll_back
from tests.unit.registry.test_registry import A, B, instant, promote, registered


@pytest.fixture
def run(tmp_path):
    server = Server()
    registry = Registry(client=Client(server), name="toy")
    for day in (A, B):
        version = registered(registry, day)
        registry.open_shadow(version, opened_at=instant(day))
        promote(registry, registry.version(version.number))
    return toy_run(tmp_path, Client(server), FIRST + timedelta(days=17))


@pytest.fixture
def full_disk(monkeypatch):
    def fsync(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)


def test_a_full_disk_does_not_make_a_rollback_look_undone(run, full_disk, caplog):
    assert roll_back(run)["rolled_back"] == "2"
    assert run.registry.snapshot().aliases == {"champion": "1"}
    assert "rolled back, and the next run says so once more" in caplog.text


def test_a_full_disk_names_the_file_that_found_no_room(run, full_disk):
    with pytest.raises(OSError, match=r"No space left on device: .*toy/window_end=.*/a\.json"):
        run.workspace.write(run.path("a.json"), b"{}")
