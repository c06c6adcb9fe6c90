"""What `status` and `history` say to a person at a terminal; a pipe gets JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from retrain_ops.decisions.explain import aligned

_EVENTS = (
    ("epoch", "epoch"),
    ("what", "kind"),
    ("version", "version"),
    ("before", "previous"),
    ("from", "effective_from"),
    ("failed", "failed"),
)
_CHANGES = (*_EVENTS, ("window end", "window_end"), ("now", "state"))
_DAYS = (("window end", "window_end"), ("outcome", "outcome"), ("reason", "reason"))


def status(found: Mapping[str, Any]) -> str:
    """Who serves, who waits, the changes of @champion and the last days."""
    candidate = found["candidate"]
    waits = "no candidate is open"
    if candidate:
        waits = f"candidate: version {candidate['version']} ({candidate['retrain_key']}), "
        waits += f"{candidate['state'].replace('_', ' ')} since {candidate['opened_at']}"
    return "\n\n".join(
        [
            f"{_served(found)}\n{waits}",
            _table(_EVENTS, found["events"]),
            _table(_DAYS, found["days"]),
        ]
    )


def history(found: Mapping[str, Any]) -> str:
    """Every change of @champion."""
    return f"{_served(found)}\n\n{_table(_CHANGES, found['events'])}"


def _served(found: Mapping[str, Any]) -> str:
    aliases = ", ".join(f"@{name} version {v}" for name, v in sorted(found["aliases"].items()))
    return f"{found['model']}: {aliases or 'nobody serves'}"


def _table(columns: Sequence[tuple[str, str]], rows: Sequence[Mapping[str, Any]]) -> str:
    """Titles and rows; what is None stays empty."""
    lines = [tuple(title for title, _ in columns)]
    lines += [tuple(_cell(row[name]) for _, name in columns) for row in rows]
    return "\n".join(aligned(lines, left=range(len(columns))))


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("_", " ")
