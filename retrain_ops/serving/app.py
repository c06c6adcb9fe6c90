"""The ASGI application: the paths of MLflow and KServe, by themselves or as a mounted part."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

from retrain_ops import __version__
from retrain_ops.mlflow.client import MlflowClient
from retrain_ops.serving import kserve
from retrain_ops.serving.openapi import document
from retrain_ops.serving.router import JSON, TEXT, Answer, Router
from retrain_ops.spec.spec import RetrainSpec

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
HTML = "text/html; charset=utf-8"
METRICS = "text/plain; version=0.0.4; charset=utf-8"


def create_app(spec: RetrainSpec | str | Path, *, client: MlflowClient | None = None) -> App:
    """The scoring server of a spec as an ASGI application.

    The router is made when the server starts up, or at the first request where the application
    is mounted in another one. Arguments and errors are those of `Router`.
    """
    return App(partial(Router, spec, client=client))


class App:
    """POST /invocations; GET of `PAGES`; the paths of KServe.

    It can be pickled before its first request, for the workers of a server.
    """

    def __init__(self, make_router: Callable[[], Router]) -> None:
        self._make = make_router
        self._making = asyncio.Lock()
        self._router: Router | None = None

    @property
    def ready_router(self) -> Router | None:
        """The router, when it is made and a model has scored."""
        router = self._router
        return router if router is not None and router.ready else None

    async def router(self) -> Router:
        """The router, made once."""
        async with self._making:
            if self._router is None:
                self._router = await asyncio.to_thread(self._make)
        return self._router

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answers one request, or takes part in the server's start and end."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await _send(send, await self._answer(scope, receive))

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                if self._router is not None:
                    self._router.close()
                await send({"type": "lifespan.shutdown.complete"})
                return
            try:
                await self.router()
            except Exception as problem:
                await send({"type": "lifespan.startup.failed", "message": str(problem)})
                raise
            await send({"type": "lifespan.startup.complete"})

    async def _answer(self, scope: Message, receive: Receive) -> Answer:
        router = self._router or await self.router()
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        scores = path in (SCORING, kserve.infer_path(router.spec.model.name))
        page = None if scores else PAGES.get(path) or kserve.pages(router.spec.model.name).get(path)
        if not scores and page is None:
            return Answer(404, JSON, b'{"detail":"Not Found"}')
        if scope["method"] != ("POST" if scores else "GET"):
            return Answer(405, JSON, b'{"detail":"Method Not Allowed"}')
        if page is not None:
            return page(router)
        body = await _body(receive, router.spec.serving.max_body)
        named = _header(scope, router.unit_header), _header(scope, router.id_header)
        if path != SCORING:
            return kserve.infer(router, body, *named)
        return router.answer(body, _header(scope, b"content-type").decode("latin-1"), *named)


def _health(router: Router) -> Answer:
    return Answer(200, JSON, json.dumps(router.health()).encode())


def _ready(router: Router) -> Answer:
    return Answer(200 if router.ready else 503, TEXT, b"\n")


@cache
def live_page() -> bytes:
    """The page that shows `/metrics` and `/health` as they change; it asks for nothing else."""
    return (resources.files("retrain_ops.serving") / "live.html").read_bytes()


SCORING = "/invocations"
PAGES: dict[str, Callable[[Router], Answer]] = {
    "/ping": lambda _: Answer(200, TEXT, b"\n"),
    "/health": _health,
    "/ready": _ready,
    "/version": lambda _: Answer(200, TEXT, __version__.encode()),
    "/metrics": lambda router: Answer(200, METRICS, router.metrics().encode()),
    "/live": lambda _: Answer(200, HTML, live_page()),
    "/openapi.json": lambda router: Answer(200, JSON, json.dumps(document(router.spec)).encode()),
}
"""What GET answers, by path."""


def _header(scope: Message, name: bytes) -> bytes:
    return next((v for k, v in scope["headers"] if k == name), b"")


async def _body(receive: Receive, limit: int) -> bytes | None:
    """The whole body; None as soon as it is longer than the limit, or when the sender leaves."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit or message["type"] == "http.disconnect":
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def _send(send: Send, answer: Answer) -> None:
    start = {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
    await send(start)
    await send({"type": "http.response.body", "body": answer.body})
