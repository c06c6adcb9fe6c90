"""`[train]` and the trainer are refused when the spec is read, with file and line."""

from pathlib import Path

import pytest

from retrain_ops.errors import ConfigError
from retrain_ops.spec.spec import parse_spec
from retrain_ops.spec.train import DEFAULT_PARAMS, full_params, is_trainer, refused_param

SPEC = """\
[model]
name = "m"
{trainer}
[source]
path = "data"
label = "y"
[features]
numeric = ["a"]
categorical = ["c"]
[train]
{param}
[gate]
{gate}
"""


def parse(trainer="", param="", gate=""):
    text = SPEC.format(trainer=trainer, param=param, gate=gate)
    return parse_spec(text, where="m.toml", folder=Path("/specs"))


@pytest.mark.parametrize(
    ("param", "words"),
    [
        ('n_estimators = "many"', "n_estimators: must be a number, it is 'many'"),
        ("n_estimators = 0", "n_estimators: must lie between 1 and"),
        ("n_estimators = 2.5", "n_estimators: must be a whole number"),
        ("n_estimators = true", "n_estimators: must be a number, it is True"),
        ("n_estimators = [1]", "n_estimators: must be a number"),
        ("learning_rate = -3", "learning_rate: must lie between"),
        ("learning_rate = nan", "learning_rate: must lie between"),
        ("subsample = inf", "subsample: must lie between"),
        ("max_leafs = 3", "max_leafs: unknown parameter; known parameters: cat_l2"),
        ("early_stopping_rounds = 5", "early_stopping_rounds: unknown parameter"),
        (f"n_estimators = 1{'0' * 400}", "n_estimators: is too large"),
    ],
)
def test_a_wrong_parameter_is_refused_with_its_line(param, words):
    with pytest.raises(ConfigError) as caught:
        parse(param=param)
    assert str(caught.value).startswith(f"m.toml, line 11: [train] {words}")


@pytest.mark.parametrize("name", ["catboost", "mine.train", "a:b:c", ":f", "m:", "1a:f", ""])
def test_a_trainer_of_another_form_is_refused_with_its_line(name):
    with pytest.raises(ConfigError) as caught:
        parse(trainer=f'trainer = "{name}"')
    assert str(caught.value).startswith('m.toml, line 3: [model] trainer: must be "gbdt", ')


def test_a_trainer_of_ones_own_has_parameters_of_its_own():
    spec = parse(trainer='trainer = "my_models.trees:train"', param='depth = "deep"')
    assert spec.train == {"depth": "deep"}
    assert is_trainer("gbdt")
    long = f'note = "{"x" * 6001}"'
    with pytest.raises(ConfigError, match=r"line 11: .*6,000 characters that MLflow keeps"):
        parse(trainer='trainer = "my_models.trees:train"', param=long)


def test_every_default_is_accepted():
    assert refused_param(DEFAULT_PARAMS) is None
    assert full_params({})["n_estimators"] == 100


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        ('protected = ["y"]', "protected: 'y' is the source's own column"),
        ('watched = ["event_time"]', "watched: 'event_time' is the source's own column"),
        ('protected = ["c", "c"]', "protected: listed twice: c"),
        ('watched = ["day"]', "watched: 'day' is the day of a row"),
    ],
)
def test_a_slice_that_can_be_no_slice_is_refused_with_its_line(gate, words):
    with pytest.raises(ConfigError) as caught:
        parse(gate=gate)
    assert str(caught.value).startswith(f"m.toml, line 13: [gate] {words}")


def test_a_column_of_validate_points_at_its_own_table():
    text = SPEC.format(trainer="", param="", gate="") + "[validate.ranges]\nnope = [0, 1]\n"
    with pytest.raises(ConfigError, match=r"line 14: \[validate\] ranges: 'nope'"):
        parse_spec(text, where="m.toml", folder=Path("/specs"))
