"""Two models on the same rows: scores, joint counts, how a champion decays."""
