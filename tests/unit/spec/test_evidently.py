"""`[drift.evidently]`, its verdict, and what is taken over from a configuration of Evidently's."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from devtools.synthetic import SPEC
from retrain_ops.cli.main import main
from retrain_ops.decisions.judge import drifted_by, triggered_by
from retrain_ops.errors import ConfigError
from retrain_ops.spec.evidently_config import drift_table_of
from retrain_ops.spec.spec import parse_spec


def parsed(drift: str) -> Any:
    text = SPEC.replace("draws = 199\n", f"draws = 199\n{drift}\n")
    return parse_spec(text, where="toy.toml", folder=Path("/"))


def test_the_keys_are_quiet_at_their_default() -> None:
    usual = parsed("")
    said = parsed('engine = "native"\nreport = ""')
    assert usual.sha256() == said.sha256()
    assert parsed('engine = "evidently"').sha256() != usual.sha256()


@pytest.mark.parametrize(
    ("drift", "said"),
    [
        ('engine = "evidentl"', "engine: must be one of 'native', 'evidently'"),
        ('evidently = { method = "psi" }', 'needs engine = "evidently", or report'),
        ('engine = "evidently"\nevidently = { share = 1.5 }', "share: must lie in 0 to 1"),
        ('engine = "evidently"\nevidently = { threshold = -1 }', "threshold: must be at least 0"),
        ('engine = "evidently"\nevidently = { methods = { z = "ks" } }', "'z' is not among"),
        ('engine = "evidently"\nevidently = { workspace = "x" }', 'needs report = "evidently"'),
        ('engine = "evidently"\nevidently = { metod = "ks" }', "unknown key"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(drift: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"toy.toml, line \d+: ") as caught:
        parsed(drift)
    assert said in str(caught.value)


def column(drifted: bool, score: float | None = 0.3) -> dict[str, Any]:
    return {"method": "psi", "score": score, "threshold": 0.1, "drifted": drifted}


@pytest.mark.parametrize(
    ("share", "drifted", "expected"),
    [
        (0.0, (False, False), False),
        (0.0, (True, False), True),
        (0.5, (True, False), True),
        (0.6, (True, False), False),
        (1.0, (True, True), True),
    ],
)
def test_enough_columns_must_drift(share: float, drifted: tuple[bool, ...], expected: bool) -> None:
    columns = {name: column(value) for name, value in zip("ab", drifted, strict=True)}
    columns["empty"] = column(False, None)  # not compared, so not counted
    engine: Any = {"name": "evidently", "version": "0", "share": share, "columns": columns}
    assert drifted_by(engine) is expected
    features: Any = [{"name": name, "triggers": True} for name in columns]
    assert any(f["triggers"] for f in triggered_by(features, engine)) is expected


NEW = {
    "type": "evidently:metric_container:DataDriftPreset",
    "columns": ["a", "c"],
    "drift_share": 0.3,
    "num_method": "psi",
    "cat_method": None,
    "per_column_method": {"c": "chisquare"},
    "per_column_threshold": {"a": 0.25},
}
OLD = {
    "metrics": [
        {"metric": "DatasetMissingValues", "parameters": {}},
        {"metric": "DataDriftTable", "parameters": {"stattest": "ks", "stattest_threshold": 0.01}},
    ]
}


def test_a_preset_becomes_the_table() -> None:
    found = tomllib.loads(drift_table_of(NEW, where="x"))["drift"]
    assert found == {
        "engine": "evidently",
        "features": ["a", "c"],
        "evidently": {
            "numeric_method": "psi",
            "share": 0.3,
            "methods": {"c": "chisquare"},
            "thresholds": {"a": 0.25},
        },
    }


def test_words_before_0_7_and_a_report_around_them_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    file = tmp_path / "report.json"
    file.write_text(json.dumps(OLD))
    assert main(["evidently", "convert", "--config", str(file)]) == 0
    found = tomllib.loads(capsys.readouterr().out)["drift"]["evidently"]
    assert found == {"method": "ks", "threshold": 0.01, "share": 0.5}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "no drift preset"),
        ([1, "x"], "no drift preset"),
        ({"column": "a", "method": "psi"}, "no drift preset"),
        ({"drift_share": "half"}, "drift_share must be a number"),
        ({"drift_share": True}, "drift_share must be a number"),
        ({"stattest": {"func": 1}}, "stattest must be text"),
        ({"drift_share": 0.5, "embeddings": ["e"]}, "embeddings has no counterpart"),
        ({"per_column_method": ["ks"]}, "must be an object of columns"),
    ],
)
def test_what_cannot_be_taken_over_is_refused(config: object, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        drift_table_of(config, where="preset.json")


def test_a_hostile_name_stays_a_name() -> None:
    config = {"stattest": 'ks"\n[model]\nname = "x', "per_column_method": {'a"] = 1\n': "ks"}}
    found = tomllib.loads(drift_table_of(config, where="x"))
    assert set(found) == {"drift"}
    assert found["drift"]["evidently"]["methods"] == {'a"] = 1\n': "ks"}
