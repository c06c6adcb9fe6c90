"""Promotions killed after every request, raced and paused; creates whose connection breaks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from devtools import drops
from devtools.promoters import prove_kills, prove_races


def prove(url: str, folder: Path) -> dict[str, Any]:
    """All counts."""
    kills = prove_kills(url)
    return {
        "killed_after_every_request": kills | {"all": sum(kills.values())},
        "races": prove_races(url, folder / "races", rounds=5),
        "connection_drops": drops.prove(url, drops_wanted=1000, threads=8),
    }
