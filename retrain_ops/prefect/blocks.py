"""Blocks: the credentials of a flow, kept by Prefect and masked wherever it shows them.

Registered by the `prefect.collections` entry point when a server starts, otherwise by
`prefect block register -m retrain_ops.prefect.blocks`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

if TYPE_CHECKING:
    from retrain_ops.mlflow.client import MlflowClient

__all__ = ["MlflowCredentials", "SlackWebhook"]


class MlflowCredentials(Block):  # type: ignore[misc]
    """The MLflow server of a flow, and the flow's credentials there.

    The secrets go to the client as arguments: never into the environment, a log or a task's
    parameters.
    """

    _block_type_name: ClassVar[str] = "MLflow Credentials (retrain-ops)"
    _block_type_slug: ClassVar[str] = "retrain-ops-mlflow-credentials"
    _description: ClassVar[str] = "Where retrain-ops registers models, and the credentials."

    tracking_uri: str = Field(description="Address of the tracking server.")
    username: str | None = Field(default=None, description="For basic authentication.")
    password: SecretStr | None = Field(default=None, description="For basic authentication.")
    token: SecretStr | None = Field(default=None, description="Instead of name and password.")
    ca_path: str | None = Field(default=None, description="A private CA: PEM file or folder.")

    def client(self) -> MlflowClient:
        """The client of that server; no request is made."""
        from retrain_ops.mlflow.client import MlflowClient

        return MlflowClient(
            self.tracking_uri,
            username=self.username,
            password=_plain(self.password),
            token=_plain(self.token),
            ca_path=self.ca_path,
        )


class SlackWebhook(Block):  # type: ignore[misc]
    """The Slack channel for messages; whoever has the address can post, so it is a secret."""

    _block_type_name: ClassVar[str] = "Slack Webhook (retrain-ops)"
    _block_type_slug: ClassVar[str] = "retrain-ops-slack-webhook"
    _description: ClassVar[str] = "Where retrain-ops sends summaries and alerts."

    url: SecretStr = Field(description="Address of the incoming webhook.")


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
