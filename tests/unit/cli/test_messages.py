"""What the command line says when memory ran out: Python's own error says nothing."""

from __future__ import annotations

from retrain_ops.errors import is_expected, text_of


def test_memory_that_ran_out_is_named_without_a_traceback():
    wanted = "out of memory: give the process more, then run the same command again"
    assert text_of(MemoryError()) == wanted
    assert text_of(MemoryError("1 GiB for bins")) == "1 GiB for bins"
    assert is_expected(MemoryError())
