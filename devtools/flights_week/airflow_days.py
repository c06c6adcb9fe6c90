"""Run days of the demo's DAG one after the other in this process, by Airflow's `dag.test`.

    python -m devtools.flights_week.airflow_days RESULT.json 2013-08-12 2013-08-13 ...

Runs under the Airflow environment's Python. The result is a list of {date, state, run_id,
seconds, tasks}.
"""

from __future__ import annotations

import json
import runpy
import sys
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from devtools.flights_week.places import DAGS


def run_days(days: list[date]) -> list[dict[str, Any]]:
    """Every day in order; stops after the first that fails."""
    dag = runpy.run_path(str(DAGS / "flights_dag.py"))["dag"]
    done: list[dict[str, Any]] = []
    for day in days:
        begun = time.monotonic()
        run = dag.test(logical_date=datetime(day.year, day.month, day.day, 2, tzinfo=UTC))
        done.append(
            {
                "date": day.isoformat(),
                "state": str(run.state),
                "run_id": run.run_id,
                "seconds": round(time.monotonic() - begun, 1),
                "tasks": {ti.task_id: str(ti.state) for ti in run.get_task_instances()},
            }
        )
        if done[-1]["state"] != "success":
            break
    return done


if __name__ == "__main__":
    result = run_days([date.fromisoformat(text) for text in sys.argv[2:]])
    Path(sys.argv[1]).write_text(json.dumps(result, indent=1))
