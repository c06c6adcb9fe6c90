"""What a key's rows were read from, so that a re-run reads the same, or says that it does not.

`source.json` of a key holds the kind of source, the version of a table or the hash of a query,
and per day its rows and the SHA-256 of its files, or of the rows that the run saw where these lie
in no file: rows and labels that came after its instant are none of its business.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NotRequired, TypedDict

from retrain_ops.data.sources.kind import VERSION, Part
from retrain_ops.workspace import Shape, Workspace, canonical_json

PIN_FILE = "source.json"


class SourceRecord(TypedDict):
    """What a decision's rows were read from; `sha256` is that of `source.json`."""

    kind: str
    rows: int
    sha256: str
    version: NotRequired[str]


class Sourced(TypedDict, total=False):
    """What a decision adds whose rows do not lie in Parquet files."""

    source: SourceRecord


@dataclass(slots=True)
class Pins:
    """Collects what a read of the source found; `facts` are the kind's own."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    days: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, part: Part) -> None:
        """Notes one part of a day."""
        day = self.days.setdefault(part.day.isoformat(), {"rows": 0})
        if part.file:
            day["rows"] += part.table.num_rows
            day.setdefault("files", {})[part.file] = part.sha256

    def has_files(self, day: date) -> bool:
        """Whether the rows of a day came from files that were hashed."""
        return "files" in self.days.get(day.isoformat(), {})

    def add_contents(self, day: date, rows: int, sha256: str) -> None:
        """Notes the rows that a run saw of a day, by their number and their hash."""
        self.days[day.isoformat()] |= {"rows": rows, "sha256": sha256}

    def to_json(self) -> dict[str, Any]:
        """The content of `source.json`."""
        return {**self.facts, "days": self.days}


def write_pins(workspace: Workspace, window_end: date, pins: Pins) -> str:
    """Writes what the rows of a key were read from; says what is not as it was, if anything."""
    known = read_pins(workspace, window_end) or {}
    record = pins.to_json()
    workspace.write_json(workspace.key_path(window_end, PIN_FILE), record)
    return _change(known, record) if known.get("days") else ""


def read_pins(workspace: Workspace, window_end: date) -> dict[str, Any] | None:
    """The content of a key's `source.json`; None where it has none."""
    shape: Shape = {"kind": str, "days": dict}
    return workspace.recover_json(workspace.key_path(window_end, PIN_FILE), shape)


def source_of(workspace: Workspace, window_end: date) -> Sourced:
    """What a decision says of its rows' source; nothing of Parquet, as decisions always did."""
    pins = read_pins(workspace, window_end)
    if pins is None or pins["kind"] == "parquet":
        return {}
    record: SourceRecord = {
        "kind": pins["kind"],
        "rows": sum(day["rows"] for day in pins["days"].values()),
        "sha256": hashlib.sha256(canonical_json(pins)).hexdigest(),
    }
    if VERSION in pins:
        record["version"] = pins[VERSION]
    return {"source": record}


def _change(known: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """The source's facts that differ, else the days that do, in a few words."""
    names = sorted((known.keys() | record.keys()) - {"days"})
    facts = [
        f"{name} {record.get(name)} (was {known.get(name)})"
        for name in names
        if record.get(name) != known.get(name)
    ]
    days = sorted(known["days"].keys() | record["days"].keys())
    changed = [day for day in days if known["days"].get(day) != record["days"].get(day)]
    if changed:
        more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        facts.append(f"other rows on {', '.join(changed[:5])}{more}")
    return "; ".join(facts)
