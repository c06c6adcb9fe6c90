"""The shape of decision.json: one reader, and a schema that says what the types say."""

import json
import types
import typing
from importlib.resources import files

import jsonschema
import pytest

import retrain_ops
from devtools.decisions import END, SCHEMA, stored
from retrain_ops.decisions import record
from retrain_ops.errors import ConfigError, DataError
from tests.unit.decisions.test_replay import VALIDATOR, random_decision

FOUND = json.loads(SCHEMA.read_text())
SCALARS = {"string": str, "integer": int, "number": float, "boolean": bool, "null": type(None)}


def of_schema(node):
    """What a node of the schema allows, in the terms of `of_type`."""
    if "$ref" in node:
        return of_schema(FOUND["$defs"][node["$ref"].rpartition("/")[2]])
    if "anyOf" in node:
        return frozenset().union(*(of_schema(part) for part in node["anyOf"]))
    if "enum" in node or "const" in node:
        return frozenset(("value", value) for value in node.get("enum", [node.get("const")]))
    kinds = node["type"] if isinstance(node["type"], list) else [node["type"]]
    return frozenset(of_kind(kind, node) for kind in kinds)


def of_kind(kind, node):
    if kind in SCALARS:
        return ("value", None) if kind == "null" else SCALARS[kind]
    if kind == "array":
        return ("list", of_schema(node["items"]))
    if "properties" not in node:
        below = node.get("additionalProperties")
        return ("dict", of_schema(below) if below else None)
    assert node["additionalProperties"] is False
    return fields(
        {name: of_schema(below) for name, below in node["properties"].items()}, node["required"]
    )


def of_type(found):
    """The same of a type of the record."""
    origin, parts = typing.get_origin(found), typing.get_args(found)
    if origin is typing.NotRequired:
        return of_type(parts[0])
    if origin in (typing.Union, types.UnionType):
        return frozenset().union(*map(of_type, parts))
    if origin is typing.Literal:
        return frozenset(("value", value) for value in parts)
    if origin is list:
        return frozenset([("list", of_type(parts[0]))])
    if origin is dict:
        return frozenset([("dict", None if parts[1] is typing.Any else of_type(parts[1]))])
    if typing.is_typeddict(found):
        hints = typing.get_type_hints(found, include_extras=True)
        required = found.__required_keys__ - not_required(hints)
        return frozenset([fields({n: of_type(h) for n, h in hints.items()}, required)])
    return frozenset([("value", None) if found is type(None) else found])


def not_required(hints):
    """Python 3.11 cannot see `NotRequired` in annotations that are text."""
    return {n for n, h in hints.items() if typing.get_origin(h) is typing.NotRequired}


def fields(by_name, required):
    return ("fields", frozenset(by_name.items()), frozenset(required))


def test_the_schema_and_the_types_say_the_same():
    assert of_kind("object", FOUND) in of_type(record.Decision)
    always = record.Judged.__optional_keys__ - {"seasons"}  # those with [memory] alone
    assert set(FOUND["else"]["required"]) == always
    assert set(FOUND["then"]["properties"]) == record.Judged.__optional_keys__


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found["properties"].pop("auc"),
        lambda found: found["$defs"]["slice"]["required"].remove("level"),
        lambda found: found["$defs"]["gate"]["properties"]["reason"]["enum"].append("other"),
        lambda found: found["$defs"]["rules"]["properties"].update(more={"type": "string"}),
        lambda found: found["$defs"]["drift"]["properties"]["age_days"].update(type="integer"),
    ],
)
def test_a_schema_that_drifts_apart_is_seen(change, monkeypatch):
    changed = json.loads(SCHEMA.read_text())
    change(changed)
    monkeypatch.setitem(globals(), "FOUND", changed)
    assert of_kind("object", changed) not in of_type(record.Decision)


def test_a_decision_is_read_back_as_it_was_written(tmp_path):
    content = random_decision(0)
    workspace = stored(tmp_path, content)
    assert record.read_decision(workspace, END) == content
    assert record.read_decision(workspace, END.replace(day=7)) is None


def test_a_missing_or_foreign_decision_is_refused_in_words(tmp_path):
    content = random_decision(0)
    with pytest.raises(ConfigError, match="has no decision for 2020-02-07"):
        record.require_decision(stored(tmp_path / "a", content), END.replace(day=7))
    with pytest.raises(DataError, match=r"decision.json has schema 9, not 1"):
        record.read_decision(stored(tmp_path / "b", {**content, "schema": 9}), END)


def test_the_package_ships_a_valid_schema():

    shipped = files(retrain_ops).joinpath("decisions", "decision.schema.json").read_bytes()
    jsonschema.Draft202012Validator.check_schema(json.loads(shipped))


def test_the_schema_refuses_what_is_no_decision():
    for change in (
        lambda d: d.update(outcome="perhaps"),
        lambda d: d.pop("gate"),
        lambda d: d.update(extra=1),
        lambda d: d["gate"].update(verdict="maybe"),
        lambda d: d["holdout"]["cells"][""][""][0].append(1),
        lambda d: d.update(outcome="no_train"),
    ):
        content = random_decision(0)
        change(content)
        assert not VALIDATOR.is_valid(content)
