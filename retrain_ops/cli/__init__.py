"""The command line, `retrain-ops`."""
