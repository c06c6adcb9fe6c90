"""Blocks hold the secrets, and nothing else shows them."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from devtools.doubles.steps import Recorder
from devtools.servers.prefect_server import PrefectServer

SECRETS = ("hunter2", "https://hooks.example.org/T/B/xyzzy")


@pytest.fixture
def blocks(prefect_server: PrefectServer) -> Any:
    from retrain_ops.prefect import MlflowCredentials, SlackWebhook

    mlflow = MlflowCredentials(
        tracking_uri="http://127.0.0.1:9", username="amy", password=SECRETS[0]
    )
    mlflow.save("mlflow", overwrite=True)
    slack = SlackWebhook(url=SECRETS[1])
    slack.save("slack", overwrite=True)
    return mlflow, slack


def test_secrets_are_masked_in_every_text(blocks: Any) -> None:
    told = " ".join(f"{b!r} {b} {b.model_dump()} {b.model_dump_json()}" for b in blocks)
    assert not [secret for secret in SECRETS if secret in told]


def test_the_steps_get_the_blocks_and_the_world_gets_no_secret(
    blocks: Any,
    recorder: Recorder,
    options: dict[str, Any],
    prefect_server: PrefectServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import os

    from retrain_ops.prefect import retraining_flow

    options |= {"mlflow_block": "mlflow", "slack_block": "slack", "tracking_uri": None}
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    state = retraining_flow(**options)(window_end=date(2013, 8, 14), return_state=True)
    assert state.is_completed()
    run = recorder.calls[0][1]
    assert run.client.tracking_uri == "http://127.0.0.1:9"
    assert run.webhook_url == SECRETS[1]
    run_id = str(state.state_details.flow_run_id)
    told = [repr(run), str(prefect_server.run(run_id)), *prefect_server.logs(run_id)]
    told += os.environ.values()
    assert not [text for text in told for secret in SECRETS if secret in text]


def test_the_entry_point_registers_both_blocks(prefect_server: PrefectServer) -> None:
    types = prefect_server.api("POST", "/block_types/filter", {})
    slugs = {found["slug"] for found in types}
    assert {"retrain-ops-mlflow-credentials", "retrain-ops-slack-webhook"} <= slugs


@pytest.mark.parametrize("name", ["MlflowCredentials", "SlackWebhook"])
def test_a_block_meets_prefects_own_standards(name: str, prefect_server: PrefectServer) -> None:
    from prefect.blocks.core import Block

    import retrain_ops.prefect.blocks as module

    block = getattr(module, name)
    assert issubclass(block, Block)
    assert block.get_description()
    assert block.get_block_type_slug().startswith("retrain-ops-")
    assert all(f.description for f in block.model_fields.values())
