"""A real Airflow 3: scheduler, dag-processor, api-server and triggerer.

    with AirflowServer(python=..., home=..., dags=...) as airflow:
        airflow.cli("backfill", "create", ...)

Used by the demo and by tests. Every process runs in a session of its own and is ended by its
process group, so that the workers that a scheduler forked go with it.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devtools.servers.processes import (
    HEALTHY_WITHIN_S,
    ServerError,
    call,
    environment_python,
    free_port,
    launch,
    stop_group,
    wait_until,
)

BACKFILL_ATTEMPTS = 4
PROCESSES = ("api-server", "scheduler", "dag-processor", "triggerer")
# What /monitor/health calls them.
HEALTH_KEYS = ("metadatabase", "scheduler", "triggerer", "dag_processor")


def airflow_python(environment: str = "airflow-3.3") -> Path:
    """The Python of an Airflow environment: as named by a variable, or made by our script."""
    variable = "RETRAIN_OPS_AIRFLOW_PYTHON" if environment == "airflow-3.3" else ""
    return environment_python(environment, variable)


@dataclass(slots=True)
class AirflowServer:
    """Four processes over one home folder; `environment` reaches every task.

    :param python: the interpreter of an Airflow 3 environment
    :param home: folder for the metadata database and logs; kept when the servers stop
    :param dags: the DAG folder
    :param environment: variables for the tasks, such as `MLFLOW_TRACKING_URI`
    :param database: SQLAlchemy URL of the metadata; by default SQLite in the home
    :param port: of the web interface; 0 picks a free one
    """

    python: Path
    home: Path
    dags: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    database: str = ""
    port: int = 0
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    seconds_to_healthy: float = 0.0
    _token: str = ""

    def __enter__(self) -> AirflowServer:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def variables(self) -> dict[str, str]:
        """The whole environment of the processes; secrets are made once per home."""
        self.port = self.port or free_port()
        settings = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": self._secret("api"),
            "AIRFLOW__API_AUTH__JWT_SECRET": self._secret("jwt"),
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "15",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "PATH": f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }
        if self.database:
            settings["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = self.database
        return {**os.environ, **settings, **self.environment}

    def migrate(self) -> None:
        """Create the metadata database, or bring it up to date."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.cli("db", "migrate")

    def start(self) -> None:
        """Migrate and start the four processes; returns when all are healthy."""
        self.migrate()
        for name in PROCESSES:
            self.start_process(name)
        self.seconds_to_healthy = wait_until("Airflow", HEALTHY_WITHIN_S, self._healthy)

    def start_process(self, name: str) -> subprocess.Popen[bytes]:
        """Start one of `PROCESSES`; its output goes to `<home>/servers/<name>.log`."""
        self.processes[name] = launch(
            [self.python, "-m", "airflow", name],
            log=self.home / "servers" / f"{name}.log",
            variables=self.variables(),
        )
        return self.processes[name]

    def restart_process(self, name: str) -> subprocess.Popen[bytes]:
        """End one of `PROCESSES` with all that it started, and start it again."""
        stop_group(self.processes[name])
        return self.start_process(name)

    def stop(self) -> None:
        """End all processes, the one that hands out work first."""
        for name in ("scheduler", "triggerer", "dag-processor", "api-server"):
            process = self.processes.pop(name, None)
            if process is not None:
                stop_group(process)

    def cli(self, *arguments: str, timeout_s: float = 600.0) -> str:
        """Run `airflow <arguments>`; its standard output, or `ServerError`."""
        command = [self.python, "-m", "airflow", *arguments]
        return call(command, variables=self.variables(), timeout_s=timeout_s)

    def api(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Call the REST API below `/api/v2`; the decoded answer.

        Raises `urllib.error.HTTPError` for an error status.
        """
        if not self._token:
            self._token = str(self._call("GET", "/auth/token", None)["access_token"])
        return self._call(method, f"/api/v2{path}", body)

    def wait_for_dag(self, dag_id: str, *, within_s: float = HEALTHY_WITHIN_S) -> None:
        """Wait until the dag-processor has put the DAG into the database."""

        def known() -> bool:
            try:
                self.api("GET", f"/dags/{dag_id}")
            except urllib.error.HTTPError as error:
                if error.code != 404:
                    raise
                return False
            return True

        wait_until(f"DAG {dag_id}", within_s, known)

    def unpause(self, dag_id: str) -> None:
        """Let the DAG run; backfills of a paused DAG stay queued for ever."""
        self.api("PATCH", f"/dags/{dag_id}", {"is_paused": False})

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """All runs of a DAG, oldest logical date first."""
        answer = self.api("GET", f"/dags/{dag_id}/dagRuns?limit=1000&order_by=logical_date")
        return list(answer["dag_runs"])

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        """The task instances of a run by task id."""
        answer = self.api("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=1000")
        return {ti["task_id"]: ti for ti in answer["task_instances"]}

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str) -> None:
        """Answer a task's question, if it waits with one.

        To be repeated until the task has ended: Airflow 3.3 fails a task that is answered before
        its scheduler has seen it lie down, forgets the answer, and the next try asks anew.
        """
        if self.tasks(dag_id, run_id)[task_id]["state"] != "awaiting_input":
            return
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        try:
            self.api("PATCH", path, {"chosen_options": [option], "params_input": {}})
        except urllib.error.HTTPError as error:
            if error.code != 409:  # it has that answer, and is about to wake up
                raise

    def backfill(
        self, dag_id: str, first: str, last: str, *, reprocess: str, within_s: float
    ) -> dict[str, Any]:
        """`airflow backfill create` from day to day, both included; returns when it is over.

        The command's --to-date is an instant: a bare day would end at its midnight and leave
        the run of 02:00 out.
        """

        def command() -> None:
            self.cli(
                *("backfill", "create", "--dag-id", dag_id),
                *("--from-date", first, "--to-date", f"{last}T23:59:59"),
                *("--reprocess-behavior", reprocess, "--max-active-runs", "1"),
            )

        return self.finished(self._created(dag_id, command), within_s)

    def reprocess_day(self, dag_id: str, day: str, *, within_s: float) -> dict[str, Any]:
        """One day by the REST API, which saves the seconds that the command takes to start."""
        return self.finished(self.start_day(dag_id, day), within_s)

    def start_day(self, dag_id: str, day: str) -> int:
        """Create the backfill of one day; its number, for `finished`."""
        body = {
            "dag_id": dag_id,
            "from_date": f"{day}T00:00:00Z",
            "to_date": f"{day}T23:59:59Z",
            "reprocess_behavior": "completed",
            "max_active_runs": 1,
        }
        return self._created(dag_id, lambda: self.api("POST", "/backfills", body))

    def _created(self, dag_id: str, create: Callable[[], object]) -> int:
        """The number of the backfill that `create` makes.

        Creating one reads and then writes in one transaction, which SQLite refuses, half-way,
        when a server wrote in between; a database with row locks knows no such refusal.
        """
        for attempt in range(1, BACKFILL_ATTEMPTS + 1):
            self._clear_the_way(dag_id)
            known = {entry["id"] for entry in self._backfills(dag_id)}
            try:
                create()
                break
            except (ServerError, urllib.error.HTTPError) as error:
                locked = "database is locked" in str(error) or getattr(error, "code", 0) == 503
                if not locked or attempt == BACKFILL_ATTEMPTS:
                    raise
        created = [entry["id"] for entry in self._backfills(dag_id) if entry["id"] not in known]
        if len(created) != 1:
            raise ServerError(f"{len(created)} backfills of {dag_id} were created, not one")
        return int(created[0])

    def _clear_the_way(self, dag_id: str) -> None:
        """Cancel what an interrupted command left behind: a DAG has one backfill at a time."""

        def idle() -> bool:
            cancelled = [
                self._cancelled(entry["id"])
                for entry in self._backfills(dag_id)
                if entry["completed_at"] is None
            ]
            runs = self.runs(dag_id)
            return all(cancelled) and all(run["state"] in ("success", "failed") for run in runs)

        wait_until(f"the runs of {dag_id}", HEALTHY_WITHIN_S, idle)

    def _cancelled(self, number: int) -> bool:
        """False while SQLite refuses, as it does when a server writes at the same time."""
        try:
            self.api("PUT", f"/backfills/{number}/cancel")
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise
            return False
        return True

    def finished(self, number: int, within_s: float) -> dict[str, Any]:
        """Wait for the end of a backfill; what the REST API says of it."""
        path = f"/backfills/{number}"
        wait_until(
            f"backfill {number}",
            within_s,
            lambda: self.api("GET", path)["completed_at"] is not None,
            every_s=1.0,
        )
        return self.api("GET", path)

    def _backfills(self, dag_id: str) -> list[dict[str, Any]]:
        return list(self.api("GET", f"/backfills?dag_id={dag_id}&limit=1000")["backfills"])

    def _healthy(self) -> bool:
        for name, process in self.processes.items():
            if process.poll() is not None:
                log = self.home / "servers" / f"{name}.log"
                tail = log.read_text(errors="replace")[-3000:]
                raise ServerError(f"airflow {name} ended with {process.returncode}:\n{tail}")
        try:
            health = self._call("GET", "/api/v2/monitor/health", None)
        except (urllib.error.URLError, OSError):
            return False
        return all((health.get(key) or {}).get("status") == "healthy" for key in HEALTH_KEYS)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=120) as response:
            answer: dict[str, Any] = json.loads(response.read() or b"{}")
        return answer

    def _secret(self, name: str) -> str:
        """64 characters, the same for every process that uses this home."""
        file = self.home / f".{name}_secret"
        if not file.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_text(secrets.token_hex(32))
        return file.read_text()
