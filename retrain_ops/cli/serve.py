"""`retrain-ops serve`: the scoring server of a spec, until a signal ends it."""

from __future__ import annotations

import argparse
from typing import Any

from retrain_ops.cli.process import Cancelled
from retrain_ops.serving.server import Listening, serve

HELP = "answer scoring requests with the registry's champion, over HTTP"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `serve`."""
    parser.add_argument("--spec", required=True, help="the TOML spec")
    parser.add_argument("--host", default="127.0.0.1", help="address (default: this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="port (default: 8000)")
    parser.add_argument("--uds", help="path of a unix socket, instead of host and port")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--certificate", help="PEM file of a TLS certificate")
    parser.add_argument("--key", help="PEM file of its key")


def serve_command(options: argparse.Namespace) -> dict[str, Any]:
    """Serves; a signal is its normal end."""
    listening = Listening(
        host=options.host,
        port=options.port,
        uds=options.uds,
        workers=options.workers,
        certificate=options.certificate,
        key=options.key,
    )
    try:
        serve(options.spec, listening)
    except Cancelled as signal:
        return {"status": "stopped", "by": str(signal)}
    return {"status": "stopped"}
