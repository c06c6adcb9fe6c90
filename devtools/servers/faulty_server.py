"""A socket server that answers as scripted, byte by byte: what no honest server does.

Each connection is served by the next script of the list (the last one for ever).
A script gets the socket after one whole request was read from it.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Script = Callable[[socket.socket], None]


def http(status: int, body: bytes, *headers: str, kind: str = "application/json") -> bytes:
    """A whole answer, closing the connection."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "Connection: close", *headers, "", ""]).encode() + body


def says(answer: bytes) -> Script:
    """Sends these bytes and closes."""
    return lambda peer: peer.sendall(answer)


def answers(status: int, body: Any, *headers: str) -> Script:
    """A proper JSON answer."""
    return says(http(status, json.dumps(body).encode(), *headers))


def resets(after: bytes = b"") -> Script:
    """Sends a part, then a TCP reset."""

    def script(peer: socket.socket) -> None:
        peer.sendall(after)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return script


def drips(answer: bytes, pause_s: float) -> Script:
    """One byte at a time."""

    def script(peer: socket.socket) -> None:
        for byte in answer:
            peer.sendall(bytes([byte]))
            time.sleep(pause_s)

    return script


def stalls(seconds: float) -> Script:
    """Says nothing."""
    return lambda _: time.sleep(seconds)


def floods(head: bytes, chunk: bytes) -> Script:
    """Never ends."""

    def script(peer: socket.socket) -> None:
        peer.sendall(head)
        while True:
            peer.sendall(chunk)

    return script


@dataclass
class FaultyServer:
    """`requests` are the raw requests that came, in order."""

    scripts: list[Script]
    requests: list[bytes] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    _listener: socket.socket | None = None

    @property
    def url(self) -> str:
        assert self._listener is not None
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> FaultyServer:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._listener is not None
        self._listener.close()

    def _serve(self) -> None:
        count = 0
        assert self._listener is not None
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            script = self.scripts[min(count, len(self.scripts) - 1)]
            count += 1
            threading.Thread(target=self._one, args=(peer, script), daemon=True).start()

    def _one(self, peer: socket.socket, script: Script) -> None:
        with contextlib.suppress(OSError), peer:
            if self.tls is not None:
                peer = self.tls.wrap_socket(peer, server_side=True)
            request = self._read(peer)
            if request:
                self.requests.append(request)
                script(peer)

    @staticmethod
    def _read(peer: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data and not data.startswith(b"\x16"):  # a TLS hello
            part = peer.recv(65536)
            if not part:
                return b""
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ]
        while lengths and len(body) < lengths[0]:
            part = peer.recv(65536)
            if not part:
                break
            body += part
        return head + b"\r\n\r\n" + body
