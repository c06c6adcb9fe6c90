"""MLflow over the C core: its REST client, its types, the run of a key."""
