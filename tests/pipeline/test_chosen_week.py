"""The committed search over the year is what the code finds, and README shows it."""

import json
from datetime import date

import pytest

from devtools import weeks
from devtools.synthetic import same_process_run
from tools.docs import readme


@pytest.fixture(scope="module")
def committed():
    return json.loads(weeks.RESULT.read_text())


def test_the_chosen_week_is_the_first_that_qualifies(committed):
    assert committed["chosen"] == weeks.choose(committed["weeks"])
    assert committed["tally"] == weeks.tally(committed["weeks"])
    mondays = [w["monday"] for w in committed["weeks"]]
    assert mondays == [m.isoformat() for m in weeks.mondays()]


def test_the_chosen_week_plays_out_as_committed(
    committed, tmp_path, client, messages, flights_source, monkeypatch
):
    monkeypatch.setenv("FLIGHTS_SOURCE", str(flights_source))
    monday = date.fromisoformat(committed["chosen"])
    played = weeks.play_week(monday, open_run=same_process_run(client, tmp_path))
    (expected,) = [w for w in committed["weeks"] if w["monday"] == committed["chosen"]]
    assert weeks.stable(played) == expected


def test_readme_shows_what_the_files_say():
    figures = json.loads(readme.FIGURES.read_text())
    for page in readme.PAGES:
        assert readme.fill(page, figures) == page.read_text(), page.name
