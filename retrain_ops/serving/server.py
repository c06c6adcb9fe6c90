"""`retrain-ops serve`: the application on uvicorn, with as many workers as one asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrain_ops.errors import ConfigError, import_problem
from retrain_ops.serving.app import App, create_app
from retrain_ops.spec.spec import load_spec

if TYPE_CHECKING:
    from uvicorn import Config

PROTOCOL = "retrain_ops.serving.protocol:ScoringProtocol"


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a server listens and with what; `uds`, a socket's path, wins over host and port."""

    host: str = "127.0.0.1"
    port: int = 8000
    uds: str | None = None
    workers: int = 1
    certificate: str | None = None
    key: str | None = None


def serve(spec: str | Path, listening: Listening) -> None:
    """Serves until SIGTERM or SIGINT; requests that have begun are answered first.

    Raises:
        ConfigError: the spec is wrong, uvicorn is not installed, or the server did not start.
    """
    load_spec(spec)  # refused here, not in a worker
    config = config_of(create_app(str(spec)), listening)
    run = _run_workers if listening.workers > 1 else _run_alone
    try:
        run(config)
    except SystemExit as problem:  # uvicorn's way to say it, also of a port that is taken
        raise ConfigError("the server did not start: what it logged above says why") from problem
    finally:
        if listening.uds:
            Path(listening.uds).unlink(missing_ok=True)


def _run_alone(config: Config) -> None:
    from uvicorn import Server

    Server(config).run()


def _run_workers(config: Config) -> None:
    """uvicorn gives up when a worker cannot start."""
    from uvicorn.config import STARTUP_FAILURE
    from uvicorn.supervisors import Multiprocess

    supervisor = Multiprocess(config, sockets=[config.bind_socket()])
    supervisor.run()
    if any(worker.exitcode == STARTUP_FAILURE for worker in supervisor.processes):
        raise SystemExit(STARTUP_FAILURE)


def config_of(app: App, listening: Listening) -> Config:
    """What uvicorn is to do.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import httptools  # noqa: F401
        from uvicorn import Config
    except ImportError as problem:
        raise ConfigError(
            import_problem(problem, "uvicorn", '"$(ls retrain_ops-*.whl)[serving]"')
        ) from problem
    return Config(
        app,
        host=listening.host,
        port=listening.port,
        uds=listening.uds,
        workers=listening.workers,
        http=PROTOCOL,
        ws="none",
        loop="auto",
        lifespan="on",
        interface="asgi3",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_level="warning",
        ssl_certfile=listening.certificate,
        ssl_keyfile=listening.key,
    )
