"""The `mlflow` connection: the server and the credentials for it.

Secrets go from the connection to the C client as arguments, never through the environment:
there the next task of the same worker would find them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from retrain_ops.airflow.compat import BaseHook
from retrain_ops.airflow.provider import MLFLOW_FIELDS, MLFLOW_FORM

if TYPE_CHECKING:
    from retrain_ops.mlflow.client import MlflowClient

__all__ = ["MlflowHook", "slack_webhook_url", "usual_slack_webhook"]

_TEST_WITHIN_S = 10.0
_SLACK = "hooks.slack.com/services"


class MlflowHook(BaseHook):  # type: ignore[misc]
    """Opens MLflow clients from a connection of type `mlflow`.

    Host is the server's address (`https://mlflow.example:5000`, or a name beside schema and
    port). Login and password are for basic authentication; a password without a login is a
    token. Extra `ca_path` is a private CA: PEM file or folder on the workers.
    """

    conn_name_attr = "mlflow_conn_id"
    default_conn_name = "mlflow_default"
    conn_type = "mlflow"
    hook_name = "MLflow"

    def __init__(self, mlflow_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mlflow_conn_id = mlflow_conn_id

    def get_conn(self) -> MlflowClient:
        """The client of that server; no request is made."""
        from retrain_ops.mlflow.client import MlflowClient

        conn = self.get_connection(self.mlflow_conn_id)
        login, secret = conn.login or None, conn.password or None
        return MlflowClient(
            _address(conn),
            username=login,
            password=secret if login else None,
            token=None if login else secret,
            ca_path=conn.extra_dejson.get("ca_path") or None,
        )

    def test_connection(self) -> tuple[bool, str]:
        """Whether the server answers to these credentials."""
        try:
            client = self.get_conn()
            version = client.within(_TEST_WITHIN_S).server_version()
        except Exception as problem:  # the button shows whatever went wrong
            return False, f"{type(problem).__name__}: {problem}"
        return True, f"MLflow {version} at {client.tracking_uri}"

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """The form's labels, for Airflow 2."""
        return {key.replace("-", "_"): value for key, value in MLFLOW_FORM.items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """The fields that are kept in the extra, for Airflow 2."""
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from flask_babel import lazy_gettext
        from wtforms import StringField

        return {
            name: StringField(lazy_gettext(field["label"]), widget=BS3TextFieldWidget())
            for name, field in MLFLOW_FIELDS.items()
        }


def _address(conn: Any) -> str:
    host = conn.host or ""
    if "://" not in host:
        host = f"{conn.schema or 'http'}://{host}"
    return f"{host.rstrip('/')}:{conn.port}" if conn.port else host


def slack_webhook_url(conn_id: str) -> str:
    """The address in a `slackwebhook` connection, by the rules of Slack's own provider.

    So the provider brings the connection's form where it is installed, and is not needed.

    Raises:
        ConfigError: the connection has no password, which holds the webhook's token or address.
    """
    from retrain_ops.errors import ConfigError

    conn = BaseHook.get_connection(conn_id)
    token = (conn.password or "").strip()
    if not token:
        raise ConfigError(f"the connection {conn_id} has no password: it holds the Slack webhook")
    if "://" in token:
        return token
    base = conn.host or _SLACK
    base = base if "://" in base else f"{conn.schema or 'https'}://{base}"
    return f"{base.rstrip('/')}/{token.lstrip('/')}"


def usual_slack_webhook() -> str | None:
    """The address in the variable that a spec names unless it says otherwise."""
    return os.environ.get("SLACK_WEBHOOK_URL")
