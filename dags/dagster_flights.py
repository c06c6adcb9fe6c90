"""The flights example on Dagster: days from 2013 on, at 02:00 UTC once the schedule is on.

    dagster dev -f dags/dagster_flights.py

Every path and address comes from the environment: FLIGHTS_SOURCE, RETRAIN_OPS_WORKSPACE,
MLFLOW_TRACKING_URI.
"""

import os
from pathlib import Path

import dagster as dg

from retrain_ops.dagster import retraining_assets

SPEC = Path(__file__).with_name("flights.toml")
URL = os.environ.get("DAGSTER_URL") or None

defs = dg.Definitions.merge(
    retraining_assets(SPEC, name="flights_delay", url=URL),
    # A day hands nothing over in memory, and an interpreter per step costs seconds.
    dg.Definitions(executor=dg.in_process_executor),
)
