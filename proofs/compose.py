"""The services of docker-compose.yml started natively, as the file says, and one run of the DAG.

Commands, variables, dependencies, health checks and the databases' SQL are read from the file. What
a container engine would give is given here: a program folder for an image, a folder for a volume, a
port of this machine for a service's name.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import subprocess
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg2
import yaml

from devtools.flights_week.places import DAG_ID, ROOT, chosen_week
from devtools.servers.airflow_server import airflow_python
from devtools.servers.mlflow_server import mlflow_python
from devtools.servers.postgres_server import postgres
from devtools.servers.processes import environment_python, free_port, stop_group, wait_until

WITHIN_S = 300.0
HOME = "/opt/airflow"  # the image's AIRFLOW_HOME


@dataclass
class Machine:
    """What stands for the engine: texts of the file, as they read on this machine."""

    folder: Path
    services: dict[str, Any]
    texts: list[tuple[str, str]]
    ports: dict[str, str]
    programs: dict[str, Path]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    # The server of the databases runs already; its entry point's work is `_databases`.
    seconds: dict[str, float] = field(default_factory=lambda: {"postgres": 0.0})

    def here(self, text: str) -> str:
        """A text of the file with this machine's ports and folders."""
        for there, here in self.texts:
            text = text.replace(there, here)
        return re.sub(r"\b(5000|8000|8080)\b", lambda found: self.ports[found[1]], text)

    def variables(self, name: str) -> dict[str, str]:
        """A service's environment."""
        given = {k: self.here(str(v)) for k, v in self.services[name]["environment"].items()}
        path = f"{self.programs[self.services[name]['build']['target']]}:{os.environ['PATH']}"
        return {**_clean(), "AIRFLOW_HOME": self.here(HOME), **given, "PATH": path}

    def call(self, name: str, command: list[str]) -> tuple[int, str]:
        """Run a command as inside a service; its exit code and output."""
        variables = self.variables(name)
        done = subprocess.run(
            [self.here(word) for word in command],
            env=variables,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def up(self, name: str) -> None:
        """Start a service after those that it depends on, each as far as it asks for."""
        service = self.services[name]
        for needed, how in service.get("depends_on", {}).items():
            if needed not in self.seconds:
                self.up(needed)
            if how["condition"] == "service_healthy" and needed != "postgres":
                wait_until(needed, WITHIN_S, lambda needed=needed: self.healthy(needed))
        begun = time.monotonic()
        if name in self.running or name in self.seconds:
            return
        if service.get("restart") == "no":
            code, printed = self.call(name, service["command"])
            if code:
                raise RuntimeError(f"{name}: {code}\n{printed[-3000:]}")
        else:
            self.running[name] = self._launch(name)
        self.seconds[name] = round(time.monotonic() - begun, 1)

    def healthy(self, name: str) -> bool:
        """The service's own health check; a service that ended is an error."""
        if self.running[name].poll() is not None:
            log = (self.folder / f"{name}.log").read_text(errors="replace")
            raise RuntimeError(f"{name} ended:\n{log[-3000:]}")
        kind, *command = self.services[name]["healthcheck"]["test"]
        assert kind == "CMD"
        return self.call(name, command)[0] == 0

    def down(self) -> None:
        """End everything, the newest first."""
        for process in reversed(self.running.values()):
            stop_group(process)

    def _launch(self, name: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [self.here(word) for word in self.services[name]["command"]],
                env=self.variables(name),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )


def prove(folder: Path) -> dict[str, Any]:
    """Starts all of it, bootstraps a champion, and has the scheduler run one day."""
    with ExitStack() as stack:
        machine = _machine(folder, stack.enter_context(postgres()))
        stack.callback(machine.down)
        for name in machine.services:
            machine.up(name)
        day = chosen_week()[1]
        assert not machine.healthy("serve"), "it is ready though nobody was promoted"
        _bootstrap(machine, (chosen_week()[0] - timedelta(days=7)).isoformat())
        wait_until("serve", WITHIN_S, lambda: machine.healthy("serve"))
        _backfill(machine, day.isoformat())
        states = _wait(machine)
        features = _query(machine, "features", "SELECT count(*) FROM flight_features")
        return {
            "services": sorted(machine.seconds),
            "states": states,
            "tasks": dict(_query(machine, "airflow", TASKS)),
            "feature_rows_in_postgres": features[0][0],
            "mlflow_versions": _query(machine, "mlflow", "SELECT count(*) FROM model_versions")[0][
                0
            ],
        }


BACKFILL = ("airflow", "backfill", "create", "--dag-id", DAG_ID, "--max-active-runs", "1")
VERSIONS = "SELECT count(*) FROM model_versions"
TASKS = "SELECT task_id, state FROM task_instance"


def _machine(folder: Path, database: str) -> Machine:
    compose = yaml.safe_load(_filled((ROOT / "docker-compose.yml").read_text()))
    server = re.sub(r".*@(.+)/.*", r"\1", database)
    ports = {name: str(free_port()) for name in ("5000", "8000", "8080")}
    texts = [("@postgres/", f"@{server}/"), ("0.0.0.0", "127.0.0.1")]
    for name, port in (("mlflow", "5000"), ("airflow-api-server", "8080")):
        texts.append((f"{name}:{port}", f"127.0.0.1:{ports[port]}"))
    texts += _folders(folder, compose["services"])
    programs = {"airflow": airflow_python().parent, "mlflow": mlflow_python().parent}
    programs["serve"] = environment_python("serve", "").parent
    _databases(database, compose)
    return Machine(folder, compose["services"], texts, ports, programs)


def _filled(text: str) -> str:
    """The file with a secret for each name that it asks for."""
    made: dict[str, str] = {}

    def secret(match: re.Match[str]) -> str:
        random = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        return made.setdefault(match[1], random if "FERNET" in match[1] else random.strip("=-_"))

    return re.sub(r"\$\{(\w+):\?[^}]*\}", secret, text)


def _folders(folder: Path, services: dict[str, Any]) -> list[tuple[str, str]]:
    """Volumes as folders, the deepest first, and the image's home."""
    found = {HOME: folder / "airflow"}
    for service in services.values():
        for volume in service.get("volumes", []):
            source, target = volume.split(":")[:2]
            found[target] = ROOT / source if source.startswith(".") else folder / "volumes" / source
    for path in found.values():
        path.mkdir(parents=True, exist_ok=True)
    return sorted(((k, str(v)) for k, v in found.items()), key=lambda pair: -len(pair[0]))


def _databases(url: str, compose: dict[str, Any]) -> None:
    """What the image's entry point does: the role, its database, then the file's SQL."""
    wanted = compose["services"]["postgres"]["environment"]
    role, name = wanted["POSTGRES_USER"], wanted["POSTGRES_DB"]
    statements = [
        f"CREATE ROLE {role} SUPERUSER LOGIN PASSWORD '{wanted['POSTGRES_PASSWORD']}'",
        f"CREATE DATABASE {name} OWNER {role}",
        *compose["configs"]["databases"]["content"].strip().splitlines(),
    ]
    with closing(psycopg2.connect(url.replace("+psycopg2", ""))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


def _bootstrap(machine: Machine, day: str) -> None:
    command = ["python", "-m", "retrain_ops.cli", "run", "--bootstrap", "--date", day]
    code, printed = machine.call(
        "airflow-scheduler", [*command, "--spec", f"{HOME}/dags/flights.toml"]
    )
    if code:
        raise RuntimeError(printed)


def _backfill(machine: Machine, day: str) -> None:
    def known() -> bool:
        found = _query(machine, "airflow", "SELECT dag_id FROM serialized_dag")
        return (DAG_ID,) in found

    wait_until(f"DAG {DAG_ID}", WITHIN_S, known)
    for command in (
        ["airflow", "dags", "unpause", DAG_ID, "--yes"],
        [*BACKFILL, "--from-date", day, "--to-date", f"{day}T23:59:59"],
    ):
        code, printed = machine.call("airflow-scheduler", command)
        if code:
            raise RuntimeError(printed)


def _wait(machine: Machine) -> list[str]:
    states: list[str] = []

    def ended() -> bool:
        states[:] = [s for (s,) in _query(machine, "airflow", "SELECT state FROM dag_run")]
        return bool(states) and all(state in ("success", "failed") for state in states)

    wait_until("the run", WITHIN_S, ended, every_s=1.0)
    return states


def _query(machine: Machine, database: str, text: str) -> list[tuple[Any, ...]]:
    url = machine.here(
        machine.services["airflow-scheduler"]["environment"]["FLIGHTS_FEATURES_DB"]
    ).replace("+psycopg2", "")
    with (
        closing(psycopg2.connect(url.rpartition("/")[0] + f"/{database}")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(text)
        return cursor.fetchall()


def _clean() -> dict[str, str]:
    """This process's environment without anything that a container would not have."""
    ours = ("AIRFLOW_", "MLFLOW_", "PYTHON", "FLIGHTS_", "RETRAIN_OPS_")
    return {k: v for k, v in os.environ.items() if not k.startswith(ours)}
