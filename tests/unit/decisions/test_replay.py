"""A stored decision is judged again to the same bytes, and a change in it is found."""

import copy
import json

import jsonschema
import numpy as np
import pytest

from devtools.decisions import END, SCHEMA, decision, random_cells, spec, split, stored
from retrain_ops.decisions.replay import replay
from retrain_ops.errors import DataError
from retrain_ops.stats.gate_rules import GateRules
from retrain_ops.workspace import canonical_json

VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))


def random_decision(seed):
    """Any gate, any verdict: few or many days, slices small and vanished, limits on and off."""
    rng = np.random.default_rng(seed)
    cells = random_cells(rng, int(rng.integers(1, 9)), gain=float(rng.choice([-0.1, 0, 0.3, 1])))
    columns = {"p": split(rng, cells, 2), "w": split(rng, cells, int(rng.integers(1, 5)))}
    rules = GateRules(
        mode=str(rng.choice(["paired", "literal"], p=[0.8, 0.2])),
        protected=("p",),
        watched=("w",),
        min_rows=int(rng.choice([0, 500, 5000])),
        undecided_protected=str(rng.choice(["block", "human", "allow_with_warning"])),
        min_holdout_rows=int(rng.choice([0, 3000])),
        max_model_bytes=int(rng.choice([0, 100])),
        min_label_coverage=float(rng.choice([0, 0.9])),
    )
    facts = {
        "model_size": {"bytes": int(rng.integers(50, 150))},
        "label_coverage": {"labelled": int(rng.integers(80, 100)), "requests": 100},
    }
    return decision(
        {"": {"": cells}, **columns},
        rules,
        expected_levels={"p": ["l0"], "w": ["l0", "gone"]},
        facts=facts,
        queued=bool(rng.integers(2)),
    )


@pytest.mark.parametrize("seed", range(60))
def test_any_decision_replays_to_its_bytes_and_keeps_the_schema(seed, tmp_path):
    content = random_decision(seed)
    VALIDATOR.validate(content)
    done = replay(spec(), stored(tmp_path, content), END)
    assert done.differences == []
    assert canonical_json(done.computed) == canonical_json(content)


def test_the_random_decisions_reach_every_outcome():
    outcomes = {random_decision(seed)["outcome"] for seed in range(60)}
    assert outcomes == {"challenger", "queued", "skipped", "undecided"}


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("gate.lower_bound", lambda d: d["gate"].update(lower_bound=0.5)),
        ("outcome", lambda d: d.update(outcome="undecided")),
        ("gate.verdict", lambda d: d["gate"].update(verdict="undecided")),
        ("gate.slices[0].rows", lambda d: d["gate"]["slices"][0].update(rows=1)),
        ("gate.rows", lambda d: d["holdout"]["cells"][""][""][0].__setitem__(0, 601)),
        ("gate.literal", lambda d: d["gate"]["rules"].update(min_improvement="9/10")),
    ],
)
def test_a_changed_record_is_found_and_the_field_is_named(field, change, tmp_path):
    rng = np.random.default_rng(1)
    cells = random_cells(rng, 7, gain=1)
    content = decision({"": {"": cells}, "p": {"x": cells}}, GateRules(protected=("p",)))
    changed = copy.deepcopy(content)
    change(changed)
    if field == "gate.rows":  # the column has to add up to all rows
        changed["holdout"]["cells"]["p"]["x"] = changed["holdout"]["cells"][""][""]
    found = replay(spec(), stored(tmp_path, changed), END).differences
    assert field in {d["field"] for d in found}


def test_a_vanished_slice_that_the_record_hides_is_found_by_the_reference(tmp_path):
    cells = random_cells(np.random.default_rng(1), 7, gain=1)
    content = decision({"": {"": cells}, "p": {"x": cells}}, GateRules(protected=("p",)))
    workspace = stored(tmp_path, content)
    workspace.write_json(workspace.key_path(END, "reference.json"), {"slices": {"p": ["x", "y"]}})
    found = {d["field"]: d for d in replay(spec(), workspace, END).differences}
    assert found["outcome"]["computed"] == "undecided"


def test_a_malformed_decision_is_refused_in_words(tmp_path):
    content = random_decision(0)
    del content["gate"]["rules"]
    with pytest.raises(DataError, match="the decision of 2020-02-06 is malformed"):
        replay(spec(), stored(tmp_path, content), END)


def test_a_spec_that_changed_since_is_said(tmp_path):
    content = {**random_decision(0), "spec_sha256": "0" * 64}
    (note,) = replay(spec(), stored(tmp_path, content), END).notes
    assert "the spec has changed since" in note
