"""`retrain-ops`: the steps for every scheduler that can start a process.

One JSON document on standard output (`explain`: text), progress on standard
error, and an exit code that says what to do next.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from retrain_ops.cli import decisions, registry
from retrain_ops.decisions.record import read_decision
from retrain_ops.errors import ConfigError, NotYet, RetrainError, ValidationError
from retrain_ops.registry.registry import Version
from retrain_ops.run import Run, RunContext, open_run, require_workspace
from retrain_ops.spec.window import parse_window_end
from retrain_ops.steps.runner import STEPS, TRAINING, run_step

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_VALIDATION = 20
EXIT_NOT_YET = 75

EPILOG = """\
exit codes:
  0   the day is complete, whatever it decided (see "outcome" in the output)
  1   a step failed; the message says how to fix it; run the same command again
      (replay-decision: the replay differs from the stored decision)
  2   the spec or the command line is wrong
  20  the data failed validation; nothing was trained
  75  not yet: a shadow or an approval is still open; run the same command later
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code."""
    options = build_parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        output: dict[str, Any] = options.command(options)
        code = int(output.pop("exit_code", EXIT_OK))
    except ConfigError as problem:
        output, code = _failure(problem), EXIT_USAGE
    except Exception as problem:
        output, code = _failure(problem), EXIT_FAILED
        if not isinstance(problem, RetrainError | OSError | RuntimeError | ValueError):
            raise
    print(output.get("text") or json.dumps(output, indent=1, sort_keys=True), flush=True)
    return code


def _failure(problem: Exception) -> dict[str, Any]:
    print(f"retrain-ops: {problem}", file=sys.stderr)
    return {"error": type(problem).__name__, "message": str(problem)}


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command; docs/cli.md is written from it."""
    parser = argparse.ArgumentParser(
        prog="retrain-ops",
        description="Retraining in production that is scheduled, audited and reversible.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    run = _command(commands, "run", _run, "run one day, all steps or a single one")
    run.add_argument("--bootstrap", action="store_true", help="train the first champion")
    run.add_argument("--force", action="store_true", help="train whatever the drift check says")
    run.add_argument("--step", choices=STEPS, help="run this step alone")
    _command(commands, "status", _status, "who serves, what is open, what the days decided")
    decisions.add_commands(commands)
    registry.add_commands(partial(_command, commands))
    return parser


def _command(commands: Any, name: str, function: Any, text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.set_defaults(command=function, open=_open)
    command.add_argument("--spec", required=True, help="the TOML spec")
    command.add_argument("--date", help="the window end, UTC (default: today)")
    command.add_argument(
        "--workspace",
        default=os.environ.get("RETRAIN_OPS_WORKSPACE"),
        help="folder or URI for all files (default: RETRAIN_OPS_WORKSPACE)",
    )
    command.add_argument("--tracking-uri", help="MLflow (default: the spec, MLFLOW_TRACKING_URI)")
    command.add_argument("--model", help="another registered name for the same spec")
    command.add_argument("--threads", type=int, default=0, help="team size (default: all allowed)")
    return command


def _open(options: argparse.Namespace) -> Run:
    today = datetime.now(UTC).date()
    context = RunContext(
        forced=getattr(options, "force", False), bootstrap=getattr(options, "bootstrap", False)
    )
    return open_run(
        options.spec,
        date=parse_window_end(options.date) if options.date else today,
        workspace=require_workspace(options.workspace),
        tracking_uri=options.tracking_uri,
        model=options.model,
        n_threads=options.threads,
        context=context,
    )


# -- run --------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> dict[str, Any]:
    run = _open(options)
    if options.step:
        return _run_steps(run, [options.step])
    return run_day(run)


def run_day(run: Run) -> dict[str, Any]:
    """All steps of one day in order, as the DAG would run them; ends with a summary always.

    Returns the outcome with one entry per step; `exit_code` is set when it is
    not 0. A failed step ends training; rollout steps that wait do not stop the
    summary.
    """
    output = _run_steps(run, [s for s in STEPS if s != "summarise"])
    try:
        summary = run_step("summarise", run)
    except RetrainError as problem:
        return output | {"exit_code": EXIT_FAILED, "message": str(problem)}
    output["steps"].append(summary)
    return output | {"outcome": summary["outcome"], "summary": summary["summary"]}


def _run_steps(run: Run, names: Sequence[str]) -> dict[str, Any]:
    output: dict[str, Any] = {"model": run.model, "window_end": run.window.end.isoformat()}
    output["steps"] = []
    untriggered = False
    for name in names:
        if untriggered and name in TRAINING:
            continue
        entry, code = _one_step(run, name)
        output["steps"].append(entry)
        if code != EXIT_OK:
            output |= {"exit_code": code, "message": entry["message"]}
        if code not in (EXIT_OK, EXIT_NOT_YET):
            break
        untriggered = untriggered or entry.get("triggered") is False
    return output


def _one_step(run: Run, name: str) -> tuple[dict[str, Any], int]:
    _progress(f"{run.retrain_key} {name} ...")
    begun = time.monotonic()
    try:
        entry = run_step(name, run)
    except NotYet as waiting:
        _progress(f" not yet: {waiting}\n")
        message = {"step": name, "status": "not_yet", "message": str(waiting)}
        return message | {"until": waiting.until.isoformat()}, EXIT_NOT_YET
    except (RetrainError, OSError, RuntimeError, ValueError) as problem:
        _progress(f" failed: {problem}\n")
        code = EXIT_VALIDATION if isinstance(problem, ValidationError) else EXIT_FAILED
        code = EXIT_USAGE if isinstance(problem, ConfigError) else code
        return {"step": name, "status": "failed", "message": str(problem)}, code
    _progress(f" {entry['summary']} ({time.monotonic() - begun:.1f} s)\n")
    return entry, EXIT_OK


def _progress(text: str) -> None:
    """For people at a terminal; a log file gets the summary lines only."""
    if sys.stderr.isatty():
        print(text, end="", file=sys.stderr, flush=True)


# -- status --------------------------------------------------------------


def _status(options: argparse.Namespace) -> dict[str, Any]:
    run = _open(options)
    snapshot = run.registry.snapshot()
    candidate = run.registry.open_candidate()
    return {
        "model": run.model,
        "aliases": dict(snapshot.aliases),
        "candidate": _version_facts(candidate) if candidate else None,
        "events": [_event_facts(e) for e in snapshot.events],
        "days": [_day_facts(run, end) for end in run.workspace.list_keys()[-14:]],
    }


def _version_facts(version: Version) -> dict[str, Any]:
    return {
        "version": version.number,
        "retrain_key": version.retrain_key,
        "state": version.state,
        "opened_at": version.opened_at.isoformat() if version.opened_at else None,
    }


def _event_facts(event: Any) -> dict[str, Any]:
    names = ("epoch", "kind", "version", "previous", "effective_from", "recorded_at", "failed")
    return {name: getattr(event, name) for name in names}


def _day_facts(run: Run, end: Any) -> dict[str, Any]:
    decision = read_decision(run.workspace, end)
    return {
        "window_end": end.isoformat(),
        "outcome": decision["outcome"] if decision else "none",
        "reason": decision["reason"] if decision else None,
    }
