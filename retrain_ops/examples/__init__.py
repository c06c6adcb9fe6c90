"""Loaders of the public data that the ready DAGs run on."""
