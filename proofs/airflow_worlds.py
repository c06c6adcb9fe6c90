"""Real Airflow on PostgreSQL with the LocalExecutor, in each version that is supported."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from devtools.servers.airflow2_server import Airflow2Server
from devtools.servers.airflow_server import AirflowServer, airflow_python
from devtools.servers.postgres_server import postgres
from devtools.servers.processes import wait_until

VERSIONS = ("airflow-2.9", "airflow-2.11", "airflow-3.3")
ENDED = ("success", "failed")

Scheduler = AirflowServer | Airflow2Server


@contextmanager
def scheduler(
    version: str, folder: Path, dags: Path, variables: Mapping[str, str]
) -> Iterator[Scheduler]:
    """The processes of one version, running, with a database of their own."""
    kind = AirflowServer if version >= "airflow-3" else Airflow2Server
    with postgres() as url:
        server: Scheduler = kind(
            python=airflow_python(version),
            home=folder / "airflow",
            dags=dags,
            database=url,
            environment=variables,
        )
        with server:
            yield server


def finish(airflow: Scheduler, dag_id: str, runs: int, *, within_s: float) -> list[dict[str, Any]]:
    """Wait until the DAG has that many runs and all have ended; the runs."""

    def ended() -> bool:
        found = airflow.runs(dag_id)
        return len(found) >= runs and all(run["state"] in ENDED for run in found)

    wait_until(f"{runs} runs of {dag_id}", within_s, ended, every_s=1.0)
    return airflow.runs(dag_id)


def installed(python: Path, *packages: str) -> dict[str, str]:
    """Versions of some packages of an environment."""
    code = (
        "import json, sys; from importlib.metadata import version;"
        " print(json.dumps({p: version(p) for p in sys.argv[1:]}))"
    )
    done = subprocess.run([str(python), "-c", code, *packages], check=True, stdout=subprocess.PIPE)
    return dict(json.loads(done.stdout))
