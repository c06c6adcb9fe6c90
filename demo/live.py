"""After the week a server answers the flights of the next days, and has two canaries.

The models are those of the week, under a registered name of its own, so that the week's registry
stays what it was: its last champion is the sound canary beside the one that it replaced. The other
canary was trained on reversed labels, and is taken off by watch_canary alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from devtools import planted_models
from devtools.flights_week.places import SPEC, Places
from devtools.live_flights import bodies_of, live_spec, read_flights, try_canary, watch
from devtools.load import Load
from devtools.servers.processes import PATIENCE_S, free_port
from devtools.servers.scoring_server import ScoringServer
from devtools.serving import promoted, wait_until
from retrain_ops.comparison.scoring import registered_file
from retrain_ops.mlflow.client import MlflowClient
from retrain_ops.models import TabularModel, load_model
from retrain_ops.models.mlflow_flavor import MODEL_FILE
from retrain_ops.registry.registry import Registry
from retrain_ops.spec.spec import load_spec
from retrain_ops.spec.window import days_between

LIVE_DAYS, CLIENTS, LOOKS, MOST_LOOKS = 3, 3, 6, 60
Found = dict[str, Any]


@contextmanager
def served(places: Places, tracking_uri: str) -> Iterator[tuple[Path, ScoringServer]]:
    """The server, and the spec that it serves."""
    name = load_spec(SPEC).model.name
    path = places.state / "live" / "spec.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(live_spec("flights", str(places.source), tracking_uri, model=f"{name}_live"))
    with ScoringServer(path, free_port(), workers=1) as server:
        yield path, server


def play(
    places: Places, tracking_uri: str, week: Sequence[date], say: Callable[[str], None]
) -> Found:
    """Both canaries, and whether they went as they should: `held`."""
    client = MlflowClient(tracking_uri)
    before, after = _models_of_the_week(client)
    name = f"{load_spec(SPEC).model.name}_live"
    champion = promoted(client, name, before).number
    spec = load_spec(SPEC)
    learnt = read_flights(spec, week)
    labels = learnt[spec.source.label].to_numpy().astype(np.int8)
    bad = planted_models.inverted(learnt.drop_columns([spec.source.label]), labels)
    first = week[-1] + timedelta(days=1)
    asked = read_flights(spec, days_between(first, first + timedelta(days=LIVE_DAYS - 1)))
    bodies = bodies_of(asked.drop_columns([spec.source.label]))
    with served(places, tracking_uri) as (path, server), Load(server.port, CLIENTS, bodies) as load:
        say(f"{len(bodies):,} flights from {first} on are asked over and over: {server.page}")
        wait_until(lambda: load.all_by(champion), seconds=PATIENCE_S)
        attempt = partial(try_canary, path, client, load)
        found = {
            "sound": attempt(after, partial(watch, most=LOOKS)),
            "reversed": attempt(bad, partial(watch, most=MOST_LOOKS)),
        }
    verdicts = {which: canary["verdict"] for which, canary in found.items()}
    refused = sum(canary["refused"] for canary in found.values())
    held = verdicts == {"sound": "open", "reversed": "rolled_back"} and refused == 0
    return {"champion": champion, **found, "held": held}


def show(found: Found) -> str:
    """What the canaries came to, for people."""
    lines = []
    for which in ("sound", "reversed"):
        canary = found[which]
        part = canary["by_canary"] / max(canary["requests"], 1)
        lines.append(
            f"canary of the {which} model, version {canary['version']}: {canary['verdict']} "
            f"({canary['reason']}), {canary['by_canary']:,} of {canary['requests']:,} answers "
            f"({part:.1%}), {canary['s_to_verdict']:.1f} s from its first answer to the verdict"
        )
    return "\n".join(lines)


def _models_of_the_week(client: MlflowClient) -> tuple[TabularModel, TabularModel]:
    """The champion that the week's last promotion replaced, and the one that it made."""
    registry = Registry(client, load_spec(SPEC).model.name)
    event = next(e for e in reversed(registry.snapshot().acts) if e.promotes and e.previous)
    versions = (registry.version(number) for number in (str(event.previous), event.version))
    before, after = (load_model(registered_file(client, v, MODEL_FILE)) for v in versions)
    return before, after
