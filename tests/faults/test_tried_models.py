"""What users of other libraries reported of models and statistics, played on ours."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from retrain_ops.errors import DataError
from retrain_ops.models import GBDTClassifier, GBDTRegressor, load_model
from retrain_ops.stats import GateRules, compare_models, psi, roc_auc, slice_report
from tests.faults.tried import tried

RNG = np.random.default_rng(5)
ROWS = 600
X = RNG.normal(size=(ROWS, 3))
Y = (X[:, 0] + 0.5 * X[:, 1] + RNG.normal(scale=0.5, size=ROWS) > 0).astype(int)
FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
KIND = pd.Series(pd.Categorical(np.where(X[:, 2] > 0, "red", "blue")), name="kind")
MIXED = FRAME[["a", "b"]].assign(kind=KIND)


def trees(**params):
    """Small trees, the same for everybody."""
    return GBDTClassifier(**{"n_estimators": 10, "max_leaf_nodes": 8, "random_state": 1, **params})


def scores(model, data):
    """Probabilities of the second class."""
    return model.predict_proba(data)[:, 1]


@tried("lightgbm-org/LightGBM#1936")
def test_a_category_never_seen_scores_like_a_missing_one():
    model = trees().fit(MIXED, Y, categorical_features=["kind"])
    unknown, missing = MIXED.copy(), MIXED.copy()
    unknown["kind"] = pd.Categorical(["green"] * ROWS)
    missing["kind"] = pd.Categorical([None] * ROWS, categories=["red"])
    assert np.isfinite(scores(model, unknown)).all()
    assert np.array_equal(scores(model, unknown), scores(model, missing))


@tried("lightgbm-org/LightGBM#2396")
def test_a_column_that_is_not_there_is_named():
    model = trees().fit(FRAME, Y)
    with pytest.raises((DataError, ValueError), match="b"):
        model.predict_proba(FRAME[["a", "c"]])


@tried("lightgbm-org/LightGBM#6195")
def test_scoring_leaves_the_callers_frame_alone():
    model = trees().fit(MIXED, Y, categorical_features=["kind"])
    given = MIXED.copy()
    given["kind"] = pd.Categorical(np.where(X[:, 2] > 0, "red", "green"))
    before = given.copy(deep=True)
    model.predict_proba(given)
    pd.testing.assert_frame_equal(given, before)
    assert list(given["kind"].cat.categories) == list(before["kind"].cat.categories)


@tried("lightgbm-org/LightGBM#46", "dmlc/xgboost#1091")
def test_a_column_of_one_value_changes_nothing():
    plain = trees().fit(FRAME, Y)
    wide = FRAME.assign(zero=0.0)
    assert np.array_equal(scores(trees().fit(wide, Y), wide), scores(plain, FRAME))


@tried("dmlc/xgboost#358")
def test_a_small_share_of_columns_is_never_none():
    wide = np.column_stack([X, np.zeros((ROWS, 7))])
    found = scores(trees(colsample=0.1, n_estimators=40).fit(wide, Y), wide)
    assert np.isfinite(found).all()
    assert np.ptp(found) > 0


@tried("lightgbm-org/LightGBM#6202", "lightgbm-org/LightGBM#2478")
def test_any_text_is_a_name_of_a_column():
    names = ['a: [1, {"x"}]', "Сумки, Альбомы", "c\tand\nmore"]
    odd = FRAME.set_axis(names, axis=1)
    model = trees().fit(odd, Y)
    again = load_model(model.to_bytes())
    assert [feature.name for feature in again.features] == names
    assert np.array_equal(again.predict_proba(odd), model.predict_proba(odd))


@tried("lightgbm-org/LightGBM#632", "lightgbm-org/LightGBM#3761")
def test_bagging_gives_equal_bytes_for_any_team():
    made = {
        trees(subsample=0.5, colsample=0.5, n_threads=n).fit(FRAME, Y).to_bytes()
        for n in (1, 2, 3, 3)
    }
    assert len(made) == 1


def in_child(act) -> int:
    """The exit code of `act` in a forked child: 0, or what it died of."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@tried("lightgbm-org/LightGBM#6137", "dmlc/xgboost#4246")
def test_a_forked_child_loads_and_scores():
    model = trees(n_threads=2).fit(FRAME, Y)
    data, expected = model.to_bytes(), scores(model, FRAME)

    def score():
        found = load_model(data).predict_proba(FRAME, n_threads=2)[:, 1]
        assert np.array_equal(found, expected)

    assert in_child(score) == 0


@tried("dmlc/xgboost#7044", "lightgbm-org/LightGBM#1789")
def test_a_forked_child_trains():
    expected = trees(n_threads=2).fit(FRAME, Y).to_bytes()

    def fit():
        assert trees(n_threads=2).fit(FRAME, Y).to_bytes() == expected

    assert in_child(fit) == 0


@tried("dmlc/xgboost#8357", "dmlc/xgboost#1987")
def test_columns_are_found_by_name_before_and_after_a_file():
    model = trees().fit(FRAME, Y)
    turned = FRAME[["c", "a", "b"]]
    again = load_model(model.to_bytes())
    for known in (model, again):
        assert np.array_equal(known.predict_proba(turned), known.predict_proba(FRAME))


@tried("dmlc/xgboost#10814")
def test_an_array_of_another_width_is_refused_in_numbers():
    model = trees().fit(FRAME, Y)
    with pytest.raises(ValueError, match=r"2.*3"):
        model.predict_proba(X[:, :2])


@tried("dmlc/xgboost#6851", "dmlc/xgboost#8213")
def test_nullable_columns_are_the_numbers_they_hold():
    plain = pd.DataFrame({"f": X[:, 0], "n": np.round(X[:, 1] * 9), "t": (X[:, 2] > 0) * 1.0})
    plain.iloc[::9] = np.nan
    nullable = plain.astype({"f": "Float64", "n": "Int64", "t": "boolean"})
    assert trees().fit(nullable, Y).to_bytes() == trees().fit(plain, Y).to_bytes()


@tried("dmlc/xgboost#7329")
def test_a_missing_category_is_a_value_like_any():
    gaps = MIXED.assign(kind=KIND.where(X[:, 2] < 0.5))
    model = trees().fit(gaps, Y, categorical_features=["kind"])
    assert np.isfinite(scores(model, gaps)).all()


@tried("dmlc/xgboost#9715")
def test_labels_of_objects_are_classes():
    for labels in (Y.astype(object), np.where(Y == 1, "yes", "no").astype(object)):
        model = trees().fit(FRAME, labels)
        assert set(model.predict(FRAME)) == set(labels)
        assert np.array_equal(scores(model, FRAME), scores(trees().fit(FRAME, Y), FRAME))


@tried("scikit-learn/scikit-learn#16661")
def test_a_second_fit_with_early_stopping_is_the_first():
    model = trees(n_estimators=50, early_stopping_rounds=3)
    held = {"eval_set": (FRAME[400:], Y[400:])}
    first = model.fit(FRAME[:400], Y[:400], **held).to_bytes()
    assert model.fit(FRAME[:400], Y[:400], **held).to_bytes() == first


@tried("scikit-learn/scikit-learn#3864", "scikit-learn/scikit-learn#20525")
def test_ranks_need_no_distance():
    assert roc_auc([1, 0, 0], [1e-10, 0, 0]) == 1.0
    tiny = np.exp(X[:, 0] - 600)
    assert roc_auc(Y, tiny) == roc_auc(Y, X[:, 0])


@tried("scikit-learn/scikit-learn#5735")
def test_scores_that_are_no_numbers_have_no_ranks():
    with pytest.raises((DataError, ValueError), match=r"(?i)nan|number"):
        roc_auc([0, 0, 1, 1], [np.nan] * 4)
    assert roc_auc([0, 0, 1, 1], [np.inf] * 4) == 0.5


@tried("scikit-learn/scikit-learn#6842")
def test_many_rows_of_narrow_scores_rank_exactly():
    label = RNG.integers(0, 2, 1_000_000)
    score = (RNG.normal(size=label.size) + 0.01 * label).astype(np.float32)
    ranks = np.unique(score, return_inverse=True)[1]
    assert roc_auc(label, score) == roc_auc(label, score.astype(float)) == roc_auc(label, ranks)


@tried("scikit-learn/scikit-learn#30079")
def test_one_class_has_no_area():
    assert math.isnan(roc_auc([1, 1, 1], [0.1, 0.2, 0.3]))


@tried("uxlfoundation/scikit-learn-intelex#1029")
def test_labels_may_be_booleans():
    assert roc_auc(Y == 1, X[:, 0]) == roc_auc(Y, X[:, 0])


@tried("scikit-learn/scikit-learn#27189")
def test_f1_without_a_positive_decision_is_zero():
    report = compare_models([1, 0, 1], [0, 0, 0], [1, 0, 1])
    assert (report.f1_champion, report.f1_challenger) == (0, 1)


@tried("scikit-learn/scikit-learn#31052", "scikit-learn/scikit-learn#14876")
def test_f1_of_nothing_is_undefined_and_decides_nothing():
    report = compare_models([0, 0, 0], [0, 0, 0], [0, 1, 0])
    assert (report.f1_champion, report.f1_challenger) == (None, 0)
    assert (report.verdict, report.reason) == ("undecided", "undefined")


@tried("evidentlyai/evidently#330")
def test_rows_that_are_all_missing_have_drifted():
    found = psi([1, 2, 3, 4, 5] * 1000, [None] * 50)
    assert math.isfinite(found.psi)
    assert found.psi > 0.2


@tried("evidentlyai/evidently#1480")
def test_a_column_that_is_empty_on_both_sides_stops_nothing():
    found = psi([None] * 50, [None] * 50)
    assert (found.psi, found.p_value, found.verdict) == (0.0, 1.0, "undecided")


@tried("evidentlyai/evidently#1929")
def test_one_category_on_both_sides_has_a_p_value():
    found = psi(["a"] * 50, ["a"] * 10)
    assert (found.psi, found.p_value, found.verdict) == (0.0, 1.0, "undecided")


@tried("evidentlyai/evidently#50")
def test_more_rows_of_the_same_are_no_drift():
    for rows in (1_000, 200_000):
        assert psi(RNG.normal(size=rows), RNG.normal(size=rows)).verdict == "no_drift"


@tried("yakew7/Fair-Code#461")
def test_values_that_vanish_are_drift():
    before = ["white"] * 500 + ["black"] * 500
    after = ["white"] * 25 + ["black"] * 25 + [None] * 950
    assert psi(before, after).psi > 0.2


@tried("fairlearn/fairlearn#1155", "fairlearn/fairlearn#1725")
def test_rows_without_a_group_are_a_group():
    label, said = [1, 0, 1, 0, 1, 0, 1], [1, 0, 1, 1, 1, 0, 0]
    group = ["a", "a", "a", "a", "b", "b", None]
    for given in (group, np.array(group, dtype=object), pd.Series(group), pa.array(group)):
        table = slice_report(label, said, slices={"group": given})
        assert table["level"].to_pylist() == ["", "a", "b", "(missing)"]
        assert table["rows"].to_pylist() == [7, 4, 2, 1]


@tried("JobCollins/fairness_pipeline_dev_toolkit#38")
def test_groups_by_number_or_by_object_are_the_same():
    group = RNG.integers(0, 3, ROWS)
    said = (X[:, 0] > 0).astype(int)
    tables = [
        slice_report(Y, said, slices={"g": given})
        for given in (group, group.astype(object), group.astype(str), pd.Categorical(group))
    ]
    assert all(table.equals(tables[0]) for table in tables)


@tried("JobCollins/fairness_pipeline_dev_toolkit#29")
def test_a_group_without_positives_is_not_fair_but_unknown():
    group = np.where(np.arange(ROWS) < 30, "few", "many")
    label = np.where(group == "few", 0, Y)
    said = (X[:, 0] > 0).astype(int)
    table = slice_report(label, said, slices={"g": group}).to_pylist()
    assert next(row["tpr"] for row in table if row["level"] == "few") is None
    rules = GateRules(protected=("g",))
    days = np.arange(ROWS) % 6
    report = compare_models(label, said, label, days=days, slices={"g": group}, rules=rules)
    assert (report.verdict, report.reason) == ("undecided", "protected_undecided")


@tried("lightgbm-org/LightGBM#2598")
def test_a_model_of_yesterday_is_made_again_to_the_byte():
    code = (
        "import numpy as np; from retrain_ops.models import GBDTRegressor as G; import hashlib;"
        "x = np.random.default_rng(1).normal(size=(500, 4));"
        "m = G(n_estimators=60, subsample=0.6, colsample=0.6, random_state=3).fit(x, x[:, 0]);"
        "print(hashlib.sha256(m.to_bytes()).hexdigest())"
    )
    command = [sys.executable, "-c", code]
    first, again = (subprocess.check_output(command, text=True) for _ in range(2))
    assert first == again


@tried("lightgbm-org/LightGBM#804")
def test_text_needs_no_encoder_of_ones_own():
    texts = MIXED.assign(kind=MIXED["kind"].astype(str))
    by_text = trees().fit(texts, Y, categorical_features=["kind"])
    by_category = trees().fit(MIXED, Y, categorical_features=["kind"])
    assert np.array_equal(scores(by_text, texts), scores(by_category, MIXED))


def test_amounts_are_trained_alike():
    """The regressor shares the reader: a check that the reports above hold for it too."""
    model = GBDTRegressor(n_estimators=5).fit(FRAME, X[:, 0])
    assert np.array_equal(model.predict(FRAME[["c", "b", "a"]]), model.predict(FRAME))
