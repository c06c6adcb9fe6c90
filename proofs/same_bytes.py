"""The demo's week without any orchestrator: `decision.json` byte for byte what Airflow's run left.

Two workspaces, two tracking servers, other team sizes, and the libraries of two
environments: none of them may show in a decision.
"""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from devtools.flights_week.places import Places, chosen_week
from devtools.weeks import SPEC
from retrain_ops.cli.main import run_day
from retrain_ops.run import Run, RunContext, open_run
from retrain_ops.spec.window import days_between

FILES = ("decision.json", "model.rtm", "reference.json")


def prove(tracking_uri: str, workspace: Path) -> dict[str, Any]:
    """Plays the demo's week by the command line's code and compares with the demo's files."""
    if not Places.default().workspace.exists():
        raise SystemExit("the demo's week is what this compares with: run `make demo` first")
    days = chosen_week()
    compared: dict[str, bool] = {}
    for day in (days[0] - timedelta(days=7), *days_between(days[0], days[-1])):
        run = _play(tracking_uri, workspace, day, bootstrap=day < days[0])
        for name in FILES:
            here = run.workspace.read(run.path(name))
            there = _demo_file(run, name)
            if here is not None or there is not None:
                compared[f"{day}/{name}"] = _digest(here) == _digest(there)
    return {
        "files": len(compared),
        "equal": sum(compared.values()),
        "differ": sorted(name for name, same in compared.items() if not same),
    }


def _play(tracking_uri: str, workspace: Path, day: date, *, bootstrap: bool) -> Run:
    run = open_run(
        SPEC,
        date=day,
        workspace=str(workspace),
        tracking_uri=tracking_uri,
        n_threads=7,
        context=RunContext(bootstrap=bootstrap),
    )
    output = run_day(run)
    if output.get("exit_code"):
        raise RuntimeError(f"{run.retrain_key}: {output['message']}")
    return run


def _demo_file(run: Run, name: str) -> bytes | None:
    path = Places.default().workspace / run.path(name)
    return path.read_bytes() if path.exists() else None


def _digest(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()
