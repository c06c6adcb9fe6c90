"""What the tags of a candidate hold that steps and people write beside the protocol.

A person may set them in MLflow's own pages. What is none of ours counts as absent: a step that
needs it writes it anew, and `verify` names it until then.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from retrain_ops.registry.events import ASKED_AT_TAG, SHADOW_DAYS_TAG, Version, utc_instant

log = logging.getLogger(__name__)

APPROVED_AT_TAG = "retrain.approved_at"
REJECTED_AT_TAG = "retrain.rejected_at"
MOST_DAYS = 366


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
    return tuple(n for n in READERS if n in version.tags and _value(version, n) is None)


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
