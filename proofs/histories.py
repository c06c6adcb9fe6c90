"""10,000 generated histories against the double, 300 against real MLflow on each database.

`HISTORIES` and `HISTORIES_SERVER` are other counts.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from devtools.histories import search, search_server
from devtools.servers.contract_servers import SERVERS
from tools.system_packages import has_postgres

DOUBLE, SERVER = 10_000, 300


def prove(folder: Path) -> dict[str, Any]:
    """All counts."""
    count = int(os.environ.get("HISTORIES", DOUBLE))
    found = {"double": search(range(count))}
    print(f"double: {found['double']}", flush=True)
    count = int(os.environ.get("HISTORIES_SERVER", SERVER))
    for name in ("sqlite", "postgres"):
        if name == "postgres" and not has_postgres():
            continue
        with SERVERS[name](folder / name) as server:
            found[name] = search_server(server.url, range(count), name)
        print(f"{name}: {found[name]}", flush=True)
    return found
