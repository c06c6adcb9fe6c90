"""`retrain-ops explain` and `replay-decision`: what a key's records say, without any server."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from datetime import date
from typing import Any

from retrain_ops.run import require_workspace
from retrain_ops.spec.spec import RetrainSpec, load_spec
from retrain_ops.spec.window import parse_window_end
from retrain_ops.workspace import Workspace, canonical_json


def add_commands(commands: Any) -> None:
    """Adds both commands to the parser of `retrain-ops`."""
    _command(commands, "explain", _explain, "say in plain words what a day decided, and why")
    _command(
        commands,
        "replay-decision",
        _replay,
        "judge a day's decision again from its stored counts; exit code 1 when it differs",
    )


def _command(
    commands: Any, name: str, function: Callable[[argparse.Namespace], dict[str, Any]], text: str
) -> None:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.set_defaults(command=function)
    command.add_argument("--spec", required=True, help="the TOML spec")
    command.add_argument("--date", required=True, help="the window end, UTC")
    command.add_argument(
        "--workspace",
        default=os.environ.get("RETRAIN_OPS_WORKSPACE"),
        help="folder or URI for all files (default: RETRAIN_OPS_WORKSPACE)",
    )
    command.add_argument("--model", help="another registered name for the same spec")


def _open(options: argparse.Namespace) -> tuple[RetrainSpec, Workspace, date]:
    spec = load_spec(options.spec).named(options.model)
    workspace = Workspace.open(require_workspace(options.workspace), spec.model.name)
    return spec, workspace, parse_window_end(options.date)


def _explain(options: argparse.Namespace) -> dict[str, Any]:
    from retrain_ops.decisions.explain import explain
    from retrain_ops.decisions.record import require_decision

    _, workspace, window_end = _open(options)
    return {"text": explain(require_decision(workspace, window_end))}


def _replay(options: argparse.Namespace) -> dict[str, Any]:
    from retrain_ops.decisions.record import DECISION_FILE
    from retrain_ops.decisions.replay import replay

    spec, workspace, window_end = _open(options)
    done = replay(spec, workspace, window_end)
    stored = workspace.read_as_it_is(workspace.key_path(window_end, DECISION_FILE))
    equal = canonical_json(done.computed) == stored
    return {
        "model": workspace.model,
        "window_end": window_end.isoformat(),
        "verdict": "equal" if equal else "differs",
        "differences": done.differences,
        "notes": list(done.notes),
        "exit_code": 0 if equal else 1,
    }
