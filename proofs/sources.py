"""The demo's week from every kind of source: the decisions that Parquet makes, but for the pin."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from devtools.flights_week.places import SPEC, chosen_week
from devtools.servers.mlflow_server import MlflowServer, mlflow_python
from devtools.servers.postgres_server import postgres
from devtools.source_kinds import (
    FILES,
    Keys,
    all_days,
    in_delta,
    in_duckdb,
    in_iceberg,
    in_postgres,
    sql_keys,
    with_source,
)
from retrain_ops.cli.main import run_day
from retrain_ops.run import RunContext, open_run
from retrain_ops.spec.spec import parse_spec
from retrain_ops.spec.window import days_between

LONGEST_WINDOW = 60
"""Days before a window end that its run may read."""


def prove(folder: Path) -> dict[str, Any]:
    """Plays bootstrap and week once per kind; counts the decisions that equal Parquet's."""
    week = chosen_week()
    ends = (week[0] - timedelta(days=7), *week)
    with _sources(folder, ends) as sources:
        decided = {name: _play(folder / name, keys, ends) for name, keys in sources.items()}
    expected = [_without_source(decision) for decision in decided["parquet"]]
    return {
        "decisions": len(expected),
        "equal": {
            name: sum(map(_same, map(_without_source, found), expected))
            for name, found in decided.items()
        },
        "pinned": {
            name: sum("source" in decision for decision in found) for name, found in decided.items()
        },
        "trained": sum("hashes" in decision for decision in expected),
    }


@contextmanager
def _sources(folder: Path, ends: tuple[date, ...]) -> Iterator[dict[str, Keys]]:
    """The days that the week reads, written into every kind; `[source]` by kind."""
    rows = _linked(folder / "rows", ends)
    table = all_days(rows)
    in_duckdb(table, folder / "rows.duckdb")
    with postgres() as url:
        in_postgres(table, url)
        yield {
            "parquet": {"path": json.dumps(str(rows))},
            **{kind: write(rows, folder / f"{kind}_rows") for kind, write in FILES.items()},
            "postgresql": sql_keys(url),
            "postgresql_adbc": sql_keys(url.replace("psycopg2", "adbc")),
            "duckdb": sql_keys(f"duckdb+adbc:///{folder}/rows.duckdb"),
            "delta": in_delta(table, folder / "delta_rows"),
            "iceberg": in_iceberg(table, folder / "iceberg_rows"),
        }


def _linked(target: Path, ends: tuple[date, ...]) -> Path:
    """A source of the days around the week alone."""
    target.mkdir()
    source = Path(os.environ["FLIGHTS_SOURCE"])
    first, last = ends[0] - timedelta(days=LONGEST_WINDOW), ends[-1] + timedelta(days=3)
    for day in days_between(first, last):
        if (source / f"day={day}").is_dir():
            (target / f"day={day}").symlink_to((source / f"day={day}").resolve())
    return target


def _play(folder: Path, keys: Keys, ends: tuple[date, ...]) -> list[dict[str, Any]]:
    """The decisions of a bootstrap and the days after it, on a registry of its own."""
    spec = parse_spec(with_source(SPEC.read_text(), keys), where=SPEC.name, folder=SPEC.parent)
    decisions = []
    with MlflowServer(folder / "mlflow", mlflow_python()) as server:
        for end in ends:
            run = open_run(
                spec,
                date=end,
                workspace=str(folder / "workspace"),
                tracking_uri=server.url,
                context=RunContext(bootstrap=end == ends[0]),
            )
            output = run_day(run)
            if output.get("exit_code"):
                raise RuntimeError(f"{folder.name} {end}: {output['message']}")
            decisions.append(run.read("decision.json") or {})
    return decisions


def _without_source(decision: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in decision.items() if key != "source"}


def _same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    return json.dumps(found, sort_keys=True) == json.dumps(expected, sort_keys=True)
