"""A local server that speaks the part of Kubeflow Pipelines' v2beta1 API that submissions use.

It keeps what it is sent, as the real one stores it. `perform` decides the state in which a run
ends; recurring runs are kept, and never tick.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

API = "/apis/v2beta1/"
PAGE = 2
Perform = Callable[[dict[str, Any]], str]


@dataclass
class KubeflowServer:
    """`kept` is what was created: by kind (experiments, runs, recurringruns), then by id."""

    perform: Perform = lambda run: "SUCCEEDED"
    kept: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    _ids: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def all(self, kind: str) -> list[dict[str, Any]]:
        """What there is of a kind, oldest first."""
        return [*self.kept.get(kind, {}).values()]

    def __enter__(self) -> KubeflowServer:
        kubeflow = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, document = kubeflow.receive(self.command, self.path, body)
                data = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def receive(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Create, read, list and delete, by kind; a list comes in pages."""
        parts = urlsplit(path)
        kind, _, name = parts.path.removeprefix(API).partition("/")
        if kind == "healthz":
            return 200, {"multi_user": False}
        kept = self.kept.setdefault(kind, {})
        if method == "POST":
            return 200, self._create(kind, json.loads(body))
        if name and name not in kept:
            return 404, {"error": f"{kind} {name} not found"}
        if method == "DELETE":
            del kept[name]
            return 200, {}
        return 200, kept[name] if name else _page(kind, [*kept.values()], parse_qs(parts.query))

    def _create(self, kind: str, given: dict[str, Any]) -> dict[str, Any]:
        found = f"{kind}-{next(self._ids)}"
        field = {"recurringruns": "recurring_run_id"}.get(kind, f"{kind.removesuffix('s')}_id")
        made = {**given, field: found}
        self.kept[kind][found] = made
        if kind == "runs":
            made["state"] = self.perform(made)
        return made


def _page(kind: str, found: list[dict[str, Any]], query: dict[str, list[str]]) -> dict[str, Any]:
    """The newest come last; a filter names a field that must be equal."""
    for predicate in json.loads(query.get("filter", ["{}"])[0]).get("predicates", []):
        wanted = predicate.get("stringValue", predicate.get("string_value"))
        found = [one for one in found if one.get(predicate["key"]) == wanted]
    if query.get("experiment_id"):
        found = [one for one in found if one["experiment_id"] == query["experiment_id"][0]]
    begin = int(query.get("page_token", ["0"])[0] or 0)
    field = {"recurringruns": "recurringRuns"}.get(kind, kind)
    more = {"next_page_token": str(begin + PAGE)} if begin + PAGE < len(found) else {}
    return {field: found[begin : begin + PAGE], "total_size": len(found), **more}
