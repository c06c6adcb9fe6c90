"""Pieces of Markdown that the generated pages share."""

from __future__ import annotations

from collections.abc import Sequence

GENERATED = "<!-- Written by `python -m tools.docs.reference`; edit the code, not this page. -->"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; a bar in a cell is escaped."""
    lines = [_row(head), "|" + "---|" * len(head)]
    return "\n".join([*lines, *map(_row, rows)])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
