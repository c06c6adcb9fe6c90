"""This tree keeps the rules of tests/tidy.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import retrain_ops._core
from tests import tidy

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("rule", tidy.RULES, ids=lambda rule: rule.__name__)
def test_the_tree_keeps(rule: Callable[[Path], list[str]]) -> None:
    problems = rule(ROOT)
    assert not problems, "\n".join(["", *problems])


def test_the_extension_exports_nothing_but_its_init_function() -> None:
    assert tidy.exported_symbols(Path(retrain_ops._core.__file__)) == []
