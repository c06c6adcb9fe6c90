"""Which public bug report a test tries on this product; docs/tried.md lists them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Test = TypeVar("Test", bound=Callable[..., None])

REPORTS: dict[str, str] = {}
"""Report, as `owner/name#number` -> the test that tries it."""


def tried(*reports: str) -> Callable[[Test], Test]:
    """Says that the test plays what these reports describe."""

    def noted(test: Test) -> Test:
        for report in reports:
            assert report not in REPORTS, f"{report} is tried twice"
            REPORTS[report] = test.__name__
        return test

    return noted
