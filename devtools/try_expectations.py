"""Run a real validation in every environment whose lock file holds Great Expectations.

    python devtools/try_expectations.py [NAME ...]

Without names: all of them. Prints one line for each; ends 1 when one did not validate.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools import environments

PROBE = """
import pyarrow as pa, great_expectations as gx
from retrain_ops.data.expectations import ValidationRules, validate_table
rules = ValidationRules(columns={"wind": "float", "label": "int8"}, not_null=("wind",),
                        ranges={"wind": (0.0, 60.0)}, min_rows=3, max_rows=9, label="label",
                        label_rate=(0.2, 0.8))
def table(*wind):
    label = pa.array([0, 1, None], pa.int8())
    return pa.table({"wind": pa.array(wind, pa.float32()), "label": label})
good = validate_table(table(1, 2, 3), rules)
bad = validate_table(table(1, None, 99), rules)
assert good.success, good
assert [f.expectation for f in bad.failures] == [
    "expect_column_values_to_be_between", "expect_column_values_to_not_be_null"], bad
print(gx.__version__)
"""


def names() -> list[str]:
    """The environments with Great Expectations and this project in them."""
    return [
        name
        for name, environment in environments.ENVIRONMENTS.items()
        if environment.project
        and re.search(r"^great-expectations==", environments.lock_files(name)[0].read_text(), re.M)
    ]


def attempt(name: str) -> str:
    """The version that validated; raises `Failure` with what it printed otherwise."""
    python = environments.ensure(name)
    # From the root directory: the tree itself must not stand in for the installed wheel.
    return environments.run(
        [str(python), "-c", PROBE], why=f"validating in {name}", cwd="/"
    ).strip()


def main(arguments: list[str]) -> int:
    failed = False
    for name in arguments or names():
        started = time.monotonic()
        try:
            version = attempt(name)
        except environments.Failure as failure:
            failed = True
            print(f"{name}: {failure}")
        else:
            print(f"{name}: Great Expectations {version} in {time.monotonic() - started:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
