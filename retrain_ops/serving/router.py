"""One request to one answer, in any Python process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns

from retrain_ops.mlflow.client import MlflowClient
from retrain_ops.models.requests import RequestError, answer_request
from retrain_ops.registry.registry import Registry
from retrain_ops.serving.arms import Arm, fetch_arm
from retrain_ops.serving.counters import Counters
from retrain_ops.spec.spec import RetrainSpec, load_spec

JSON, CSV, TEXT = "application/json", "text/csv", "text/plain; charset=utf-8"
_KINDS = {JSON: False, CSV: True}
"""The content types of a request: is it CSV?"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: an HTTP status, a content type, a body, and the version that scored."""

    status: int
    content_type: str
    body: bytes
    version: str | None = None


class Router:
    """Answers scoring requests with the model that the registry names.

    The model is loaded here, once. Calls may come from any number of threads.

    Args:
        spec: the spec, or the path of its file.
        client: MLflow; otherwise the server of the spec, otherwise `MLFLOW_TRACKING_URI`.

    Raises:
        ConfigError: the spec is wrong, names no server, or the model's trainer is not known here.
        ConflictError: nobody was promoted yet, or a change of champion is under way.
        CorruptError: the model is not what was registered.
        NetworkError, RemoteError: MLflow does not answer.
    """

    def __init__(
        self, spec: RetrainSpec | str | Path, *, client: MlflowClient | None = None
    ) -> None:
        self.spec = spec if isinstance(spec, RetrainSpec) else load_spec(spec)
        self.counters = Counters()
        client = client or MlflowClient(self.spec.registry.tracking_uri or None)
        registry = Registry(client, self.spec.model.name)
        self._arm = fetch_arm(registry, registry.serving().champion, self.spec.features.all)

    def answer(self, body: bytes | None, content_type: str = JSON) -> Answer:
        """The answer to the body of a scoring request; it never raises for what was sent.

        400 says what is wrong with the body, 413 that it is too long (None: it was not read to
        its end), 415 that its type is not JSON or CSV in UTF-8.
        """
        begun = perf_counter_ns()
        arm, rows = self._arm, 0
        csv = _is_csv(content_type)
        if isinstance(csv, Answer):
            found = csv
        elif body is None or len(body) > self.spec.serving.max_body:
            found = _too_long(self.spec.serving.max_body)
        else:
            found, rows = self._score(arm, body, csv)
        self.counters.add(found.status, rows, perf_counter_ns() - begun)
        return found

    def _score(self, arm: Arm, body: bytes, csv: bool) -> tuple[Answer, int]:
        try:
            scored, rows = answer_request(
                arm.model, body, csv=csv, max_rows=self.spec.serving.max_rows
            )
        except RequestError as problem:
            return _refusal(400, "BAD_REQUEST", str(problem)), 0
        return Answer(200, JSON, scored, arm.version), rows

    def ready(self) -> bool:
        """Has a model scored? A router without one cannot be made."""
        return True

    def health(self) -> dict[str, object]:
        """Who answers, as plain data."""
        return {"model": self.spec.model.name, "champion": self._arm.version, "ready": True}


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
