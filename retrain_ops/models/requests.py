"""Scoring requests in MLflow's words, answered by one call of the core."""

from __future__ import annotations

from retrain_ops import _core
from retrain_ops.errors import DataError
from retrain_ops.models.tabular import TabularModel


class RequestError(DataError):
    """A request that cannot be answered: the text names columns and repeats no value of it."""


def answer_request(
    model: TabularModel, body: bytes, *, csv: bool, max_rows: int
) -> tuple[bytes, int]:
    """The answer to the body of a request, JSON or CSV, and its number of rows.

    JSON is an object with one of dataframe_split, dataframe_records, instances and inputs; the
    answer is `{"predictions": [...]}`, what `model.scores` says of each row.

    Raises:
        RequestError: the body is none, a cell is missing, doubled or of another kind than its
            column, or there are no rows or more than `max_rows`.
        TypeError: a model of another library, which the core cannot ask.
    """
    if not isinstance(model.core, _core.Model):
        raise TypeError(f"requests are answered by models of our own, not by {model.core.kind}")
    try:
        return _core.answer_request(model.core, body, csv, max_rows)
    except ValueError as problem:
        raise RequestError(str(problem)) from None
