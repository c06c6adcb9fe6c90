"""The pages that are written from the code, and the links and menu of all of them."""

from __future__ import annotations

import re
import typing
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from retrain_ops.spec.spec import TABLES
from retrain_ops.stats.rules import quiet
from tools.docs import reference, site, site_pages, spec_page

ROOT = reference.ROOT


@pytest.mark.parametrize("name", reference.PAGES)
def test_a_page_says_what_the_code_says(name: str) -> None:
    page, text = ROOT / name, reference.PAGES[name]()
    assert page.read_text() == text, "run python -m tools.docs.reference"


@pytest.mark.parametrize("table", TABLES)
def test_every_number_in_a_spec_has_a_unit(table: str) -> None:
    keys = spec_page.keys_of(TABLES[table])
    assert [k.name for k in keys if "number" in k.kind or "integer" in k.kind if not k.unit] in (
        [],
        ["ranges"],  # a column has the unit of its owner
    )


@dataclass(frozen=True)
class Known:
    """`[known]`: a table.

    Attributes:
        length: how far,
            and further.
        tries: how often.
    """

    length: typing.Annotated[float, "metres"]
    tries: int = quiet(3)


def test_a_key_is_shown_with_type_unit_default_and_effect() -> None:
    assert spec_page.summary(Known) == "A table."
    assert spec_page.keys_of(Known) == [
        spec_page.Key("length", "number", "metres", "required", "how far, and further"),
        spec_page.Key("tries", "integer", "", "`3`°", "how often"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tries:", "trial:", "nothing of tries"),
        ("how often.", "how often.\n        more: none.", "more: no such key"),
    ],
)
def test_a_key_without_text_and_a_text_without_key_are_refused(
    old: str, new: str, message: str
) -> None:
    changed = type(Known.__name__, (Known,), {"__doc__": (Known.__doc__ or "").replace(old, new)})
    with pytest.raises(ValueError, match=message):
        spec_page.keys_of(changed)


PAGES = sorted(
    [ROOT / name for name in site_pages.OUTSIDE.values()] + list((ROOT / "docs").rglob("*.md"))
)


def nav_files(entry: object) -> list[str]:
    """The pages of a menu, from top to bottom."""
    if isinstance(entry, str):
        return [entry]
    parts = entry.values() if isinstance(entry, dict) else entry
    return [name for part in parts for name in nav_files(part)]  # type: ignore[union-attr]


def test_the_menu_has_every_page_once() -> None:
    menu = nav_files(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    inside = [str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md")]
    assert sorted(menu) == sorted([*inside, *site_pages.OUTSIDE])


def dead_links(page: Path) -> list[str]:
    """Links of a page to files or headings that are not there."""
    dead = []
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        if link.startswith("https://"):
            continue
        if not target.is_file() or (heading and heading not in headings(target)):
            dead.append(link)
    return dead


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as Markdown makes them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.M)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", h).strip().lower()) for h in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    assert dead_links(page) == []


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "a.md"
    page.write_text("# A part\n[a](a.md#a-part) [b](b.md) [c](#d) `[e](f.md)` [g](https://g.h)\n")
    assert dead_links(page) == ["b.md", "#d"]


def test_every_test_that_threats_names_exists() -> None:
    text = (ROOT / "docs" / "threats.md").read_text()
    named = re.findall(r"`((?:tests|proofs)/[\w/]+\.py)(?:::(\w+))?`", text)
    assert len(named) >= 30
    for file, function in named:
        assert f"def {function}" in (ROOT / file).read_text(), f"{file}::{function}"


@pytest.mark.parametrize(
    ("html", "loaded", "words"),
    [
        ("<p>two words <a href='https://a.b'>and more</a></p>", [], 4),
        ("<link rel=canonical href='https://a.b'><script>x y</script>", [], 0),
        ("<script src='//a.b/c.js'></script>", ["//a.b/c.js"], 0),
        ("<link rel=preconnect href='https://a.b'>one", ["https://a.b"], 1),
        ("<img src='http://a.b/c.png'>", ["http://a.b/c.png"], 0),
        ("<style>@import 'https://a.b/c.css'; a{background:url(//d)}</style>",
         ["https://a.b/c.css", "//d"], 0),
    ],
)  # fmt: skip
def test_what_a_page_loads_from_elsewhere_is_found(
    html: str, loaded: list[str], words: int
) -> None:
    assert site.read_page(html) == (loaded, words)
