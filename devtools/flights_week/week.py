"""The week itself: a first champion by the command line, then seven days through Airflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from devtools.days import day_record
from devtools.flights_week.places import ROOT, SPEC, Places
from devtools.servers.airflow_server import AirflowServer

COLUMNS = (
    ("date", "date", 10),
    ("trigger", "trigger", 9),
    ("psi_max", "PSI", 6),
    ("f1_champion", "F1 old", 6),
    ("f1_challenger", "F1 new", 6),
    ("decision", "decision", 10),
    ("literal_would", "bare rule", 9),
    ("promoted", "promoted", 8),
    ("version", "version", 7),
    ("seconds", "s", 5),
    ("canary", "canary", 0),
)


class DemoError(RuntimeError):
    """A part of the demo failed; the text says which, and where to look."""


def load_source(places: Places) -> None:
    """Write the daily partitions of the flights, unless they are there."""
    if (places.source / "day=2013-12-31").is_dir():
        return
    command = [sys.executable, "-m", "retrain_ops.examples.flights", str(places.source)]
    subprocess.run(command, cwd=ROOT, check=True)


def bootstrap(places: Places, day: date, tracking_uri: str, spec: Path = SPEC) -> None:
    """Train the first champion with `retrain-ops run --bootstrap`."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "retrain_ops.cli", "run", "--bootstrap"),
            *("--spec", str(spec), "--date", day.isoformat()),
        ],
        cwd=ROOT,
        env={**os.environ, **places.variables(tracking_uri)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise DemoError(f"the bootstrap of {day} failed:\n{done.stdout}{done.stderr}")


def run_days(places: Places, airflow: AirflowServer, days: Sequence[date]) -> list[dict[str, Any]]:
    """The days in order through Airflow, in one process; what Airflow says about each.

    Raises `DemoError` when a run does not end in success.
    """
    result, log = places.state / "airflow_days.json", places.state / "airflow_days.log"
    result.unlink(missing_ok=True)
    with log.open("ab") as output:
        subprocess.run(
            [
                *(str(airflow.python), "-m", "devtools.flights_week.airflow_days", str(result)),
                *(day.isoformat() for day in days),
            ],
            cwd=ROOT,
            env=airflow.variables(),
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    runs = json.loads(result.read_text()) if result.exists() else []
    if len(runs) != len(days) or runs[-1]["state"] != "success":
        last = runs[-1] if runs else "no run at all"
        raise DemoError(f"the week broke off: {last}; see {log}")
    return list(runs)


def describe(
    places: Places, runs: Sequence[dict[str, Any]], tracking_uri: str
) -> list[dict[str, Any]]:
    """One record per day: what it decided, and how long its run took in Airflow."""
    days = []
    for airflow_run in runs:
        run = places.open_run(date.fromisoformat(airflow_run["date"]), tracking_uri)
        days.append({**day_record(run), "seconds": airflow_run["seconds"]})
    return days


def show(days: Sequence[dict[str, Any]]) -> str:
    """The week as a table for the terminal."""
    head = "  ".join(title.ljust(width) for _, title, width in COLUMNS)
    lines = ["  ".join(_cell(day[key]).ljust(width) for key, _, width in COLUMNS) for day in days]
    return "\n".join(line.rstrip() for line in (head, "-" * len(head), *lines))


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
