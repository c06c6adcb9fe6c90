"""`/openapi.json`: the paths of the server, and what a request of this spec may hold.

OpenAPI 3.1, whose schemas are JSON Schema 2020-12.
"""

from __future__ import annotations

from typing import Any

from retrain_ops import __version__
from retrain_ops.serving.kserve import OUTPUT, infer_path
from retrain_ops.spec.spec import RetrainSpec

Schema = dict[str, Any]

NUMBER: Schema = {"type": ["number", "string", "boolean", "null"]}
"""A text must spell a number."""
CATEGORY: Schema = {"type": ["string", "integer", "boolean", "null"]}
UNIT: Schema = {"type": ["string", "integer"]}
IDS = {"schema": {"type": "string", "maxLength": 128}, "required": False, "in": "header"}


def document(spec: RetrainSpec) -> dict[str, Any]:
    """The whole document of a spec, as plain data."""
    pages = {path: _page(*said) for path, said in _PAGES.items()}
    score = {"/invocations": _scoring(spec), infer_path(spec.model.name): _inference(spec)}
    return {
        "openapi": "3.1.0",
        "info": {"title": spec.model.name, "version": __version__},
        "paths": {**score, **pages},
    }


def cells(spec: RetrainSpec) -> dict[str, Schema]:
    """What a cell of each column may be, by name: the features, and the column of the units."""
    found = dict.fromkeys(spec.features.numeric, NUMBER)
    found |= dict.fromkeys(spec.features.categorical, CATEGORY)
    if spec.serving.unit and spec.serving.unit not in found:
        found[spec.serving.unit] = UNIT
    return found


def body(spec: RetrainSpec) -> Schema:
    """JSON Schema of a body in MLflow's words."""
    columns = cells(spec)
    row = _object(columns)
    each = _object({name: {"anyOf": [kind, _rows(kind, spec)]} for name, kind in columns.items()})
    split = {
        "columns": {"type": "array", "items": {"type": "string"}},
        "data": _rows({"type": "array"}, spec),
    }
    records = _rows(row, spec)
    forms = {
        "dataframe_split": _object(split),
        "dataframe_records": records,
        "instances": records,
        "inputs": each,
    }
    return {"oneOf": [_object({name: form}) for name, form in forms.items()]}


def _object(properties: dict[str, Schema]) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _rows(items: Schema, spec: RetrainSpec) -> Schema:
    most = spec.serving.max_rows
    return {"type": "array", "items": items, "minItems": 1, "maxItems": most}


def _scoring(spec: RetrainSpec) -> Schema:
    units = {name: "a" for name, kind in cells(spec).items() if kind is UNIT}
    empty = [dict.fromkeys(spec.features.all) | units]
    answer = _object({"predictions": {"type": "array", "items": _prediction(spec)}})
    problem = _object({"error_code": {"type": "string"}, "message": {"type": "string"}})
    kinds: dict[str, Schema] = {
        "application/json": {"schema": body(spec), "example": {"dataframe_records": empty}},
        "text/csv": {"schema": {"type": "string"}},
    }
    return _post("Score rows", kinds, answer, problem, spec)


def _inference(spec: RetrainSpec) -> Schema:
    tensor = _object(
        {
            "name": {"enum": list(cells(spec))},
            "shape": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2},
            "datatype": {"type": "string"},
            "data": {"type": "array"},
        }
    )
    asked = _object({"inputs": {"type": "array", "items": tensor}})
    output = _object({"name": {"const": OUTPUT}, "data": {"type": "array"}})
    answer = _object({"outputs": {"type": "array", "items": output}})
    problem = _object({"error": {"type": "string"}})
    kinds: dict[str, Schema] = {"application/json": {"schema": asked}}
    return _post("Score rows (Open Inference Protocol)", kinds, answer, problem, spec)


def _prediction(spec: RetrainSpec) -> Schema:
    number: Schema = {"type": "number"}
    several = {"type": "array", "items": number}
    return several if spec.model.problem == "multiclass" else number


def _post(
    summary: str, kinds: dict[str, Schema], answer: Schema, problem: Schema, spec: RetrainSpec
) -> Schema:
    table = spec.serving
    refused = {
        "400": "The body is wrong; the message says where.",
        "413": f"The body has more than {table.max_body} bytes.",
        "415": "The content type is not taken.",
        "503": "No model serves yet.",
    }
    headers = {name: {"schema": {"type": "string"}} for name in ("x-model-version", "x-request-id")}
    said = {"200": {**_content("Predictions, a row each.", answer), "headers": headers}}
    said |= {status: _content(text, problem) for status, text in refused.items()}
    named = dict.fromkeys((table.unit_header, table.id_header))
    request = {"required": True, "content": kinds}
    parameters = [{"name": name, **IDS} for name in named]
    return {
        "post": {
            "summary": summary,
            "parameters": parameters,
            "requestBody": request,
            "responses": said,
        }
    }


def _content(text: str, schema: Schema) -> Schema:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


_PLAIN, _JSON = "text/plain", "application/json"
_PAGES = {
    "/health": ("Who answers with which share, and what is wrong", _JSON, ()),
    "/ready": ("Whether a model has scored", _PLAIN, ("503",)),
    "/ping": ("Whether the server is up", _PLAIN, ()),
    "/version": ("The version of the server", _PLAIN, ()),
    "/metrics": ("For Prometheus", _PLAIN, ()),
    "/live": ("A page that shows them as they change", "text/html", ()),
    "/openapi.json": ("This document", _JSON, ()),
}


def _page(summary: str, kind: str, others: tuple[str, ...]) -> Schema:
    said: Schema = {"200": {"description": summary, "content": {kind: {}}}}
    said |= {status: {"description": "No model serves yet."} for status in others}
    return {"get": {"summary": summary, "responses": said}}
