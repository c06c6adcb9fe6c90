"""Whom an HTTPS connection trusts."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrain_ops.mlflow import certificates
from retrain_ops.mlflow.certificates import VARIABLES, find_certificates


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_variables_win_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in reversed(VARIABLES):
        monkeypatch.setenv(name, f"/given/{name}")
        assert find_certificates() == f"/given/{name}"


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("")
    monkeypatch.setattr(certificates, "SYSTEM_BUNDLES", (str(tmp_path / "no"), str(bundle)))
    monkeypatch.setenv(VARIABLES[0], "")
    assert find_certificates() == str(bundle)


def test_a_machine_without_a_bundle_uses_certifis(monkeypatch: pytest.MonkeyPatch) -> None:
    import certifi

    monkeypatch.setattr(certificates, "SYSTEM_BUNDLES", ())
    assert find_certificates() == certifi.where()


def test_a_variable_that_names_nothing_is_an_error_and_no_fallback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from retrain_ops.errors import ConfigError
    from retrain_ops.mlflow.client import MlflowClient

    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises((ConfigError, OSError), match="/nowhere/ca"):
        MlflowClient("https://127.0.0.1:1")
