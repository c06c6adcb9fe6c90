"""Workspaces that do not see each other's locks share one registry.

`python -m proofs workspaces` plays 200 rounds of two and of four.
"""

from __future__ import annotations

import pytest

from devtools import workspaces

pytestmark = pytest.mark.mlflow


@pytest.mark.parametrize("count", [2, 4])
def test_a_key_has_one_run_one_version_and_serves_whoever_runs_it_at_once(
    mlflow_server, tmp_path, count
):
    found = workspaces.race(mlflow_server.url, tmp_path, f"shared-{count}", 3, count)
    assert found["wrong"] == 0, found["shown"]
