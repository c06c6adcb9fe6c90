"""One day of retraining, ours and as people write it, over the same rows."""
