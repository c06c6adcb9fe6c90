"""The flights example, learning: every day at 02:00 UTC the days since, each once."""

from datetime import UTC, datetime
from pathlib import Path

from retrain_ops.airflow import learning_dag

dag = learning_dag(
    Path(__file__).with_name("flights_learn.toml"),
    dag_id="flights_learn",
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    # The data ends with 2013. Without an end, unpausing the DAG would start a run for today.
    end_date=datetime(2013, 12, 31, 23, 59, 59, tzinfo=UTC),
    tags=("retraining", "example"),
)
