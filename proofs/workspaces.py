"""Two and four workspaces on one registry, 200 rounds each: one run and one version per key.

And as many processes on one workspace of an S3-compatible store, under its lock.
`WORKSPACES_ROUNDS` is another number of rounds; `WORKSPACES` is "folder" or "store" alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from devtools.servers.contract_servers import SERVERS
from devtools.servers.object_store import ObjectStore
from devtools.servers.prefect_server import prefect_python
from devtools.workspaces import race

ROUNDS = 200


def prove(folder: Path) -> dict[str, Any]:
    """All counts."""
    rounds = int(os.environ.get("WORKSPACES_ROUNDS", ROUNDS))
    only, found = os.environ.get("WORKSPACES", ""), {}
    with SERVERS["sqlite"](folder / "mlflow") as server:
        for count in (2, 4):
            if only != "store":
                place, model = folder / str(count), f"w{count}"
                found[f"{count} workspaces"] = race(server.url, place, model, rounds, count)
            if only != "folder":
                place, model = folder / f"store{count}", f"s{count}"
                with ObjectStore(place, python=prefect_python()) as store:
                    os.environ.update(store.variables())
                    raced = race(server.url, place, model, rounds, count, store.uri)
                found[f"{count} processes on a store"] = raced
    return found
