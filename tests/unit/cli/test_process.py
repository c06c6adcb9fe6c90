"""Signals that end a command, and streams that nobody reads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from devtools.synthetic import write_days
from retrain_ops.cli.process import SIGNALS, Cancelled, cancellable
from retrain_ops.errors import ConfigError, import_problem

CLI = (sys.executable, "-m", "retrain_ops.cli")


def send(number):
    """To this process, which then waits for what comes of it."""
    os.kill(os.getpid(), number)
    time.sleep(5)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_raises_and_the_handlers_of_before_come_back(number):
    before = [signal.getsignal(n) for n in SIGNALS]
    text = f"cancelled by signal {number.value}"
    with pytest.raises(Cancelled, match=text) as ended, cancellable():
        send(number)
    assert ended.value.exit_code == 128 + number
    assert [signal.getsignal(n) for n in SIGNALS] == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_that_python_loses_is_raised_again():
    class Loses:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)
            for _ in range(1000):
                pass

    def step():
        Loses()
        time.sleep(5)

    begun = time.monotonic()
    with pytest.raises(Cancelled), cancellable():
        step()
    assert time.monotonic() - begun < 4.5


def test_a_signal_that_a_library_made_an_error_of_its_own_is_raised_as_it_was():
    def imports():
        try:
            send(signal.SIGTERM)
        except KeyboardInterrupt as problem:  # as extension modules do
            raise ImportError("initialization failed") from problem

    def step():
        try:
            imports()
        except ImportError as problem:
            raise ConfigError(import_problem(problem, "the library", "it")) from problem

    with pytest.raises(Cancelled), cancellable():
        step()


def test_an_error_with_no_interruption_behind_it_stays_what_it_is():
    def step():
        try:
            int("x")
        except ValueError as problem:
            raise ConfigError("spoilt") from problem

    with pytest.raises(ConfigError, match="spoilt"), cancellable():
        step()


def test_a_signal_leaves_those_alone_who_handle_the_first():
    done = []

    def step():
        try:
            send(signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            try:
                raise KeyError
            except KeyError:
                time.sleep(0.3)  # as long as the timer needs to come twice
            done.append("recorded")

    with pytest.raises(Cancelled, match="SIGTERM"), cancellable():
        step()
    assert done == ["recorded"]


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with cancellable():
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.05)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("arguments", [["--help"], ["history", "--spec", "none.toml"]])
def test_a_reader_that_has_gone_is_no_failure(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    kept = subprocess.run([*CLI, *arguments], stdout=subprocess.DEVNULL, check=False).returncode
    done = subprocess.run([*CLI, *arguments], stdout=writer, stderr=subprocess.PIPE, check=False)
    assert done.returncode == kept
    assert b"Broken" not in done.stderr
    again = subprocess.run([*CLI, *arguments], stdout=writer, stderr=writer, check=False)
    os.close(writer)
    assert again.returncode == kept


def test_an_output_that_cannot_be_written_is_said_without_a_traceback(tmp_path):
    write_days(tmp_path / "rows", 22)
    failing = ("explain", "--spec", "none.toml", "--date", "2020-01-01")
    working = ("init", str(tmp_path / "rows"), "--spec", str(tmp_path / "toy.toml"))
    for arguments, code in ((failing, 2), (working, 1), (working, 2)):  # the file exists then
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [*CLI, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False
            )
            assert done.returncode == code
            assert "cannot be written: No space left on device" in done.stderr
            assert "Traceback" not in done.stderr
    with open("/dev/full", "w") as full:
        done = subprocess.run([*CLI, *failing], stdout=full, stderr=full, check=False)
    assert done.returncode == 2


@pytest.mark.parametrize("closed", ["2>&-", "<&- 2>&-", ">&- 2>&-"])
def test_closed_streams_harm_nothing(closed):
    command = f'"$0" -m retrain_ops.cli history --spec none.toml --workspace w {closed}'
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    if not closed.startswith(">"):
        assert json.loads(done.stdout)["error"] == "ConfigError"
