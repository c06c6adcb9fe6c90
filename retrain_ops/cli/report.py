"""`retrain-ops report`: many days on one page."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from retrain_ops.cli.command import Command, run_of, writing
from retrain_ops.errors import ConfigError, import_problem
from retrain_ops.spec.window import day_that_has_come, parse_window_end


def _report(options: argparse.Namespace) -> dict[str, Any]:
    from retrain_ops.report import render_days

    first, last = parse_window_end(options.first), parse_window_end(options.last)
    day_that_has_come(last, datetime.now(UTC))
    if last < first:
        raise ConfigError(f"--from {first} lies after --to {last}")
    run = run_of(options)
    try:
        html, days = render_days(run, first, last)
    except ImportError as problem:
        raise ConfigError(import_problem(problem, "the page", "jinja2")) from problem
    file = Path(options.output or f"{run.model}_{first}_{last}.html")
    with writing(file, "--output"):
        file.write_text(html, encoding="utf-8")
    return {"model": run.model, "days": days, "file": str(file.absolute())}


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="first", required=True, help="the first window end, UTC")
    parser.add_argument("--to", dest="last", required=True, help="the last window end, UTC")
    parser.add_argument(
        "--output", metavar="FILE", help="the HTML file (default: <model>_<from>_<to>.html here)"
    )


REPORT = Command(
    "report",
    _report,
    "write one HTML page of many days: drift, scores, decisions, versions, canary shares",
    _options,
)
