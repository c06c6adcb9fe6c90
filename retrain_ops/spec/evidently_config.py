"""From the configuration of a drift preset of Evidently's to the spec's `[drift]`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from retrain_ops.errors import ConfigError

# Its words, the newest and those before 0.7 -> ours.
_TEXTS = {
    "method": "method",
    "stattest": "method",
    "num_method": "numeric_method",
    "num_stattest": "numeric_method",
    "cat_method": "categorical_method",
    "cat_stattest": "categorical_method",
}
_NUMBERS = {
    "threshold": "threshold",
    "stattest_threshold": "threshold",
    "num_threshold": "numeric_threshold",
    "num_stattest_threshold": "numeric_threshold",
    "cat_threshold": "categorical_threshold",
    "cat_stattest_threshold": "categorical_threshold",
    "drift_share": "share",
}
_TABLES = {
    "per_column_method": ("methods", str),
    "per_column_stattest": ("methods", str),
    "per_column_threshold": ("thresholds", float),
    "per_column_stattest_threshold": ("thresholds", float),
}
_SHARE = 0.5
"""Evidently's own, where a configuration does not say one."""
_IGNORED = ("type", "tests", "include_tests", "is_critical", "alias", "tags", "metadata")
_KNOWN = {"columns", *_TEXTS, *_NUMBERS, *_TABLES}


def drift_table_of(config: object, *, where: str) -> str:
    """The TOML of `[drift]` and `[drift.evidently]` that decide as the preset does.

    Args:
        config: what its JSON holds: a preset's keys, or a report or snapshot that has them inside.
        where: its name, for messages.

    Raises:
        ConfigError: there is no preset in it, or it asks for what `[drift]` has no key for.
    """
    found = next(_presets(config), None)
    if found is None:
        words = ", ".join(sorted(_KNOWN))
        raise ConfigError(f"{where}: no drift preset of Evidently's is in it; its keys are {words}")
    given = {key: value for key, value in found.items() if value not in (None, {}, [])}
    for key in given.keys() - _KNOWN - {*_IGNORED}:
        raise ConfigError(
            f"{where}: {key} has no counterpart in [drift]: text and embeddings are no features"
        )
    columns = given.get("columns", [])
    lines = ["[drift]", 'engine = "evidently"']
    if columns:
        lines.append(f"features = {json.dumps([_text(where, 'columns', c) for c in columns])}")
    return "\n".join([*lines, "", "[drift.evidently]", *_keys(given, where)]) + "\n"


def _keys(given: Mapping[str, Any], where: str) -> Iterator[str]:
    for key, ours in _TEXTS.items():
        if key in given:
            yield f"{ours} = {json.dumps(_text(where, key, given[key]))}"
    for key, ours in _NUMBERS.items():
        if key in given:
            yield f"{ours} = {_number(where, key, given[key])!r}"
    if "drift_share" not in given:
        yield f"share = {_SHARE}"
    for key, (ours, kind) in _TABLES.items():
        if key not in given:
            continue
        if not isinstance(given[key], Mapping):
            raise ConfigError(f"{where}: {key} must be an object of columns, it is {given[key]!r}")
        read = _text if kind is str else _number
        cells = (
            f"{json.dumps(c)} = {json.dumps(read(where, key, v))}" for c, v in given[key].items()
        )
        yield f"{ours} = {{ {', '.join(cells)} }}"


def _presets(config: object) -> Iterator[Mapping[str, Any]]:
    """Objects that have a preset's keys, the outermost first; a single column's are none."""
    if isinstance(config, Mapping):
        own = config.keys() & (_KNOWN - {"columns", "method", "threshold"})
        if own or str(config.get("type", "")).endswith(("DataDriftPreset", "DriftedColumnsCount")):
            yield config
            return
        for value in config.values():
            yield from _presets(value)
    elif isinstance(config, list):
        for value in config:
            yield from _presets(value)


def _text(where: str, key: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigError(
            f"{where}: {key} must be text, it is {value!r}: a function has no name here"
        )
    return value


def _number(where: str, key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{where}: {key} must be a number, it is {value!r}")
    return float(value)
