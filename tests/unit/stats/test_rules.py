"""What the tables of a spec share."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from retrain_ops.stats.rules import quiet, recorded, require


@dataclass(frozen=True, slots=True)
class Table:
    loud: int = 1
    still: float = quiet(0.0)
    late: tuple[str, ...] | None = quiet(None)


@pytest.mark.parametrize(
    ("table", "kept"),
    [
        (Table(), {"loud": 1}),
        (Table(1, 0.0, None), {"loud": 1}),
        (Table(still=0.5), {"loud": 1, "still": 0.5}),
        (Table(2, late=()), {"loud": 2, "late": ()}),
    ],
)
def test_a_quiet_key_leaves_a_trace_once_it_leaves_its_default(table: Table, kept: dict) -> None:
    assert recorded(table) == kept
    assert list(recorded(table)) == list(kept)


def test_what_does_not_hold_is_refused_by_its_message() -> None:
    require(True, "loud: fine")
    with pytest.raises(ValueError, match="loud: must be positive"):
        require(False, "loud: must be positive")
