"""What the command line says of errors that say nothing themselves."""

from __future__ import annotations

import pytest

from retrain_ops.cli.command import message_of


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (MemoryError(), "out of memory: give the process more, then run the same command again"),
        (MemoryError("1 GiB for bins"), "1 GiB for bins"),
        (RuntimeError(), "RuntimeError"),
        (ValueError("no day"), "no day"),
    ],
)
def test_every_error_says_something(problem, text):
    assert message_of(problem) == text
