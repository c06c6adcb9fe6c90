"""A real Prefect server on SQLite, and process workers of its pools.

    with PrefectServer(python=..., home=...) as prefect:
        prefect.cli("work-pool", "create", "local", "--type", "process")

Port and home are its own. Every process runs in a session of its own and is ended by its process
group, so that the flow runs that a worker started go with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devtools.servers.processes import (
    HEALTHY_WITHIN_S,
    PATIENCE_S,
    ServerError,
    call,
    environment_python,
    free_port,
    launch,
    stop_group,
    wait_until,
)

BUSY_TRIES = 10
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def prefect_python(environment: str = "prefect-3.8") -> Path:
    """The Python of the Prefect environment: as named by a variable, or made by our script."""
    return environment_python(environment, "RETRAIN_OPS_PREFECT_PYTHON")


@dataclass(slots=True)
class PrefectServer:
    """One server; `environment` reaches its workers and every flow run they start.

    :param python: the interpreter of a Prefect environment
    :param home: folder for the database and logs
    :param environment: variables for the flow runs, such as `MLFLOW_TRACKING_URI`
    """

    python: Path
    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    seconds_to_healthy: float = 0.0

    def __enter__(self) -> PrefectServer:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def settings(self) -> dict[str, str]:
        """What makes a process talk to this server and to no other."""
        self.port = self.port or free_port()
        return {
            "PREFECT_HOME": str(self.home),
            "PREFECT_PROFILES_PATH": str(self.home / "profiles.toml"),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "600",
            "PREFECT_CLI_PROMPT": "false",
            "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.5",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PATH": f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }

    def variables(self) -> dict[str, str]:
        """The whole environment of a process."""
        return {**os.environ, **self.settings(), **self.environment}

    def start(self) -> None:
        """Returns when the server answers."""
        self.home.mkdir(parents=True, exist_ok=True)
        arguments = ("server", "start", "--host", "127.0.0.1", "--port")
        self.settings()
        self._spawn("server", *arguments, str(self.port))
        self.seconds_to_healthy = wait_until("Prefect", HEALTHY_WITHIN_S, self._healthy)

    def start_worker(self, pool: str, *, name: str = "worker") -> subprocess.Popen[bytes]:
        """A process worker; each flow run is a process of its own."""
        arguments = ("worker", "start", "--pool", pool, "--type", "process", "--name", name)
        return self._spawn(name, *arguments)

    def stop(self) -> None:
        """Ends the workers, then the server."""
        for name in sorted(self.processes, key=lambda name: name == "server"):
            stop_group(self.processes.pop(name))

    def cli(self, *arguments: str, cwd: Path | None = None, timeout_s: float = 600.0) -> str:
        """Run `prefect <arguments>`; its standard output.

        Raises `ServerError` with the command and what it printed when it fails.
        """
        command = [self.python, "-m", "prefect", *arguments]
        return call(command, variables=self.variables(), timeout_s=timeout_s, cwd=cwd)

    def api(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call the REST API; the decoded answer.

        Raises `urllib.error.HTTPError` for an error status.
        """
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.api_url + path,
            data=data,
            headers={"Content-Type": "application/json"},
            method=method,
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for attempt in range(BUSY_TRIES):
            try:
                with opener.open(request, timeout=120) as response:
                    return json.loads(response.read() or b"null")
            except urllib.error.HTTPError as error:
                # SQLite was locked by another request, and nothing was done.
                if error.code != 503 or attempt + 1 == BUSY_TRIES:
                    raise
                time.sleep(1.0)

    def create_run(self, deployment: str, **body: Any) -> str:
        """Starts `<flow>/<deployment>`; the flow run's id."""
        flow, _, name = deployment.partition("/")
        found = self.api("GET", f"/deployments/name/{flow}/{name}")
        body.setdefault("idempotency_key", uuid.uuid4().hex)
        run = self.api("POST", f"/deployments/{found['id']}/create_flow_run", body)
        return str(run["id"])

    def wait_for_run(
        self, run_id: str, *, within_s: float = PATIENCE_S, also: tuple[str, ...] = ()
    ) -> dict[str, Any]:
        """The flow run in a final state, or in one of the state types `also`."""
        wanted = (*FINAL, *also)

        def over() -> bool:
            return self.run(run_id)["state"]["type"] in wanted

        wait_until(f"flow run {run_id}", within_s, over)
        return self.run(run_id)

    def run(self, run_id: str) -> dict[str, Any]:
        """A flow run as the API shows it."""
        found: dict[str, Any] = self.api("GET", f"/flow_runs/{run_id}")
        return found

    def logs(self, run_id: str) -> list[str]:
        """The log lines of a flow run, its tasks' included."""
        body = {"logs": {"flow_run_id": {"any_": [run_id]}}, "sort": "TIMESTAMP_ASC"}
        return [line["message"] for line in self.api("POST", "/logs/filter", body)]

    def events(self, prefix: str) -> list[dict[str, Any]]:
        """Events whose name begins with `prefix`, of the last day."""
        body = {"filter": {"event": {"prefix": [prefix]}}, "limit": 50}
        return list(self.api("POST", "/events/filter", body)["events"])

    def log_of(self, name: str) -> str:
        """What the server or a worker printed."""
        return (self.home / "logs" / f"{name}.log").read_text(errors="replace")

    def _spawn(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        self.processes[name] = launch(
            [self.python, "-m", "prefect", *arguments],
            log=self.home / "logs" / f"{name}.log",
            variables=self.variables(),
            cwd=self.home,
        )
        return self.processes[name]

    def _healthy(self) -> bool:
        process = self.processes["server"]
        if process.poll() is not None:
            tail = self.log_of("server")[-3000:]
            raise ServerError(f"the Prefect server ended with {process.returncode}:\n{tail}")
        try:
            return self.api("GET", "/health") is True
        except (urllib.error.URLError, OSError):
            return False
