"""The pages that are written from the code, and the links and menu of all of them."""

from __future__ import annotations

import typing
from dataclasses import dataclass

import pytest

from retrain_ops.spec.spec import TABLES
from retrain_ops.stats.rules import quiet
from tools.docs import reference, spec_page


@pytest.mark.parametrize("name", reference.PAGES)
def test_a_page_says_what_the_code_says(name: str) -> None:
    page = reference.ROOT / name
    assert page.read_text() == reference.PAGES[name](), "run python -m tools.docs.reference"


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
        spec_page.Key("length", "number", "metres", "required", "how far, and further."),
        spec_page.Key("tries", "integer", "", "`3`°", "how often."),
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
