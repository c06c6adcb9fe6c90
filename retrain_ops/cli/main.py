"""`retrain-ops`: the steps for every scheduler that can start a process.

One JSON document on standard output (`explain`: text; `status` and `history` at a terminal: a
table), progress on standard error, and an exit code that says what to do next.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from typing import Any, NoReturn

from retrain_ops import __version__
from retrain_ops.busy import busy_with
from retrain_ops.cli import (
    check,
    decisions,
    evidently,
    export,
    init,
    kubeflow,
    registry,
    report,
    serve,
)
from retrain_ops.cli.command import (
    EXIT_FAILED,
    EXIT_OK,
    Command,
    CommandParser,
    UsageError,
    add_command,
    exit_code_of,
    run_of,
)
from retrain_ops.cli.process import EXIT_SIGNAL, Cancelled, cancellable, open_streams, write
from retrain_ops.cli.progress import progress
from retrain_ops.errors import BusyError, NotYet, is_expected, text_of
from retrain_ops.notify import prepare
from retrain_ops.run import Run, record_step, run_record
from retrain_ops.spec.learn import require_learn
from retrain_ops.steps.alerts import alert_failure
from retrain_ops.steps.runner import STEPS, TRAINING, run_step

EPILOG = """\
exit codes:
  0   the day is complete, whatever it decided (see "outcome" in the output)
  1   a step failed; the message says how to fix it; run the same command again
      (replay-decision: the replay differs from the stored decision)
  2   the spec or the command line is wrong
  20  the source is wrong or its rows failed validation; nothing was trained
  75  not yet: a shadow or an approval is still open; run the same command later
  128+N  ended by signal N; the step is recorded as failed; run the same command again
"""


def process() -> NoReturn:
    """`retrain-ops` as a process of its own.

    One that a signal ended leaves without Python's teardown: that of Great Expectations' modules
    alone takes longer than everything else between signal and end.
    """
    code = main()
    if code > EXIT_SIGNAL:
        os._exit(code)
    sys.exit(code)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit code."""
    open_streams()
    try:
        text, code = _answer(arguments)
        lost = write(sys.stdout, text)
        if lost is not None:
            write(sys.stderr, f"retrain-ops: the output cannot be written: {lost.strerror}\n")
            code = code or EXIT_FAILED
    finally:
        write(sys.stdout, "")
        write(sys.stderr, "")
    return code


def _answer(arguments: Sequence[str] | None) -> tuple[str, int]:
    """What goes to standard output, and the exit code."""
    try:
        options = build_parser().parse_args(arguments)
    except UsageError as problem:  # at a terminal the usage has said it all
        document = json.dumps(_failure(problem), indent=1, sort_keys=True)
        return "" if sys.stdout.isatty() else f"{document}\n", exit_code_of(problem)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    output, code = _perform(options)
    return f"{_shown(options, output)}\n", code


def _shown(options: argparse.Namespace, output: dict[str, Any]) -> str:
    """The text of a command that has one, a table for a person who looks, else JSON."""
    table = getattr(options, "table", None)
    if table and not options.json and sys.stdout.isatty() and output.get("status") != "failed":
        return str(table(output))
    return output.get("text") or json.dumps(output, indent=1, sort_keys=True)


def _perform(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    try:
        # What a trainer or metric of the user's prints must not mix with the one document.
        with progress(), cancellable(), redirect_stdout(sys.stderr):
            output: dict[str, Any] = options.command(options)
            return output, int(output.pop("exit_code", EXIT_OK))
    except Cancelled as problem:
        return _failure(problem), problem.exit_code
    except (Exception, SystemExit) as problem:
        return _failure(problem), exit_code_of(problem)


def _failure(problem: BaseException) -> dict[str, Any]:
    _show_origin(problem)
    text = text_of(problem)
    write(sys.stderr, f"retrain-ops: {text}\n")
    status = "not_yet" if isinstance(problem, NotYet) else "failed"
    return {"status": status, "error": type(problem).__name__, "message": text}


def _show_origin(problem: BaseException) -> None:
    """Where an error that nobody foresaw came from; the others say what to do."""
    if not is_expected(problem):
        write(sys.stderr, "".join(traceback.format_exception(problem)))


def build_parser() -> argparse.ArgumentParser:
    """The parser of `retrain-ops`; docs/cli.md is written from it."""
    parser = CommandParser(
        prog="retrain-ops",
        description="Retraining in production that is scheduled, audited and reversible.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"retrain-ops {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command", parser_class=CommandParser)
    firsts = (
        Command("init", init.init, init.HELP, init.add_options, opens_run=False),
        Command("check", check.check, check.HELP, check.add_options, opens_run=False),
        Command("run", _run, "run one day, all steps or a single one", _run_options),
        Command("learn", _learn, "learn the days up to this one, each once", _learn_options),
        Command("serve", serve.serve_command, serve.HELP, serve.add_options, opens_run=False),
    )
    last = Command("export", export.export, export.HELP, export.add_options)
    for command in (*firsts, *registry.COMMANDS, report.REPORT, last):
        add_command(commands, command)
    decisions.add_commands(commands)
    kubeflow.add_commands(commands)
    evidently.add_commands(commands)
    return parser


# -- run --------------------------------------------------------------------------


def _run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bootstrap", action="store_true", help="train the first champion")
    parser.add_argument(
        "--force",
        action="store_true",
        help="train whatever the drift check says; the day stays forced when it is run again",
    )
    parser.add_argument(
        "--backfill",
        action="store_true",
        help="the day again after a fix: read the newest version of a source that has versions",
    )
    parser.add_argument(
        "--in-order",
        action="store_true",
        help="refuse the day while the one before it is failed; for schedulers that go on",
    )
    parser.add_argument("--step", choices=STEPS, help="run this step alone")


def _run(options: argparse.Namespace) -> dict[str, Any]:
    run = run_of(options)
    if run.webhook_url:
        prepare()
    return _run_steps(run, [options.step]) if options.step else run_day(run)


def _learn_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bootstrap", action="store_true", help="learn the first champion")
    parser.set_defaults(force=True)


def _learn(options: argparse.Namespace) -> dict[str, Any]:
    """A day that trains whatever the drift check says: each run learns the days since the last."""
    run = run_of(options)
    require_learn(run.spec)
    if run.webhook_url:
        prepare()
    return run_day(run)


def run_day(run: Run) -> dict[str, Any]:
    """All steps of one day in order, as the DAG would run them; ends with a summary always.

    Returns the outcome with one entry per step; `exit_code` is set when it is
    not 0. A failed step ends training; rollout steps that wait do not stop the
    summary.
    """
    output = _run_steps(run, STEPS)
    summary = output["steps"][-1]
    return output | {key: summary[key] for key in ("outcome", "summary") if key in summary}


def _run_steps(run: Run, names: Sequence[str]) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    where = {"model": run.model, "window_end": run.window.end.isoformat()}
    output: dict[str, Any] = {**where, "steps": entries}
    earlier = run_record(run).get("attempt")
    try:
        while left := _left(names, entries):
            entry, code = _one_step(run, left[0])
            entries.append(entry)
            if code != EXIT_OK and output.get("status") != "failed":
                found = {key: entry[key] for key in ("status", "message")}
                output |= {**found, "exit_code": code}
    except Cancelled as problem:
        _record_cancelled(run, _left(names, entries), earlier, problem)
        raise
    return output


def _left(names: Sequence[str], entries: Sequence[dict[str, Any]]) -> list[str]:
    """The steps that are still to run after those of `entries`."""
    over = {entry["step"] for entry in entries}
    if any(entry.get("triggered") is False for entry in entries):
        over.update(TRAINING)
    if any(entry["status"] == "failed" for entry in entries):
        over.update(STEPS[:-1])
    return [name for name in names if name not in over]


def _one_step(run: Run, name: str) -> tuple[dict[str, Any], int]:
    _progress(f"{run.retrain_key} {name} ...")
    begun = time.monotonic()
    try:
        with busy_with(f"running {name} of {run.retrain_key}"):
            entry = run_step(name, run)
    except NotYet as waiting:
        _progress(f" not yet: {waiting}\n")
        message = {"step": name, "status": "not_yet", "message": str(waiting)}
        return message | {"until": waiting.until.isoformat()}, exit_code_of(waiting)
    except (Exception, SystemExit) as problem:
        _progress(f" failed: {text_of(problem)}\n")
        _show_origin(problem)
        entry = {"step": name, "status": "failed", "message": text_of(problem)}
        return entry, exit_code_of(problem)
    _progress(f" {entry['summary']} ({time.monotonic() - begun:.1f} s)\n")
    return entry, EXIT_OK


def _record_cancelled(
    run: Run, left: Sequence[str], earlier: int | None, problem: Cancelled
) -> None:
    """Records as failed the step that a signal met outside its own bookkeeping.

    The signal may have come between two steps, or between two lines of a record. A run that
    never got the lock, or that had begun no attempt of its own, leaves the records alone.

    Args:
        run: the run.
        left: the steps that had not come back.
        earlier: the attempt that run.json showed before the first step.
        problem: the signal.
    """
    with suppress(BusyError), run.workspace.lock(patience_s=0.0):
        record = run_record(run)
        found = {name: record.get("steps", {}).get(name, {}).get("status") for name in left}
        met = next((n for n in left if found[n] in (None, "running", "failed")), None)
        if met is None or (found[met] is None and record.get("attempt") == earlier):
            return
        if found[met] != "failed":
            record_step(run, met, {"status": "failed", "error": str(problem)})
        alert_failure(run, met, str(problem))


def _progress(text: str) -> None:
    """For people at a terminal; a log file gets the summary lines only."""
    if sys.stderr.isatty():
        write(sys.stderr, text)
