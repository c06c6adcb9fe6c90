"""KServe's words for the same requests: the Open Inference Protocol, version 2, over HTTP.

A tensor per feature, named like it, of shape [rows] or [rows, 1]. Its data go the way of any other
request, so limits, arms, log and messages are the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from time import perf_counter_ns
from typing import Any

from retrain_ops import __version__
from retrain_ops.serving.router import JSON, Answer, Router
from retrain_ops.spec.spec import RetrainSpec

_INTEGERS = (f"{kind}{bits}" for kind in ("INT", "UINT") for bits in (8, 16, 32, 64))
NUMBERS = frozenset(("BOOL", "FP16", "FP32", "FP64", *_INTEGERS))
TEXTS = "BYTES"
OUTPUT = "predictions"


class _BadRequest(ValueError):
    """What is wrong with a body; it repeats no value."""


def infer_path(model: str) -> str:
    """Where requests to score go."""
    return f"/v2/models/{model}/infer"


def pages(model: str) -> dict[str, Callable[[Router], Answer]]:
    """What GET answers, by path."""
    return {
        "/v2": lambda _: _plain({"name": "retrain_ops", "version": __version__, "extensions": []}),
        "/v2/health/live": lambda _: _plain({"live": True}),
        "/v2/health/ready": _ready,
        f"/v2/models/{model}": lambda router: _plain(_metadata(router.spec)),
        f"/v2/models/{model}/ready": _ready,
    }


def infer(
    router: Router,
    body: bytes | None,
    unit: bytes | None = None,
    request_id: bytes | None = None,
) -> Answer:
    """The answer to the body of an inference request; arguments as of `Router.answer`.

    The id of the body counts as the request's where no header has one.
    """
    begun = perf_counter_ns()
    asked: dict[str, Any] = {}
    try:
        if body is not None:
            asked = _parsed(body)
            body = json.dumps({"inputs": _columns(asked)}).encode()
    except _BadRequest as problem:
        router.counters.add(400, (0, 0), perf_counter_ns() - begun)
        return _plain({"error": str(problem)}, 400)
    own_id = str(asked.get("id", "")).encode("utf-8", "replace")
    answer = router.answer(body, JSON, unit, request_id or own_id)
    return _in_their_words(router.spec, asked, answer)


def _ready(router: Router) -> Answer:
    return _plain({"ready": router.ready}, 200 if router.ready else 503)


def _metadata(spec: RetrainSpec) -> dict[str, object]:
    kinds = dict.fromkeys(spec.features.numeric, "FP64")
    kinds |= dict.fromkeys(spec.features.categorical, TEXTS)
    return {
        "name": spec.model.name,
        "platform": "retrain_ops",
        "inputs": [{"name": n, "datatype": kind, "shape": [-1]} for n, kind in kinds.items()],
        "outputs": [{"name": OUTPUT, "datatype": "FP64", "shape": [-1]}],
    }


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise _BadRequest("the body is not JSON (binary data are not taken)") from problem
    if not isinstance(found, dict) or not isinstance(found.get("inputs"), list):
        raise _BadRequest("the body must be an object with a list of inputs")
    return found


def _columns(asked: Mapping[str, Any]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for place, tensor in enumerate(asked["inputs"]):
        name = tensor.get("name") if isinstance(tensor, dict) else None
        if not isinstance(name, str):
            raise _BadRequest(f"inputs[{place}] has no name")
        if name in columns:
            raise _BadRequest(f"input {name!r} is there twice")
        columns[name] = _cells(name, tensor)
    return columns


def _cells(name: str, tensor: Mapping[str, Any]) -> list[Any]:
    data, shape, datatype = (tensor.get(key) for key in ("data", "shape", "datatype"))
    if datatype not in NUMBERS and datatype != TEXTS:
        raise _BadRequest(f"input {name!r}: datatype must be BYTES or one of numbers")
    if not isinstance(data, list):
        raise _BadRequest(f"input {name!r} has no list of data")
    if data and all(isinstance(cell, list) and len(cell) == 1 for cell in data):
        data = [cell[0] for cell in data]
    if any(isinstance(cell, list | dict) for cell in data):
        raise _BadRequest(f"input {name!r}: data must be a list of cells, one for each row")
    if shape not in ([len(data)], [len(data), 1]):
        raise _BadRequest(f"input {name!r}: shape must be [{len(data)}] or [{len(data)}, 1]")
    return data


def _in_their_words(spec: RetrainSpec, asked: Mapping[str, Any], answer: Answer) -> Answer:
    if answer.status != 200:
        return _plain({"error": json.loads(answer.body)["message"]}, answer.status)
    predictions = json.loads(answer.body)["predictions"]
    several = isinstance(predictions[0], list)
    shape = [len(predictions), *([len(predictions[0])] if several else [])]
    data = [x for row in predictions for x in row] if several else predictions
    output = {"name": OUTPUT, "datatype": "FP64", "shape": shape, "data": data}
    found = {"model_name": spec.model.name, "model_version": answer.version, "outputs": [output]}
    known = {"id": asked["id"]} if "id" in asked else {}
    body = json.dumps(found | known).encode()
    return Answer(200, JSON, body, answer.version, answer.request_id)


def _plain(value: object, status: int = 200) -> Answer:
    return Answer(status, JSON, json.dumps(value).encode())
