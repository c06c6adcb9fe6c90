"""Where the bytes of a version come from, and which are refused."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace
from typing import Any

import pytest

from retrain_ops.comparison.scoring import file_of_version
from retrain_ops.errors import CorruptError

REGISTERED = b"the bytes that were registered"
VERSION: Any = SimpleNamespace(
    number="3",
    source="mlflow-artifacts:/1/a",
    window_end="2013-03-19",
    tags={"model_sha256": hashlib.sha256(REGISTERED).hexdigest()},
)


def a_run(*, kept: bytes | None, stored: bytes) -> Any:
    workspace = SimpleNamespace(key_path=lambda end, name: name, recover=lambda path: kept)
    client = SimpleNamespace(download_artifact=lambda source, name: stored)
    return SimpleNamespace(workspace=workspace, client=client)


@pytest.mark.parametrize(
    ("kept", "stored"), [(REGISTERED, b""), (None, REGISTERED), (b"a newer attempt", REGISTERED)]
)
def test_the_place_that_holds_what_was_registered_is_read(
    kept: bytes | None, stored: bytes
) -> None:
    assert file_of_version(a_run(kept=kept, stored=stored), VERSION, "model.rtm") == REGISTERED


@pytest.mark.parametrize("kept", [None, b"changed here"])
def test_a_file_that_is_not_what_was_registered_is_refused(kept: bytes | None) -> None:
    with pytest.raises(CorruptError, match=r"model\.rtm of version 3 .* not what was registered"):
        file_of_version(a_run(kept=kept, stored=b"changed there"), VERSION, "model.rtm")
