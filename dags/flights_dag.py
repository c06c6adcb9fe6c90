"""The flights example: every day at 02:00 UTC, for the year its data covers."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from retrain_ops.airflow import retraining_dag

dag = retraining_dag(
    Path(__file__).with_name("flights.toml"),
    dag_id="flights_delay",
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    # The data ends with 2013. Without an end, unpausing the DAG would start a run for today.
    end_date=datetime(2013, 12, 31, 23, 59, 59, tzinfo=UTC),
    retry_delay=timedelta(seconds=5),
    tags=("retraining", "example"),
)
