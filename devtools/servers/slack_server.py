"""A local server that speaks Slack's incoming-webhook protocol and keeps what it was told.

python -m devtools.servers.slack_server messages.jsonl     prints its URL, runs until ended
"""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SECRET_PATH = "/services/T00000000/B00000000/canary-webhook-secret"


@dataclass
class SlackServer:
    """`answers` are (status, headers) given in turn, then 200; `messages` what came, in order.

    The `text` of a message is what Slack shows; `sent` is what it was told.
    """

    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    record: Path | None = None
    messages: list[dict[str, Any]] = field(default_factory=list)
    attempts: int = 0
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}{SECRET_PATH}"

    def __enter__(self) -> SlackServer:
        slack = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                status, headers = slack.receive(self.path, body)
                text = b"ok" if status == 200 else b"no"
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(text))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def receive(self, path: str, body: bytes) -> tuple[int, dict[str, str]]:
        """Slack's rules: the secret path, a JSON object, a text that is not empty."""
        self.attempts += 1
        if path != SECRET_PATH:
            return 404, {}
        if self.answers:
            return self.answers.pop(0)
        try:
            message = json.loads(body)
        except ValueError:
            return 400, {}
        if not isinstance(message, dict) or not message.get("text"):
            return 400, {}
        message = {**message, "text": _shown(message["text"]), "sent": message["text"]}
        self.messages.append(message)
        if self.record is not None:
            with self.record.open("a") as out:
                out.write(json.dumps(message) + "\n")
        return 200, {}


def _shown(text: str) -> str:
    """Slack's three escapes, read back."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


if __name__ == "__main__":
    with SlackServer(record=Path(sys.argv[1])) as server:
        print(server.url, flush=True)
        threading.Event().wait()
