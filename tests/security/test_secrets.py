"""A canary in every credential slot is never seen, whatever fails, with debug logging on.

Looked at: logs of every level, exceptions with their chains and attributes, reprs
of every object a caller can hold, standard output and error of a process that was
left to die of the failure, its crash dump, and every file of its workspace.
"""

from __future__ import annotations

import base64
import gc
import json
import logging
import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from devtools.servers.certificates import Authority
from devtools.servers.faulty_server import FaultyServer, answers
from retrain_ops import MlflowClient
from retrain_ops.errors import ConfigError
from retrain_ops.registry.registry import Registry
from tests.faults.test_network import FAULTS
from tests.security.test_http_rules import ECHOES

CANARY = "canary-7f3e90-token"
USER = "canary-7f3e90-user"
BASIC = base64.b64encode(f"{USER}:{CANARY}".encode()).decode()
HIDDEN = (CANARY, BASIC, CANARY[:12], BASIC[4:20], CANARY.encode().hex())
WHO = {
    "password": {"username": USER, "password": CANARY},
    "token": {"token": CANARY},
}
ALL_FAULTS = {**{name: script for name, (script, _) in FAULTS.items()}, **ECHOES}
SLOW = ("silence", "one byte a second", "one header byte a second")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in [n for n in os.environ if n.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)


def shown(text: str) -> list[str]:
    """The hidden texts that can be read in `text`; the user's name is no secret."""
    return [secret for secret in HIDDEN if secret in text.replace(USER, "")]


def everything_about(problem: BaseException) -> str:
    """What a logger, a debugger or an orchestrator could print of a failure."""
    parts = traceback.format_exception(problem)
    seen: BaseException | None = problem
    while seen is not None:
        parts += [repr(seen), repr(seen.__dict__), repr(seen.args)]
        seen = seen.__cause__ or seen.__context__
    return "\n".join(parts)


@pytest.mark.parametrize(
    ("fault", "slot"),
    [(fault, "token") for fault in ALL_FAULTS] + [(fault, "password") for fault in ECHOES],
)
def test_no_failure_of_any_call_shows_a_credential(fault, slot, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with FaultyServer([ALL_FAULTS[fault]]) as server:
        client = MlflowClient(server.url, **WHO[slot], deadline=0.15)
        registry = Registry(client=client, name="m")
        told = [repr(client), repr(registry), repr(client._connection), str(client.within(1.0))]
        for act in (
            registry.snapshot,
            lambda: client.create_run("1", "r", 1, key_tag=("k", "v")),
            lambda: client.upload_artifact("mlflow-artifacts:/1", "a", b"x"),
        )[: 1 if fault in SLOW else 3]:
            try:
                act()
            except Exception as problem:
                told.append(everything_about(problem))
        assert CANARY.encode() in server.requests[0] or BASIC.encode() in server.requests[0]
    out = capfd.readouterr()
    assert shown("\n".join([*told, caplog.text, out.out, out.err])) == []


@pytest.mark.parametrize("case", ["unknown CA", "wrong host", "expired", "plain http"])
def test_no_failure_of_tls_shows_a_credential(case, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    authority = Authority.create(tmp_path / "ca")
    host = "mlflow.example.org" if case == "wrong host" else "127.0.0.1"
    tls = authority.context(host, days=-1 if case == "expired" else 30)
    trusted = None if case == "unknown CA" else authority.pem
    with FaultyServer([answers(200, {})], tls=None if case == "plain http" else tls) as server:
        url = server.url.replace("http:", "https:")
        client = MlflowClient(url, token=CANARY, ca_path=trusted, deadline=2.0)
        with pytest.raises(Exception, match="GET registered-models/get") as caught:
            client.get_registered_model("m")
        assert all(CANARY.encode() not in request for request in server.requests)
    assert shown(everything_about(caught.value) + caplog.text) == []


@pytest.mark.parametrize(
    "options",
    [
        {"tracking_uri": f"http://u:{CANARY}@127.0.0.1:1"},
        {"tracking_uri": f"http://127.0.0.1:1?token={CANARY}"},
        {"tracking_uri": "http://example.org", "token": CANARY},
        {"tracking_uri": "https://example.org", "token": f"{CANARY}\n"},
        {"tracking_uri": "https://example.org", "password": CANARY},
        {"tracking_uri": "https://example.org", "token": CANARY, "ca_path": "/no/such"},
        {"tracking_uri": "https://example.org", "token": CANARY, "connect_timeout": -1},
    ],
)
def test_no_refused_option_shows_a_credential(options):
    with pytest.raises(ConfigError) as caught:
        MlflowClient(**options)
    assert shown(f"{caught.value} {caught.value!r} {caught.value.__context__!r}") == []


def test_credentials_stay_out_of_the_environment_and_of_objects(monkeypatch):
    before = dict(os.environ)
    client = MlflowClient("https://127.0.0.1:1", token=CANARY, deadline=0.2)
    assert client.health() is False
    assert dict(os.environ) == before
    reachable = gc.get_referents(client, client._connection)
    assert shown(repr(reachable)) == []
    assert not hasattr(client, "__dict__")


DYING = """
import faulthandler, logging, sys
logging.basicConfig(level=logging.DEBUG)
faulthandler.enable()
from retrain_ops.cli.main import main
raise SystemExit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("slot", WHO)
def test_a_command_that_fails_shows_no_credential_and_leaves_none_in_its_workspace(slot, tmp_path):
    names = {"username": "USERNAME", "password": "PASSWORD", "token": "TOKEN"}
    variables = {f"MLFLOW_TRACKING_{names[k]}": v for k, v in WHO[slot].items()}
    root = Path(__file__).resolve().parents[2]
    with FaultyServer([ECHOES["an echo"]]) as server:
        done = subprocess.run(
            [
                *(sys.executable, "-c", DYING, "run"),
                *("--spec", str(root / "dags" / "flights.toml"), "--date", "2013-08-14"),
                *("--workspace", str(tmp_path), "--tracking-uri", server.url),
            ],
            env={**os.environ, **variables, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert server.requests
    assert done.returncode == 1
    assert json.loads(done.stdout)["steps"][0]["status"] == "failed"
    files = [f.read_text(errors="replace") for f in tmp_path.rglob("*") if f.is_file()]
    assert files
    assert shown("\n".join([done.stdout, done.stderr, *files])) == []


def test_a_planted_credential_would_be_seen():
    assert shown(f"Authorization: Bearer {CANARY}")
    assert shown(f"Authorization: Basic {BASIC}")
    assert shown(everything_about(ValueError(CANARY)))
