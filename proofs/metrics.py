"""Metrics of decisions beside scikit-learn on 1,000 tables and a bootstrap of 2,000 draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from devtools.metric_peers import PEERS, bootstrap_ratio, check_table, random_days, random_table

TABLES = 1000
BOOTSTRAPS = 20


def prove(folder: Path) -> dict[str, Any]:
    """By metric: distance to the peer, undefined scores, and errors over their bootstrap."""
    return {"tables": TABLES, "bootstraps": BOOTSTRAPS} | {name: _metric(name) for name in PEERS}


def _metric(name: str) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    found = [check_table(name, random_table(rng)) for _ in range(TABLES)]
    ratios = [bootstrap_ratio(name, random_days(rng, 28, 900), rng) for _ in range(BOOTSTRAPS)]
    furthest = max(distance for distance, _ in found)
    assert furthest < 1e-12
    assert 0.9 < min(ratios) <= max(ratios) < 1.1
    return {
        "furthest": furthest,
        "undefined": sum(undefined for _, undefined in found),
        "error_over_bootstrap": [round(min(ratios), 3), round(max(ratios), 3)],
    }
