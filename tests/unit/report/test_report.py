"""The page is one file that asks for nothing, says what the decision says, and never breaks."""

import math
import re
from fractions import Fraction
from html.parser import HTMLParser

import numpy as np
import pytest

from devtools.decisions import decision, random_cells, split
from retrain_ops.decisions.curves import curve
from retrain_ops.decisions.explain import shown_p
from retrain_ops.report import render
from retrain_ops.report.figures import Axis, calibration, distribution, roc
from retrain_ops.stats.cells import CHALLENGER, CHAMPION, day_cells
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.stats.paired import compare, score_by_days
from retrain_ops.stats.ranks import roc_auc
from tests.unit.decisions.test_replay import random_decision

VOID = {"meta", "br", "wbr", "line", "rect", "circle", "polyline"}


class Page(HTMLParser):
    """Text of a page, and whether every tag is closed by its own."""

    def __init__(self, html):
        super().__init__()
        self.open, self.text, self.attributes = [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += attrs

    def handle_endtag(self, tag):
        while tag in ("li", "p") and self.open[-1] != tag:
            self.open.pop()
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def scores(seed):
    rng = np.random.default_rng(seed)
    values = rng.beta(1, 3, size=4000)
    label = (rng.random(4000) < values).astype(np.uint8)
    return label, values


def drifted(content, name="a"):
    """A decision whose day compared one feature."""
    feature = {
        "name": name,
        "psi": 0.3,
        "debiased": 0.28,
        "p_value": 0.01,
        "verdict": "drift",
        "triggers": True,
        "rows_reference": 10,
        "rows_current": 5,
        "bins": 2,
    }
    content["drift"].update(features=[feature], psi_max=0.3, psi_max_feature=name)
    return content


COUNTS = {
    "a": {
        "kind": "numeric",
        "edges": [1.5],
        "reference": [5, 5, 0, 0, 1],
        "current": [[1, 4, 0, 0, 0]],
    }
}


def whole_page(content):
    curves = {role: curve(*scores(i)) for i, role in enumerate(("champion", "challenger"))}
    return render(content, curves=curves, counts=COUNTS, threshold=0.2, history=[content])


@pytest.mark.parametrize("seed", range(40))
def test_every_decision_has_a_page_whose_tags_close(seed):
    text = " ".join(Page(whole_page(drifted(random_decision(seed)))).text)
    assert "Drift by feature" in text
    assert "nan" not in text.lower().replace("undecided", "")
    assert "None" not in text


def test_the_page_asks_for_nothing_and_forbids_itself_to():
    html = whole_page(drifted(random_decision(3)))
    assert not re.search(r"https?:|//[a-z]|url\(|@import|<script|<link|<img|<iframe", html)
    assert "default-src 'none'" in html
    names = {name for name, _ in Page(html).attributes}
    assert not names & {"src", "href", "action", "onload", "srcset"}


def test_names_from_the_data_are_shown_and_never_run():
    evil = "<script>alert(1)</script>"
    cells = random_cells(np.random.default_rng(0), 7)
    content = decision({"": {"": cells}, "p": {evil: cells}}, GateRules(watched=("p",)))
    html = render(drifted(content, evil), curves={}, counts={}, threshold=0.2, history=[])
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_equal_records_give_equal_bytes():
    content = drifted(random_decision(7))
    assert whole_page(content) == whole_page(content)


def test_the_month_says_how_many_would_pass_by_chance():
    history = [random_decision(seed) for seed in range(20)]
    html = render(history[0], curves={}, counts={}, threshold=0.2, history=history)
    looks = sum(d["gate"]["rules"]["mode"] == "paired" for d in history)
    assert f"judged {looks} challengers" in html
    assert f"about {looks * 0.05:.2g} would have passed" in html


def test_the_interval_of_a_slice_is_that_of_its_f1():
    """Against a champion that always says 0 the paired difference is F1 itself, SE as well."""
    days = random_cells(np.random.default_rng(5), 9)
    value, error, n_days = score_by_days(days.tolist(), CHALLENGER)
    exact = compare(day_cells(days))
    assert value == pytest.approx(float(exact.f1_challenger))
    assert n_days == 9
    mute = days.copy()
    mute[:, [0, 1, 4, 5]] += mute[:, [2, 3, 6, 7]]
    mute[:, [2, 3, 6, 7]] = 0
    assert error == pytest.approx(compare(day_cells(mute)).day_error)


def test_an_f1_that_is_undefined_has_no_interval():
    assert score_by_days([[5, 0, 0, 0, 0, 0, 0, 0]], CHALLENGER) == (None, None, 1)
    assert score_by_days([], CHAMPION) == (None, None, 0)


def test_the_roc_of_counts_is_close_to_the_exact_area_and_ends_in_the_corners():
    label, values = scores(1)
    points = roc(curve(label, values))["points"]
    assert points[0] == (0, 0)
    assert points[-1] == (100, 100)
    xs, ys = np.array(points).T / 100
    assert np.trapezoid(ys, xs) == pytest.approx(roc_auc(label, values), abs=0.002)


def test_calibration_counts_every_row_once():
    label, values = scores(2)
    found = calibration(curve(label, values))
    assert sum(p["rows"] for p in found["points"]) == 4000
    assert found["error"] < 0.03


def test_many_levels_share_the_last_bar():
    feature = {
        "kind": "categorical",
        "levels": [f"v{i:02d}" for i in range(30)],
        "reference": [*range(1, 31), 0, 2],
        "current": [[1] * 30 + [5, 0]],
    }
    bars = distribution(feature)
    assert len(bars) == 12
    assert bars[-1]["name"] == "21 others"
    assert sum(b["reference"] for b in bars) == pytest.approx(1)
    assert sum(b["current"] for b in bars) == pytest.approx(1)


def test_the_axis_holds_every_value_and_its_ticks_are_round():
    for values in ([0.41, 0.55], [0.0, 1.0], [0.5], [], [0.97, 0.99]):
        axis = Axis.around(values, least=0.0, most=1.0)
        assert all(-1e-9 <= axis.percent(v) <= 100 + 1e-9 for v in values)
        assert 2 <= len(axis.ticks()) <= 8
        assert all(Fraction(round(t["value"] * 100), 2).denominator <= 2 for t in axis.ticks())
    assert axis.percent(None) is None


@pytest.mark.parametrize("value", [7094080440000000.0, -3e18, 1e-9, 1e22])
def test_the_axis_of_one_amount_of_any_size_holds_it(value):
    for values in ([value], [value, value]):
        axis = Axis.around(values, least=-math.inf, most=math.inf)
        assert axis.low < axis.high
        assert 0 <= axis.percent(value) <= 100
        assert len(axis.ticks()) <= 8


def test_slices_without_rows_are_named_on_the_page():
    rng = np.random.default_rng(0)
    cells = random_cells(rng, 7)
    content = decision(
        {"": {"": cells}, "p": split(rng, cells, 2)},
        GateRules(protected=("p",)),
        expected_levels={"p": ["gone"]},
    )
    html = render(content, curves={}, counts={}, threshold=0.2, history=[])
    assert "p gone" in html
    assert "cannot be judged" in html


def test_a_p_value_is_never_shown_as_zero():
    assert [shown_p(p) for p in (None, 1.0, 0.05, 0.0005, 0.00049, 0.0)] == [
        "-", "1.000", "0.050", "0.001", "< .001", "< .001",
    ]  # fmt: skip


def test_names_are_broken_between_words_only():
    content = random_decision(3)
    name = "carrier_hour_load"
    html = render(drifted(content, name), curves={}, counts={}, threshold=0.2, history=[])
    assert '<span class="name">carrier_<wbr>hour_<wbr>load</span>' in html
    assert '<section class="features" style="--name: 8ch">' in html
    long = render(drifted(content, "x" * 80), curves={}, counts={}, threshold=0.2, history=[])
    assert '<section class="features" style="--name: 26ch">' in long
