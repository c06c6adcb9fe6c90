"""uvicorn's HTTP protocol with a short way for scoring requests.

uvicorn loads this module by name, in each of its workers. POST /invocations is answered as soon as
its body is whole: no task, no scope, no events; where all of it comes at once and is in no way
unusual, without the parser as well. Everything else, pipelined requests included, goes the usual
way to the application, which answers alike.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from retrain_ops.models.requests import scoring_request
from retrain_ops.serving.app import SCORING, App
from retrain_ops.serving.router import Answer, Router

SLOWEST_REQUEST_S = 60.0
"""From its first byte to its last; a sender that is slower is cut off."""
LOOK_EVERY_S = 5.0
HEAD_BYTES = 65536
"""Request line and headers."""
_SCORING = SCORING.encode()


class ScoringProtocol(HttpToolsProtocol):  # type: ignore[misc]
    """One connection."""

    app: App

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._raw: list[tuple[bytes, bytes]] = []
        self._first: dict[bytes, bytes] = {}
        self._parts: list[bytes] | None = None
        self._size = 0
        self._head: int | None = 0
        self._begun: float | None = self.loop.time()

    # -- limits on time and headers

    def connection_made(self, transport: asyncio.Transport) -> None:
        """A connection that sends nothing is cut off like a slow one."""
        super().connection_made(transport)
        self._watch()

    def _watch(self) -> None:
        if self.transport.is_closing():
            return
        if self._begun is not None and self.loop.time() - self._begun > SLOWEST_REQUEST_S:
            self.transport.abort()
            return
        self.loop.call_later(LOOK_EVERY_S, self._watch)

    def data_received(self, data: bytes) -> None:
        """Bounds the head of a request: httptools does not."""
        if self._head == 0 and self._is_free() and self._answer_whole(data):
            return
        if self._head is not None:
            self._head += len(data)
        super().data_received(data)
        if self._head is not None and self._head > HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 431 \r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()

    def _answer_whole(self, data: bytes) -> bool:
        """Answers what is one whole scoring request; the parser sees nothing of it."""
        router = self._router
        names = (b"content-type", router.unit_header, router.id_header)
        found = scoring_request(data, _SCORING, names)
        if found is None or len(data) - len(found[0]) > HEAD_BYTES:
            return False
        body, kind, unit, request_id = found
        self._begun = None
        self._write(router.answer(body, kind.decode("latin-1"), unit, request_id), keep=True)
        return True

    # -- callbacks of the parser

    def on_message_begin(self) -> None:
        """What uvicorn needs is made when the headers say that it is needed."""
        self.url = b""
        self._raw = []
        self._parts = None
        self._begun = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Kept until the headers are complete."""
        self._raw.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Chooses the way."""
        self._head = None
        self._first = dict(reversed(self._raw))  # of a name that comes twice, the first value
        if self._is_short():
            self._parts, self._size = [], 0
            return
        url, raw = self.url, self._raw
        super().on_message_begin()
        self.url = url
        for name, value in raw:
            super().on_header(name, value)
        super().on_headers_complete()

    def _is_free(self) -> bool:
        """Nothing is being answered, and what is answered now can leave."""
        idle = self.cycle is None or self.cycle.response_complete
        return idle and self.app.ready_router is not None and not self.flow.write_paused

    def _is_short(self) -> bool:
        return (
            self.url == _SCORING
            and self._is_free()
            and self.parser.get_method() == b"POST"
            and not self.parser.should_upgrade()
            and b"expect" not in self._first
        )

    def on_body(self, body: bytes) -> None:
        """Parts of a body; those beyond the limit are dropped."""
        if self._parts is None:
            super().on_body(body)
            return
        self._size += len(body)
        if self._size <= self._router.spec.serving.max_body:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """The answer."""
        self._begun, self._head = None, 0
        if self._parts is None:
            super().on_message_complete()
            return
        parts, router = self._parts, self._router
        if self._size > router.spec.serving.max_body:
            body = None
        else:
            body = parts[0] if len(parts) == 1 else b"".join(parts)
        self._parts = None
        first = self._first.get
        kind = first(b"content-type", b"").decode("latin-1")
        unit, request_id = first(router.unit_header, b""), first(router.id_header, b"")
        answer = router.answer(body, kind, unit, request_id)
        self._write(answer, keep=self.parser.should_keep_alive())

    @property
    def _router(self) -> Router:
        router = self.app.ready_router
        assert router is not None, "the short way is taken with a router only"
        return router

    def _write(self, answer: Answer, *, keep: bool) -> None:
        headers = [*self.server_state.default_headers, *answer.headers]
        if not keep:
            headers.append((b"connection", b"close"))
        head = b"".join([b"%s: %s\r\n" % header for header in headers])
        self.transport.write(b"%s%s\r\n%s" % (STATUS_LINE[answer.status], head, answer.body))
        if not keep:
            self.transport.close()
        self.on_response_complete()
