"""A hostile or broken server: a typed error, within the deadline plus a second."""

from __future__ import annotations

import gzip
import json
import os
import resource
import signal
import socket
import threading
import time

import pytest

from devtools.servers.faulty_server import (
    FaultyServer,
    answers,
    drips,
    floods,
    http,
    resets,
    says,
    stalls,
)
from retrain_ops import MlflowClient
from retrain_ops.errors import CancelledError, NetworkError, RemoteError

GOOD = {"registered_model": {"name": "m", "aliases": [{"alias": "champion", "version": "3"}]}}
GOOD_BYTES = http(200, json.dumps(GOOD).encode())
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BUSY = {"error_code": "BAD_REQUEST", "message": "QueuePool limit of size 5 overflow 10 reached"}
UNIQUE = {"error_code": "BAD_REQUEST", "message": "(x) UNIQUE constraint failed: alias.name"}
DOWN = {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "later"}

BOMB = gzip.compress(b" " * 100_000_000)

DEADLINE_S = 1.5

FAULTS = {
    "silence": (stalls(30), TimeoutError),
    "one byte a second": (drips(GOOD_BYTES, 1.0), TimeoutError),
    "one header byte a second": (drips(HEAD, 1.0), TimeoutError),
    "closed at once": (says(b""), NetworkError),
    "reset at once": (resets(), NetworkError),
    "reset in the headers": (resets(HEAD[:20]), NetworkError),
    "reset in the body": (resets(GOOD_BYTES[:-10]), NetworkError),
    "length too long": (says(HEAD + b"Content-Length: 999\r\n\r\n{}"), NetworkError),
    "length too short": (says(HEAD + b"Content-Length: 5\r\n\r\n" + b'{"a": 1}'), NetworkError),
    "length no number": (says(HEAD + b"Content-Length: x\r\n\r\n{}"), NetworkError),
    "two lengths": (says(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), NetworkError),
    "truncated JSON": (says(http(200, b'{"registered_model": {"na')), NetworkError),
    "no JSON at all": (says(http(200, b"<html>sign in</html>", kind="text/html")), NetworkError),
    "a list for an object": (says(http(200, b"[]")), NetworkError),
    "a repeated key": (says(http(200, b'{"a": 1, "a": 2}')), NetworkError),
    "an empty body": (says(http(200, b"")), NetworkError),
    "JSON nested for ever": (says(http(200, b'{"a":' * 100_000)), NetworkError),
    "endless body": (floods(HEAD + b"\r\n", b" " * 65536), NetworkError),
    "endless headers": (floods(HEAD, b"X-A: " + b"b" * 990 + b"\r\n"), NetworkError),
    "endless chunks": (
        floods(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1000\r\n" + b" " * 4096 + b"\r\n"),
        NetworkError,
    ),
    "a broken chunk": (says(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}"), NetworkError),
    "not HTTP": (says(b"SSH-2.0-OpenSSH_9.2\r\n"), NetworkError),
    "an unasked gzip bomb": (
        says(http(200, BOMB, "Content-Encoding: gzip")),
        NetworkError,
    ),
    "a redirect elsewhere": (
        says(http(302, b"", "Location: http://127.0.0.1:1/steal")),
        RemoteError,
    ),
    "a permanent redirect": (says(http(308, b"", "Location: /elsewhere")), RemoteError),
    "an HTML error": (says(http(404, b"<!doctype html>nothing", kind="text/html")), RemoteError),
    "a text error": (says(http(403, b"Invalid Host header - x", kind="text/plain")), RemoteError),
    "error 500": (answers(500, {"error_code": "INTERNAL_ERROR", "message": "x"}), RemoteError),
    "503 for ever": (answers(503, DOWN), RemoteError),
    "429 for ever": (answers(429, {"error_code": "REQUEST_LIMIT_EXCEEDED"}), RemoteError),
    "wait a day": (answers(503, DOWN, "Retry-After: 86400"), RemoteError),
    "a busy database for ever": (answers(400, BUSY), RemoteError),
    "a chunked gzip bomb": (
        says(
            HEAD
            + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BOMB), BOMB)
        ),
        NetworkError,
    ),
    "one header without end": (floods(HEAD + b"X-A: ", b"a" * 65536), NetworkError),
    "a status line without end": (floods(b"HTTP/1.1 200 ", b"a" * 65536), NetworkError),
    "informational answers for ever": (
        floods(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
        NetworkError,
    ),
    "a change of protocol": (
        says(b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"),
        NetworkError,
    ),
    "HTTP 0.9": (says(b'{"registered_model": {"name": "m"}}'), NetworkError),
    "no content": (says(b"HTTP/1.1 204 No Content\r\n\r\n"), NetworkError),
    "bytes that are no UTF-8": (says(http(200, b'{"a": "\xff\xfe"}')), NetworkError),
    "a number without end": (says(http(200, b'{"a": ' + b"9" * 100_000 + b"}")), NetworkError),
    "an unknown status": (says(b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n"), RemoteError),
    "408 for ever": (answers(408, {}), RemoteError),
    "502 in HTML for ever": (says(http(502, b"<html>bad gateway", kind="text/html")), RemoteError),
    "an error code that is no text": (answers(400, {"error_code": 7, "message": []}), RemoteError),
}


def test_there_are_forty_faults_and_more():
    assert len(FAULTS) >= 40


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_a_typed_error_in_time_and_in_bounds(fault):
    script, expected = FAULTS[fault]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with FaultyServer([script]) as server:
        client = MlflowClient(server.url, deadline=DEADLINE_S)
        start = time.monotonic()
        # A storm may end in its last answer or, on a busy machine, at the deadline.
        with pytest.raises((expected, TimeoutError)) as caught:
            client.get_registered_model("m")
        assert time.monotonic() - start < DEADLINE_S + 1.0
    assert str(caught.value).startswith("GET registered-models/get: ")
    assert str(caught.value).isprintable()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def test_a_port_nobody_listens_on_is_a_network_error():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(NetworkError, match=r"tried \d times") as caught:
        MlflowClient(f"http://127.0.0.1:{port}", deadline=1.5).get_registered_model("m")
    assert caught.value.ambiguous is False


@pytest.mark.parametrize(
    "first",
    [
        answers(503, DOWN),
        answers(503, DOWN, "Retry-After: 1"),
        answers(429, {"error_code": "REQUEST_LIMIT_EXCEEDED"}),
        answers(502, {}),
        answers(400, BUSY),
        answers(400, UNIQUE),
        resets(GOOD_BYTES[:40]),
        says(b""),
    ],
)
def test_a_passing_fault_of_a_repeatable_call_is_not_seen(first):
    with FaultyServer([first, answers(200, GOOD)]) as server:
        found = MlflowClient(server.url, deadline=10.0).get_registered_model("m")
        assert found.aliases == {"champion": "3"}
        assert len(server.requests) == 2


def test_an_alias_write_that_met_another_writer_is_sent_again():
    with FaultyServer([answers(400, UNIQUE), answers(200, {})]) as server:
        MlflowClient(server.url, deadline=10.0).set_registered_model_alias("m", "champion", "3")
        assert len(server.requests) == 2


def test_retry_after_is_waited_for():
    with FaultyServer([answers(503, DOWN, "Retry-After: 1"), answers(200, GOOD)]) as server:
        start = time.monotonic()
        MlflowClient(server.url, deadline=10.0).get_registered_model("m")
        assert time.monotonic() - start >= 1.0


@pytest.mark.parametrize(
    "lost",
    [answers(500, {}), answers(503, DOWN), answers(400, BUSY), resets(), says(http(200, b"{"))],
)
def test_a_create_without_a_key_is_never_sent_twice(lost):
    with FaultyServer([lost, answers(200, GOOD)]) as server:
        client = MlflowClient(server.url, deadline=3.0)
        with pytest.raises((RemoteError, NetworkError)) as caught:
            client.create_model_version("m", "mlflow-artifacts:/1/a", "r1")
        assert caught.value.ambiguous is True
        assert len(server.requests) == 1


def test_a_create_refused_at_the_door_is_sent_again():
    made = {"model_version": {"name": "m", "version": "1"}}
    with FaultyServer([answers(429, {}), answers(200, made)]) as server:
        client = MlflowClient(server.url, deadline=5.0)
        assert client.create_model_version("m", "mlflow-artifacts:/1/a", "r1").version == "1"
        assert len(server.requests) == 2


def version(number):
    return {"name": "m", "version": number, "run_id": "r1"}


def test_a_create_whose_answer_was_lost_is_found_by_its_key():
    scripts = [
        answers(200, {}),  # looked for: not there
        resets(),  # created, and the answer lost
        answers(200, {}),  # not visible yet
        answers(200, {"model_versions": [version("5"), version("4")]}),
    ]
    with FaultyServer(scripts) as server:
        client = MlflowClient(server.url, deadline=10.0)
        made = client.create_model_version("m", "mlflow-artifacts:/1/a", "r1", key_tag=("k", "v"))
        assert made.version == "4"
        assert [r.split()[0] for r in server.requests] == [b"GET", b"POST", b"GET", b"GET"]


def test_a_create_that_was_really_lost_is_sent_again_and_the_oldest_counts():
    scripts = [
        answers(200, {}),
        resets(),
        answers(200, {}),
        answers(200, {}),
        answers(200, {"model_version": version("7")}),
        answers(200, {"model_versions": [version("7"), version("6")]}),  # the first came late
    ]
    with FaultyServer(scripts) as server:
        client = MlflowClient(server.url, deadline=10.0)
        made = client.create_model_version("m", "mlflow-artifacts:/1/a", "r1", key_tag=("k", "v"))
        assert made.version == "6"
        assert len(server.requests) == 6


def test_a_version_of_another_run_with_the_same_key_is_not_ours():
    other = {"name": "m", "version": "1", "run_id": "someone else's"}
    scripts = [
        answers(200, {"model_versions": [other]}),
        answers(200, {"model_version": version("2")}),
    ]
    with FaultyServer(scripts) as server:
        client = MlflowClient(server.url, deadline=10.0)
        made = client.create_model_version("m", "mlflow-artifacts:/1/a", "r1", key_tag=("k", "v"))
        assert made.version == "2"


def test_a_claim_whose_answer_was_lost_is_ours_only_with_our_tags():
    def experiment(claim):
        tags = [{"key": "claim", "value": claim}]
        return {"experiment": {"experiment_id": "9", "name": "epoch", "tags": tags}}

    with FaultyServer([resets(), answers(200, experiment("mine"))]) as server:
        client = MlflowClient(server.url, deadline=10.0)
        assert client.create_experiment("epoch", tags={"claim": "mine"}) == "9"
    taken = answers(400, {"error_code": "RESOURCE_ALREADY_EXISTS", "message": "taken"})
    other = answers(200, experiment("theirs"))
    with FaultyServer([resets(), other, other, taken]) as server:
        client = MlflowClient(server.url, deadline=10.0)
        with pytest.raises(RemoteError, match="RESOURCE_ALREADY_EXISTS"):
            client.create_experiment("epoch", tags={"claim": "mine"})


def test_an_upload_is_repeated_from_its_first_byte(tmp_path):
    data = os.urandom(3_000_000)
    file = tmp_path / "model.rtm"
    file.write_bytes(data)
    with FaultyServer([answers(503, DOWN), says(http(200, b""))]) as server:
        MlflowClient(server.url, deadline=10.0).upload_artifact("mlflow-artifacts:/1/a", "f", file)
        for request in server.requests:
            assert request.split(b"\r\n\r\n", 1)[1] == data
        assert len(server.requests) == 2


def test_a_signal_interrupts_a_call_at_once():
    class Stop(Exception):
        pass

    def stop(*_):
        raise Stop

    earlier = signal.signal(signal.SIGALRM, stop)
    try:
        with FaultyServer([stalls(30)]) as server:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            start = time.monotonic()
            with pytest.raises(Stop):
                MlflowClient(server.url, deadline=20.0).get_registered_model("m")
            assert time.monotonic() - start < 1.0
    finally:
        signal.signal(signal.SIGALRM, earlier)


def test_a_signal_interrupts_the_pause_before_a_retry():
    class Stop(Exception):
        pass

    def stop(*_):
        raise Stop

    earlier = signal.signal(signal.SIGALRM, stop)
    try:
        with FaultyServer([answers(503, DOWN, "Retry-After: 15")]) as server:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            start = time.monotonic()
            with pytest.raises(Stop):
                MlflowClient(server.url, deadline=20.0).get_registered_model("m")
            assert time.monotonic() - start < 1.0
    finally:
        signal.signal(signal.SIGALRM, earlier)


def test_other_threads_run_while_one_waits_for_the_server():
    with FaultyServer([stalls(1.0)]) as server:
        client = MlflowClient(server.url, deadline=0.8)
        waiting = threading.Thread(target=client.health)
        start = time.monotonic()
        waiting.start()
        turns = 0
        while waiting.is_alive():
            turns += 1
            time.sleep(0.005)
        assert time.monotonic() - start > 0.7
        assert turns > 20


def test_a_cancelled_error_is_part_of_the_tree():
    assert issubclass(CancelledError, RuntimeError)
    assert CancelledError("x").ambiguous is False
