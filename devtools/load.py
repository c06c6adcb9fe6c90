"""Clients of a scoring server that ask without a pause, and know what they were answered."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Sequence

BODY = b'{"inputs": {"x0": 1.5, "x1": -0.25, "x2": null}}'
JSON = {"content-type": "application/json"}


class Load:
    """Closed-loop clients, each on a connection that it opens again when it breaks.

    A request whose connection broke is sent again, under its id, as a careful client does. Each
    client sends `bodies` in their order, over and over, from a place of its own on; `first` is when
    there was an answer of a status and version first, by the monotonic clock.
    """

    def __init__(self, port: int, clients: int = 3, bodies: Sequence[bytes] = (BODY,)) -> None:
        self.port, self.bodies = port, bodies
        self.first: dict[tuple[int, str | None], float] = {}
        self.answers: Counter[tuple[int, str | None]] = Counter()
        self.answered: list[str] = []
        self.lately: list[str | None] = [None] * clients
        self.broken = 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(i,)) for i in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, client: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        number, place = 0, client * len(self.bodies) // len(self.lately)
        while not self._stop.is_set():
            request_id = f"{client}-{number}"
            try:
                body = self.bodies[(place + number) % len(self.bodies)]
                connection.request(
                    "POST", "/invocations", body, {**JSON, "x-request-id": request_id}
                )
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                self.broken += 1
                connection.close()
                continue
            version = answer.getheader("x-model-version")
            self.first.setdefault((answer.status, version), time.monotonic())
            self.answers[answer.status, version] += 1
            self.answered.append(request_id)
            self.lately[client] = version
            number += 1
        connection.close()

    def all_by(self, version: str) -> bool:
        """Whether every client's newest answer came from the version."""
        return set(self.lately) == {version}
