"""Points inside a step where a test can stop a task and end its process.

A DAG file calls `install`; the task process parses that file, so the points are in it. A task
that comes to a point while `<folder>/<model>.<point>` exists writes its process id and that of its
supervisor to `<folder>/<model>.<point>.reached` and stays there until the file is gone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

PATIENCE_S = 900.0


def install(folder: str) -> None:
    """Put the points where work is half done: written, but not yet recorded."""
    import retrain_ops.steps.runner
    from retrain_ops.mlflow.client import MlflowClient

    place = Path(folder)
    inner = retrain_ops.steps.runner._function

    def function(name: str) -> Any:
        return _held_after(inner(name), place, name)

    retrain_ops.steps.runner._function = function
    # The epoch is claimed and `@previous` has moved, `@champion` has not.
    alias = MlflowClient.set_registered_model_alias
    MlflowClient.set_registered_model_alias = _held_at_champion(alias, place)  # type: ignore[method-assign]


def _held_after(function: Callable[..., Any], place: Path, point: str) -> Callable[..., Any]:
    @wraps(function)
    def held(run: Any, *arguments: Any, **named: Any) -> Any:
        result = function(run, *arguments, **named)
        _stay(place / f"{run.model}.{point}")
        return result

    return held


def _held_at_champion(function: Callable[..., Any], place: Path) -> Callable[..., Any]:
    @wraps(function)
    def held(client: Any, name: str, alias: str, version: str) -> Any:
        if alias == "champion":
            _stay(place / f"{name}.aliases")
        return function(client, name, alias, version)

    return held


def _stay(flag: Path) -> None:
    if not flag.exists():
        return
    written = flag.with_name(f"{flag.name}.tmp")
    written.write_text(f"{os.getpid()} {os.getppid()}")
    written.rename(flag.with_name(f"{flag.name}.reached"))
    end = time.monotonic() + PATIENCE_S
    while flag.exists() and time.monotonic() < end:
        time.sleep(0.02)
