"""Drift of small samples by our PSI and by Evidently: the table of docs/evidently.md.

tools/in_environment.sh evidently-0.7 python -m devtools.evidently_table --write
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from retrain_ops.data.reference import build_reference, count_feature
from retrain_ops.spec.window import DAY
from retrain_ops.stats.psi import psi_from_counts

PAGE = Path(__file__).resolve().parent.parent / "docs" / "evidently.md"
BEGIN, END = "<!-- table -->", "<!-- end of table -->"
HEAD = "| rows | our PSI | its PSI | its own choice | drift by it | why they differ |"


class Case(NamedTuple):
    """Values of a column in the reference and now, `None` or NaN where missing."""

    name: str
    reference: Any
    current: Any
    why: str


def cases() -> Iterator[Case]:
    """Samples in which one thing is odd."""
    rng = np.random.default_rng(1)
    then, now = rng.normal(size=2000), rng.normal(size=600)
    levels, newest = rng.choice(["x", "y"], 2000), rng.choice(["x", "y"], 600)
    yield Case("nothing changed", then, now, "ten quantile bins; equal-width bins by Sturges' rule")
    yield Case("moved by half a standard deviation", then, now + 0.5, "the same bins")
    far = np.append(now[:-1], 1000.0)
    yield Case("one value of 1000", then, far, "equal widths put all others into one bin")
    apart = rng.uniform(10, 11, 600)
    yield Case("no value in common", then, apart, "half a count against a share of 0.0001")
    gaps = np.where(rng.random(600) < 0.3, np.nan, now)
    yield Case(
        "three in ten missing now", then, gaps, "missing is a bin of ours; it drops such rows"
    )
    none = np.where(rng.random(600) < 0.3, None, newest)
    yield Case("three in ten categories missing now", levels, none, "the same")
    unseen = np.where(rng.random(600) < 0.05, "z", newest)
    yield Case("one in twenty of a new category", levels, unseen, "0.0001 for what was never seen")


def table() -> str:
    """The rows of the table, in Markdown."""
    lines = [HEAD, "|---|---|---|---|---|---|"]
    for case in cases():
        psi, (method, score, drifted) = theirs(case, "psi"), theirs(case, None)
        own = f"{method} {score:.3f}"
        words = ("yes" if drifted else "no", case.why)
        lines.append(
            f"| {case.name} | {ours(case):.3f} | {psi[1]:.3f} | {own} | {' | '.join(words)} |"
        )
    return "\n".join(lines)


def ours(case: Case) -> float:
    """PSI of Jeffreys' half counts over quantile bins of the reference, or its categories."""
    numeric = case.reference.dtype.kind == "f"
    name = {"numeric": ["v"] if numeric else [], "categorical": [] if numeric else ["v"]}
    then = _rows(case.reference)
    frozen = build_reference(then, **name, slices=[], bins=10)["features"]["v"]
    now = count_feature(_rows(case.current), "v", frozen)
    return float(psi_from_counts(np.asarray(frozen["counts"]).sum(axis=0), now.sum(axis=0)))


def _rows(values: Any) -> pa.Table:
    day = pa.array([date(2020, 1, 1)] * len(values), type=pa.date32())
    return pa.table({DAY: day, "v": pa.array(values.tolist())})


def theirs(case: Case, method: str | None) -> tuple[str, float, bool]:
    """Evidently's statistic: its name, its score, and whether that is drift by its threshold."""
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    kind = "numerical" if case.reference.dtype.kind == "f" else "categorical"
    defined = DataDefinition(**{f"{kind}_columns": ["v"]})
    then, now = (
        Dataset.from_pandas(pd.DataFrame({"v": values}), defined)
        for values in (case.reference, case.current)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric = ValueDrift(column="v", method=method)
        found = Report([metric], include_tests=True).run(now, then).dict()
    (shown,), (test,) = found["metrics"], found["tests"]
    return shown["config"]["method"], float(shown["value"]), test["status"] == "FAIL"


def written(page: str, rows: str) -> str:
    """The page with the table in its place."""
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{rows}\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(written(PAGE.read_text(), table()))
    else:
        print(table())
