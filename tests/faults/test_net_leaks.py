"""Every entry point of the C client, with success and failure, leaks nothing."""

from __future__ import annotations

import gc
import os
import sys
import threading

import pytest

from devtools.servers.faulty_server import FaultyServer, answers, http, says
from retrain_ops._core import MlflowConnection

ROUNDS = 200
ARGUMENTS = {"run_id": "r", "tags": [{"key": "k", "value": "v" * 100}]}


def ok(url):
    return MlflowConnection(url, username="u", password="p")


def download_file(connection):
    name = f"/tmp/retrain-ops-leak-{os.getpid()}"
    connection.download_file("a/b", name, deadline=5.0)
    os.unlink(name)


ENTRY_POINTS = {
    "init": lambda c, url: MlflowConnection(url, token="t", connect_timeout=1.0),
    "init refused": lambda c, url: MlflowConnection("http://h@x", username="u", password="p"),
    "repr": lambda c, url: repr(c),
    "call": lambda c, url: c.call("POST runs/log-batch", ARGUMENTS, deadline=5.0),
    "call refused": lambda c, url: c.call("POST runs/log-batch", {"run_id": 1}, deadline=5.0),
    "call unknown": lambda c, url: c.call("GET x", {}, deadline=5.0),
    "call not JSON": lambda c, url: c.call("GET runs/get", {"run_id": {1, 2}}, deadline=5.0),
    "upload": lambda c, url: c.upload("a/b", b"x" * 1000, deadline=5.0),
    "upload refused": lambda c, url: c.upload("../b", b"x" * 1000, deadline=5.0),
    "upload_file": lambda c, url: c.upload_file("a/b", __file__, deadline=5.0),
    "upload_file missing": lambda c, url: c.upload_file("a/b", "/no/such", deadline=5.0),
    "upload_file folder": lambda c, url: c.upload_file("a/b", "/tmp", deadline=5.0),
    "download": lambda c, url: c.download("a/b", deadline=5.0),
    "download_file": lambda c, url: download_file(c),
    "download_file taken": lambda c, url: c.download_file("a/b", __file__, deadline=5.0),
    "get": lambda c, url: c.get("version", deadline=5.0),
}
ANSWERS = {
    "success": answers(200, {"run": {"info": {"x": [1, 2.5, "text", None, True]}}}),
    "error": answers(404, {"error_code": "NOPE", "message": "x" * 500}),
    "garbage": says(http(200, b'{"a": [1, 2, {"b": "x"')),
}


def resident_kib():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1024


def test_no_entry_point_is_left_out():
    public = {name for name in dir(MlflowConnection) if not name.startswith("_")}
    assert public <= set(ENTRY_POINTS)


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("entry", ENTRY_POINTS)
def test_an_entry_point_leaks_no_object_no_memory_no_file_no_thread(entry, answer):
    work = ENTRY_POINTS[entry]
    with FaultyServer([ANSWERS[answer]]) as server:
        connection = ok(server.url)

        def rounds(count):
            for _ in range(count):
                try:
                    work(connection, server.url)
                except Exception:
                    continue
            server.requests.clear()
            gc.collect()

        rounds(20)
        blocks, memory = sys.getallocatedblocks(), resident_kib()
        files, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
        rounds(ROUNDS)
        # The server's own threads and sockets come and go: a tenth of a leak per round.
        assert sys.getallocatedblocks() - blocks < ROUNDS
        assert resident_kib() - memory < 2048
        assert len(os.listdir("/proc/self/fd")) - files < ROUNDS // 10
        assert threading.active_count() - threads < ROUNDS // 10


def test_the_probe_finds_a_planted_leak():
    kept = []
    before = sys.getallocatedblocks()
    for i in range(ROUNDS):
        kept.append([i])
    assert sys.getallocatedblocks() - before >= ROUNDS
