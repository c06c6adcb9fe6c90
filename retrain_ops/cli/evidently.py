"""`retrain-ops evidently`: takes over what a report of Evidently's is configured with."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from retrain_ops.cli.command import Command, CommandParser, add_command
from retrain_ops.errors import ConfigError
from retrain_ops.spec.evidently_config import drift_table_of

HELP = "Evidently: take over the drift rules of one of its reports"


def add_commands(commands: Any) -> None:
    """Adds the command below `evidently`."""
    parser: argparse.ArgumentParser = commands.add_parser("evidently", help=HELP, description=HELP)
    below = parser.add_subparsers(required=True, metavar="command", parser_class=CommandParser)
    converting = "print the [drift] table of a drift preset, a report or a snapshot, as TOML"
    add_command(below, Command("convert", _convert, converting, _options, opens_run=False))


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", required=True, help="its JSON")


def _convert(options: argparse.Namespace) -> dict[str, Any]:
    try:
        given = json.loads(Path(options.config).read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ConfigError(f"{options.config} cannot be read as JSON: {problem}") from problem
    return {"text": drift_table_of(given, where=options.config)}
