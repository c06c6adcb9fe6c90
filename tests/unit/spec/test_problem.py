"""`[model] problem`: what a spec has to say for it, and what it cannot."""

import pytest

from devtools.synthetic import AMOUNTS, CLASSES, SPEC
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


def test_a_spec_of_classes_is_read(tmp_path):
    gate = read(CLASSES, tmp_path).gate
    assert (gate.problem, gate.metric, gate.classes_of) == ("multiclass", "macro_f1", "late")
    assert gate.named("log_loss").problem == "multiclass"
    assert (gate.metric_on("late").name, gate.metric_on("c").name) == ("accuracy", "macro_f1")
    accuracy = CLASSES.replace('"macro_f1"', '"accuracy"').replace('"log_loss"', '"macro_f1"')
    assert read(accuracy, tmp_path).gate.scored_by.problem == "multiclass"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('metric = "macro_f1"\n', "", "f1 judges models of .binary., .*|guards: log_loss judges"),
        ('"macro_f1"', '"brier"', "guards: log_loss judges models of multiclass problems"),
        ('guards = [{ metric = "log_loss", max_drop = 0.2 }]\n', "", None),
        ("seed", 'trainer = "xgboost"\nseed', 'for problem = "binary" and "regression" alone'),
        ("seed", 'trainer = "sklearn:Ridge"\nseed', 'for "multiclass" take "gbdt" or a function'),
        ("seed", 'threshold = "recall"\nseed', "threshold: is of labels 0 and 1, and .* classes"),
        ("[validate]", "[validate]\nlabel_rate = [0.1, 0.9]", "label_rate: is of labels 0 and 1"),
        ("[gate]", '[gate]\nclasses_of = "c"', "classes_of: unknown key"),
        ("[shadow]", '[serving]\nlog = "log"\n[shadow]', "log: holds one number a request"),
        ("[features]", "[noise]\n[features]", "doubtful are labels"),
    ],
)
def test_what_does_not_fit_classes_is_refused(old, new, problem, tmp_path):
    text = CLASSES.replace(old, new, 1)
    if problem is None:
        assert read(text, tmp_path)
        return
    with pytest.raises(ConfigError, match=problem):
        read(text, tmp_path)


def test_classes_and_their_metrics_need_each_other(tmp_path):
    with pytest.raises(ConfigError, match='macro_f1 judges models of problem = "multiclass"'):
        read(SPEC.replace("[gate]", '[gate]\nmetric = "macro_f1"'), tmp_path)
    alone = CLASSES.replace('metric = "macro_f1"\n', "").replace("guards", "#")
    with pytest.raises(ConfigError, match=r"name one of .*accuracy, log_loss, macro_f1, weighted"):
        read(alone, tmp_path)
    with pytest.raises(ConfigError, match="'late' is the source's own column"):
        read(SPEC.replace('protected = ["c"]', 'protected = ["late"]'), tmp_path)
