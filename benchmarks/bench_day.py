"""A bootstrap day and a judged day, ours beside one script of the libraries that people use.

    python -m benchmarks.bench_day [--rows 1000000 ...] [--threads 2]

Both sides read the same Parquet days and talk to one MLflow server; each is a process of its own,
in turns. `seconds` are those of the whole process, imports included; `peak_mib` is the largest
memory that a step saw. A ratio is ours divided by theirs, `gate` is what it must not exceed.
Writes build/bench/day.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.day.rows import write_days
from devtools.servers.mlflow_server import MlflowServer, mlflow_python

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "build" / "bench" / "day.json"
GATES = {"seconds": 0.25, "peak_mib": 0.40}
AIMS = {"seconds": 0.12, "peak_mib": 0.20}
SIDES = ("ours", "peer")


def run_side(side: str, source: Path, folder: Path, url: str, threads: int) -> dict[str, Any]:
    """The whole process, and what its steps said."""
    command = [sys.executable, "-m", f"benchmarks.day.{side}", str(source)]
    command += [str(folder / side), url, str(threads)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    phases = [line for line in lines if "phase" in line]
    return {
        "seconds": seconds,
        "cpu": cpu,
        "peak_mib": max(line["peak_mib"] for line in phases),
        "phases": phases,
        "said": [line for line in lines if "phase" not in line],
    }


def compare(rows: int, threads: int, folder: Path) -> dict[str, Any]:
    source = folder / "rows"
    write_days(source, rows)
    with MlflowServer(folder / "mlflow", python=mlflow_python()) as server:
        sides = {side: run_side(side, source, folder, server.url, threads) for side in SIDES}
    ratio = {name: sides["ours"][name] / sides["peer"][name] for name in ("seconds", "cpu")}
    ratio["peak_mib"] = sides["ours"]["peak_mib"] / sides["peer"]["peak_mib"]
    load = os.getloadavg()[0]
    return {"rows": rows, **sides, "ratio": ratio, "gate": GATES, "aim": AIMS, "load": load}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, default=RESULT)
    args = parser.parse_args()
    found = []
    for rows in args.rows:
        with tempfile.TemporaryDirectory(prefix="bench-day-") as name:
            row = compare(rows, args.threads, Path(name))
        found.append(row)
        print(json.dumps({key: row[key] for key in ("rows", "ratio", "load")}), flush=True)
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
