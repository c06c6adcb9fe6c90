"""`retrain-ops serve` in a process of its own."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
from pathlib import Path

from devtools.serving import wait_until


class ScoringServer:
    """The command on a port, and requests to it on connections of their own."""

    def __init__(self, spec: Path, port: int, workers: int) -> None:
        self.port = port
        command = [sys.executable, "-m", "retrain_ops.cli", "serve", "--spec", str(spec)]
        command += ["--port", str(port), "--workers", str(workers)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> ScoringServer:
        try:
            wait_until(self.ready, OSError)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.stop()

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    @property
    def page(self) -> str:
        """Where people watch it."""
        return f"http://127.0.0.1:{self.port}/live"

    def ready(self) -> bool:
        """Whether a model has scored."""
        assert self.process.poll() is None, "the server ended"
        return self.get("/ready")[0] == 200

    def workers(self) -> list[int]:
        """Process ids."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        found = [int(pid) for pid in children.read_text().split()]
        return [pid for pid in found if b"spawn_main" in _command_of(pid)]

    def stop(self) -> tuple[int, str]:
        """Ends it as a service manager does: exit code and output."""
        self.process.send_signal(signal.SIGTERM)
        output, _ = self.process.communicate(timeout=60)
        return self.process.returncode, output


def _command_of(pid: int) -> bytes:
    """Empty for a process that has ended since it was listed."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
