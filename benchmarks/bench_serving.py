"""Our scoring server with everything on beside `mlflow models serve` of a LightGBM model as large,
and beside itself without log, shadow and canary, in one run.

    python benchmarks/bench_serving.py [--seconds 12]

One worker each, in turns, the same bodies over 16 connections that are kept open. Seconds are CPU
seconds of the whole server for one answer, all its processes together, since requests per second
move with what else the machine does; a ratio is ours divided by theirs, `gate` is what it must
not exceed. Writes build/bench/serving.json.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from devtools.doubles.registry_server import Client as Registry  # noqa: E402
from devtools.doubles.registry_server import Server  # noqa: E402
from devtools.servers.processes import environment_python, free_port  # noqa: E402
from devtools.serving import promoted, wait_until  # noqa: E402
from retrain_ops.models import GBDTClassifier  # noqa: E402
from retrain_ops.models.tabular import TabularModel  # noqa: E402
from retrain_ops.serving import Router  # noqa: E402
from retrain_ops.spec.spec import load_spec  # noqa: E402

COLUMNS = [f"x{i}" for i in range(30)]
ROWS, TREES, LEAVES = 20_000, 100, 31
CONNECTIONS = 16
ROUNDS = 4
LENGTH = re.compile(rb"(?i)\r\ncontent-length: (\d+)")
GATES = {"one row": 1 / 300, "100 rows": 1 / 20}
EVERYTHING = 1.5
"""CPU of log, shadow and canary together, over an answer without them."""
PEER_NAME = "mlflow models serve 3.17.2, LightGBM"
PEER = """
import sys
import lightgbm
import mlflow
import numpy as np
import pandas as pd
with np.load(sys.argv[1]) as file:
    x, y = pd.DataFrame(file["x"], columns=file["columns"].tolist()), file["y"]
options = {"objective": "binary", "num_leaves": int(sys.argv[3]), "verbose": -1, "num_threads": 1}
model = lightgbm.train(options, lightgbm.Dataset(x, y), int(sys.argv[4]))
signature = mlflow.models.infer_signature(x, model.predict(x))
mlflow.lightgbm.save_model(model, sys.argv[2], signature=signature)
"""
SPEC = f"""
[model]
name = "bench"
[source]
path = "rows"
label = "y"
[features]
numeric = {json.dumps(COLUMNS)}
[registry]
tracking_uri = "http://127.0.0.1:9"
"""


@dataclass
class Peer:
    """A server that runs: its first process and its port."""

    process: subprocess.Popen[bytes]
    port: int

    def cpu_seconds(self) -> float:
        """Of the process and its children, as the kernel counts them."""
        ticks = sum(_ticks(pid) for pid in _tree(self.process.pid))
        return ticks / os.sysconf("SC_CLK_TCK")


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _tree(int(child))


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


@contextmanager
def running(command: list[str], port: int, **environment: str) -> Iterator[Peer]:
    """A server, once it answers /ping."""
    everything = {**os.environ, **environment}
    process = subprocess.Popen(command, env=everything, start_new_session=True, stdout=sys.stderr)
    try:
        wait_until(lambda: _status(port) == 200, OSError, seconds=300.0)
        yield Peer(process, port)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _status(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status
    finally:
        connection.close()


class Client:
    """A closed-loop client: one request at a time over a connection that is kept open."""

    def __init__(self, port: int, request: bytes) -> None:
        self.request, self.port = request, port
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.seen, self.begun = b"", 0.0

    def ask(self) -> None:
        """Sends the request."""
        self.seen, self.begun = b"", time.perf_counter()
        self.socket.sendall(self.request)

    def take(self) -> float | None:
        """Reads what has come: the seconds of an answer once it is whole."""
        self.seen += self.socket.recv(262144)
        head, _, body = self.seen.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if length is None or len(body) < int(length[1]):
            return None
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{self.port} answered {head[:40]!r}")
        return time.perf_counter() - self.begun


def load(peer: Peer, body: bytes, seconds: float) -> dict[str, float]:
    """Clients for that long: CPU seconds and seconds of an answer, answers a second.

    One thread serves them all, so that the clients do not take the cores from the server.
    """
    head = b"POST /invocations HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
    request = head + b"content-length: %d\r\n\r\n" % len(body) + body
    clients = [Client(peer.port, request) for _ in range(CONNECTIONS)]
    before, begun = peer.cpu_seconds(), time.perf_counter()
    taken: list[float] = []
    with selectors.DefaultSelector() as ready:
        for client in clients:
            ready.register(client.socket, selectors.EVENT_READ, client)
            client.ask()
        while time.perf_counter() < begun + seconds:
            for key, _ in ready.select(60):
                answered = key.data.take()
                if answered is not None:
                    taken.append(answered)
                    key.data.ask()
    elapsed, cpu = time.perf_counter() - begun, peer.cpu_seconds() - before
    for client in clients:
        client.socket.close()
    return {
        "cpu": cpu / len(taken),
        "p99": float(np.quantile(taken, 0.99)),
        "rate": len(taken) / elapsed,
    }


def in_turns(peers: Sequence[Peer], body: bytes, seconds: float) -> list[dict[str, float]]:
    """The round of least CPU of each, in turns: what else the machine does only adds."""
    rounds = [[load(peer, body, seconds / ROUNDS) for peer in peers] for _ in range(ROUNDS)]
    return [min(found, key=lambda one: one["cpu"]) for found in zip(*rounds, strict=True)]


@dataclass(frozen=True)
class Servers:
    """The commands of the three servers, and their ports."""

    everything: list[str]
    plain: list[str]
    mlflow: list[str]
    ports: tuple[int, int, int]


def rows_of(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """What models learn from, float64 [ROWS, columns], and labels."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, len(COLUMNS)))
    return x, (x @ rng.normal(size=len(COLUMNS)) > 0).astype(np.int8)


def our_model(seed: int) -> TabularModel:
    """As large as the peer's."""
    x, y = rows_of(seed)
    table = pa.table({name: x[:, i] for i, name in enumerate(COLUMNS)})
    trees = GBDTClassifier(n_estimators=TREES, max_leaf_nodes=LEAVES, random_state=seed)
    return trees.fit(table, y).model_


def save_peer(folder: Path) -> Path:
    """The peer's model, as its own library logs it."""
    x, y = rows_of(seed=1)
    rows, model = folder / "rows.npz", folder / "model"
    np.savez(rows, x=x, y=y, columns=COLUMNS)
    command = [peer_python(), "-c", PEER, str(rows), str(model), str(LEAVES), str(TREES)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    return model


def peer_python() -> str:
    """The Python of MLflow and LightGBM."""
    return str(environment_python("bench-serving", "RETRAIN_OPS_BENCH_SERVING_PYTHON"))


def prepare(folder: Path) -> Servers:
    """States that our servers serve without a registry, and the peer's model."""
    model = our_model(seed=1)
    for name, more in (("everything", '[serving]\nlog = "live"\n'), ("plain", "")):
        own = folder / name
        own.mkdir()
        (own / "bench.toml").write_text(SPEC + more)
        client = Registry(Server())
        promoted(client, "bench", model)
        if more:
            promoted(client, "bench", our_model(seed=2), share=0.1)
        Router(load_spec(own / "bench.toml"), client=client).close()  # type: ignore[arg-type]
    theirs = save_peer(folder)
    ports = free_port(), free_port(), free_port()
    serve = [sys.executable, "-m", "retrain_ops.cli", "serve", "--spec"]
    mlflow = [peer_python(), "-m", "mlflow", "models", "serve", "-m", str(theirs)]
    return Servers(
        [*serve, str(folder / "everything" / "bench.toml"), "--port", str(ports[0])],
        [*serve, str(folder / "plain" / "bench.toml"), "--port", str(ports[1])],
        [*mlflow, "--port", str(ports[2]), "--env-manager", "local", "--workers", "1"],
        ports,
    )


def body_of(rows: int) -> bytes:
    """That many rows, with the 16 or 17 digits that numbers mostly have."""
    data = np.random.default_rng(0).normal(size=(rows, len(COLUMNS))).tolist()
    return json.dumps({"dataframe_split": {"columns": COLUMNS, "data": data}}).encode()


def of_mlflow() -> dict[str, str]:
    """MLflow starts the uvicorn that it finds first."""
    return {"PATH": f"{Path(peer_python()).parent}{os.pathsep}{os.environ['PATH']}"}


def row_of(
    row: str, peer: str, gate: float, mine: dict[str, float], other: dict[str, float]
) -> dict[str, Any]:
    """One comparison by CPU."""
    return {
        "row": f"{row}, CPU of an answer",
        "peer": peer,
        "ours_s": round(mine["cpu"], 7),
        "peer_s": round(other["cpu"], 7),
        "ratio": round(mine["cpu"] / other["cpu"], 5),
        "gate": round(gate, 5),
        "aim": round(gate, 5),
        "quality_delta": 0,
        "threads": 1,
        "p99_s": [round(mine["p99"], 5), round(other["p99"], 5)],
        "answers_per_second": [round(mine["rate"]), round(other["rate"])],
    }


def bench(folder: Path, seconds: float) -> list[dict[str, Any]]:
    """All rows."""
    servers = prepare(folder)
    rows = []
    with (
        running(servers.everything, servers.ports[0]) as everything,
        running(servers.plain, servers.ports[1]) as plain,
        running(servers.mlflow, servers.ports[2], **of_mlflow()) as peer,
    ):
        for row, count in (("one row", 1), ("100 rows", 100)):
            body = body_of(count)
            for server in (everything, plain, peer):
                load(server, body, seconds=1.0)
            mine, bare, other = in_turns((everything, plain, peer), body, seconds)
            rows.append(row_of(row, PEER_NAME, GATES[row], mine, other))
            if count == 1:
                name = "one row, log, shadow and canary"
                rows.append(row_of(name, "without them", EVERYTHING, mine, bare))
    for found in rows:
        print(json.dumps(found), flush=True)
    return rows


def main() -> int:
    """Writes the rows; exit code 1 when a gate is not held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0)
    with tempfile.TemporaryDirectory(prefix="bench-serving-") as folder:
        rows = bench(Path(folder), parser.parse_args().seconds)
    target = ROOT / "build" / "bench" / "serving.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(rows, indent=1) + "\n")
    missed = [row["row"] for row in rows if row["ratio"] > row["gate"]]
    print(f"{target}: {len(rows)} rows, gates missed: {missed or 'none'}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
