"""`retrain-ops export`: a registered model in a format that other programs read."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

from retrain_ops.cli.command import run_of, version_named, version_number, writing
from retrain_ops.errors import ConfigError
from retrain_ops.workspace import replace_file

HELP = "write a registered model as ONNX or as LightGBM's text"
ENDINGS = {"onnx": "onnx", "lightgbm": "txt"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `export`."""
    parser.add_argument(
        "--version", required=True, type=version_number, help="the version's number"
    )
    parser.add_argument("--format", required=True, choices=sorted(ENDINGS), help="what to write")
    parser.add_argument(
        "--ml-opset",
        type=int,
        choices=(5, 3),
        default=5,
        help="of ONNX: 3 for runtimes without TreeEnsemble (default: 5)",
    )
    parser.add_argument("--output", help="the file (default: <model>-<version>.onnx or .txt)")


def export(options: argparse.Namespace) -> dict[str, Any]:
    """Writes the file, whole or not at all; says where, and its SHA-256.

    Raises:
        ConfigError: there is no such version, its model has no such form, or the package onnx is
            missing.
    """
    from retrain_ops.comparison.scoring import load_version
    from retrain_ops.models.tabular import TabularModel

    run = run_of(options)
    version = version_named(run, options.version)
    model = load_version(run, version)
    if not isinstance(model, TabularModel):
        raise ConfigError(f"version {version.number} is of a trainer of your own: it has no export")
    try:
        onnx = options.format == "onnx"
        data = model.to_onnx(ml_opset=options.ml_opset) if onnx else model.to_lightgbm().encode()
    except TypeError as problem:
        raise ConfigError(f"version {version.number}: {problem}") from problem
    path = Path(options.output or f"{run.model}-{version.number}.{ENDINGS[options.format]}")
    with writing(path, "--output"):
        replace_file(path, data)
    return {
        "model": run.model,
        "version": version.number,
        "model_sha256": model.sha256,
        "format": options.format,
        "path": str(path.absolute()),
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
    }
