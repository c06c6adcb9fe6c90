"""docs/tutorial.md as a stranger follows it, and the notebook of the parts."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from devtools.pages import ROOT, blocks, not_shown
from devtools.tutorial import PAGE, follow

NOTEBOOK = ROOT / "docs" / "parts.ipynb"


def test_the_tutorial_ends_with_a_judged_day_and_no_failed_try(tmp_path: Path) -> None:
    played = follow(tmp_path)
    assert played.failed == []
    assert played.commands == sum(
        not line.startswith("export ")
        for block in blocks(PAGE)
        if block.language == "sh" and not block.name
        for line in block.text.splitlines()
    )
    day = tmp_path / "workspace" / "visits" / "window_end=2026-02-22"
    assert json.loads((day / "decision.json").read_text())["outcome"] in ("skipped", "challenger")
    assert (day / "report.html").exists()
    dag = next(block for block in blocks(PAGE) if block.name.startswith("dags/"))
    assert ast.parse(dag.text)


def test_what_is_shown_has_to_be_printed_in_order() -> None:
    printed = '{\n "a": 1,\n "b": 2\n}'
    assert not_shown(' "a": 1,\n "b": 2\n', printed) == ""
    assert not_shown(' "b": 2\n "a": 1,\n', printed) == ' "a": 1,'
    assert not_shown(' "a": 3\n', printed) == ' "a": 3'


def test_every_cell_of_the_notebook_runs() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    names: dict[str, object] = {"__name__": "__main__"}
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [], "outputs go stale: leave them out"
            code = compile("".join(cell["source"]), f"{NOTEBOOK.name}, cell {number}", "exec")
            exec(code, names)
