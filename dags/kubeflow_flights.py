"""The flights example on Kubeflow Pipelines, compiled to build/, and on its schedule with KFP_HOST.

    python dags/kubeflow_flights.py

The image holds retrain_ops and flights.toml (RETRAIN_IMAGE); the pods find FLIGHTS_SOURCE,
RETRAIN_OPS_WORKSPACE and MLFLOW_TRACKING_URI in the secret `retrain`.
"""

import os

from retrain_ops.kubeflow import compile_pipelines, schedule

IMAGE = os.environ.get("RETRAIN_IMAGE", "retrain-ops:1")
KEYS = {
    "FLIGHTS_SOURCE": "source",
    "RETRAIN_OPS_WORKSPACE": "workspace",
    "MLFLOW_TRACKING_URI": "mlflow",
}

if __name__ == "__main__":
    files = compile_pipelines(
        "build",
        "/opt/retrain/flights.toml",
        image=IMAGE,
        name="flights_delay",
        secrets={variable: f"retrain/{key}" for variable, key in KEYS.items()},
    )
    if host := os.environ.get("KFP_HOST"):
        import kfp

        schedule(kfp.Client(host=host), files, experiment="flights_delay")
