"""The demo's week of other problems: real rows, Airflow beside the CLI, then all days again.

`PROBLEM_WEEKS_AIRFLOW` is another version of Airflow than the newest.
"""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Any

from devtools.flights_week.places import DAGS, ROOT, chosen_week
from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from proofs import airflow_week
from proofs.airflow_worlds import VERSIONS
from retrain_ops.cli.main import run_day
from retrain_ops.examples.flights import main as load_flights
from retrain_ops.mlflow.client import MlflowClient
from retrain_ops.registry.registry import Registry
from retrain_ops.run import RunContext, open_run

SPECS = {"minutes": "flights_minutes.toml", "classes": "flights_classes.toml"}
"""Labels of the example, and the spec that learns them."""


def prove(folder: Path) -> dict[str, Any]:
    """Each week by Airflow and by the command line, and what differs."""
    version = os.environ.get("PROBLEM_WEEKS_AIRFLOW", VERSIONS[-1])
    return {
        label: _week(folder / label, label, DAGS / spec, version) for label, spec in SPECS.items()
    }


def _week(folder: Path, label: str, spec: Path, version: str) -> dict[str, Any]:
    rows = ROOT / "build" / "data" / f"flights_{label}"
    if not rows.exists():
        load_flights([str(rows), "--label", label])
    days = chosen_week()
    played = airflow_week.play(version, folder / version, days, spec)
    with MlflowServer(folder / "mlflow_cli", mlflow_python()) as mlflow:
        ends = (airflow_week.bootstrap_day(days), *days)
        lines = by_command_line(mlflow.url, folder / "cli", spec, ends)
        before = counts(mlflow.url, spec.stem)
        by_command_line(mlflow.url, folder / "cli", spec, ends)
        again = counts(mlflow.url, spec.stem)
    here = airflow_week.contents_of(folder / version / "workspace")
    there = airflow_week.contents_of(folder / "cli")
    return {
        **played,
        "lines": lines,
        "files_compared": len(there),
        "differ": airflow_week.differences(here, there),
        "registry": before,
        "registry_after_all_days_again": again,
    }


def by_command_line(url: str, workspace: Path, spec: Path, ends: tuple[date, ...]) -> list[str]:
    """What each day ended with."""
    lines = []
    for day in ends:
        context = RunContext(bootstrap=day == ends[0])
        run = open_run(spec, date=day, workspace=str(workspace), tracking_uri=url, context=context)
        output = run_day(run)
        if output.get("exit_code"):
            raise RuntimeError(f"{run.retrain_key}: {output['message']}")
        lines.append(f"{day} {output['summary']}")
    return lines


def counts(url: str, model: str) -> dict[str, Any]:
    """What days that are run again could double."""
    client = MlflowClient(url)
    experiment = client.get_or_create_experiment(model)
    return {
        "runs": len(client.search_runs([experiment])),
        "versions": len(Registry(client, model).versions()),
        "aliases": dict(Registry(client, model).snapshot().aliases),
    }
