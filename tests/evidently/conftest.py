"""Days of the toy model in this process, in the environment that has Evidently."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from devtools.doubles.registry_server import Client, Server
from devtools.synthetic import FIRST, SPEC, bootstrap, toy_run, write_days
from retrain_ops.cli.main import run_day
from retrain_ops.run import Run

# This folder is run by the Evidently environment's own pytest; the others cannot import it.
if find_spec("evidently") is None:
    collect_ignore_glob = ["test_*.py"]

BOOTSTRAP = FIRST.replace(day=18)
DAY = date(2020, 2, 2)
DRAWS = "draws = 199\n"


def spec_with(keys: str, table: str = "") -> str:
    """The toy's spec with keys of `[drift]`, and a table behind it."""
    return SPEC.replace(DRAWS, f"{DRAWS}{keys}\n") + f"\n{table}\n"


@dataclass(slots=True)
class World:
    """A model with a champion; rows drift from 21 January on."""

    folder: Path
    client: Client

    def open(self, spec: str, day: date = DAY) -> Run:
        return toy_run(self.folder, self.client, day, spec=spec)

    def run(self, spec: str, day: date = DAY) -> dict[str, Any]:
        """The day's decision."""
        opened = self.open(spec, day)
        output = run_day(opened)
        assert output.get("exit_code") in (None, 75), output
        found: dict[str, Any] = json.loads(self.file("decision.json", day).read_bytes())
        return found

    def file(self, name: str, day: date = DAY) -> Path:
        return self.folder / "workspace" / "toy" / f"window_end={day}" / name


@pytest.fixture
def world(tmp_path: Path) -> World:
    write_days(tmp_path / "rows", 45, rule_changes=18, shift_from=20, shift=0.6)
    client = Client(Server())
    bootstrap(tmp_path, client, BOOTSTRAP)
    return World(tmp_path, client)
