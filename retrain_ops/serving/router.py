"""One request to one answer, in any Python process."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter_ns
from typing import NamedTuple

from retrain_ops.mlflow.client import MlflowClient
from retrain_ops.models.requests import RequestError, answer_request
from retrain_ops.registry.registry import Registry
from retrain_ops.serving.arms import Arms, load_arms
from retrain_ops.serving.counters import Counters, render_gauges
from retrain_ops.serving.keeper import Keeper
from retrain_ops.serving.request_log import RequestLog
from retrain_ops.serving.state import State
from retrain_ops.serving.supervisor import Supervisor
from retrain_ops.spec.spec import RetrainSpec, load_spec

DEADLINE_S = 5.0
"""A look at the registry takes no longer; the next one follows."""
JSON, CSV, TEXT = "application/json", "text/csv", "text/plain; charset=utf-8"
_KINDS = {JSON: False, CSV: True}
"""The content types of a request: is it CSV?"""


class Answer(NamedTuple):
    """What goes back: an HTTP status, a content type, a body, the version that scored, and the
    id under which the log has it."""

    status: int
    content_type: str
    body: bytes
    version: str | None = None
    request_id: bytes | None = None

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """As HTTP has them."""
        found = [
            (b"content-type", self.content_type.encode()),
            (b"content-length", b"%d" % len(self.body)),
        ]
        if self.version is not None:
            found.append((b"x-model-version", self.version.encode()))
        if self.request_id is not None:
            found.append((b"x-request-id", self.request_id))
        return found


class Router:
    """Answers scoring requests with the models that the registry names.

    It follows the registry until it is closed: a thread looks at the state file of `[serving]
    folder`, and the one process that holds the folder's lock asks the registry every second. What
    served last goes on when neither answers. Calls may come from any number of threads.

    Args:
        spec: the spec, or the path of its file.
        client: MLflow; otherwise the server of the spec, otherwise `MLFLOW_TRACKING_URI`.

    Raises:
        ConfigError: the spec is wrong, or names no server.
        OSError: the folder cannot be used.
    """

    def __init__(
        self, spec: RetrainSpec | str | Path, *, client: MlflowClient | None = None
    ) -> None:
        self.spec = spec if isinstance(spec, RetrainSpec) else load_spec(spec)
        columns = self.spec.features.all
        folder = Path(self.spec.serving.folder) / self.spec.model.name
        client = client or MlflowClient(self.spec.registry.tracking_uri or None)
        registry = Registry(client.within(DEADLINE_S), self.spec.model.name)
        self._columns, self._folder = columns, folder
        table = self.spec.serving
        self.unit_header, self.id_header = (
            name.lower().encode() for name in (table.unit_header, table.id_header)
        )
        self._arms: Arms | None = None
        self._changes: tuple[tuple[str, str], ...] = ()
        self._closing = ExitStack()
        supervisor = Supervisor(registry, columns, folder, shadows=bool(table.log))
        self._keeper = Keeper(folder, supervisor, self._take)
        self._closing.callback(self._keeper.close)
        self.counters = Counters(folder)
        self._closing.callback(self.counters.close)
        self.log = RequestLog(self.spec, folder, self.counters) if table.log else None
        if self.log is not None:
            self._closing.callback(self.log.close)
        self._keeper.start()

    def close(self) -> None:
        """Stops following the registry, and ends the log."""
        self._closing.close()

    def _take(self, state: State) -> None:
        unit = self.spec.serving.unit
        self._arms = load_arms(self._folder, state, self._columns, self._arms, unit)
        self._changes = state.changes

    def answer(
        self,
        body: bytes | None,
        content_type: str = JSON,
        unit: bytes | None = None,
        request_id: bytes | None = None,
    ) -> Answer:
        """The answer to the body of a scoring request; it never raises for what was sent.

        400 says what is wrong with the body, 413 that it is too long (None: it was not read to
        its end), 415 that its type is not JSON or CSV in UTF-8, 503 that nobody serves yet.

        Args:
            body: JSON or CSV.
            content_type: of the body.
            unit: whose requests all meet the same arm of a canary, unless a column of the body
                says it; a request without one is a unit of its own.
            request_id: under which the log has the request; one without it gets one. Up to 128
                visible ASCII characters, else it counts as none.
        """
        begun = perf_counter_ns()
        arms, rows = self._arms, (0, 0)
        csv = _is_csv(content_type)
        if isinstance(csv, Answer):
            found = csv
        elif arms is None:
            found = _refusal(503, "TEMPORARILY_UNAVAILABLE", "no model serves yet: ask again")
        elif body is None or len(body) > self.spec.serving.max_body:
            found = _too_long(self.spec.serving.max_body)
        else:
            found, rows = self._score(arms, body, csv, unit, request_id)
        self.counters.add(found.status, rows, perf_counter_ns() - begun)
        return found

    def _score(
        self, arms: Arms, body: bytes, csv: bool, unit: bytes | None, request_id: bytes | None
    ) -> tuple[Answer, tuple[int, int]]:
        log = self.log
        known = b"" if log is None else log.id_of(request_id)
        try:
            scored, rows, others = answer_request(
                arms.core,
                body,
                csv=csv,
                max_rows=self.spec.serving.max_rows,
                unit=unit or os.urandom(8),  # the kernel's: whoever seeds `random` moves nobody
                request_id=known,
                log=None if log is None else log.core,
            )
        except RequestError as problem:
            return _refusal(400, "BAD_REQUEST", str(problem)), (0, 0)
        answer = Answer(200, JSON, scored, arms.versions(rows, others), known or None)
        return answer, (rows - others, others)

    @property
    def ready(self) -> bool:
        """Has a model scored?"""
        return self._arms is not None

    @property
    def _problem(self) -> str | None:
        return self._keeper.problem or (None if self.log is None else self.log.problem)

    def health(self) -> dict[str, object]:
        """Who answers, and what keeps it from being what the registry says; as plain data."""
        arms = self._arms
        return {
            "model": self.spec.model.name,
            "ready": arms is not None,
            "champion": arms and arms.champion.version,
            "previous": arms and arms.previous and arms.previous.version,
            "shadow": arms and arms.shadow and arms.shadow.version,
            "share": arms and arms.share,
            "problem": self._problem,
            "changes": [{"at": at, "what": what} for at, what in self._changes],
        }

    def metrics(self) -> str:
        """For Prometheus: this host's counts, and who answers."""
        arms = self._arms
        gauges = {
            "ready": (float(arms is not None), "1 once a model has scored."),
            "problem": (
                float(self._problem is not None),
                "1 while what serves may not be what the registry says: see /health.",
            ),
            "epoch": (float(arms.epoch if arms else 0), "The change of champion that is served."),
            "share": (arms.share if arms else 0.0, "Share of units that meet @champion."),
        }
        return render_gauges(gauges) + self.counters.render()


def _refusal(status: int, error_code: str, message: str) -> Answer:
    """An error in MLflow's form."""
    body = json.dumps({"error_code": error_code, "message": message})
    return Answer(status, JSON, body.encode())


def _too_long(limit: int) -> Answer:
    return _refusal(413, "BAD_REQUEST", f"the body has more than {limit} bytes: send fewer rows")


def _is_csv(content_type: str) -> bool | Answer:
    """Whether a content type is CSV's; an answer when it is not taken."""
    known = _KINDS.get(content_type)
    if known is not None:
        return known
    kind, *parameters = (part.strip() for part in content_type.split(";"))
    if kind not in _KINDS:
        types = ", ".join(_KINDS)
        return Answer(415, TEXT, f"The content type must be one of {types}.".encode())
    if any(p.lower() not in ("", "charset=utf-8", 'charset="utf-8"') for p in parameters):
        return Answer(415, TEXT, b"The only parameter of a content type is charset=utf-8.")
    return _KINDS[kind]
