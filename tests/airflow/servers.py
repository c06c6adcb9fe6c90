"""Airflow 3, MLflow and Slack as all tests of a session share them.

A start of Airflow costs half a minute of two cores, so there is one. A test module brings DAGs,
models and a workspace of its own under names that no other module uses, and waits for conditions.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from devtools.servers.airflow_server import AirflowServer
from devtools.servers.mlflow_server import MlflowServer
from devtools.servers.postgres_server import postgres
from devtools.servers.processes import PATIENCE_S, wait_until
from devtools.servers.slack_server import SlackServer

REPO = Path(__file__).resolve().parents[2]

SETTINGS = {
    # Tasks wait more than they work: a killed one for its death to be noticed, a held one for us.
    "AIRFLOW__CORE__PARALLELISM": "6",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
    "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "1",
    # A new file is parsed at once, and never again.
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "1",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "86400",
    "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "600",
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "600",
    # A death is noticed within half a minute; a busy machine keeps a living task silent for less.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
}

# Airflow reads it from its home. Tasks are forks of the scheduler and inherit what it has imported:
# these libraries are most of what a step costs.
LOCAL_SETTINGS = """\
import sys

__all__ = []
if sys.argv[-1] == "scheduler":
    import pyarrow.compute, pyarrow.dataset, pyarrow.fs, pyarrow.parquet
    import scipy.special, scipy.stats
"""


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers, and what the tests do with them."""

    airflow: AirflowServer
    mlflow: MlflowServer
    slack: SlackServer

    def add_dags(
        self, name: str, text: str, dag_ids: Sequence[str], *, paused: bool = False
    ) -> None:
        """Put a file into the DAG folder; returns when Airflow knows its DAGs."""
        written = self.airflow.dags / f"{name}.tmp"
        written.write_text(text)
        written.rename(self.airflow.dags / f"{name}.py")
        for dag_id in dag_ids:
            self.airflow.wait_for_dag(dag_id, within_s=PATIENCE_S)
            if not paused:
                self.airflow.unpause(dag_id)

    def trigger(self, dag_id: str, day: date) -> str:
        """Start a run by hand for a day; its id."""
        body = {"logical_date": None, "conf": {"window_end": day.isoformat()}}
        return str(self.airflow.api("POST", f"/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def ended(self, dag_id: str, run_id: str) -> str:
        """Wait for the end of a run; its state."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}"

        def over() -> bool:
            return self.airflow.api("GET", path)["state"] in ("success", "failed")

        wait_until(f"{dag_id} {run_id}", PATIENCE_S, over)
        return str(self.airflow.api("GET", path)["state"])

    def only_run(self, dag_id: str) -> dict[str, Any]:
        """The one run that a DAG has had."""
        (run,) = self.airflow.runs(dag_id)
        return run

    def said(self, kind: str, model: str) -> list[str]:
        """What Slack was sent about a model, such as all that begins with `[FAILED]`."""
        texts = [str(message["text"]) for message in self.slack.messages]
        return [text for text in texts if text.startswith(f"[{kind}] {model} ")]


@contextmanager
def running(folder: Path, mlflow: MlflowServer) -> Iterator[Servers]:
    """Airflow on PostgreSQL beside a tracking server and a listener in Slack's place."""
    dags, home = folder / "dags", folder / "home"
    dags.mkdir()
    (home / "config").mkdir(parents=True)
    (home / "config" / "airflow_local_settings.py").write_text(LOCAL_SETTINGS)
    with ExitStack() as stack:
        slack = stack.enter_context(SlackServer())
        airflow = AirflowServer(
            python=Path(sys.executable),
            home=home,
            dags=dags,
            database=stack.enter_context(postgres()),
            environment={
                **SETTINGS,
                "PYTHONPATH": str(REPO),
                "MLFLOW_TRACKING_URI": mlflow.url,
                "SLACK_WEBHOOK_URL": slack.url,
            },
        )
        yield Servers(stack.enter_context(airflow), mlflow, slack)
