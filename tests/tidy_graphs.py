"""Circles: modules that import each other while they load, headers that include each other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

Graph = Mapping[str, set[str]]

_INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.M)


def import_circles(root: Path) -> list[str]:
    """What a module imports while it loads never leads back to it."""
    return _circles(_module_graph(root))


def include_circles(root: Path) -> list[str]:
    """What a header includes never leads back to it."""
    return _circles(_header_graph(root))


def _module_graph(root: Path) -> Graph:
    paths = {_module(root, path): path for path in (root / "retrain_ops").rglob("*.py")}
    return {
        name: {home for word in _loaded(path) if (home := _home(word, paths)) is not None}
        for name, path in paths.items()
    }


def _module(root: Path, path: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _loaded(path: Path) -> Iterator[str]:
    """Names imported at the top level; what is for the type checker alone is not loaded."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _home(word: str, paths: Mapping[str, Path]) -> str | None:
    """The module that a dotted name lies in."""
    while word and word not in paths:
        word = word.rpartition(".")[0]
    return word if word not in ("", "retrain_ops") else None


def _header_graph(root: Path) -> Graph:
    csrc = root / "csrc"
    headers = {str(path.relative_to(csrc)): path for path in csrc.rglob("*.h")}
    return {
        name: {other for other in _INCLUDE.findall(path.read_text()) if other in headers}
        for name, path in headers.items()
    }


def _circles(graph: Graph) -> list[str]:
    """Each circle once, as `a -> b -> a`, found by walking on until a name comes again."""
    found: dict[frozenset[str], str] = {}
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> None:
        if name in way:
            circle = way[way.index(name) :]
            found.setdefault(frozenset(circle), " -> ".join([*circle, name]))
        elif name not in done:
            for other in sorted(graph.get(name, ())):
                walk(other, [*way, name])
            done.add(name)

    for start in sorted(graph):
        walk(start, [])
    return [f"a circle: {circle}" for circle in found.values()]
