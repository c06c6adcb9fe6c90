"""Scoring requests in MLflow's words, answered by one call of the core."""

from __future__ import annotations

from retrain_ops import _core
from retrain_ops.errors import DataError
from retrain_ops.models.tabular import TabularModel

CoreArms = _core.Arms


class RequestError(DataError):
    """A request that cannot be answered: the text names columns and repeats no value of it."""


def core_arms(
    champion: TabularModel,
    previous: TabularModel | None = None,
    shadow: TabularModel | None = None,
    *,
    unit: str = "",
    key: bytes = bytes(16),
    limit: int = 0,
    versions: tuple[int, int, int] = (0, 0, 0),
) -> CoreArms:
    """Who answers requests: `previous` the units whose hash does not lie below `limit`.

    Args:
        champion: who answers all others.
        previous: the model that a canary replaces.
        shadow: a model that answers nobody; the log has it score what was answered.
        unit: the column that names a row's unit; without one the request does.
        key: of the hash, 16 bytes.
        limit: 0 to 2^64.
        versions: of the three models; 0 for none.

    Raises:
        TypeError: a model of another library, which the core cannot ask, or of other outputs.
    """
    return CoreArms(
        _core_of(champion),
        None if previous is None else _core_of(previous),
        None if shadow is None else _core_of(shadow),
        unit.encode(),
        key,
        min(limit, 2**64 - 1),
        versions,
    )


def answer_request(
    arms: CoreArms,
    body: bytes,
    *,
    csv: bool,
    max_rows: int,
    unit: bytes = b"",
    request_id: bytes = b"",
    log: _core.RequestLog | None = None,
) -> tuple[bytes, int, int]:
    """The answer to a request's body, its number of rows, and how many the previous model scored.

    JSON is an object with one of dataframe_split, dataframe_records, instances and inputs; the
    answer is `{"predictions": [...]}`, what the scores of the row's model are. With a log it is
    in there before this returns.

    Raises:
        RequestError: the body is none, a cell is missing, doubled or of another kind than its
            column, or there are no rows or more than `max_rows`.
    """
    try:
        return arms.answer(body, csv, max_rows, unit, request_id, log)
    except ValueError as problem:
        raise RequestError(str(problem)) from None


scoring_request = _core.scoring_request
"""A whole HTTP request to score, taken apart, or None: see there."""


def _core_of(model: TabularModel) -> _core.Model:
    if not isinstance(model.core, _core.Model):
        raise TypeError(f"requests are answered by models of our own, not by {model.core.kind}")
    return model.core
