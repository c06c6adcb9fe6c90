"""A real Airflow 2 on PostgreSQL: scheduler and triggerer, with the LocalExecutor.

The scheduler parses the DAG files itself. Nothing here needs the webserver, so none is started:
what became of runs is read from the metadata database.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extras

from devtools.servers.processes import (
    HEALTHY_WITHIN_S,
    ServerError,
    call,
    launch,
    stop_group,
    wait_until,
)

PROCESSES = ("scheduler", "triggerer")
# The job of each process, which beats in the database while it is well.
JOBS = ("SchedulerJob", "TriggererJob")

# `airflow dags backfill` forks its workers while its own connection lies idle in the pool, and
# each worker begins by closing the pool it inherited: the server ends the parent's connection,
# sometimes in the middle of a query. Without a pool there is nothing to inherit.
BACKFILL_ENVIRONMENT = {"AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_ENABLED": "False"}


@dataclass(slots=True)
class Airflow2Server:
    """Two processes over one database; `environment` reaches every task.

    :param python: the interpreter of an Airflow 2 environment
    :param home: folder for logs; kept when the servers stop
    :param dags: the DAG folder
    :param database: SQLAlchemy URL of a PostgreSQL database
    :param environment: variables for the tasks, such as `MLFLOW_TRACKING_URI`
    """

    python: Path
    home: Path
    dags: Path
    database: str
    environment: Mapping[str, str] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    seconds_to_healthy: float = 0.0

    def __enter__(self) -> Airflow2Server:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def variables(self) -> dict[str, str]:
        """The whole environment of the processes."""
        settings = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database,
            "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "15",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "PATH": f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }
        return {**os.environ, **settings, **self.environment}

    def migrate(self) -> None:
        """Create the tables, or bring them up to date."""
        self.home.mkdir(parents=True, exist_ok=True)
        self.cli("db", "migrate")

    def start(self) -> None:
        """Migrate and start the processes; returns when all are healthy."""
        self.migrate()
        for name in PROCESSES:
            self.processes[name] = launch(
                [self.python, "-m", "airflow", name],
                log=self.home / "servers" / f"{name}.log",
                variables=self.variables(),
            )
        self.seconds_to_healthy = wait_until("Airflow 2", HEALTHY_WITHIN_S, self._healthy)

    def stop(self) -> None:
        """End all processes, the one that hands out work first."""
        for name in PROCESSES:
            process = self.processes.pop(name, None)
            if process is not None:
                stop_group(process)

    def cli(self, *arguments: str, timeout_s: float = 180.0) -> str:
        """Run `airflow <arguments>`; its standard output, or `ServerError`."""
        command = [self.python, "-m", "airflow", *arguments]
        return call(command, variables=self.variables(), timeout_s=timeout_s)

    def wait_for_dag(self, dag_id: str, *, within_s: float = HEALTHY_WITHIN_S) -> None:
        """Wait until the scheduler has put the DAG into the database."""
        query = "SELECT 1 FROM serialized_dag WHERE dag_id = %s"
        wait_until(f"DAG {dag_id}", within_s, lambda: bool(self.query(query, dag_id)))

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler start its runs."""
        self.cli("dags", "unpause", dag_id)

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """All runs of a DAG, oldest logical date first; the fields are called as on 3.x."""
        return self.query(
            "SELECT run_id AS dag_run_id, run_type, state, execution_date AS logical_date,"
            " start_date, end_date FROM dag_run WHERE dag_id = %s ORDER BY execution_date",
            dag_id,
        )

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        """The task instances of a run by task id."""
        found = self.query(
            "SELECT task_id, state, try_number, pid, start_date, end_date FROM task_instance"
            " WHERE dag_id = %s AND run_id = %s",
            *(dag_id, run_id),
        )
        return {ti["task_id"]: ti for ti in found}

    def backfill(self, dag_id: str, first: str, last: str, *, within_s: float) -> str:
        """`airflow dags backfill --reset-dagruns` from day to day, both included.

        The command runs the tasks itself and returns when they are over. Its -e is an instant: a
        bare day would end at its midnight and leave the run of 02:00 out.
        """
        arguments = (
            *("dags", "backfill", "-s", first, "-e", f"{last}T23:59:59"),
            *("--reset-dagruns", "-y", dag_id),
        )
        variables = {**self.variables(), **BACKFILL_ENVIRONMENT}
        return call(self.python, arguments, variables=variables, timeout_s=within_s)

    def query(self, text: str, *values: object) -> list[dict[str, Any]]:
        """Rows of the metadata database."""
        with (
            closing(psycopg2.connect(self.database.replace("+psycopg2", ""))) as connection,
            connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor,
        ):
            cursor.execute(text, values)
            return [dict(row) for row in cursor.fetchall()]

    def _healthy(self) -> bool:
        for name, process in self.processes.items():
            if process.poll() is not None:
                log = self.home / "servers" / f"{name}.log"
                tail = log.read_text(errors="replace")[-3000:]
                raise ServerError(f"airflow {name} ended with {process.returncode}:\n{tail}")
        beating = self.query(
            "SELECT DISTINCT job_type FROM job WHERE state = 'running'"
            " AND latest_heartbeat > now() - interval '30 seconds'"
        )
        return set(JOBS) <= {row["job_type"] for row in beating}
