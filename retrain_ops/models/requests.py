"""Scoring requests in MLflow's words, answered by one call of the core."""

from __future__ import annotations

from dataclasses import dataclass

from retrain_ops import _core
from retrain_ops.errors import DataError
from retrain_ops.models.tabular import TabularModel


class RequestError(DataError):
    """A request that cannot be answered: the text names columns and repeats no value of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Which rows another model scores: those whose unit's hash does not lie below `limit`.

    `unit` names the column of the units, UTF-8, empty without one; `key` has 16 bytes.
    """

    unit: bytes
    key: bytes
    previous: TabularModel | None
    limit: int


WHOLE = Split(b"", b"", None, 0)
"""One model scores all rows."""


def answer_request(
    model: TabularModel, body: bytes, *, csv: bool, max_rows: int, split: Split = WHOLE
) -> tuple[bytes, int, int]:
    """The answer to a request's body, its number of rows, and how many `previous` scored.

    JSON is an object with one of dataframe_split, dataframe_records, instances and inputs; the
    answer is `{"predictions": [...]}`, what the scores of the row's model are.

    Raises:
        RequestError: the body is none, a cell is missing, doubled or of another kind than its
            column, or there are no rows or more than `max_rows`.
        TypeError: a model of another library, which the core cannot ask.
    """
    core = _core_of(model)
    previous = None if split.previous is None else _core_of(split.previous)
    try:
        return _core.answer_request(
            core, body, csv, max_rows, split.unit, split.key, previous, split.limit
        )
    except ValueError as problem:
        raise RequestError(str(problem)) from None


def _core_of(model: TabularModel) -> _core.Model:
    if not isinstance(model.core, _core.Model):
        raise TypeError(f"requests are answered by models of our own, not by {model.core.kind}")
    return model.core
