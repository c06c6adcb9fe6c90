"""The demo: one week of real flights through Airflow and MLflow, and proof that nothing doubled."""
