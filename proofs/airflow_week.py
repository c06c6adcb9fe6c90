"""The demo's week by the real scheduler of every Airflow that is supported, beside the CLI's.

Each version has a database, an MLflow, a workspace and an environment of its own. The scheduler
creates the seven runs itself, one after the other. What the days decided must be the same bytes
everywhere.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from devtools.flights_week import week
from devtools.flights_week.places import DAG_ID, SPEC, Places, chosen_week
from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from proofs import same_bytes
from proofs.airflow_worlds import VERSIONS, finish, installed, scheduler

WITHIN_S = 900.0
DAG_FILE = """\
from datetime import datetime, timezone
from retrain_ops.airflow import retraining_dag

dag = retraining_dag(
    {spec!r},
    dag_id={dag_id!r},
    start_date=datetime({first:%Y, %-m, %-d}, tzinfo=timezone.utc),
    end_date=datetime({last:%Y, %-m, %-d}, 23, 59, tzinfo=timezone.utc),
    catchup=True,
    retries=0,
)
"""


def prove(folder: Path) -> dict[str, Any]:
    """Plays the week four times and compares."""
    days = chosen_week()
    found = {version: play(version, folder / version, days) for version in VERSIONS}
    with MlflowServer(folder / "mlflow_cli", mlflow_python()) as mlflow:
        for day in (bootstrap_day(days), *days):
            same_bytes._play(mlflow.url, folder / "cli", day, bootstrap=day < days[0])
    contents = {v: contents_of(folder / v / "workspace") for v in VERSIONS}
    return {"versions": found, **compared(contents, contents_of(folder / "cli"))}


def compared(contents: dict[str, dict[str, str]], command_line: dict[str, str]) -> dict[str, Any]:
    """Which files of any version are not what the command line wrote."""
    differ = {version: differences(here, command_line) for version, here in contents.items()}
    names = list(command_line)
    return {
        "files_compared": len(names),
        "decisions": sum(name.endswith("decision.json") for name in names),
        "differ": differ,
        "same_bytes": not any(differ.values()),
    }


def differences(one: dict[str, str], two: dict[str, str]) -> list[str]:
    """Files that only one has, or whose bytes are not the same."""
    return sorted(name for name in one.keys() | two.keys() if one.get(name) != two.get(name))


def play(version: str, folder: Path, days: tuple[date, ...], spec: Path = SPEC) -> dict[str, Any]:
    """The week in one version; states and seconds."""
    places = Places(folder=folder, state=folder, source=Places.default().source)
    dags = write_dag(folder / "dags", days, spec)
    with ExitStack() as stack:
        mlflow = stack.enter_context(MlflowServer(folder / "mlflow", mlflow_python()))
        week.bootstrap(places, bootstrap_day(days), mlflow.url, spec)
        airflow = stack.enter_context(
            scheduler(version, folder, dags, places.variables(mlflow.url))
        )
        airflow.wait_for_dag(DAG_ID)
        begun = time.monotonic()
        airflow.unpause(DAG_ID)
        runs = finish(airflow, DAG_ID, len(days), within_s=WITHIN_S)
        seconds = time.monotonic() - begun
        packages = ("apache-airflow", "numpy", "pyarrow", "pandas", "sqlalchemy")
        return {
            **installed(airflow.python, *packages),
            "states": [run["state"] for run in runs],
            "run_types": sorted({str(run["run_type"]) for run in runs}),
            "seconds_for_the_week": round(seconds, 1),
        }


def write_dag(folder: Path, days: tuple[date, ...], spec: Path) -> Path:
    """A DAG folder whose scheduler creates a run for each of the days and for no other."""
    folder.mkdir(parents=True)
    text = DAG_FILE.format(spec=str(spec), dag_id=DAG_ID, first=days[0], last=days[-1])
    (folder / "flights.py").write_text(text)
    return folder


def bootstrap_day(days: tuple[date, ...]) -> date:
    """The Monday before, as in the demo."""
    return days[0] - timedelta(days=7)


def contents_of(workspace: Path) -> dict[str, str]:
    """Hashes of what the days decided and trained, by path below the workspace."""
    return {
        str(path.relative_to(workspace)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(workspace.rglob("*"))
        if path.name in same_bytes.FILES and "attempts" not in path.parts
    }
