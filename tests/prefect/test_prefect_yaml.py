"""prefect.yaml says only what Prefect understands: it ignores the rest without a word."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FREE_TIER_DEPLOYMENTS = 5
OURS_AT_MOST = 4


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    """An object that knows all of its keys."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


TEXT = {"type": "string", "minLength": 1}
TEXTS = {"type": "array", "items": TEXT}
VALUES = {"type": "object", "additionalProperties": TEXT}
CRON = {"type": "string", "pattern": r"^\S+( \S+){4}$"}
SCHEDULE = _object(
    ("cron", "timezone"),
    cron=CRON,
    timezone={"const": "UTC"},
    active={"type": "boolean"},
    slug=TEXT,
    parameters={"type": "object"},
)
POOL = _object(
    ("name",),
    name=TEXT,
    work_queue_name=TEXT,
    job_variables=_object(pip_packages=TEXTS, env=VALUES, image=TEXT),
)
DEPLOYMENT = _object(
    ("name", "entrypoint", "schedules", "concurrency_limit", "work_pool"),
    name={"type": "string", "pattern": "^[a-z0-9-]+$"},
    description=TEXT,
    version=TEXT,
    entrypoint={"type": "string", "pattern": r"^[\w/.-]+\.py:\w+$"},
    tags=TEXTS,
    parameters=_object(
        window_end={"type": "string", "format": "date"},
        force={"type": "boolean"},
        bootstrap={"type": "boolean"},
    ),
    schedules={"type": "array", "items": SCHEDULE, "minItems": 1},
    concurrency_limit=_object(
        ("limit", "collision_strategy"),
        limit={"const": 1},
        collision_strategy={"enum": ["ENQUEUE", "CANCEL_NEW"]},
    ),
    work_pool=POOL,
)
CLONE = _object(("repository", "branch"), repository=TEXT, branch=TEXT)
PULL = {"type": "object", "propertyNames": {"pattern": r"^prefect\.deployments\.steps\.\w+$"}}
PULL |= {"properties": {"prefect.deployments.steps.git_clone": CLONE}}
SCHEMA = _object(
    ("name", "prefect-version", "pull", "deployments"),
    **{
        "name": TEXT,
        "prefect-version": {"type": "string", "pattern": r"^3\.\d+\.\d+$"},
        "pull": {"type": "array", "items": PULL},
        "definitions": {"type": "object"},
        "deployments": {"type": "array", "items": DEPLOYMENT, "maxItems": OURS_AT_MOST},
    },
)


@pytest.fixture
def content() -> dict[str, Any]:
    # Through JSON-like copies: an anchor's content is one object in several places.
    loaded: dict[str, Any] = copy.deepcopy(yaml.safe_load((ROOT / "prefect.yaml").read_text()))
    return loaded


def test_every_key_is_one_that_prefect_reads(content: dict[str, Any]) -> None:
    jsonschema.validate(content, SCHEMA)
    assert len(content["deployments"]) < FREE_TIER_DEPLOYMENTS


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: c["deployments"][0].update(schedule={"cron": "0 2 * * *"}),
        lambda c: c["deployments"][0]["concurrency_limit"].update(collision_stategy="ENQUEUE"),
        lambda c: c["deployments"][0]["work_pool"]["job_variables"].update(pip_package=[]),
        lambda c: c["deployments"][0]["schedules"][0].update(cron="@daily"),
        lambda c: c["deployments"].extend(c["deployments"] * 2),
        lambda c: c["deployments"][0]["parameters"].update(date="2013-08-14"),
    ],
)
def test_what_prefect_would_ignore_is_refused(content: dict[str, Any], spoil: Any) -> None:
    spoil(content)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, SCHEMA)


def test_a_backfill_is_never_cancelled_by_the_night(content: dict[str, Any]) -> None:
    (nightly,) = [d for d in content["deployments"] if d["entrypoint"].endswith(":retrain")]
    assert nightly["concurrency_limit"]["collision_strategy"] == "ENQUEUE"


def test_the_entrypoints_are_flows_with_these_parameters(content: dict[str, Any]) -> None:
    import runpy

    for deployment in content["deployments"]:
        file, _, name = deployment["entrypoint"].partition(":")
        flow = runpy.run_path(str(ROOT / file))[name]
        assert set(deployment["parameters"]) <= set(flow.parameters.properties)
        assert flow.timeout_seconds < 24 * 3600


def test_the_prefect_named_is_the_one_that_is_tested(content: dict[str, Any]) -> None:
    lock = (ROOT / "requirements" / "prefect-3.8.txt").read_text()
    assert re.search(rf"^prefect=={re.escape(content['prefect-version'])}$", lock, re.M)
