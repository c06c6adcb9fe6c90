"""`python -m retrain_ops.cli`, the same as `retrain-ops`."""

from retrain_ops.cli.main import process

process()
