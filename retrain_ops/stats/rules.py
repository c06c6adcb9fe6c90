"""What the tables of a spec share: units, how a value is refused, and what a record leaves out."""

from __future__ import annotations

from dataclasses import field, fields
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["derived", "exactly", "quiet", "recorded", "require"]

T = TypeVar("T")

Bytes = Annotated[int, "bytes"]
Days = Annotated[int, "days"]
ExactScore = Annotated[Fraction, "the metric's"]
Hours = Annotated[float, "hours"]
Level = Annotated[float, "probability"]
Milliseconds = Annotated[float, "milliseconds"]
OddDay = Literal["rows", "nulls", "label_rate", "labels"]
Psi = Annotated[float, "PSI"]
Ratio = Annotated[float, "ratio"]
Rows = Annotated[int, "rows"]
Score = Annotated[float, "the metric's"]
Seconds = Annotated[int, "seconds"]
Share = Annotated[float, "share"]


def require(condition: bool, message: str) -> None:
    """A table's own check; the message begins with the key it is about.

    Raises:
        ValueError: the condition does not hold; the reader of the spec adds file and line.
    """
    if not condition:
        raise ValueError(message)


def exactly(share: float) -> Fraction:
    """The decimal that was written, not the double next to it: a share of counts can meet it."""
    return Fraction(str(share))


def quiet(default: T) -> T:
    """A key that leaves no trace at its default.

    A key that is added later is quiet, so that specs and decisions which do not use it keep
    their hashes and bytes.
    """
    value: T = field(default=default, metadata={"quiet": True})
    return value


def derived(default: T) -> T:
    """A quiet value that no file writes: another table decides it."""
    value: T = field(default=default, metadata={"quiet": True, "derived": True})
    return value


def recorded(table: DataclassInstance) -> dict[str, Any]:
    """The keys of a table that go into hashes and records, in order: all but the quiet ones."""
    return {
        f.name: value
        for f in fields(table)
        if (value := getattr(table, f.name)) != f.default or not f.metadata.get("quiet")
    }
