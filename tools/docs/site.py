"""python -m tools.docs.site: build build/site, strictly, and print what came out.

Fails on any warning of mkdocs or mkdocstrings (a dead link, a page that is not in the menu, a
public name that is not found or not documented), and when a page loads anything from elsewhere.
Runs in the environment `docs`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "build" / "site"

_LOADED = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}
_ELSEWHERE = re.compile(r"(?:https?:)?//")
_CSS_URL = re.compile(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^'\")\s]+)")


class _Page(HTMLParser):
    """What a page loads from elsewhere, and the words that it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.words = 0
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style", "nav", "header")
        values = dict(attrs)
        found = values.get(_LOADED.get(tag, "")) or ""
        # A canonical address is named, not loaded.
        if _ELSEWHERE.match(found) and values.get("rel") != "canonical":
            self.loaded.append(found)

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style", "nav", "header")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words += len(data.split())


def read_page(text: str) -> tuple[list[str], int]:
    """What an HTML page loads from other hosts, and how many words it shows."""
    page = _Page()
    page.feed(text)
    return page.loaded + _CSS_URL.findall(text), page.words


def main() -> int:
    """Builds; returns 0 when the site is whole and asks nothing of other hosts."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--clean"]
    silent = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # an announcement, not a fault of ours
    done = subprocess.run(
        command, cwd=ROOT, env=silent, capture_output=True, text=True, check=False
    )
    said = [line for line in done.stderr.splitlines() if not line.startswith("INFO")]
    warnings = sum(line.startswith("WARNING") for line in said)
    pages = sorted(SITE.rglob("*.html"))
    words, loaded = 0, []
    for page in pages:
        found, count = read_page(page.read_text())
        words += count
        loaded += [f"{page.relative_to(SITE)}: loads {url}" for url in found]
    for sheet in SITE.rglob("*.css"):
        found = _CSS_URL.findall(sheet.read_text())
        loaded += [f"{sheet.relative_to(SITE)}: loads {url}" for url in found]
    print("\n".join([*said, *loaded]).strip(), file=sys.stderr)
    print(f"{SITE.relative_to(ROOT)}: {len(pages)} pages, {words:,} words, {warnings} warnings")
    return 1 if done.returncode or warnings or loaded else 0


if __name__ == "__main__":
    raise SystemExit(main())
