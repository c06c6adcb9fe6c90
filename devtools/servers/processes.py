"""Servers as processes: their interpreter, a free port, start, wait, end.

Every server leads a session of its own and is ended by its process group, so that the workers it
forked go with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEALTHY_WITHIN_S = 600.0
# How long a stuck server may hold a test up; a condition that comes true costs what it takes.
PATIENCE_S = 900.0
STOPPED_WITHIN_S = 20.0


class ServerError(RuntimeError):
    """A server did not start, died or answered something unexpected."""


def environment_python(environment: str, variable: str) -> Path:
    """The Python that `variable` names, or that of an environment which our script makes."""
    named = os.environ.get(variable)
    if named:
        return Path(named)
    command = [sys.executable, str(ROOT / "tools" / "environments.py"), environment]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Path(done.stdout.strip())


def free_port() -> int:
    """A port that was free a moment ago; a server that loses the race is started again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(
    what: str, within_s: float, ready: Callable[[], bool], *, every_s: float = 0.5
) -> float:
    """Wait for `ready`; the seconds it took.

    Raises `ServerError` naming `what` when it takes longer than `within_s`.
    """
    start = time.monotonic()
    while not ready():
        if time.monotonic() - start > within_s:
            raise ServerError(f"{what}: not within {within_s:.0f} s")
        time.sleep(every_s)
    return time.monotonic() - start


def launch(
    command: Sequence[object],
    *,
    log: Path,
    variables: Mapping[str, str],
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start `command` as a session of its own; its output is appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(word) for word in command],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=dict(variables),
            cwd=cwd,
            start_new_session=True,
        )


def call(
    command: Sequence[object],
    *,
    variables: Mapping[str, str],
    timeout_s: float,
    cwd: Path | None = None,
) -> str:
    """Run `command` to its end; its standard output.

    Raises `ServerError` with the command and what it printed when it fails.
    """
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        env=dict(variables),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode != 0:
        raise ServerError(
            f"{' '.join(words)} failed with {done.returncode}:\n"
            f"{done.stdout[-3000:]}{done.stderr[-4000:]}"
        )
    return done.stdout


def stop_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that leads a session, and everything it started."""
    for signal_number, patience in ((signal.SIGTERM, STOPPED_WITHIN_S), (signal.SIGKILL, 5.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
