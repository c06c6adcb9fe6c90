"""Connections that break around a create, against a real MLflow server.

A proxy sits before the server and looks for `model-versions/create`. It breaks
the connection before the request goes on, after it, in the middle of the answer,
or breaks it and lets the request arrive late, after the client has looked for its
effect. At rest every key must have one version; what a late commit doubled,
`verify` supersedes, and the lowest version stays.
"""

from __future__ import annotations

import contextlib
import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlsplit

from retrain_ops.errors import NetworkError, RemoteError
from retrain_ops.mlflow.client import MlflowClient
from retrain_ops.registry.registry import Registry

FAULTS = ("before", "after", "within", "late")
MODELS = 10


@dataclass
class DroppingProxy:
    """Breaks creates until `wanted` connections were broken; everything else passes."""

    upstream: tuple[str, int]
    wanted: int
    seed: int = 0
    broken: dict[str, int] = field(default_factory=dict)
    _listener: socket.socket | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _late: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> DroppingProxy:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._chance = random.Random(self.seed)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._listener is not None
        self._listener.close()
        for thread in self._late:
            thread.join()

    @property
    def url(self) -> str:
        """Where clients connect."""
        assert self._listener is not None
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def total(self) -> int:
        """How many connections were broken."""
        return sum(self.broken.values())

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _draw(self) -> str | None:
        """Three creates of four are broken, while any is left to break."""
        with self._lock:
            if self.total >= self.wanted or self._chance.random() < 0.25:
                return None
            fault = self._chance.choice(FAULTS)
            self.broken[fault] = self.broken.get(fault, 0) + 1
            return fault

    def _serve(self, peer: socket.socket) -> None:
        with contextlib.suppress(OSError), peer:
            while request := read_message(peer):
                creates = b"model-versions/create" in request.split(b"\r\n", 1)[0]
                fault = self._draw() if creates else None
                if fault == "before":
                    return
                if fault == "late":
                    pause = self._chance.uniform(0.0, 1.5)
                    thread = threading.Thread(target=self._later, args=(request, pause))
                    self._late.append(thread)
                    thread.start()
                    return
                answer = self._ask(request)
                if fault == "after":
                    return
                peer.sendall(answer if fault is None else answer[: len(answer) // 2])
                if fault is not None:
                    return

    def _later(self, request: bytes, pause: float) -> None:
        time.sleep(pause)
        with contextlib.suppress(OSError):
            self._ask(request)

    def _ask(self, request: bytes) -> bytes:
        with socket.create_connection(self.upstream) as server:
            server.sendall(request)
            return read_message(server)


def read_message(peer: socket.socket) -> bytes:
    """One whole request or answer with a Content-Length; b"" at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = peer.recv(65536)
        if not part:
            return data
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        part = peer.recv(65536)
        if not part:
            break
        body += part
    return head + b"\r\n\r\n" + body


def prove(url: str, *, drops_wanted: int, threads: int, stem: str = "drops") -> dict[str, Any]:
    """Creates keys until enough connections were broken; counts versions per key at rest."""
    begun = time.monotonic()
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    upstream = (parts.hostname, parts.port)
    keys = 0
    given_up = 0
    with (
        DroppingProxy(upstream, drops_wanted) as proxy,
        ThreadPoolExecutor(threads) as pool,
    ):
        while proxy.total < drops_wanted:
            batch = range(keys, keys + 4 * threads)
            given_up += sum(pool.map(lambda i: _create(proxy.url, stem, i), batch))
            keys += len(batch)
        broken = dict(proxy.broken)
    doubled, left = _at_rest(url, stem, keys)
    if left:
        raise RuntimeError(f"keys with two versions, or none, at rest: {left}")
    return {
        "drops": sum(broken.values()),
        "by_kind": broken,
        "keys": keys,
        "calls_that_gave_up_and_were_repeated": given_up,
        "keys_doubled_by_a_late_commit_then_superseded": doubled,
        "keys_without_exactly_one_version": len(left),
        "seconds": round(time.monotonic() - begun, 1),
    }


def _register(registry: Registry, number: int) -> None:
    key = f"{registry.name}/{number}"
    day = date(2000, 1, 1) + timedelta(days=number)
    tags = {"retrain_key": key, "execution_date": day.isoformat(), "model_sha256": key}
    registry.register(run_id="", source="s3://nowhere/model", tags=tags, description="")


def _create(url: str, stem: str, number: int) -> int:
    """Registers one key; a task that failed is run again, as orchestrators do."""
    registry = Registry(client=MlflowClient(url, deadline=60.0), name=f"{stem}-{number % MODELS}")
    for tried in range(20):
        try:
            _register(registry, number)
            return tried
        except (NetworkError, RemoteError, TimeoutError):
            continue
    raise RuntimeError(f"key {number} was not created in 20 tries")


def _at_rest(url: str, stem: str, keys: int) -> tuple[int, list[str]]:
    """(keys that a late commit had doubled, keys without exactly one version after verify)."""
    doubled = 0
    counts = {f"{stem}-{i % MODELS}/{i}": 0 for i in range(keys)}
    for model in range(min(MODELS, keys)):
        registry = Registry(client=MlflowClient(url, deadline=120.0), name=f"{stem}-{model}")
        found = registry.verify(repair=True)
        doubled += sum(w.value == "superseded" for w in found.repaired)
        lowest: dict[str, int] = {}
        for version in registry.versions():
            lowest.setdefault(version.retrain_key, int(version.number))
            if version.state != "superseded":
                counts[version.retrain_key] += 1
                if int(version.number) != lowest[version.retrain_key]:
                    raise RuntimeError(f"{version.retrain_key}: not its lowest version stayed")
    return doubled, [key for key, count in counts.items() if count != 1]
