"""What a training tells while it works."""

from __future__ import annotations

import logging

import numpy as np
import pyarrow as pa
import pytest

from retrain_ops.models import training
from retrain_ops.models.training import TrainingData, train_gbdt


def data(rows: int = 800) -> TrainingData:
    rng = np.random.default_rng(2)
    x = rng.normal(size=rows)
    return TrainingData(
        table=pa.table({"x": x, "noise": rng.normal(size=rows)}),
        day=np.repeat(np.arange(8, dtype=np.int32), rows // 8),
        label=(x + rng.normal(size=rows) > 0).astype(np.uint8),
        numeric=("x", "noise"),
        categorical=(),
    )


def test_losses_are_those_of_rows_that_were_not_learnt_from() -> None:
    one, two = (
        train_gbdt(data(), params={"n_estimators": 9, "subsample": 1}, seed=1, n_threads=n)
        for n in (1, 3)
    )
    assert len(one.losses) == 9
    assert one.losses == two.losses
    assert one.losses[-1] < one.losses[0] < np.log(2)
    assert one.with_threshold(0.4).losses == one.losses


def test_watching_changes_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = train_gbdt(data(), params={"n_estimators": 4}, seed=1, n_threads=1)
    alone = training._Fit.on
    monkeypatch.setattr(
        training._Fit, "on", lambda fit, rows, watched=None: (alone(fit, rows)[0], [])
    )
    assert train_gbdt(data(), params={"n_estimators": 4}, seed=1, n_threads=1).to_bytes() == (
        watched.to_bytes()
    )


def test_a_long_training_tells_the_log_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(training, "TELL_EVERY_S", 0.0)
    caplog.set_level(logging.INFO)
    train_gbdt(data(), params={"n_estimators": 5, "subsample": 1}, seed=1, n_threads=2)
    lines = [r.getMessage() for r in caplog.records if "of 5 on 2 threads" in r.getMessage()]
    assert lines
    assert any("log-loss 0." in line for line in lines)
