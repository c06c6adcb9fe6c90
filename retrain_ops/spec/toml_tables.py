"""A TOML table becomes a frozen dataclass, or an error that names the line.

`tomllib` keeps no positions, so the text is scanned once for where every
`[table]` and `key =` stands; that is all an error message needs.
"""

from __future__ import annotations

import dataclasses
import math
import os
import re
import types
import typing
from collections.abc import Mapping
from datetime import time
from fractions import Fraction
from typing import Any, TypeVar

from retrain_ops.errors import ConfigError

T = TypeVar("T")

_HEADER = re.compile(r"^\s*\[\[?\s*([A-Za-z0-9_.\-]+)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*([A-Za-z0-9_\-]+|\"[^\"]+\")\s*=")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def find_lines(text: str) -> dict[tuple[str, str], int]:
    """Where `(table, key)` stands, 1-based; `(table, "")` is the header."""
    lines: dict[tuple[str, str], int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            table = header.group(1)
            lines.setdefault((table, ""), number)
        elif key := _KEY.match(line):
            lines.setdefault((table, key.group(1).strip('"')), number)
    return lines


@dataclasses.dataclass(frozen=True, slots=True)
class TableReader:
    """Reads the tables of one file; `where` is the file's name for messages.

    `variables` are known to `${NAME}` before the environment is asked.
    """

    where: str
    lines: Mapping[tuple[str, str], int]
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def error(self, table: str, key: str, message: str) -> ConfigError:
        """An error that points at the key, or at its table when the key is not there."""
        places = ((table, key), (f"{table}.{key}", ""), (table, ""))
        line = next((self.lines[place] for place in places if place in self.lines), 1)
        name = f"[{table}] {key}".rstrip()
        return ConfigError(f"{self.where}, line {line}: {name}: {message}")

    def read(self, table: str, values: object, kind: type[T], **derived: object) -> T:
        """`values` as a `kind`, every key known, every type right, every value possible; `derived`
        are those that no file writes."""
        if not isinstance(values, dict):
            raise self.error(table, "", f"must be a table, it is {_type_name(values)}")
        hints = typing.get_type_hints(kind)
        fields = {
            f.name: f
            for f in dataclasses.fields(kind)  # type: ignore[arg-type]
            if not f.metadata.get("derived")
        }
        for key in values:
            if key not in fields:
                known = ", ".join(sorted(fields))
                raise self.error(table, key, f"unknown key; known keys: {known}")
        for name, field in fields.items():
            required = (
                field.default is dataclasses.MISSING
                and field.default_factory is dataclasses.MISSING
            )
            if required and name not in values:
                raise self.error(table, name, "is required and missing")
        arguments = {k: self._convert(table, k, v, hints[k]) for k, v in values.items()}
        try:
            return kind(**arguments, **derived)
        except ConfigError:
            raise
        except ValueError as problem:
            # A table's own check begins its message with the key it is about.
            text = str(problem)
            key = text.split(":", 1)[0].split(" ", 1)[0]
            key = key if key in fields else ""
            raise self.error(table, key, text.removeprefix(f"{key}: ")) from problem

    def _convert(self, table: str, key: str, value: object, hint: Any) -> object:
        origin, parts = typing.get_origin(hint), typing.get_args(hint)
        kind: Any = parts[0] if origin is tuple else hint
        if dataclasses.is_dataclass(kind) and origin is None:
            return self._inner(table, key, value, typing.cast(type[object], kind))
        if dataclasses.is_dataclass(kind):
            if not isinstance(value, list):
                raise self.error(table, key, f"must be an array of tables, it is {value!r}")
            inner = typing.cast(type[object], kind)
            return tuple(self._inner(table, key, item, inner) for item in value)
        converted = _converted(value, hint)
        if converted is _REFUSED:
            expected = _hint_name(hint)
            found = f"{value!r} ({_type_name(value)})"
            raise self.error(table, key, f"must be {expected}, it is {found}")
        return self._expanded(table, key, converted)

    def _expanded(self, table: str, key: str, value: object) -> object:
        if isinstance(value, str):
            return self._expand(table, key, value)
        if isinstance(value, dict):
            return {name: self._expanded(table, key, inner) for name, inner in value.items()}
        return value

    def _inner(self, table: str, key: str, values: object, kind: type[T]) -> T:
        """A table inside a table; the line is that of its key, unless it has a header itself."""
        name = f"{table}.{key}"
        lines = {(name, ""): self.lines.get((table, key), 1), **self.lines}
        return dataclasses.replace(self, lines=lines).read(name, values, kind)

    def _expand(self, table: str, key: str, text: str) -> str:
        """`${NAME}` and `${NAME:-default}` from the environment: places and secrets."""

        def value_of(match: re.Match[str]) -> str:
            name = match.group(1)
            value = self.variables.get(name, os.environ.get(name, match.group(2)))
            if value is None:
                raise self.error(table, key, f"the environment variable {name} is not set")
            return value

        return _VARIABLE.sub(value_of, text)


_REFUSED = object()


def _type_name(value: object) -> str:
    names = {dict: "a table", list: "an array", str: "a string", bool: "a boolean"}
    return names.get(type(value), type(value).__name__)


def _hint_name(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return "one of " + ", ".join(repr(a) for a in typing.get_args(hint))
    names = {
        str: "a string",
        int: "an integer",
        float: "a number",
        bool: "true or false",
        Fraction: "a number",
        time: 'a time such as "02:00"',
    }
    if hint in names:
        return names[hint]
    if origin in (typing.Union, types.UnionType):
        kinds = (a for a in typing.get_args(hint) if a is not type(None))
        return " or ".join(map(_hint_name, kinds))
    if origin is tuple:
        items = typing.get_args(hint)
        count = "" if items[-1] is Ellipsis else f"{len(items)}, each "
        return f"an array of {count}{_hint_name(items[0])}"
    if origin in (Mapping, dict) or origin is getattr(types, "MappingProxyType", None):
        return "a table"
    return str(hint)


def _converted(value: object, hint: Any) -> object:
    """`value` in the type of `hint`, or `_REFUSED`; TOML booleans are never numbers."""
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        options = (_converted(value, a) for a in arguments if a is not type(None))
        return next((c for c in options if c is not _REFUSED), _REFUSED)
    if origin is typing.Literal:
        return value if value in arguments else _REFUSED
    if origin is tuple:
        return _converted_array(value, arguments)
    if origin is not None and issubclass(origin, Mapping):
        return _converted_mapping(value, arguments)
    return _converted_scalar(value, hint)


def _converted_array(value: object, arguments: tuple[Any, ...]) -> object:
    if not isinstance(value, list):
        return _REFUSED
    if arguments[-1] is Ellipsis:
        items = [_converted(item, arguments[0]) for item in value]
    elif len(value) == len(arguments):
        items = [_converted(i, a) for i, a in zip(value, arguments, strict=True)]
    else:
        return _REFUSED
    return _REFUSED if any(i is _REFUSED for i in items) else tuple(items)


def _converted_mapping(value: object, arguments: tuple[Any, ...]) -> object:
    if not isinstance(value, dict):
        return _REFUSED
    items = {k: _converted(v, arguments[1]) for k, v in value.items()}
    return _REFUSED if any(i is _REFUSED for i in items.values()) else items


def _converted_scalar(value: object, hint: Any) -> object:
    if hint is object:
        return value
    if isinstance(value, bool):
        return value if hint is bool else _REFUSED
    if isinstance(value, float) and (math.isnan(value) or (hint is Fraction and math.isinf(value))):
        return _REFUSED
    if hint is float and isinstance(value, int | float):
        return float(value)
    if hint is Fraction and isinstance(value, int | float):
        return Fraction(str(value))  # .005 means five thousandths, not its nearest double
    if hint is time and isinstance(value, str):
        try:
            return time.fromisoformat(value)
        except ValueError:
            return _REFUSED
    return value if isinstance(value, hint) else _REFUSED
