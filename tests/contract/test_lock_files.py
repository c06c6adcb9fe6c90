"""The lock files hold what the code needs, and what they hold works together."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_names_exact_versions_each_package_once(lock: Path) -> None:
    lines = [line for line in lock.read_text().splitlines() if not line.startswith("#")]
    wrong = [line for line in lines if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*==[\w.!+-]+", line)]
    assert wrong == []
    names = [line.split("==")[0] for line in lines]
    assert len(set(names)) == len(names)


@pytest.mark.airflow
@pytest.mark.parametrize("name", ["dev", "airflow-3.3"])
def test_great_expectations_validates_under_the_lock_file(name: str) -> None:
    """Of the older environments `devtools/try_expectations.py` tells."""
    command = [sys.executable, str(ROOT / "devtools" / "try_expectations.py"), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{name}: Great Expectations 1.24.1" in done.stdout
