"""What the commands share: exit codes, common options, and the run that these open."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from retrain_ops.errors import ConfigError, NotYet, SourceError, ValidationError
from retrain_ops.registry.events import Version
from retrain_ops.run import Run, RunContext, open_run, require_workspace
from retrain_ops.spec.window import parse_window_end

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_DATA = 20
EXIT_NOT_YET = 75
MAX_THREADS = 1024  # RT_MAX_THREADS of csrc/base/limits.h
_NO_FAULT_OF_THE_PATH = (errno.ENOSPC, errno.EDQUOT, errno.EIO)

_CODES: tuple[tuple[type[Exception], int], ...] = (
    (ConfigError, EXIT_USAGE),
    (ValidationError, EXIT_DATA),
    (SourceError, EXIT_DATA),
    (NotYet, EXIT_NOT_YET),
)


@dataclass(frozen=True, slots=True)
class Command:
    """A command of `retrain-ops`; `act` returns what is printed, `exit_code` when it is not 0.

    One that opens a run has a run's options beside its own. One that has a `table` prints that at
    a terminal, unless `--json` is given.
    """

    name: str
    act: Callable[[argparse.Namespace], dict[str, Any]]
    help: str
    add_options: Callable[[argparse.ArgumentParser], None] = lambda parser: None
    opens_run: bool = True
    table: Callable[[Mapping[str, Any]], str] | None = None


class UsageError(ConfigError):
    """The command line cannot be understood; its usage was shown."""


class CommandParser(argparse.ArgumentParser):
    """The parser of one command, which shows its own usage for what it does not know.

    argparse hands unknown arguments up, and the whole program's usage names no option at all.
    """

    def error(self, message: str) -> NoReturn:
        """Shows the usage. Raises UsageError where argparse would leave the process."""
        self.print_usage(sys.stderr)
        raise UsageError(message)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """The arguments, all of them known."""
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, []


def exit_code_of(problem: BaseException) -> int:
    """What the exit code says about an error."""
    return next((code for kind, code in _CODES if isinstance(problem, kind)), EXIT_FAILED)


def add_command(commands: Any, command: Command) -> None:
    """Adds a command to the parser of `retrain-ops`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        command.name, help=command.help, description=command.help
    )
    parser.set_defaults(command=command.act)
    if command.opens_run:
        _add_run_options(parser)
    command.add_options(parser)
    if command.table is not None:
        parser.set_defaults(table=command.table)
        parser.add_argument("--json", action="store_true", help="print JSON at a terminal too")


def _team_size(text: str) -> int:
    if not text.isdecimal() or int(text) > MAX_THREADS:
        what = f"must be a whole number from 0 to {MAX_THREADS}, it is {text!r}"
        raise argparse.ArgumentTypeError(what)
    return int(text)


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--spec", required=True, help="the TOML spec")
    parser.add_argument("--date", help="the window end, UTC (default: today)")
    add_model_options(parser)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Where a model's files and its registry are, and how many threads a step may use."""
    parser.add_argument(
        "--workspace",
        default=os.environ.get("RETRAIN_OPS_WORKSPACE"),
        help="folder or URI for all files (default: RETRAIN_OPS_WORKSPACE)",
    )
    parser.add_argument("--tracking-uri", help="MLflow (default: the spec, MLFLOW_TRACKING_URI)")
    parser.add_argument("--model", help="another registered name for the same spec")
    parser.add_argument(
        "--threads", type=_team_size, default=0, help="team size (default: all allowed)"
    )


@contextmanager
def writing(file: Path, option: str) -> Iterator[None]:
    """Within it a file that a person named is written.

    Raises:
        ConfigError: no file can be written there; a disk that is full stays what it is.
    """
    try:
        yield
    except FileExistsError as problem:
        text = f"{file} exists: name another file by {option}, or remove it"
        raise ConfigError(text) from problem
    except OSError as problem:
        if problem.errno in _NO_FAULT_OF_THE_PATH:
            raise
        why = os.strerror(problem.errno) if problem.errno else str(problem)
        raise ConfigError(
            f"{file} cannot be written ({why}): name another file by {option}"
        ) from problem


def version_number(text: str) -> str:
    """The number of a registered version, from an option.

    Raises:
        argparse.ArgumentTypeError: it is none, such as a name or -1.
    """
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no version's number, such as 3")
    return str(int(text))


def version_named(run: Run, number: str) -> Version:
    """The version that an option names.

    Raises:
        ConfigError: the model has none of that number.
    """
    versions = run.registry.versions()
    found = next((version for version in versions if version.number == number), None)
    if found is None:
        newest = f"its newest is {versions[-1].number}" if versions else "it has none"
        raise ConfigError(f"{run.model} has no version {number} that retrain_ops made; {newest}")
    return found


def run_of(options: argparse.Namespace) -> Run:
    """The run that the common options name.

    Raises:
        ConfigError: the spec is wrong, or no workspace or server is named.
    """
    context = RunContext(
        forced=getattr(options, "force", False),
        bootstrap=getattr(options, "bootstrap", False),
        trigger="backfill" if getattr(options, "backfill", False) else "manual",
        ordered=getattr(options, "in_order", False),
    )
    return open_run(
        options.spec,
        date=datetime.now(UTC).date() if options.date is None else parse_window_end(options.date),
        workspace=require_workspace(options.workspace),
        tracking_uri=options.tracking_uri,
        model=options.model,
        n_threads=options.threads,
        context=context,
    )
