"""Why `airflow dags backfill` of Airflow 2 loses its connection, and that it no longer does.

The command forks the LocalExecutor's workers while its own connection lies idle in SQLAlchemy's
pool. A worker's first act is to dispose of the pool it inherited, which says goodbye on the socket
that it shares with the command: PostgreSQL ends the connection, and if the command has just taken
it from the pool (its ping is answered) the next query fails. Without a pool there is nothing to
inherit. Here the same re-run is repeated with and without.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from devtools.servers.airflow2_server import BACKFILL_ENVIRONMENT, Airflow2Server
from devtools.servers.airflow_server import airflow_python
from devtools.servers.postgres_server import postgres
from devtools.servers.processes import ServerError, call

REPEATS = 20
SYMPTOMS = ("server closed the connection", "invalid transaction", "SSL SYSCALL", "e3q8", "8s2b")
COMMAND = (
    *("dags", "backfill", "-s", "2020-02-01", "-e", "2020-02-01T23:59:59"),
    *("--reset-dagruns", "-y", "two"),
)
DAG_FILE = """\
from datetime import datetime, timezone
from airflow import DAG
from airflow.operators.python import PythonOperator
from airflow.timetables.trigger import CronTriggerTimetable

with DAG(
    "two",
    schedule=CronTriggerTimetable("0 2 * * *", timezone="UTC"),
    start_date=datetime(2020, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
):
    PythonOperator(task_id="a", python_callable=print) >> PythonOperator(
        task_id="b", python_callable=print
    )
"""


def prove(folder: Path) -> dict[str, Any]:
    """Failures of the repeated command with the pool (as by default) and without."""
    (folder / "dags").mkdir()
    (folder / "dags" / "two.py").write_text(DAG_FILE)
    return {
        "repeats": REPEATS,
        "with the pool": _repeat(folder, "pool", {}),
        "without": _repeat(folder, "no_pool", BACKFILL_ENVIRONMENT),
    }


def _repeat(folder: Path, name: str, settings: dict[str, str]) -> dict[str, Any]:
    """A new database each; nothing else runs on it."""
    with postgres() as url:
        python = airflow_python("airflow-2.11")
        airflow = Airflow2Server(python, folder / name, folder / "dags", url)
        airflow.migrate()
        begun, outcomes = time.monotonic(), [_once(airflow, settings) for _ in range(REPEATS)]
        return {
            "failed": sum(outcome != "" for outcome in outcomes),
            "lost_the_connection": sum(outcome == "lost" for outcome in outcomes),
            "seconds_each": round((time.monotonic() - begun) / REPEATS, 1),
        }


def _once(airflow: Airflow2Server, settings: dict[str, str]) -> str:
    variables = {**airflow.variables(), **settings}
    try:
        command = (airflow.python, "-m", "airflow", *COMMAND)
        call(command, variables=variables, timeout_s=120)
    except ServerError as error:
        return "lost" if any(symptom in str(error) for symptom in SYMPTOMS) else "other"
    return ""
