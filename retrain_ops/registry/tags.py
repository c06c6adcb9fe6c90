"""What the tags of a candidate hold that steps and people write beside the protocol.

A person may set them in MLflow's own pages. What is none of ours counts as absent: a step that
needs it writes it anew, and `verify` names it until then.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from retrain_ops.registry.events import (
    ASKED_AT_TAG,
    SHADOW_DAYS_TAG,
    SHARE_TAG,
    Version,
    fits,
    utc_instant,
    utc_text,
)

log = logging.getLogger(__name__)

APPROVED_AT_TAG = "retrain.approved_at"
REJECTED_AT_TAG = "retrain.rejected_at"
MOST_DAYS = 366
WIDENED_TAG = "retrain.widened."
"""A tag for each share that a canary was widened to: since when, and of which bytes. The largest
holds, so a writer that wakes up late takes nobody's share back."""


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= MOST_DAYS:
        raise ValueError(f"{days} days")
    return days


READERS: Mapping[str, Callable[[str], Any]] = {
    SHADOW_DAYS_TAG: _days,
    ASKED_AT_TAG: utc_instant,
    APPROVED_AT_TAG: utc_instant,
    REJECTED_AT_TAG: utc_instant,
}


def spoilt(version: Version) -> tuple[str, ...]:
    """The tags that hold what nobody of us writes there."""
    odd = (n for n in READERS if n in version.tags and _value(version, n) is None)
    known = {widened_tag(share) for share, _ in widenings(version)}
    wide = (n for n in version.tags if n.startswith(WIDENED_TAG) and n not in known)
    return (*odd, *wide)


def widened_tag(share: float) -> str:
    """The tag that says that a canary has this share."""
    return f"{WIDENED_TAG}{share:g}"


def widened_text(version: Version, at: datetime) -> str:
    """What it holds."""
    value = {"at": utc_text(at), "model_sha256": version.model_sha256}
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def widenings(version: Version) -> tuple[tuple[float, datetime], ...]:
    """The shares that a canary was widened to, and since when; the largest last."""
    found = (_widening(version, name) for name in version.tags if name.startswith(WIDENED_TAG))
    return tuple(sorted(w for w in found if w is not None))


def _widening(version: Version, name: str) -> tuple[float, datetime] | None:
    """What a tag says; None when it is none of ours, or of another version of that number."""
    try:
        share = float(name.removeprefix(WIDENED_TAG))
        value = json.loads(version.tags[name])
        at = utc_instant(value["at"])
        sound = 0.0 < share < 1.0 and name == widened_tag(share)
        return (share, at) if sound and fits(value["model_sha256"], version.model_sha256) else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def share_shown(version: Version) -> float | None:
    """The share of the traffic that the version's tag for people gives it; None without one."""
    try:
        share = float(version.tags.get(SHARE_TAG, ""))
    except ValueError:
        return None
    return share if 0.0 < share <= 1.0 else None


def share_of(version: Version) -> float | None:
    """The share of the traffic that a version has: what a tag says, or what it grew to."""
    known = [share_shown(version), *(share for share, _ in widenings(version))]
    return max((share for share in known if share is not None), default=None)


def instant_of(version: Version, name: str) -> datetime | None:
    """The instant in one of `READERS`; None when it is absent or spoilt."""
    instant: datetime | None = _value(version, name)
    if instant is None and name in version.tags:
        log.warning(
            "version %s: the tag %s holds %.80r, which is no instant with a time zone",
            *(version.number, name, version.tags[name]),
        )
    return instant


def shadow_days(version: Version) -> int:
    """How many days its shadow lasts, extensions included."""
    return _value(version, SHADOW_DAYS_TAG) or 1


def _value(version: Version, name: str) -> Any:
    try:
        return READERS[name](version.tags[name])
    except (KeyError, ValueError):
        return None
