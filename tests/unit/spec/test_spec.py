from datetime import date, time
from fractions import Fraction
from pathlib import Path

import pytest

from retrain_ops.errors import ConfigError
from retrain_ops.spec.spec import load_spec, parse_spec
from retrain_ops.stats.gate_rules import Guard, rules_of_record
from retrain_ops.stats.metrics import Costs

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
        == "1d579354258c01a36d1ca261751ef098becca3820aa3cf1f4e890cf3ca9e9b99"
    )


def test_a_metric_its_costs_and_guards_are_read():
    spec = parse(
        MINIMAL
        + """
[gate]
metric = "net_benefit"
min_improvement = 2.5
slice_margin = 10
costs = { fp = 5.5, fn = 80, tp = -1 }
guards = [{ metric = "recall", max_drop = 0.02 }, { metric = "fbeta", max_drop = 0.1 }]
beta = 0.5
[canary]
max_f1_drop = 20
"""
    )
    assert spec.gate.costs == Costs(fp=Fraction(11, 2), fn=80, tp=-1)
    assert spec.gate.guards[0] == Guard(metric="recall", max_drop=Fraction(1, 50))
    assert spec.gate.scored_by.score((1, 1, 1, 1)) == Fraction(-169, 8)
    assert rules_of_record(spec.gate.to_json()) == spec.gate


def test_guards_may_have_headers_of_their_own():
    header = '[[gate.guards]]\nmetric = "recall"\nmax_drop = 0.02\n'
    assert parse(MINIMAL + header).gate.guards[0].metric == "recall"
    with pytest.raises(ConfigError, match=r"line 13: \[gate.guards\] max_drop: must be a number"):
        parse(MINIMAL + header.replace("0.02", '"x"'))


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ('metric = "auc"', "metric: must be one of 'f1'"),
        ("min_improvement = 1", r"min_improvement: must lie in \[0, 1\), in units of F1"),
        ('metric = "mcc"\nslice_margin = 2', r"slice_margin: must lie in \(0, 2\)"),
        ('metric = "net_benefit"', 'costs: "net_benefit" needs what a row of each cell costs'),
        ("costs = { fp = 1 }", "costs: are of metric"),
        ("costs = { fq = 1 }", r"\[gate.costs\] fq: unknown key"),
        ("beta = 2", "beta: is of metric"),
        ('metric = "fbeta"\nbeta = 0', "beta: must lie in"),
        ('guards = "recall"', "guards: must be an array of tables"),
        ("guards = [{ max_drop = 0.1 }]", r"\[gate.guards\] metric: is required and missing"),
        ('guards = [{ metric = "recall", max_drop = 1 }]', "max_drop of recall .* below 1"),
        (
            'guards = [{ metric = "mcc", max_drop = 0 }, { metric = "mcc", max_drop = 1 }]',
            "listed twice",
        ),
    ],
)
def test_an_impossible_metric_is_refused_with_its_line(keys, words):
    with pytest.raises(ConfigError, match=f"m.toml, line 1[2-4]: .*{words}"):
        parse(MINIMAL + "\n[gate]\n" + keys)


def test_a_drop_that_the_metric_cannot_have_is_refused():
    with pytest.raises(ConfigError, match=r"\[canary\] max_f1_drop: recall cannot change by"):
        parse(MINIMAL + '[gate]\nmetric = "recall"\n[canary]\nmax_f1_drop = 1')


def test_a_metric_is_in_the_hash_of_the_spec_and_the_default_is_not():
    plain = parse(MINIMAL).sha256()
    assert parse(MINIMAL + '[gate]\nmetric = "f1"').sha256() == plain
    assert parse(MINIMAL + '[gate]\nmetric = "recall"').sha256() != plain
    guarded = MINIMAL + '[gate]\nguards = [{ metric = "recall", max_drop = 0.1 }]'
    assert parse(guarded).sha256() != plain


def test_a_threshold_rule_is_read_and_is_quiet_at_its_default():
    model = MINIMAL.partition("\n[source]")[0]
    cost = MINIMAL.replace(model, model + '\nthreshold = "net_benefit"')
    priced = '[gate]\nmetric = "net_benefit"\ncosts = { fp = 1, fn = 3 }\n'
    rule = parse(cost + priced).threshold
    assert rule.metric.score((0, 1, 1, 0)) == -2
    plain = MINIMAL.replace(model, model + '\nthreshold = "f1"')
    assert parse(plain).sha256() == parse(MINIMAL).sha256() != parse(cost + priced).sha256()
    fixed = plain.replace('"f1"', '"fixed"\nthreshold_value = 0.25')
    assert parse(fixed).threshold.fixed == 0.25
    with pytest.raises(ConfigError, match=r"\[gate\] has to name net_benefit, as metric or guard"):
        parse(cost)
    with pytest.raises(ConfigError, match='threshold = "fixed" needs one'):
        parse(plain.replace('"f1"', '"fixed"'))
