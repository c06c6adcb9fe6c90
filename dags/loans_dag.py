"""The loans example: like the flights, but a person approves before a model takes over."""

from datetime import UTC, datetime
from pathlib import Path

from retrain_ops.airflow import retraining_dag

dag = retraining_dag(
    Path(__file__).with_name("loans.toml"),
    dag_id="loans",
    approval="hitl",
    start_date=datetime(2024, 1, 1, tzinfo=UTC),
    # The rows end after 60 days. Without an end, unpausing the DAG would start a run for today.
    end_date=datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC),
    tags=("retraining", "example"),
)
