"""docs/api/: an entry for every public name; mkdocstrings fills in signature and docstring."""

from __future__ import annotations

import importlib

from tools.docs.markdown import GENERATED

MODULES = (
    "retrain_ops",
    "retrain_ops.models",
    "retrain_ops.stats",
    "retrain_ops.sources",
    "retrain_ops.serving",
    "retrain_ops.airflow",
    "retrain_ops.prefect",
    "retrain_ops.dagster",
    "retrain_ops.kubeflow",
)

SPHINX = ("retrain_ops.airflow",)
"""Docstrings in the style of Airflow itself, `:param name: text`."""


def page_of(module: str) -> str:
    """The path of a module's page."""
    return f"docs/api/{module.rpartition('.')[2]}.md"


def render(module: str) -> str:
    """The page of a module, names in the order of a sorted index."""
    home = importlib.import_module(module)
    names = sorted((n for n in home.__all__ if not n.startswith("__")), key=str.casefold)
    first = (home.__doc__ or "").strip().splitlines()[0]
    style = "\n    options: {docstring_style: sphinx}" if module in SPHINX else ""
    entries = [f"::: {_address(module, name)}{style}" for name in names]
    return "\n\n".join([f"# {module}", GENERATED, first, *entries]) + "\n"


def _address(module: str, name: str) -> str:
    """Where the name is defined: `stats.psi` alone would be the module of that name."""
    found = importlib.import_module(module)
    lazy = getattr(found, "_HOMES", {})
    home = f"{module}.{lazy[name]}" if name in lazy else _home(getattr(found, name), module)
    return f"{home}.{name}"


def _home(found: object, otherwise: str) -> str:
    """The module of a class or function; `otherwise` for plain data, which knows none."""
    home = getattr(found, "__module__", "")
    return home if home.startswith("retrain_ops.") else otherwise
