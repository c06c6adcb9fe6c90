"""A real MLflow server on a free port of this machine, with SQLite in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from devtools.servers.processes import environment_python, free_port, launch, stop_group

START_TIMEOUT_S = 180.0
ADMIN, ADMIN_PASSWORD = "admin", "a-password-for-tests-only"


def mlflow_python(environment: str = "mlflow-3.17") -> Path:
    """The Python of the server's environment: as named by a variable, or made by our script."""
    variable = "RETRAIN_OPS_MLFLOW_PYTHON" if environment == "mlflow-3.17" else ""
    return environment_python(environment, variable)


@dataclass(slots=True)
class MlflowServer:
    """A server that lives as long as its `with` block.

    `backend` is a database URL (default: SQLite in the folder). With `users` it asks
    for names and passwords; its administrator is `ADMIN` with `ADMIN_PASSWORD`.
    """

    folder: Path
    python: Path
    port: int = 0
    backend: str = ""
    users: bool = False
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> MlflowServer:
        for attempt in range(3):
            self.port = free_port()
            try:
                self._start()
                if self._wait():
                    return self
            except BaseException:  # an interrupt, which must not leave the server behind
                self.stop()
                raise
            self.stop()
            print(f"the MLflow server did not start (attempt {attempt + 1})", file=sys.stderr)
        raise RuntimeError(f"the MLflow server did not start:\n{self.log()[-4000:]}")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def log(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")

    def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            *(str(self.python), "-m", "mlflow", "server"),
            *("--backend-store-uri", self.backend or f"sqlite:///{self.folder}/mlflow.db"),
            *("--artifacts-destination", str(self.folder / "artifacts")),
            "--serve-artifacts",
            *("--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"),
        ]
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PYTHON"))}
        # Its job runner is seven processes and a gigabyte that nobody here needs.
        clean |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        if self.users:
            command += ["--app-name", "basic-auth"]
            clean |= self._users()
        log = self.folder / "server.log"
        self.process = launch(command, log=log, variables=clean, cwd=self.folder)

    def _users(self) -> dict[str, str]:
        """What MLflow's basic-auth app wants to know."""
        config = self.folder / "users.ini"
        config.write_text(
            "[mlflow]\n"
            "default_permission = READ\n"
            f"database_uri = sqlite:///{self.folder}/users.db\n"
            f"admin_username = {ADMIN}\n"
            f"admin_password = {ADMIN_PASSWORD}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )
        return {
            "MLFLOW_AUTH_CONFIG_PATH": str(config),
            "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN_PASSWORD,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "for tests only",
        }

    def _wait(self) -> bool:
        assert self.process is not None
        end = time.monotonic() + START_TIMEOUT_S
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with opener.open(f"{self.url}/health", timeout=5) as answer:
                    if answer.status == 200:
                        return True
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        return False

    def stop(self) -> None:
        """Ends the server and its workers, which are a session of their own."""
        if self.process is not None:
            stop_group(self.process)
        self.process = None


if __name__ == "__main__":
    # python -m devtools.servers.mlflow_server <folder>: runs until interrupted.
    with MlflowServer(Path(sys.argv[1]).absolute(), mlflow_python()) as server:
        print(server.url, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
