"""The server on uvicorn: requests that hurt are answered or cut off, the others in order."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
import uvicorn

from devtools.doubles.registry_server import Client, Server
from devtools.serving import promoted, small_model, wait_until
from retrain_ops.errors import ConfigError
from retrain_ops.serving import create_app, protocol
from retrain_ops.serving.server import Listening, config_of, serve
from retrain_ops.spec.spec import parse_spec

SPEC = """
[model]
name = "served"
[source]
path = "rows"
label = "y"
[features]
numeric = ["x0", "x1", "x2"]
[serving]
max_body = 4096
"""
BODY = b'{"inputs": {"x0": 1.5, "x1": -0.25, "x2": null}}'
HEAD = b"POST /invocations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
LENGTH = b"content-length: %d\r\n\r\n" % len(BODY)
WHOLE = HEAD + LENGTH + BODY
LAST = HEAD + b"connection: close\r\n" + LENGTH + BODY
PING = b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The socket of a server that runs."""
    folder = tmp_path_factory.mktemp("served")
    client = Client(Server())
    promoted(client, "served", small_model(3))
    app = create_app(parse_spec(SPEC, where="spec", folder=folder), client=client)
    server = uvicorn.Server(config_of(app, Listening(uds=str(folder / "socket"))))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    yield str(folder / "socket")
    server.should_exit = True
    thread.join()


def sent(path: str, data: bytes) -> bytes:
    """What comes back until the server closes the connection."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(path)
        with suppress(ConnectionError):
            connection.sendall(data)
        found = b""
        with suppress(ConnectionError):
            while part := connection.recv(65536):
                found += part
    return found


def test_a_request_is_answered_at_once_and_says_by_whom(path):
    head, body = sent(path, LAST).split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nx-model-version: 1\r\n" in head
    assert body.startswith(b'{"predictions": [')


def test_a_body_may_come_in_pieces_and_chunks(path):
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (BODY[:9], BODY[9:]))
    chunked = HEAD + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n" + chunks
    assert sent(path, chunked + b"0\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    expecting = LAST.replace(b"connection:", b"expect: 100-continue\r\nconnection:")
    assert sent(path, expecting).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 ")
    assert b" 200 " in sent(path, LAST.replace(b"HTTP/1.1", b"HTTP/1.0", 1))


def exchanged(path: str, data: bytes, at: int) -> list[bytes]:
    """The answers to a request in two pieces, and to the usual one behind it."""
    found = []
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(path)
        for parts in ((data[:at], data[at:]), (WHOLE,)):
            for part in parts:
                connection.sendall(part)
                time.sleep(0.02)  # two pieces, mostly; as one they are answered alike
            found.append(re.sub(rb"\r\ndate: [^\r]*", b"", connection.recv(65536)))
    return found


@pytest.mark.parametrize(
    "more",
    [
        b"",
        b"accept: */*\r\nuser-agent: x\r\nconnection: Keep-Alive\r\n",
        b"content-type: text/csv\r\n",
        b"content-encoding: gzip\r\n",
        b"x-request-id: one\r\nx-request-id: two\r\n",
        b"x-request-id: one \r\n",
        b"x-request-id:\r\n",
        b"x: \xc3\xa9\r\n",
        b"te: trailers\r\n",
    ],
)
def test_a_whole_request_is_answered_as_in_pieces(path, more):
    request = HEAD + more + LENGTH + BODY
    assert exchanged(path, request, 0) == exchanged(path, request, len(HEAD) + 3)


def test_a_usual_request_spares_the_parser(path, monkeypatch):
    def fail(self: object) -> None:
        raise AssertionError("the parser was asked")

    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(path)
        monkeypatch.setattr(protocol.ScoringProtocol, "on_message_begin", fail)
        for _ in range(3):
            connection.sendall(WHOLE)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


def test_pipelined_requests_are_answered_in_order(path):
    found = sent(path, WHOLE + PING + WHOLE + LAST)
    assert found.count(b"HTTP/1.1 200 OK\r\n") == 4
    kinds = [b"predictions" in answer for answer in found.split(b"HTTP/1.1 200 OK")[1:]]
    assert kinds == [True, False, True, True]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (HEAD + b"connection: close\r\ncontent-length: 5000\r\n\r\n" + b" " * 5000, b"413"),
        (HEAD + b"x: " + b"y" * 200_000, b"431"),
        (HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
        (HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\n12345", b"400"),
        (HEAD + b"connection: close\r\ncontent-length: 4\r\n\r\n[[[[", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
        (LAST.replace(b"POST", b"PUT", 1), b"405"),
        (LAST.replace(b"/invocations", b"/invocations/../x", 1), b"404"),
    ],
    ids=lambda value: value[:40] if len(value) > 3 else value,
)
def test_what_cannot_be_answered_gets_its_status(path, data, status):
    assert sent(path, data).startswith(b"HTTP/1.1 " + status)
    assert sent(path, LAST).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("part", [b"", HEAD, WHOLE[:-5], WHOLE + HEAD])
def test_a_sender_that_never_ends_is_cut_off(path, part, monkeypatch):
    monkeypatch.setattr(protocol, "SLOWEST_REQUEST_S", 0.2)
    monkeypatch.setattr(protocol, "LOOK_EVERY_S", 0.05)
    assert sent(path, part).count(b"HTTP/1.1 200 ") == (1 if part.startswith(WHOLE) else 0)


@pytest.fixture
def spoilt(tmp_path):
    """A spec whose folder is a file."""
    (tmp_path / "serving").write_text("no folder")
    spec = tmp_path / "served.toml"
    spec.write_text(f'{SPEC}[registry]\ntracking_uri = "http://127.0.0.1:9"\n')
    return spec


def test_a_server_that_cannot_start_says_so(spoilt):
    socket_path = spoilt.with_name("socket")
    with pytest.raises(ConfigError, match="did not start"):
        serve(spoilt, Listening(uds=str(socket_path)))
    assert not socket_path.exists()


def test_workers_that_cannot_start_end_the_command(spoilt):
    command = [sys.executable, "-m", "retrain_ops.cli", "serve", "--spec", str(spoilt)]
    command += ["--workers", "2", "--uds", str(spoilt.with_name("socket"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["error"]) == (2, "ConfigError")
    assert "Not a directory" in done.stderr
