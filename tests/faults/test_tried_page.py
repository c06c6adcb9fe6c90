"""docs/tried.md lists what the tests try, all of it and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from tests.faults import test_tried_models, test_tried_rows
from tests.faults.tried import REPORTS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tried.md"


def test_the_page_and_the_tests_name_the_same_reports():
    assert test_tried_models.__doc__  # imported: what they try is known
    assert test_tried_rows.__doc__
    listed = re.findall(r"^\| ([\w.-]+/[\w.-]+#\d+) \|", PAGE.read_text(), re.M)
    assert sorted(listed) == sorted(REPORTS)
    assert len(listed) >= 40


def test_every_line_says_what_happened_there_and_here():
    rows = [line for line in PAGE.read_text().splitlines() if "#" in line and line[0] == "|"]
    assert all(len([cell for cell in row.split("|")[1:-1] if cell.strip()]) == 3 for row in rows)
