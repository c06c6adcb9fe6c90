"""docs/spec.md, from the tables that read a spec: their fields, types and docstrings."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Mapping
from datetime import time
from fractions import Fraction
from typing import Any

from retrain_ops.models import training
from retrain_ops.spec.spec import TABLES
from retrain_ops.spec.train import DEFAULT_PARAMS
from tools.docs.markdown import GENERATED, table

INTRO = """\
One TOML file per model. `[model]`, `[source]` and `[features]` are required; every other table may
be left out. An unknown table or key, a wrong type or an impossible value is refused with file and
line. `${NAME}` and `${NAME:-default}` in any string come from the environment, which is where
passwords belong; `${SEGMENT}` is the segment of a DAG that has several.

The spec's hash is part of every decision. `[publish]`, `[registry]`, `[notify]` and what says where
and how the rows of `[source]` lie (`path`, `kind`, `url`, `query`, `table`, `catalog`, `options`,
`time_zone`) are not in it: equal rows decide alike, and [what was read](sources.md) is pinned. A
key marked with ° is in it only when it differs from its default."""

TRAIN = (
    "Parameters of the trainer. A trainer of your own has its own; these are those of `gbdt`, and "
    "[`train_logistic`](api/models.md) names those of `logistic`."
)

_KINDS: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    Fraction: "number",
    time: "time",
    Any: "any",
}
_ENTRY = re.compile(r"(?P<name>\w+): (?P<text>.*)")


@dataclasses.dataclass(frozen=True)
class Key:
    """One line of a table."""

    name: str
    kind: str
    unit: str
    default: str
    effect: str


def render() -> str:
    """Every table, key by key."""
    parts = ["# The spec", GENERATED, INTRO]
    for name, kind in TABLES.items():
        parts += [f"## [{name}]", summary(kind), _lines(keys_of(kind))]
        if name == "validate":  # the order of a spec: what trains comes before what judges
            parts += ["## [train]", TRAIN, _lines(train_keys())]
    return "\n\n".join(parts) + "\n"


def _lines(keys: list[Key]) -> str:
    head = ["key", "type", "unit", "default", "what it does"]
    return table(head, [[f"`{k.name}`", k.kind, k.unit, k.default, k.effect] for k in keys])


def summary(kind: type) -> str:
    """What a docstring says before its attributes, without the table's name."""
    text = inspect.cleandoc(kind.__doc__ or "").partition("\n\nAttributes:")[0]
    text = text.partition("`: ")[2]
    return text[:1].upper() + text[1:]


def keys_of(kind: type) -> list[Key]:
    """The fields of a table, in order.

    Raises:
        ValueError: the docstring says nothing of a key, or something of one that is not there.
    """
    hints = typing.get_type_hints(kind, include_extras=True)
    effects = entries(inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2])
    found = []
    for field in dataclasses.fields(kind):
        if not effects.get(field.name):
            raise ValueError(f"{kind.__name__}: the docstring says nothing of {field.name}")
        if field.metadata.get("derived"):
            del effects[field.name]
            continue
        default = _default(field) + ("°" if field.metadata.get("quiet") else "")
        effect = effects.pop(field.name).rstrip(".")
        found.append(Key(field.name, *_type(hints[field.name]), default, effect))
    if effects:
        raise ValueError(f"{kind.__name__}: the docstring names {', '.join(effects)}: no such key")
    return found


def entries(text: str) -> dict[str, str]:
    """`name: text` by name; lines that are indented deeper go on with the entry before them."""
    lines = inspect.cleandoc(text).splitlines()
    found: dict[str, str] = {}
    for line in lines:
        if match := _ENTRY.fullmatch(line):
            name = match["name"]
            found[name] = match["text"]
        elif line.startswith(" "):
            found[name] += " " + line.strip()
        elif line:
            raise ValueError(f"not an entry: {line!r}")
    return found


def train_keys() -> list[Key]:
    """Parameters of the default trainer; `training.PARAMS_TEXT` has a line for each."""
    effects = entries(training.PARAMS_TEXT)
    if effects.keys() != DEFAULT_PARAMS.keys():
        apart = effects.keys() ^ DEFAULT_PARAMS.keys()
        raise ValueError(f"training.PARAMS_TEXT and the parameters differ in {sorted(apart)}")
    return [
        Key(name, _KINDS[type(value)], "", f"`{value}`", effects[name].rstrip("."))
        for name, value in DEFAULT_PARAMS.items()
    ]


def _type(hint: Any) -> tuple[str, str]:
    """The type of a hint in words, and its unit."""
    if hasattr(hint, "__metadata__"):
        return _type(hint.__origin__)[0], hint.__metadata__[0]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _type(next(a for a in arguments if a is not type(None)))
    if origin is typing.Literal:
        return " or ".join(f'`"{a}"`' for a in arguments), ""
    if origin is tuple:
        if dataclasses.is_dataclass(arguments[0]):
            return _type(arguments[0])[0].replace("table", "array of tables"), ""
        if typing.get_origin(arguments[0]) is typing.Literal:
            return "array of any of " + ", ".join(
                f'`"{a}"`' for a in typing.get_args(arguments[0])
            ), ""
        inner, unit = _type(arguments[0])
        pair = arguments[-1] is not Ellipsis
        return f"two {inner}s" if pair else f"array of {inner}s", unit
    if origin is not None and issubclass(origin, Mapping):
        inner, unit = _type(arguments[1])
        return f"table: {inner} by column", unit
    if dataclasses.is_dataclass(hint):
        return "table: " + ", ".join(f"`{f.name}`" for f in dataclasses.fields(hint)), ""
    return _KINDS[hint], ""


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        return "none"
    value = field.default
    if value is dataclasses.MISSING:
        return "required"
    if value is None or value == () or dataclasses.is_dataclass(value):
        return "none"
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, time):
        return f'`"{value:%H:%M}"`'
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    return f"`{float(value) if isinstance(value, Fraction) else value}`"
