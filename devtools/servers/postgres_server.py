"""A private PostgreSQL: one cluster in a temporary folder, on a free port, gone at the end."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _program(name: str) -> str:
    """The newest installed version; Debian keeps the server's programs off PATH."""
    installed = sorted(
        glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), key=lambda p: float(p.split("/")[4])
    )
    found = installed[-1] if installed else shutil.which(name)
    assert found, f"{name} is not installed: python3 tools/system_packages.py test"
    return found


def _account() -> pwd.struct_passwd | None:
    """Who runs the server: the server refuses root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


def _run(command: list[str], account: pwd.struct_passwd | None) -> None:
    """Output goes to a file: the server inherits it, and a pipe would never see its end."""
    switch = {} if account is None else {"user": account.pw_uid, "group": account.pw_gid}
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            command,
            cwd="/",
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
            timeout=120,
            extra_groups=None if account is None else [],
            **switch,  # type: ignore[arg-type]
        )
        output.seek(0)
        assert done.returncode == 0, f"{command}: {output.read().decode()}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgres() -> Iterator[str]:
    """The SQLAlchemy URL of a running server, stopped and removed on leaving."""
    account = _account()
    folder = Path(tempfile.mkdtemp(prefix="retrain-ops-pg-"))
    try:
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
        data, log = folder / "data", folder / "log"
        _run(
            [
                *(_program("initdb"), "-D", str(data), "-U", "tests"),
                *("-A", "trust", "-E", "UTF8", "--no-sync"),
            ],
            account,
        )
        port = _free_port()
        options = f"-F -c listen_addresses=127.0.0.1 -p {port} -c unix_socket_directories={folder}"
        control = [_program("pg_ctl"), "-D", str(data), "-w", "-t", "60"]
        _run([*control, "-l", str(log), "-o", options, "start"], account)
        try:
            yield f"postgresql+psycopg2://tests@127.0.0.1:{port}/postgres"
        finally:
            _run([*control, "-m", "immediate", "stop"], account)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
