"""What the MLflow server takes and how it must be asked: limits, filters, creates."""

from __future__ import annotations

import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from numbers import Real
from typing import Any, TypeVar

from retrain_ops._core import CorruptError, NetworkError, RemoteError
from retrain_ops.errors import ConfigError
from retrain_ops.mlflow.types import LONGEST_PARAM, LONGEST_TAG, as_pairs

log = logging.getLogger(__name__)

T = TypeVar("T")

BATCH_ITEMS = {"params": 100, "tags": 100, "metrics": 1000}
BATCH_TOTAL = 1000
BATCH_BYTES = 900_000  # the server takes 1 MB
LOOK_AGAIN_S = 0.5

_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")


def server_address(tracking_uri: str | None) -> str:
    """The address as given, else that of MLFLOW_TRACKING_URI.

    Raises:
        ConfigError: it is none of a server.
    """
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri.startswith(("http://", "https://")):
        raise ConfigError(
            "an MLflow server is needed: give tracking_uri or MLFLOW_TRACKING_URI as "
            "http(s)://host:port (files and databases are opened by the server, not here)"
        )
    return uri


def credentials(
    username: str | None, password: str | None, token: str | None
) -> dict[str, str | None]:
    """What was given, else what MLflow's own variables hold.

    Raises:
        ConfigError: a username without a password, or the other way round.
    """
    username = username or os.environ.get("MLFLOW_TRACKING_USERNAME") or None
    password = password or os.environ.get("MLFLOW_TRACKING_PASSWORD") or None
    if (username is None) != (password is None):
        raise ConfigError("username and password come together; one of them is missing")
    token = token or os.environ.get("MLFLOW_TRACKING_TOKEN") or None
    return {"username": username, "password": password, "token": token}


def clock(deadline: float) -> Callable[[], float]:
    """Seconds left of a deadline that starts now; TimeoutError when none is."""
    end = time.monotonic() + deadline

    def left() -> float:
        seconds = end - time.monotonic()
        if seconds <= 0.0:
            raise TimeoutError(f"no answer from MLflow within {deadline:g} s")
        return seconds

    return left


def create_once(
    mine: Callable[[float], T | None],
    create: Callable[[float], T],
    *,
    deadline: float,
    look_first: bool,
) -> T:
    """Creates what `mine` cannot find, also when the answer to a create is lost.

    Both get the seconds they may take. A lost answer means that the server did
    it, or will a moment later, or never. So its effect is looked for, twice with
    a pause, before the create is sent again; and after a second create once
    more, since the first may have arrived after all: the oldest counts.
    """
    left = clock(deadline)
    known = mine(left()) if look_first else None
    lost = False
    while known is None:
        try:
            # Half of what is left, so that there is time to look afterwards.
            made = create(left() / 2)
            return (mine(left()) if lost else None) or made
        except (RemoteError, NetworkError, TimeoutError) as problem:
            if not getattr(problem, "ambiguous", False):
                raise
            log.warning("the answer to a create was lost, looking for its effect: %s", problem)
            lost = True
            known = mine(left())
            if known is None:
                time.sleep(min(LOOK_AGAIN_S, left()))
                known = mine(left())
    return known


def name_filter(name: str) -> str:
    """MLflow's filter for a name."""
    return f"name = {_quoted(name)}"


def tag_filter(key: str, value: str) -> str:
    """MLflow's filter for one tag."""
    return f"tags.`{key}` = {_quoted(value)}"


def _quoted(value: str) -> str:
    """MLflow's filters know no escapes: a text with both quotes cannot be said."""
    if "'" not in value:
        return f"'{value}'"
    if '"' in value:
        raise ConfigError(f"{value!r} holds both kinds of quotes: MLflow cannot search for it")
    return f'"{value}"'


def artifact_path(uri: str, name: str) -> str:
    """Where an artefact of a run lies below the server's artefact root.

    Raises:
        ConfigError: this server does not serve it, or would store it under another name.
    """
    scheme, _, path = uri.partition(":/")
    if scheme != "mlflow-artifacts" or path.startswith("/") or not path:
        raise ConfigError(
            f"artefacts at {uri!r} are not served by this MLflow server: start it with "
            "--serve-artifacts and --artifacts-destination"
        )
    if (found := _ESCAPE.search(name)) is not None:
        raise ConfigError(
            f"the artefact {name!r} holds {found[0]!r}, which MLflow decodes twice: it would be "
            "stored under another name; rename it"
        )
    return f"{path.rstrip('/')}/{name}"


def run_pairs(kind: str, values: Mapping[str, str] | None) -> list[dict[str, str]]:
    """Params or tags of a run as MLflow's [{"key", "value"}], none of which it would cut.

    Raises:
        ConfigError: a value is longer than the server keeps.
    """
    longest = LONGEST_PARAM if kind == "param" else LONGEST_TAG
    for key, value in (values or {}).items():
        if len(value) > longest:
            raise ConfigError(
                f"the {kind} {key!r} has {len(value):,} characters; MLflow keeps {longest:,} and "
                "cuts the rest without saying so: log it as an artefact"
            )
    return as_pairs(values or {})


def check_digest(file: str | os.PathLike[str], got: str, wanted: str | None) -> None:
    """Removes a downloaded file that is not what was promised.

    Raises:
        CorruptError: its SHA-256 is another one.
    """
    if wanted is not None and got != wanted:
        os.unlink(file)
        raise CorruptError(f"the artefact for {file} has SHA-256 {got}, not {wanted}: removed")


def can_be_alias(alias: str) -> bool:
    """Letters, digits, - and _ only, at most 255."""
    plain = alias.replace("-", "").replace("_", "")
    return 0 < len(alias) <= 255 and plain.isascii() and (plain.isalnum() or not plain)


def metric(key: str, value: float, timestamp_ms: int, step: int) -> dict[str, Any]:
    """A metric as the server reads it back unchanged.

    Raises:
        ConfigError: it is infinite or no number; another number would be stored.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or math.isinf(value):
        raise ConfigError(
            f"the metric {key!r} is {value!r}: MLflow stores finite numbers and NaN; "
            "it would keep another number without saying so"
        )
    number: float | str = "NaN" if math.isnan(value) else float(value)
    return {"key": key, "value": number, "timestamp": int(timestamp_ms), "step": int(step)}


def batches(items: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[dict[str, list[Any]]]:
    """Cuts (member, item) pairs, in order, into bodies that the server takes."""
    batch: dict[str, list[Any]] = {}
    size = count = 0
    for member, item in items:
        # Twice the bytes: quotes, backslashes and control characters are escaped.
        cost = 64 + 2 * sum(len(str(part).encode()) for part in item.values())
        full = len(batch.get(member, ())) >= BATCH_ITEMS[member] or count >= BATCH_TOTAL
        if batch and (full or size + cost > BATCH_BYTES):
            yield batch
            batch, size, count = {}, 0, 0
        batch.setdefault(member, []).append(item)
        size += cost
        count += 1
    if batch:
        yield batch
