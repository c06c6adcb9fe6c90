"""All fuzzers for as many executions as the proof asks for; the log of each is kept."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RUNS = 10_000_000
TARGETS = ("fuzz-model", "fuzz-net", "fuzz-serving")


def prove(folder: Path) -> dict[str, Any]:
    """Runs the fuzzers side by side.

    Raises:
        RuntimeError: one of them found something, or did not find its planted bug.
    """
    running = {target: _start(target, folder) for target in TARGETS}
    return {target: _finish(target, process, folder) for target, process in running.items()}


def _start(target: str, folder: Path) -> subprocess.Popen[bytes]:
    command = ["make", "--no-print-directory", "-C", "csrc", target, f"FUZZ_RUNS={RUNS}"]
    with (folder / f"{target}.log").open("wb") as log:
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)


def _finish(target: str, process: subprocess.Popen[bytes], folder: Path) -> dict[str, Any]:
    status = process.wait()
    told = (folder / f"{target}.log").read_text(errors="replace")
    executed = re.findall(r"stat::number_of_executed_units:\s*(\d+)", told)
    planted = "planted bug found" in told
    if status != 0 or not executed or not planted:
        raise RuntimeError(f"{target} ended with {status}; see {folder}/{target}.log")
    return {"executions": int(executed[-1]), "findings": 0, "planted_bug_found": planted}
