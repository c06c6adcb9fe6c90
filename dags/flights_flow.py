"""The flights example on Prefect: a nightly retraining, looks at its open candidate, and a model
that learns each day once.

Every path and address comes from the environment: FLIGHTS_SOURCE, RETRAIN_OPS_WORKSPACE (for a
managed pool an object store), MLFLOW_TRACKING_URI. Blocks are named here when there are any.
"""

import os
from pathlib import Path

from retrain_ops.prefect import learning_flow, retraining_flow, rollout_flow

SPEC = Path(__file__).with_name("flights.toml")
BLOCKS = {
    "mlflow_block": os.environ.get("RETRAIN_OPS_MLFLOW_BLOCK") or None,
    "slack_block": os.environ.get("RETRAIN_OPS_SLACK_BLOCK") or None,
}

retrain = retraining_flow(SPEC, **BLOCKS)
rollout = rollout_flow(SPEC, approval="suspend", **BLOCKS)
learn = learning_flow(SPEC.with_name("flights_learn.toml"), **BLOCKS)
