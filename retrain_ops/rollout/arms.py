"""Who meets a canary: a unit's hash against the share, the same on every host and worker."""

from __future__ import annotations

import hashlib


def arm_key(model: str, canary: str) -> bytes:
    """The key of a canary, 16 bytes: another canary meets an independent part of the units."""
    return hashlib.sha256(f"{model}\0{canary}".encode()).digest()[:16]


def limit_of(share: float) -> int:
    """Units whose hash lies below it, 0 to 2^64, meet the canary: a larger share only adds some."""
    return int(share * 2**64)
