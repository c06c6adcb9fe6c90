"""Events and waits under the scheduler and triggerer of Airflow 3: the test, with its figures."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tools.environments import ensure

ROOT = Path(__file__).resolve().parents[1]


def prove(folder: Path) -> dict[str, Any]:
    """Looks, events and runs per model; raises when any of them is not as it must be."""
    figures = folder / "figures.json"
    subprocess.run(
        [str(ensure("airflow-3.3")), "-m", "pytest", "-q", "tests/airflow/test_events.py"],
        cwd=ROOT,
        env={**os.environ, "RETRAIN_OPS_FIGURES": str(figures)},
        check=True,
    )
    found: dict[str, Any] = json.loads(figures.read_text())
    return found
