"""Two and four workspaces on one registry, 200 rounds each: one run and one version per key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from devtools.servers.contract_servers import SERVERS
from devtools.workspaces import race

ROUNDS = 200


def prove(folder: Path) -> dict[str, Any]:
    """All counts; `WORKSPACES_ROUNDS` is another number of rounds."""
    rounds = int(os.environ.get("WORKSPACES_ROUNDS", ROUNDS))
    with SERVERS["sqlite"](folder / "mlflow") as server:
        return {
            f"{count} workspaces": race(server.url, folder / str(count), f"w{count}", rounds, count)
            for count in (2, 4)
        }
