"""What parsing costs: our factories beside the example DAG of the Great Expectations provider.

Both are parsed by the same interpreter with the packages of `airflow-3.3`; the provider is
installed into a throwaway copy of that environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from tools.environments import ensure, find_uv, lock_files

ROOT = Path(__file__).resolve().parents[1]
PROVIDER = "airflow-provider-great-expectations==1.0.0"
EXAMPLE = "example_great_expectations_dag.py"
TIMES = 5
DAG_FILE = """\
from retrain_ops.airflow import (
    drift_monitor_dag, performance_monitor_dag, retraining_dag, rollout_dag
)

SPEC = "/nowhere/flights.toml"
nightly = retraining_dag(SPEC)
rollout = rollout_dag(SPEC)
drift = drift_monitor_dag(SPEC)
performance = performance_monitor_dag(SPEC)
"""


def prove(folder: Path) -> dict[str, Any]:
    """Milliseconds (median of five), modules, sockets and reads of both, side by side."""
    ours = folder / "ours.py"
    ours.write_text(DAG_FILE)
    python = _with_provider(folder / "environment")
    (example,) = (folder / "environment").rglob(f"great_expectations_provider/*/{EXAMPLE}")
    # Its operators read this file when they are built; the package does not bring it along.
    data = example.parents[2] / "include" / "data" / "yellow_tripdata_sample_2019-01.csv"
    data.parent.mkdir(parents=True)
    data.write_text("vendor_id,passenger_count\n1,1\n")
    found = {"ours": _cost(python, ours, folder), "provider": _cost(python, example, folder)}
    return {**found, "provider_file": example.name, "provider_package": PROVIDER}


def _with_provider(folder: Path) -> Path:
    """The packages of `airflow-3.3`, the provider, and this tree's wheel."""
    uv, python = find_uv(), folder / "bin" / "python"
    ensure("airflow-3.3")
    (wheel,) = (ROOT / "build" / "wheel").glob("*/retrain_ops*.whl")
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
    install = [uv, "pip", "install", "--quiet", "--python", str(python)]
    locks = [argument for lock in lock_files("airflow-3.3") for argument in ("-r", str(lock))]
    _run([*install, *locks])
    # Its upper bound of structlog lies below the version that Airflow 3.3 comes with.
    _run([*install, "--no-deps", PROVIDER, str(wheel)])
    subprocess.run([str(python), "-m", "compileall", "-q", str(folder / "lib")], check=False)
    return python


def _cost(python: Path, dag_file: Path, folder: Path) -> dict[str, Any]:
    runs = [_once(python, dag_file, folder) for _ in range(TIMES)]
    last = runs[-1]
    code = (*last["prefixes"], str(dag_file.parent), "/proc/", "/sys/", "/dev/", "/etc/", "/usr/")
    return {
        "ms": round(1000 * median(run["seconds"] for run in runs), 1),
        "modules": len(last["modules"]),
        "sockets": len(last["sockets"]),
        "reads_outside": len([path for path in last["opened"] if not path.startswith(code)]),
        "dags": len(last["dags"]),
        "heavy": [m for m in ("great_expectations", "numpy", "pandas") if m in last["modules"]],
    }


def _once(python: Path, dag_file: Path, folder: Path) -> dict[str, Any]:
    home = {**os.environ, "AIRFLOW_HOME": str(folder / "home")}
    command = [str(python), str(ROOT / "devtools" / "parse_cost.py"), str(dag_file)]
    out = subprocess.run(
        command, env=home, cwd=folder, check=True, capture_output=True, text=True
    ).stdout
    result: dict[str, Any] = json.loads(out.splitlines()[-1])
    return result


def _run(command: list[str]) -> None:
    trusting = {"UV_SYSTEM_CERTS": "1", **os.environ}
    subprocess.run(command, check=True, env=trusting)
