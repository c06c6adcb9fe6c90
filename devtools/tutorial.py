"""python -m devtools.tutorial: docs/tutorial.md as a stranger follows it, from an empty folder.

The server's line is started as it stands but for its port. Prints commands, seconds and failed
tries as JSON.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devtools.pages import ROOT, Played, blocks, play
from devtools.servers.mlflow_server import free_port, mlflow_python

PAGE = ROOT / "docs" / "tutorial.md"
START_S = 180.0


def follow(folder: Path) -> Played:
    """The whole page, in an empty folder."""
    with _server(folder) as url:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        known = {"PATH": path, "HOME": str(folder), "PYTHONPATH": str(ROOT)}
        return play(PAGE, folder, {**known, "MLFLOW_TRACKING_URI": url})


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """The page's own server line, on a port that is free here."""
    (block,) = (b for b in blocks(PAGE) if b.name == "server")
    port = str(free_port())
    command = shlex.split(block.text.replace("5000", port))
    command[0] = str(mlflow_python().parent / command[0])
    with open(folder / "server.log", "wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait(f"{url}/health", server)
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S
    while server.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError("the tutorial's MLflow server did not answer")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as empty:
        begun = time.monotonic()
        played = follow(Path(empty))
        found = {
            "commands": played.commands,
            "failed_tries": len(played.failed),
            "seconds_of_commands": round(played.seconds, 1),
            "minutes_with_server": round((time.monotonic() - begun) / 60, 2),
        }
        print(json.dumps(found))
