"""Artefacts streamed from and to files: hashed on their way, never whole in memory, never torn."""

from __future__ import annotations

import hashlib
import os
import resource

import pytest

from devtools.servers.faulty_server import FaultyServer, answers, floods, http, resets, says
from retrain_ops import MlflowClient
from retrain_ops.errors import CorruptError, NetworkError, RemoteError

DATA = os.urandom(3_000_017)
SHA256 = hashlib.sha256(DATA).hexdigest()
HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
RUN = "mlflow-artifacts:/1/a"


def test_a_file_is_downloaded_hashed_and_private(tmp_path):
    target = tmp_path / "model.rtm"
    with FaultyServer([says(http(200, DATA))]) as server:
        client = MlflowClient(server.url, deadline=10.0)
        assert client.download_artifact_file(RUN, "f", target, sha256=SHA256) == SHA256
    assert target.read_bytes() == DATA
    assert target.stat().st_mode & 0o777 == 0o600


def test_an_upload_tells_the_hash_of_what_was_sent(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(DATA)
    with FaultyServer([answers(503, {}), says(http(200, b""))]) as server:
        client = MlflowClient(server.url, deadline=10.0)
        assert client.upload_artifact(RUN, "f", file) == SHA256
        assert client.upload_artifact(RUN, "f", DATA) == SHA256
        assert client.upload_artifact(RUN, "f", b"") == hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 100_003])
def test_the_hash_of_every_length_is_the_standards(size):
    with FaultyServer([says(http(200, b""))]) as server:
        client = MlflowClient(server.url, deadline=10.0)
        wanted = hashlib.sha256(DATA[:size]).hexdigest()
        assert client.upload_artifact(RUN, "f", DATA[:size]) == wanted


def test_a_torn_download_begins_anew(tmp_path):
    scripts = [resets(http(200, DATA)[:1_000_000]), answers(503, {}), says(http(200, DATA))]
    with FaultyServer(scripts) as server:
        client = MlflowClient(server.url, deadline=10.0)
        assert client.download_artifact_file(RUN, "f", tmp_path / "f") == SHA256
        assert len(server.requests) == 3
    assert (tmp_path / "f").read_bytes() == DATA


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (resets(http(200, DATA)[:1_000_000]), NetworkError),
        (says(http(200, DATA)[:-1]), NetworkError),
        (answers(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}), RemoteError),
        (answers(302, {}, "Location: /x"), RemoteError),
        (floods(HEAD[:-2] + b"Content-Length: 99999999999\r\n\r\n", b"x" * 65536), TimeoutError),
    ],
)
def test_a_failed_download_leaves_no_file_and_takes_no_memory(tmp_path, script, error):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with FaultyServer([script]) as server, pytest.raises(error):
        MlflowClient(server.url, deadline=1.0).download_artifact_file(RUN, "f", tmp_path / "f")
    assert list(tmp_path.iterdir()) == []
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_a_file_with_another_hash_is_removed(tmp_path):
    with FaultyServer([says(http(200, DATA + b"x"))]) as server:
        client = MlflowClient(server.url, deadline=10.0)
        with pytest.raises(CorruptError, match="SHA-256"):
            client.download_artifact_file(RUN, "f", tmp_path / "f", sha256=SHA256)
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_exists_is_overwritten_not_even_through_a_link(tmp_path):
    mine = tmp_path / "mine"
    mine.write_bytes(b"mine")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "elsewhere")
    with FaultyServer([says(http(200, DATA))]) as server:
        client = MlflowClient(server.url, deadline=10.0)
        for target in (mine, link):
            with pytest.raises(ValueError, match="already"):
                client.download_artifact_file(RUN, "f", target)
        with pytest.raises(OSError, match="cannot be created"):
            client.download_artifact_file(RUN, "f", tmp_path / "no folder" / "f")
        assert server.requests == []
    assert mine.read_bytes() == b"mine"
    assert not (tmp_path / "elsewhere").exists()


def test_a_full_disk_is_an_error(tmp_path):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limit[1]))
    try:
        with FaultyServer([says(http(200, DATA))]) as server:
            client = MlflowClient(server.url, deadline=10.0)
            with pytest.raises(OSError, match="writing the download"):
                client.download_artifact_file(RUN, "f", tmp_path / "f")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert list(tmp_path.iterdir()) == []
