"""`[model] problem`: what a spec has to say for it, and what it cannot."""

import pytest

from devtools.synthetic import AMOUNTS, SPEC
from retrain_ops.errors import ConfigError
from retrain_ops.spec.spec import parse_spec

PINBALL = AMOUNTS.replace('metric = "mae"', 'metric = "pinball"\nquantile = 0.9')


def read(text, tmp_path):
    return parse_spec(text, where="toy.toml", folder=tmp_path)


def test_a_spec_of_amounts_is_read(tmp_path):
    spec = read(AMOUNTS, tmp_path)
    assert (spec.model.problem, spec.gate.metric) == ("regression", "mae")
    assert read(PINBALL, tmp_path).gate.scored_by.title == "pinball loss at 0.9"
    linear = AMOUNTS.replace("seed", 'trainer = "linear"\nseed', 1)
    train = linear.index("[train]")
    assert read(linear[:train] + linear[linear.index("[gate]") :], tmp_path)


def test_the_default_leaves_no_trace(tmp_path):
    said = SPEC.replace("seed", 'problem = "binary"\nseed')
    assert read(said, tmp_path).sha256() == read(SPEC, tmp_path).sha256()


def test_a_share_of_an_amount_has_defaults(tmp_path):
    margins = "min_improvement = 0.1\nslice_margin = 0.5\n"
    shares = AMOUNTS.replace(f'metric = "mae"\n{margins}', 'metric = "r2"\n')
    gate = read(shares.replace("max_f1_drop = 2.0\n", ""), tmp_path).gate
    assert gate.min_improvement == read(SPEC, tmp_path).gate.min_improvement


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('metric = "mae"\n', "", r"\[gate\] metric: f1 judges models of problem = \"binary\""),
        ('metric = "mae"', 'metric = "brier"', "name one of mae, rmse, pinball, bias"),
        ("min_improvement = 0.1\n", "", "min_improvement: mae is in units of late"),
        ("slice_margin = 0.5\n", "", "slice_margin: mae is in units of late"),
        ("gross_drop = 8.0\n", "[degraded]\n", "gross_drop: mae is in units of late"),
        ("gross_drop = 8.0\n", "gross_drop = 8.0\n[degraded]\n", r"\[degraded\] margin: mae"),
        ("seed", 'trainer = "logistic"\nseed', '"logistic" trains for problem = "binary" alone'),
        (
            "seed",
            'trainer = "sklearn:Ridge"\nseed',
            'take "gbdt", "linear", "xgboost", "lightgbm" or a',
        ),
        ("seed", 'threshold = "recall"\nseed', r"\[model\] threshold: is of labels 0 and 1"),
        ("[validate]", "[validate]\nlabel_rate = [0.1, 0.9]", r"give late a range in \[validate"),
        ("[gate]", "[gate]\nmax_calibration_error = 0.1", "max_calibration_error: is of labels"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(old, new, problem, tmp_path):
    with pytest.raises(ConfigError, match=problem) as caught:
        read(AMOUNTS.replace(old, new, 1), tmp_path)
    assert "toy.toml, line " in str(caught.value)


def test_a_metric_and_a_trainer_of_amounts_need_amounts(tmp_path):
    with pytest.raises(ConfigError, match='mae judges models of problem = "regression"'):
        read(SPEC.replace("[gate]", '[gate]\nmetric = "mae"'), tmp_path)
    with pytest.raises(ConfigError, match='"linear" trains for problem = "regression" alone'):
        read(SPEC.replace("seed", 'trainer = "linear"\nseed'), tmp_path)
