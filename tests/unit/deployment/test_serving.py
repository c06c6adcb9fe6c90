"""Dashboard, alerts and unit of the scoring server, against what the server says."""

from __future__ import annotations

import configparser
import json
import re
import shlex
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from devtools.doubles.registry_server import Client, Server
from devtools.serving import promoted, small_model
from retrain_ops.cli.main import build_parser
from retrain_ops.serving import Router
from retrain_ops.spec.spec import parse_spec

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
SPEC = """
[model]
name = "served"
[source]
path = "rows"
label = "y"
[features]
numeric = ["x0", "x1", "x2"]
"""
NAME = re.compile(r"retrain_ops_serving_\w+")


@pytest.fixture
def known(tmp_path):
    """Names of series that the server has."""
    client = Client(Server())
    promoted(client, "served", small_model(3))
    with closing(Router(parse_spec(SPEC, where="spec", folder=tmp_path), client=client)) as router:
        return set(NAME.findall(re.sub("(?m)^#.*$", "", router.metrics())))


def test_the_dashboard_asks_for_what_there_is(known):
    board = json.loads((DEPLOY / "grafana-serving.json").read_text())
    asked = [t["expr"] for panel in board["panels"] for t in panel["targets"]]
    asked += [a["expr"] for a in board["annotations"]["list"]]
    assert len(asked) > len(board["panels"])
    assert {name for text in asked for name in NAME.findall(text)} <= known
    places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert len(set(places)) == len(places)
    assert all(x + width <= 24 for x, _, width, _ in places)


def test_alerts_ask_for_what_there_is(known):
    [group] = yaml.safe_load((DEPLOY / "prometheus-alerts.yml").read_text())["groups"]
    names = {name for rule in group["rules"] for name in NAME.findall(rule["expr"])}
    assert names <= known
    assert {"retrain_ops_serving_ready", "retrain_ops_serving_problem"} <= names


def test_the_unit_starts_a_command_that_there_is():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(DEPLOY / "retrain-ops-serve@.service")
    program, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert program.endswith("/retrain-ops")
    asked = build_parser().parse_args(arguments)
    assert (asked.spec, asked.workers) == ("/etc/retrain-ops/%i.toml", 2)
