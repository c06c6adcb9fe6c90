"""python -m demo [--ui]: see the package's docstring. Ends 0 when all of it held."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import date, timedelta
from typing import Any

from demo import live
from devtools.flights_week import proof, week
from devtools.flights_week.places import DAG_ID, DAGS, Places, chosen_week
from devtools.servers.airflow_server import AirflowServer, airflow_python
from devtools.servers.mlflow_server import MlflowServer, mlflow_python

BACKFILL_WITHIN_S = 600.0


def say(text: str) -> None:
    """Progress, with the seconds since the start."""
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the week, prove it, and with --ui leave the two user interfaces up."""
    parser = argparse.ArgumentParser(prog="demo", description="One week of real retraining.")
    parser.add_argument("--ui", action="store_true", help="leave Airflow and MLflow running")
    options = parser.parse_args(arguments)
    places = Places.default()
    places.state.mkdir(parents=True, exist_ok=True)
    with ExitStack() as servers:
        mlflow, airflow = open_servers(places, servers)
        if not (options.ui and (places.folder / "doubling.json").exists()):
            held = play(places, mlflow, airflow) and play_live(places, mlflow)
        else:
            held = True
            airflow.start()
        if options.ui:
            wait(places, mlflow, airflow)
    return 0 if held else 1


def open_servers(places: Places, servers: ExitStack) -> tuple[MlflowServer, AirflowServer]:
    """MLflow running, Airflow with its database; its processes start when they are needed."""
    say("making sure of the environments")
    python, mlflow_with = airflow_python(), mlflow_python()
    mlflow = servers.enter_context(MlflowServer(places.state / "mlflow", mlflow_with))
    say(f"MLflow is up at {mlflow.url}")
    airflow = AirflowServer(
        python=python,
        home=places.state / "airflow",
        dags=DAGS,
        environment=places.variables(mlflow.url),
    )
    servers.callback(airflow.stop)
    return mlflow, airflow


def play(places: Places, mlflow: MlflowServer, airflow: AirflowServer) -> bool:
    """The week, then twice the same again; True when nothing doubled."""
    days = chosen_week()
    week.load_source(places)
    say("initialising Airflow on SQLite")
    airflow.migrate()
    first = days[0] - timedelta(days=7)
    say(f"bootstrapping a champion for {first}")
    week.bootstrap(places, first, mlflow.url)
    say(f"running {days[0]} to {days[-1]} through Airflow, day by day")
    records = week.describe(places, week.run_days(places, airflow, days), mlflow.url)
    write(places, "week.json", records)
    print(f"\n{week.show(records)}\n", flush=True)
    return prove(places, mlflow, airflow, days, records)


def play_live(places: Places, mlflow: MlflowServer) -> bool:
    """The days after the week, answered over HTTP; True when both canaries went as they should."""
    found = live.play(places, mlflow.url, chosen_week(), say)
    write(places, "live.json", found)
    print(f"\n{live.show(found)}\n", flush=True)
    return bool(found["held"])


def prove(
    places: Places,
    mlflow: MlflowServer,
    airflow: AirflowServer,
    days: Sequence[date],
    records: Sequence[dict[str, Any]],
) -> bool:
    """One day again, then three days as a backfill by the real scheduler."""
    again = busiest_day(days, records)
    stages = [("after the week", proof.count(places, days, mlflow.url))]
    say(f"running {again} a second time")
    week.run_days(places, airflow, [again])
    stages.append(("after the re-run", proof.count(places, days, mlflow.url)))
    say("starting scheduler, dag-processor, api-server and triggerer")
    airflow.start()
    say(f"Airflow is up at {airflow.url}")
    middle = min(max(days.index(again), 1), len(days) - 2)
    first, last = days[middle - 1].isoformat(), days[middle + 1].isoformat()
    say(f"airflow backfill create {first} to {last} --reprocess-behavior completed")
    states = backfill(airflow, first, last)
    stages.append(("after the backfill", proof.count(places, days, mlflow.url)))
    changed = {name: proof.differences(stages[0][1], counts) for name, counts in stages[1:]}
    held = not any(changed.values()) and set(states.values()) == {"success"}
    report = {
        "held": held,
        "rerun": again.isoformat(),
        "backfill": states,
        "changed": changed,
        "stages": [{"stage": name, **counts} for name, counts in stages],
    }
    write(places, "doubling.json", report)
    print(f"\n{proof.show(stages)}\n", flush=True)
    say("nothing doubled" if held else f"NOT the same: {changed}, backfill {states}")
    print(f"\nThe same in {places.folder}/week.json and doubling.json.")
    print("Airflow, MLflow and the server, with this week in them: make ui", flush=True)
    return held


def backfill(airflow: AirflowServer, first: str, last: str) -> dict[str, str]:
    """Re-process the days through the scheduler; the state of each day's run after it."""
    airflow.wait_for_dag(DAG_ID)
    airflow.unpause(DAG_ID)
    done = airflow.backfill(DAG_ID, first, last, reprocess="completed", within_s=BACKFILL_WITHIN_S)
    runs = [run for run in airflow.runs(DAG_ID) if run["logical_date"][:10] in _span(first, last)]
    if any(run["run_type"] != "backfill" for run in runs) or not done["completed_at"]:
        raise week.DemoError(f"the scheduler did not re-process {first} to {last}: {runs}")
    return {run["logical_date"][:10]: run["state"] for run in runs}


def busiest_day(days: Sequence[date], records: Sequence[dict[str, Any]]) -> date:
    """The first day that promoted: the one with most to double."""
    promoted = [day for day, record in zip(days, records, strict=True) if record["promoted"]]
    return promoted[0] if promoted else days[2]


def wait(places: Places, mlflow: MlflowServer, airflow: AirflowServer) -> None:
    """Leave everything up until the user has seen enough."""
    with suppress(KeyboardInterrupt), live.served(places, mlflow.url) as (_, server):
        names = f"Airflow {airflow.url}   MLflow {mlflow.url}   Serving {server.page}"
        print(f"\n{names}   (Ctrl-C ends all)", flush=True)
        signal.pause()


def write(places: Places, name: str, content: Any) -> None:
    """One of the two result files."""
    (places.folder / name).write_text(json.dumps(content, indent=1) + "\n")


def _span(first: str, last: str) -> set[str]:
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    return {(start + timedelta(days=i)).isoformat() for i in range((end - start).days + 1)}


STARTED = time.monotonic()

if __name__ == "__main__":
    # Ending this process by a signal must end its servers too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
