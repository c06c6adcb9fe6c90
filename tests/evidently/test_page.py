"""docs/evidently.md, and Evidently's own server with a day of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from devtools import evidently_table
from devtools.servers.processes import PATIENCE_S, free_port, wait_until
from tests.evidently.conftest import DAY, World, spec_with


def test_the_page_has_the_table_of_the_command() -> None:
    page = evidently_table.PAGE.read_text()
    assert page == evidently_table.written(page, evidently_table.table())


def test_its_server_shows_the_day(world: World, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "evidently.cli", "ui", "--workspace", str(tmp_path / "ui")]
    command += ["--host", "127.0.0.1", "--port", url.rpartition(":")[2]]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, env=os.environ | {"DO_NOT_TRACK": "1"}, **quiet)
    try:
        wait_until(
            "Evidently's server", PATIENCE_S, lambda: answer(url, "/api/version") is not None
        )
        table = f'[drift.evidently]\nworkspace = "{url}"\nproject = "churn"'
        for _ in range(2):
            world.run(spec_with('report = "evidently"', table))
        (project,) = answer(url, "/api/projects") or []
        assert project["name"] == "churn"
        (run,) = answer(url, f"/api/projects/{project['id']}/reports") or []
        assert run["name"] == f"toy/{DAY}"
    finally:
        server.terminate()
        server.wait(PATIENCE_S)


def answer(url: str, path: str) -> list[dict[str, str]] | None:
    """What the server says; nothing while it does not."""
    try:
        with urlopen(url + path, timeout=PATIENCE_S) as response:
            found: list[dict[str, str]] = json.load(response)
            return found
    except URLError:
        return None
