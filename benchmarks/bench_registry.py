"""Our MLflow client beside mlflow's own, against the same servers in one run.

    python benchmarks/bench_registry.py [--calls 500] [--quick]

Each client runs in processes of its own environment, in turns, so that what else
the machine does falls on both. Writes build/bench/registry.json. A ratio is ours
divided by theirs; `gate` is what it must not exceed. For the memory row `ours_s`
and `peer_s` are MiB of resident memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from devtools.servers.mlflow_server import MlflowServer, mlflow_python  # noqa: E402
from retrain_ops import MlflowClient  # noqa: E402

OURS = """
import os, sys, time
begun = time.perf_counter()
from retrain_ops import MlflowClient
imported = time.perf_counter() - begun
from pathlib import Path
def make(uri):
    client = MlflowClient(uri, deadline=120.0)
    return {
        "get": lambda a, i: client.get_model_version_by_alias(a["model"], "champion"),
        "set": lambda a, i: client.set_registered_model_alias(
            a["model"], "champion", str(1 + i % 2)),
        "metrics": lambda a, i: client.log_batch(
            a["run"], metrics=[(f"m{a['block']}-{i}-{k}", k / 7, 1, 0) for k in range(1000)]),
        "upload": lambda a, i: client.upload_artifact(
            f"runs:/{a['run']}", "big.bin", Path(a["file"])),
        "download": lambda a, i: client.download_artifact_file(
            f"runs:/{a['run']}", "big.bin", Path(a["folder"]) / f"ours{a['block']}-{i}"),
    }
"""
PEER = """
import os, sys, time
begun = time.perf_counter()
from mlflow import MlflowClient
imported = time.perf_counter() - begun
def make(uri):
    from mlflow.entities import Metric
    client = MlflowClient(uri, uri)
    def download(a, i):
        folder = os.path.join(a["folder"], f"peer{a['block']}-{i}")
        os.mkdir(folder)
        client.download_artifacts(a["run"], "big.bin", folder)
    return {
        "get": lambda a, i: client.get_model_version_by_alias(a["model"], "champion"),
        "set": lambda a, i: client.set_registered_model_alias(
            a["model"], "champion", str(1 + i % 2)),
        "metrics": lambda a, i: client.log_batch(
            a["run"],
            metrics=[Metric(f"m{a['block']}-{i}-{k}", k / 7, 1, 0) for k in range(1000)]),
        "upload": lambda a, i: client.log_artifact(a["run"], a["file"]),
        "download": download,
    }
"""
WORK = """
import json
what, arguments, count = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
times = [imported]
with open("/proc/self/status") as status:
    memory = next(int(l.split()[1]) / 1024 for l in status if l.startswith("VmRSS"))
if what != "import":
    act = make(arguments["uri"])[what]
    act(arguments, -1)  # the first call opens the connection
    times = []
    for i in range(count):
        begun = time.perf_counter()
        act(arguments, i)
        times.append(time.perf_counter() - begun)
print(json.dumps({"times": times, "memory": memory}))
"""


def measure(side: str, what: str, arguments: dict[str, Any], count: int) -> dict[str, Any]:
    """One process of one side: the seconds of each call, and its memory after the import."""
    ours = side == "ours"
    python = sys.executable if ours else str(mlflow_python())
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    environment |= {
        "PYTHONPATH": str(ROOT) if ours else "",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "0",
    }
    command = [
        python,
        "-c",
        (OURS if ours else PEER) + WORK,
        what,
        json.dumps(arguments),
        str(count),
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{side} {what}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(
    row: str, what: str, arguments: dict[str, Any], *, blocks: int, count: int, gate: float
) -> dict[str, Any]:
    """Blocks in turns; the median over all calls of each side."""
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    memory: dict[str, list[float]] = {"ours": [], "peer": []}
    for block in range(blocks):
        for side in ("ours", "peer") if block % 2 == 0 else ("peer", "ours"):
            found = measure(side, what, {**arguments, "block": f"{side}{block}"}, count)
            times[side] += found["times"]
            memory[side].append(found["memory"])
    chosen = memory if row.startswith("resident") else times
    ours, peer = (statistics.median(chosen[side]) for side in ("ours", "peer"))
    result = {
        "row": row,
        "peer": "mlflow 3.17.2 client",
        "ours_s": round(ours, 5),
        "peer_s": round(peer, 5),
        "ratio": round(ours / peer, 4),
        "gate": gate,
        "aim": gate,
        "quality_delta": 0,
        "threads": 1,
    }
    print(json.dumps(result), flush=True)
    return result


def prepare(uri: str, folder: Path) -> dict[str, Any]:
    """A model with two versions, a run, and a file of 100 MB that does not compress."""
    client = MlflowClient(uri, deadline=120.0)
    experiment = client.create_experiment(f"bench-{uuid.uuid4().hex}")
    run = client.create_run(experiment, "bench", 1)
    model = f"bench-{uuid.uuid4().hex}"
    client.ensure_registered_model(model)
    for _ in range(2):
        client.create_model_version(model, f"{run.artifact_uri}/model", run.run_id)
    client.set_registered_model_alias(model, "champion", "1")
    file = folder / "big.bin"
    if not file.exists():
        file.write_bytes(os.urandom(100_000_000))
    return {"uri": uri, "model": model, "run": run.run_id, "file": str(file), "folder": str(folder)}


def bench(calls: int, folder: Path, *, old_server: bool) -> list[dict[str, Any]]:
    """All rows."""
    blocks = 5 if calls >= 500 else 2
    rows = [
        compare("import, seconds", "import", {}, blocks=5, count=1, gate=0.1),
        compare("resident memory, MiB", "import", {}, blocks=5, count=1, gate=0.25),
    ]
    with MlflowServer(folder / "new", mlflow_python()) as server:
        on = prepare(server.url, folder)
        each = calls // blocks
        for row, what in (("alias get, 3.17.2", "get"), ("alias set, 3.17.2", "set")):
            rows.append(compare(row, what, on, blocks=blocks, count=each, gate=0.5))
        rows.append(compare("1,000 metrics", "metrics", on, blocks=blocks, count=3, gate=1.0))
        for row, what in (("100 MB upload", "upload"), ("100 MB download", "download")):
            rows.append(compare(row, what, on, blocks=4, count=3, gate=1.0))
    if old_server:
        with MlflowServer(folder / "old", mlflow_python("mlflow-2.22")) as server:
            on = prepare(server.url, folder)
            for row, what in (("alias get, 2.22.5", "get"), ("alias set, 2.22.5", "set")):
                rows.append(compare(row, what, on, blocks=blocks, count=each, gate=1.1))
    return rows


def main() -> int:
    """Writes the rows; exit code 1 when a gate is not held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--quick", action="store_true", help="60 calls, no 2.22 server")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-registry-") as folder:
        calls = 60 if options.quick else options.calls
        rows = bench(calls, Path(folder), old_server=not options.quick)
    target = ROOT / "build" / "bench" / "registry.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(rows, indent=1) + "\n")
    missed = [row["row"] for row in rows if row["ratio"] > row["gate"]]
    print(f"{target}: {len(rows)} rows, gates missed: {missed or 'none'}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
