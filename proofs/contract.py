"""The client's contract suite on every server that is supported: tests and seconds per server."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from devtools.servers.contract_servers import SERVERS

ROOT = Path(__file__).resolve().parents[1]
TESTS = ("test_mlflow_registry.py", "test_mlflow_runs.py", "test_mlflow_read_back.py")


def prove(folder: Path) -> dict[str, Any]:
    """Runs the suite once per server.

    Raises:
        RuntimeError: a test failed.
    """
    return {name: _on(name, folder) for name in SERVERS}


def _on(name: str, folder: Path) -> dict[str, Any]:
    report = folder / f"{name}.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        f"--junitxml={report}",
        "-p",
        "no:cacheprovider",
    ]
    command += [str(ROOT / "tests" / "contract" / test) for test in TESTS]
    begun = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "RETRAIN_OPS_CONTRACT_SERVERS": name},
        capture_output=True,
        text=True,
        check=False,
    )
    (folder / f"{name}.log").write_text(done.stdout + done.stderr)
    if done.returncode != 0:
        raise RuntimeError(f"the contract is broken on {name}:\n{done.stdout[-3000:]}")
    suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
    return {
        "tests": int(suite.attrib["tests"]),
        "failed": int(suite.attrib["failures"]) + int(suite.attrib["errors"]),
        "skipped": int(suite.attrib["skipped"]),
        "seconds_with_start": round(time.monotonic() - begun, 1),
        "seconds": round(sum(float(case.attrib["time"]) for case in suite.iter("testcase")), 1),
    }
