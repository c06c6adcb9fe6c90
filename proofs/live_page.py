"""`/live` of a server under load, in a real headless Chromium: a canary, and its rollback.

Light and dark, on a desktop and on a phone: it asks for nothing from any other host, nothing lies
beyond the edge, the browser has nothing to complain about. Every view leaves a picture.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from devtools import planted_models
from devtools.live_flights import DAGS, bodies_of, read_flights
from devtools.load import Load
from devtools.serving import promoted
from proofs.faults_under_traffic import DAYS, served
from proofs.pages import chromium, look_at
from retrain_ops.registry.registry import Registry
from retrain_ops.spec.spec import load_spec

SAYS = {
    "canary": "//*[@id='changes']//*[contains(., 'version 2 began with 10%')]",
    "share": "//*[@id='named']//*[contains(., 'version 2, ') and contains(., '% of the rows')]",
    "line": "//*[@id='traffic']/*[name()='polyline']",
    "rolled back": "//*[@id='changes']//*[contains(., 'version 2 was rolled back to version 1')]",
}


def prove(folder: Path) -> dict[str, Any]:
    """What the page says of a canary, and of the end of it."""
    assert os.environ["FLIGHTS_SOURCE"]
    rows = read_flights(load_spec(DAGS / "flights.toml"), DAYS)
    table, labels = rows.drop_columns(["label"]), rows["label"].to_numpy().astype(np.int8)
    models = [planted_models.sound(table, labels, seed=seed) for seed in (1, 2)]
    with (
        served(folder / "served", "flights", models[0]) as (path, client, port),
        Load(port, 2, bodies_of(table)),
        chromium(folder) as browser,
    ):
        name, address = load_spec(path).model.name, f"http://127.0.0.1:{port}/live"
        promoted(client, name, models[1], share=0.1, effective=datetime.now(UTC))
        browser.open(address)
        seen = {what: browser.see(SAYS[what]) for what in ("canary", "share", "line")}
        views = look_at(browser, address, "canary")
        now = datetime.now(UTC)
        Registry(client, name).rollback(effective_from=now, recorded_at=now)
        seen["rolled back"] = browser.see(SAYS["rolled back"])
        return {"seen": seen, "views": views, "after": browser.picture("rolled_back.png")}
