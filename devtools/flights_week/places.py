"""Where the demo keeps things, and which week it shows."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from retrain_ops.run import Run, open_run
from retrain_ops.spec.window import days_between

ROOT = Path(__file__).resolve().parents[2]
DAGS = ROOT / "dags"
SPEC = DAGS / "flights.toml"
WEEKS = DAGS / "flights_weeks.json"
DAG_ID = "flights_delay"


@dataclass(frozen=True, slots=True)
class Places:
    """Results in `folder`; what lives on between runs in `state`, one per week shown.

    The registry of one week knows nothing of another: its newest champion would be in the future
    of an earlier week. The source rows are shared with tests.
    """

    folder: Path
    state: Path
    source: Path

    @classmethod
    def default(cls) -> Places:
        """`build/demo`, with the rows that `FLIGHTS_SOURCE` names or `build/data/flights`."""
        source = os.environ.get("FLIGHTS_SOURCE") or str(ROOT / "build" / "data" / "flights")
        folder = ROOT / "build" / "demo"
        state = folder / chosen_week()[0].isoformat()
        return cls(folder=folder, state=state, source=Path(source).absolute())

    @property
    def workspace(self) -> Path:
        return self.state / "workspace"

    @property
    def features(self) -> Path:
        """The SQLite file that stands for the feature database."""
        return self.state / "features.db"

    def variables(self, tracking_uri: str) -> dict[str, str]:
        """What a step finds in its environment, whoever starts it."""
        return {
            "FLIGHTS_SOURCE": str(self.source),
            "FLIGHTS_FEATURES_DB": f"sqlite:///{self.features}",
            "MLFLOW_TRACKING_URI": tracking_uri,
            "RETRAIN_OPS_WORKSPACE": str(self.workspace),
            "PYTHONPATH": str(ROOT),
        }

    def open_run(self, day: date, tracking_uri: str) -> Run:
        """A day's run, for reading its records."""
        return open_run(SPEC, date=day, workspace=str(self.workspace), tracking_uri=tracking_uri)


def chosen_week() -> tuple[date, ...]:
    """Monday to Sunday of the week that the search over the year found first."""
    chosen = json.loads(WEEKS.read_text())["chosen"] if WEEKS.exists() else "2013-03-18"
    monday = date.fromisoformat(chosen)
    return days_between(monday, monday + timedelta(days=6))
