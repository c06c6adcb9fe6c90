"""python -m tools.docs.reference: write the pages that say what the code says.

docs/spec.md from the tables of a spec, docs/cli.md from the parser, docs/api/ from the public
names. A test fails while a page is stale, or while a key of the spec has no text.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from tools.docs import api_pages, cli_page, spec_page

ROOT = Path(__file__).resolve().parents[2]

PAGES: dict[str, Callable[[], str]] = {
    "docs/spec.md": spec_page.render,
    "docs/cli.md": cli_page.render,
    **{api_pages.page_of(m): partial(api_pages.render, m) for m in api_pages.MODULES},
}
"""Path -> what it should hold."""


def main() -> int:
    """Writes the pages whose text has changed."""
    for name, render in PAGES.items():
        page, text = ROOT / name, render()
        page.parent.mkdir(parents=True, exist_ok=True)
        if not page.exists() or page.read_text() != text:
            page.write_text(text)
            print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
