"""Certificates are always verified, and a private CA is the only switch."""

from __future__ import annotations

import ssl

import pytest

from devtools.servers.certificates import Authority
from devtools.servers.faulty_server import FaultyServer, answers
from retrain_ops import MlflowClient
from retrain_ops.errors import NetworkError

GOOD = answers(200, {"registered_model": {"name": "m"}})


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority.create(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    return Authority.create(tmp_path_factory.mktemp("stranger"))


def ask(server, **options):
    client = MlflowClient(server.url, token="canary-token", deadline=3.0, **options)
    return client.get_registered_model("m").name


def test_a_private_ca_is_trusted_when_named(authority):
    with FaultyServer([GOOD], tls=authority.context("127.0.0.1")) as server:
        assert ask(server, ca_path=authority.pem) == "m"


def test_a_private_ca_is_read_from_mlflows_variable(authority, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(authority.pem))
    with FaultyServer([GOOD], tls=authority.context("127.0.0.1")) as server:
        assert ask(server) == "m"


@pytest.mark.parametrize("case", ["unknown CA", "another CA", "wrong host", "expired"])
def test_a_certificate_that_proves_nothing_is_refused_before_any_byte(authority, stranger, case):
    host = "mlflow.example.org" if case == "wrong host" else "127.0.0.1"
    context = authority.context(host, days=-1 if case == "expired" else 30)
    trusted = {"unknown CA": None, "another CA": stranger.pem}.get(case, authority.pem)
    with FaultyServer([GOOD], tls=context) as server:
        with pytest.raises(NetworkError, match="ca_path") as caught:
            ask(server, ca_path=trusted)
        assert server.requests == []
        assert caught.value.ambiguous is False
        assert "tried" not in str(caught.value)


def test_nothing_switches_the_verification_off(authority, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    monkeypatch.setenv("CURL_INSECURE", "1")
    monkeypatch.setenv("PYTHONHTTPSVERIFY", "0")
    with (
        FaultyServer([GOOD], tls=authority.context("127.0.0.1")) as server,
        pytest.raises(NetworkError),
    ):
        ask(server)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_before_1_2_is_refused(authority):
    context = authority.context("127.0.0.1")
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    with FaultyServer([GOOD], tls=context) as server, pytest.raises(NetworkError):
        ask(server, ca_path=authority.pem)


def test_a_port_that_speaks_plain_http_is_explained(authority):
    with FaultyServer([GOOD]) as server:
        client = MlflowClient(server.url.replace("http:", "https:"), deadline=3.0)
        with pytest.raises(NetworkError, match="speak https"):
            client.get_registered_model("m")
