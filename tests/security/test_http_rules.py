"""What the client must never do on the wire, whoever asks."""

from __future__ import annotations

import base64
import json
import logging
import pickle
import traceback

import pytest

from devtools.servers.faulty_server import FaultyServer, Script, answers, http, resets, says, stalls
from retrain_ops import MlflowClient
from retrain_ops._core import MlflowConnection
from retrain_ops.errors import ConfigError, NetworkError, RemoteError

CANARY = "canary-51c2f0-token"
BASIC = base64.b64encode(f"user:{CANARY}".encode()).decode()
EMPTY = answers(200, {"registered_model": {"name": "m"}})


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in ("URI", "USERNAME", "PASSWORD", "TOKEN", "SERVER_CERT_PATH", "INSECURE_TLS"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/",
        "file:///etc/passwd",
        "sqlite:///mlflow.db",
        "/tmp/mlruns",
        "",
        "http://",
        "http://user:secret@host",
        "http://host?x=1",
        "http://host#x",
        "http://host\r\nX-Evil: 1",
        "http://ho st",
        "http://host:99999999",
        "http://host:port",
        "http://[::1",
        "http://h\\@evil",
        "http://host/a%2e",
    ],
)
def test_an_address_that_could_be_misread_is_refused(url):
    with pytest.raises(ConfigError) as caught:
        MlflowClient(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("who", [{"username": "user", "password": CANARY}, {"token": CANARY}])
def test_credentials_do_not_travel_over_plain_http(who):
    for host in ("mlflow.example.org", "10.0.0.1", "127.0.0.1.example.org", "127.1", "localhost.x"):
        with pytest.raises(ConfigError, match="plain http") as caught:
            MlflowClient(f"http://{host}:5000", **who)
        assert CANARY not in str(caught.value)
        MlflowClient(f"http://{host}:5000", **who, allow_plaintext=True)
        MlflowClient(f"https://{host}:5000", **who)
    for host in ("127.0.0.1", "127.8.8.8", "localhost", "[::1]"):
        MlflowClient(f"http://{host}:5000", **who)


@pytest.mark.parametrize("bad", ["a\r\nX-Evil: 1", "a\nb", "a\x00b", "a\x7fb", "\x1b[31m"])
def test_control_bytes_reach_neither_headers_nor_urls(bad):
    with FaultyServer([EMPTY]) as server:
        for name in ("username", "password", "token"):
            who = {"username": "u", "password": "p", name: bad}
            with pytest.raises(ValueError, match=r"control|null"):
                MlflowClient(server.url, **who)
        client = MlflowClient(server.url, deadline=2.0)
        for attempt in (
            lambda: client.get_experiment_by_name(bad),
            lambda: client.get_registered_model(bad),
            lambda: client.get_model_version_by_alias("m", bad),
            lambda: client.get_run(bad),
            lambda: client.set_model_version_tag("m", "1", bad, "x"),
            lambda: client.download_artifact("mlflow-artifacts:/1", bad),
            lambda: client.search_model_versions(bad),
        ):
            with pytest.raises(ValueError, match=r"control|must be|null"):
                attempt()
        assert server.requests == []


def test_a_segment_is_encoded_exactly_once():
    with FaultyServer([says(http(200, b"x"))]) as server:
        client = MlflowClient(server.url, deadline=2.0)
        client.download_artifact("mlflow-artifacts:/1", "a%..% b?c#d&é")
        line = server.requests[0].split(b"\r\n")[0]
        assert line.split()[1].endswith(b"/artifacts/1/a%25..%25%20b%3Fc%23d%26%C3%A9")


def test_credentials_go_out_as_http_means_them_and_only_there():
    with FaultyServer([EMPTY]) as server:
        MlflowClient(server.url, username="user", password=CANARY).get_registered_model("m")
        MlflowClient(server.url, token=CANARY).get_registered_model("m")
        MlflowClient(server.url).get_registered_model("m")
        basic, bearer, none = server.requests
        assert f"\r\nAuthorization: Basic {BASIC}\r\n".encode() in basic
        assert f"\r\nAuthorization: Bearer {CANARY}\r\n".encode() in bearer
        assert b"Authorization" not in none


def test_credentials_are_read_from_mlflows_variables(monkeypatch):
    with FaultyServer([EMPTY]) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "user")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", CANARY)
        MlflowClient().get_registered_model("m")
        assert BASIC.encode() in server.requests[0]
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    with pytest.raises(ConfigError, match="together"):
        MlflowClient()


def test_netrc_is_never_read(tmp_path, monkeypatch):
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login user password {CANARY}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    with FaultyServer([EMPTY]) as server:
        MlflowClient(server.url).get_registered_model("m")
        assert b"Authorization" not in server.requests[0]


def test_a_proxy_never_sees_what_goes_to_this_machine(monkeypatch):
    with FaultyServer([EMPTY]) as server, FaultyServer([EMPTY]) as proxy:
        for name in ("http_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        MlflowClient(server.url, token=CANARY).get_registered_model("m")
        assert (len(server.requests), len(proxy.requests)) == (1, 0)


def test_a_redirect_is_an_error_and_is_not_followed():
    with FaultyServer([EMPTY]) as thief:
        steal = says(http(307, b"", f"Location: {thief.url}/"))
        with FaultyServer([steal]) as server:
            with pytest.raises(RemoteError, match="redirects are not followed") as caught:
                MlflowClient(server.url, token=CANARY).get_registered_model("m")
            assert caught.value.status == 307
        assert thief.requests == []


def test_a_missing_ca_is_an_error_and_not_the_systems():
    with pytest.raises(ConfigError, match="cannot be read"):
        MlflowClient("https://127.0.0.1:1", ca_path="/no/such/ca.pem")


def test_insecure_tls_is_not_honoured(monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    MlflowClient("https://127.0.0.1:1")
    assert "not honoured" in caplog.text


def echo(kind: str, before: str = "") -> Script:
    """Answers with every credential the client might have sent."""
    text = f"{before}you said {BASIC} and {CANARY}"
    body = json.dumps({"error_code": CANARY, "message": text}) if kind == "json" else text
    return says(http(400, body.encode(), kind=kind))


ECHOES: dict[str, Script] = {
    "an echo": echo("json"),
    "an echo as text": echo("text/plain"),
    "an echo cut to length": echo("text/plain", "x" * 185),
    "an echo as garbage": says(http(200, CANARY.encode(), kind=CANARY)),
    "an echo as status line": says(f"HTTP/9 {CANARY}\r\n\r\n".encode()),
    "silence": stalls(10),
    "reset": resets(),
}


@pytest.mark.parametrize("fault", ECHOES)
@pytest.mark.parametrize("who", [{"username": "user", "password": CANARY}, {"token": CANARY}])
def test_no_failure_shows_a_secret(fault, who, caplog):
    caplog.set_level(logging.DEBUG)
    with FaultyServer([ECHOES[fault]]) as server:
        client = MlflowClient(server.url, **who, deadline=0.5)
        with pytest.raises((RemoteError, NetworkError, TimeoutError)) as caught:
            client.get_registered_model("m")
        problem = caught.value
        with pytest.raises((RemoteError, NetworkError, TimeoutError)):
            client.create_run("1", "r", 1, key_tag=("k", "v"))
    seen = [
        *traceback.format_exception(problem),
        repr(problem.__dict__),
        repr(client),
        str(client),
        repr(client._connection),
        caplog.text,
        pickle.dumps(problem).decode("latin1"),
    ]
    for text in seen:
        assert CANARY[:8] not in text
        assert "token" in who or BASIC[:8] not in text


def test_a_client_is_not_pickled_with_its_secrets():
    with pytest.raises(TypeError):
        pickle.dumps(MlflowClient("https://127.0.0.1:1", token=CANARY))


def test_unknown_calls_and_unknown_arguments_never_leave():
    with FaultyServer([EMPTY]) as server:
        connection = MlflowConnection(server.url)
        with pytest.raises(ValueError, match="not a call"):
            connection.call("DELETE experiments/everything", {}, deadline=1.0)
        with pytest.raises(ValueError, match="nothing"):
            connection.call("GET registered-models/get", {"name": "m", "x": "y"}, deadline=1.0)
        with pytest.raises(ValueError, match="is missing"):
            connection.call("GET registered-models/get", {}, deadline=1.0)
        for deadline in (0.0, -1.0, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="deadline"):
                connection.call("GET registered-models/get", {"name": "m"}, deadline=deadline)
        assert server.requests == []


@pytest.mark.parametrize("value", [b"x", object(), {1: "x"}, {"a\x00b": "x"}, "\ud800", 2**63])
def test_what_json_cannot_say_is_an_error(value):
    connection = MlflowConnection("http://127.0.0.1:1")
    with pytest.raises((TypeError, ValueError, OverflowError)):
        connection.call("GET registered-models/get", {"name": value}, deadline=1.0)


def test_arguments_nested_for_ever_are_an_error():
    deep: list = []
    deep.append(deep)
    with pytest.raises(ValueError, match="deeper"):
        MlflowConnection("http://127.0.0.1:1").call("GET runs/get", {"run_id": deep}, deadline=1.0)
