"""Metrics beside scikit-learn on 1,000 tables and a bootstrap of 2,000 draws."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from devtools import amount_peers, class_peers, score_peers
from devtools.metric_peers import PEERS, bootstrap_ratio, check_table, random_days, random_table

TABLES = 1000
BOOTSTRAPS = 20
ROW_BOOTSTRAPS = 4


def prove(folder: Path) -> dict[str, Any]:
    """By metric: distance to the peer, undefined scores, and errors over their bootstrap."""
    return (
        {"tables": TABLES, "bootstraps": BOOTSTRAPS, "bootstraps_of_rows": ROW_BOOTSTRAPS}
        | {name: _of_decisions(name) for name in PEERS}
        | {name: _of_rows(score_peers, name) for name in score_peers.PEERS}
        | {name: _of_rows(amount_peers, name) for name in amount_peers.PEERS}
        | {f"classes_{name}": _of_rows(class_peers, name) for name in class_peers.PEERS}
    )


def _of_decisions(name: str) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    found = [check_table(name, random_table(rng)) for _ in range(TABLES)]
    ratios = [bootstrap_ratio(name, random_days(rng, 28, 900), rng) for _ in range(BOOTSTRAPS)]
    return _checked(found, ratios)


def _of_rows(peers: ModuleType, name: str) -> dict[str, Any]:
    """Of scores, amounts or classes, which are sums over rows."""
    rng = np.random.default_rng(1)
    tables = (peers.random_table(rng) for _ in range(TABLES))
    found = [peers.check_table(name, table) for table in tables]
    rows = (peers.random_rows(rng, 28, 300) for _ in range(ROW_BOOTSTRAPS))
    return _checked(found, [peers.bootstrap_ratio(name, r, rng) for r in rows])


def _checked(found: list[tuple[float, int]], ratios: list[float]) -> dict[str, Any]:
    furthest = max(distance for distance, _ in found)
    assert furthest < 1e-12
    assert 0.9 < min(ratios) <= max(ratios) < 1.1
    return {
        "furthest": furthest,
        "undefined": sum(undefined for _, undefined in found),
        "error_over_bootstrap": [round(min(ratios), 3), round(max(ratios), 3)],
    }
