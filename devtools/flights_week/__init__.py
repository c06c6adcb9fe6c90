"""A week of real flights through Airflow: played, and its traces counted."""
