"""verify looks into MLflow's store: who serves, and who may, must be loadable as registered."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.synthetic import FIRST, bootstrap, write_days
from retrain_ops.comparison.scoring import load_version
from retrain_ops.errors import ConflictError
from retrain_ops.models.mlflow_flavor import MODEL_FILE
from retrain_ops.rollout.artefacts import verify

NAMES = ("MLmodel", "model.rtm", "reference.json")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A toy champion: (its run, its MLflow, what that had in its store)."""
    folder = tmp_path_factory.mktemp("served")
    write_days(folder / "rows", 20)
    server = Server()
    run = bootstrap(folder, Client(server), FIRST + timedelta(days=17))
    return run, server, dict(server.artifacts)


@pytest.fixture
def world(served):
    run, server, whole = served
    files = [run.path(name) for name in ("model.rtm", "reference.json")]
    kept = {path: run.workspace.read(path) for path in files}
    yield run, server
    server.artifacts = dict(whole)
    for path, data in kept.items():
        run.workspace.write(path, data)


def at(server, name):
    return next(path for path in server.artifacts if path.endswith(f"/{name}"))


def test_a_whole_store_is_ok_and_nothing_is_written(world):
    run, server = world
    before = server.writes
    assert verify(run, repair=True).ok
    assert server.writes == before


@pytest.mark.parametrize("name", NAMES)
def test_a_lost_file_is_named_and_uploaded_again_from_the_workspace(world, name):
    run, server = world
    path = at(server, name)
    data = server.artifacts.pop(path)
    found = verify(run)
    assert [(w.what, w.name, w.version) for w in found.missing] == [("artefact", name, "1")]
    assert found.missing[0].value == hashlib.sha256(data).hexdigest()
    assert path not in server.artifacts
    assert verify(run, repair=True).ok
    assert server.artifacts[path] == data


def test_damaged_bytes_in_the_store_are_replaced(world):
    run, server = world
    path = at(server, "model.rtm")
    server.artifacts[path] = whole = server.artifacts[path]
    server.artifacts[path] = whole[:-1] + bytes([whole[-1] ^ 1])
    assert not verify(run).ok
    assert verify(run, repair=True).ok
    assert server.artifacts[path] == whole


def test_bytes_that_nobody_has_any_more_are_a_finding(world):
    run, server = world
    del server.artifacts[at(server, "model.rtm")]
    run.workspace.write(run.path(MODEL_FILE), b"others")
    run.workspace.filesystem.delete_dir(run.workspace.absolute(run.path("attempts")))
    found = verify(run, repair=True)
    assert not found.missing
    assert "model.rtm of version 1 is not at" in found.findings[0]
    assert "run 2020-01-18 again, or roll back" in found.findings[0]


def test_bytes_that_others_have_replaced_are_found_among_the_attempts(world):
    run, server = world
    del server.artifacts[at(server, "model.rtm")]
    run.workspace.write(run.path(MODEL_FILE), b"others")
    version = run.registry.version("1")
    assert load_version(run, version).threshold == pytest.approx(0.5, abs=0.5)
    assert verify(run, repair=True).ok


def test_a_damaged_file_of_the_workspace_is_not_uploaded_and_stays_where_it_is(world):
    run, server = world
    path = at(server, "reference.json")
    del server.artifacts[path]
    file = run.workspace.absolute(run.path("reference.json"))
    with open(file, "r+b") as stream:
        stream.write(b"X")
    found = verify(run)
    assert "reference.json of version 1 is not at" in found.findings[0]
    assert path not in server.artifacts
    with open(file, "rb") as stream:
        assert stream.read(1) == b"X"


def test_a_version_whose_hash_was_removed_is_the_same_version_and_gets_it_back(world):
    run, server = world
    digest = run.registry.version("1").model_sha256
    Client(server).delete_model_version_tag("toy", "1", "model_sha256")
    with pytest.raises(ConflictError, match="the tag model_sha256 is gone"):
        load_version(run, run.registry.version("1"))
    assert [(w.name, w.value) for w in run.registry.verify().missing] == [("model_sha256", digest)]
    assert verify(run, repair=True).ok
    assert run.registry.version("1").model_sha256 == digest


def test_a_hash_that_no_event_knows_is_named(world):
    run, server = world
    client, tag = Client(server), "reference_sha256"
    digest = run.registry.version("1").tags[tag]
    client.delete_model_version_tag("toy", "1", tag)
    assert f"version 1: the tag {tag} is gone" in verify(run).findings[0]
    client.set_model_version_tag("toy", "1", tag, digest)
