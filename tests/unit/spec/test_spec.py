from datetime import date, time
from fractions import Fraction
from pathlib import Path

import pytest

from retrain_ops.errors import ConfigError
from retrain_ops.spec.spec import load_spec, parse_spec

FLIGHTS = Path(__file__).parents[3] / "dags" / "flights.toml"

MINIMAL = """\
[model]
name = "m"

[source]
path = "data"
label = "y"

[features]
numeric = ["a", "b"]
categorical = ["c"]
"""


def parse(text: str):
    return parse_spec(text, where="m.toml", folder=Path("/specs"))


def test_the_flights_spec_is_the_documented_one():
    spec = load_spec(FLIGHTS)
    window = spec.window_at(date(2013, 8, 14))
    assert spec.gate.min_improvement == Fraction(1, 200)
    assert spec.gate.protected == ("origin",)
    assert spec.gate.watched == ("carrier",)
    assert spec.slice_columns == ("origin", "carrier")
    assert len(window.days) == 30
    assert spec.drift.threshold == 0.2
    assert spec.window.cutoff_time == time(2)


def test_defaults_are_enough():
    spec = parse(MINIMAL)
    assert spec.drift_features == ("a", "b", "c")
    assert spec.source.path == "/specs/data"
    assert spec.gate.mode == "paired"


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (('name = "m"', 'nam = "m"'), 2, "unknown key"),
        (('name = "m"', "name = 3"), 2, "must be a string, it is 3"),
        (('name = "m"', 'name = "a/b"'), 2, "use letters"),
        (("[features]", "[feature]"), 8, "unknown table"),
        (('label = "y"', "label_delay_days = 3"), 4, "is required and missing"),
        (('label = "y"', 'label = "y"\nlabel_delay_days = 0'), 7, "1 to 366"),
        (('label = "y"', 'label = "y"\nlabel_delay_days = true'), 7, "an integer"),
        (('["a", "b"]', '["a", "a"]'), 9, "listed twice"),
        (('["a", "b"]', '["a", 1]'), 9, "an array of a string"),
        (('["a", "b"]', '["a", "y"]'), 9, "source's own column"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(change, line, words):
    text = MINIMAL.replace(*change)
    assert text != MINIMAL
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert f"m.toml, line {line}:" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('[gate]\nmode = "lenient"', "one of 'paired', 'literal'"),
        ("[gate]\nmin_improvement = -1", "min_improvement"),
        ("[gate]\nconfidence = 1.5", "confidence"),
        ("[window]\ntrain_days = 1", "2 to 3660"),
        ('[window]\ncutoff_time = "25:00"', "a time such as"),
        ('[drift]\nfeatures = ["nope"]', "is not a feature"),
        ("[drift]\ncurrent_days = 99", "longer than the window"),
        ("[validate]\nlabel_rate = [0.9, 0.1]", "low, high"),
        ("[validate.ranges]\nnope = [0, 1]", "not a column that a run pulls"),
        ("[canary]\nshare = 1.5", "share"),
        ("[shadow]\nhours = 0", "hours"),
    ],
)
def test_impossible_values_are_refused(table, words):
    with pytest.raises(ConfigError) as caught:
        parse(MINIMAL + "\n" + table + "\n")
    assert "m.toml, line" in str(caught.value)
    assert words in str(caught.value)


def test_a_spec_that_is_not_there_or_not_toml_says_so(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_spec(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="not valid TOML"):
        parse("[model\n")


def test_secrets_and_places_come_from_the_environment(monkeypatch):
    text = MINIMAL.replace('path = "data"', 'path = "${ROWS}"')
    with pytest.raises(ConfigError, match="ROWS is not set"):
        parse(text)
    monkeypatch.setenv("ROWS", "/elsewhere")
    assert parse(text).source.path == "/elsewhere"


def test_the_spec_hash_sees_decisions_and_no_places(monkeypatch):
    plain = parse(MINIMAL).sha256()
    assert parse(MINIMAL.replace('"data"', '"s3://bucket/rows"')).sha256() == plain
    assert parse(MINIMAL + '[registry]\ntracking_uri = "http://a"\n').sha256() == plain
    assert parse(MINIMAL + "[gate]\nmin_improvement = 0.006\n").sha256() != plain
    assert parse(MINIMAL.replace('"y"', '"z"')).sha256() != plain


def test_rollout_keys_at_their_defaults_leave_the_hash_of_older_specs_alone():
    text = MINIMAL + '\n[rollout]\napproval = "required"\n'
    plain = parse(text).sha256()
    assert parse(text + 'approval_days = 7\non_expiry = "close"\n').sha256() == plain
    assert parse(text + "approval_days = 8\n").sha256() != plain
    assert parse(text + 'on_expiry = "approve"\n').sha256() != plain


def test_the_hash_of_the_flights_example_is_what_its_decisions_carry():
    assert (
        load_spec(FLIGHTS).sha256()
        == "d8ea0c381c3edeff85b0229ecbd09a7f79057be8e629799b692e32680fa1e69a"
    )
