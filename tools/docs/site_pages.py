"""A hook of mkdocs: pages of the site that lie outside docs/, under the links they need there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.structure.files import Files

ROOT = Path(__file__).resolve().parents[2]

OUTSIDE = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
}
"""Page of the site -> file of the tree."""


def text_of(page: str) -> str:
    """The file of a page with links as they are inside docs/."""
    text = (ROOT / OUTSIDE[page]).read_text().replace("](docs/", "](")
    for name, file in OUTSIDE.items():
        text = text.replace(f"]({file})", f"]({name})")
    return text


def on_files(files: Files, *, config: Any) -> Files:
    """Adds the pages."""
    from mkdocs.structure.files import File

    for page in OUTSIDE:
        files.append(File.generated(config, page, content=text_of(page)))
    return files
