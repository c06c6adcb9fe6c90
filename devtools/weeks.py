"""Every Monday-to-Sunday week of the year under the one spec, and the week that the demo shows.

Each week starts from nothing: a champion bootstrapped on the Monday before,
then seven days through all ten steps against a real MLflow server. The demo's
week is the first that has a promotion, a skip for no improvement and, if such a
week exists, a day without drift. The result is written to dags/flights_weeks.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from devtools.days import day_record, letters
from retrain_ops.cli.main import run_day
from retrain_ops.run import Run, RunContext, open_run
from retrain_ops.spec.window import days_between

FIRST_MONDAY = date(2013, 3, 4)
LAST_MONDAY = date(2013, 12, 16)
ROOT = Path(__file__).resolve().parents[1]
SPEC = ROOT / "dags" / "flights.toml"
RESULT = ROOT / "dags" / "flights_weeks.json"


def mondays() -> list[date]:
    """All Mondays of the search."""
    count = (LAST_MONDAY - FIRST_MONDAY).days // 7 + 1
    return [FIRST_MONDAY + timedelta(weeks=i) for i in range(count)]


def play_week(monday: date, *, open_run: Callable[..., Run]) -> dict[str, Any]:
    """One week from its own bootstrap, under a registered name of its own.

    `open_run(spec, date=, model=, context=)` gives the run of a day.
    """
    days = []
    for day in (monday - timedelta(days=7), *days_between(monday, monday + timedelta(days=6))):
        run = open_run(
            SPEC,
            date=day,
            model=f"flights_week_{monday:%m%d}",
            context=RunContext(bootstrap=day < monday, trigger="schedule"),
        )
        output = run_day(run)
        if output.get("exit_code"):
            raise RuntimeError(f"{run.retrain_key}: {output['message']}")
        days.append(day_record(run))
    return {"monday": monday.isoformat(), "letters": letters(days[1:]), "days": days[1:]}


def choose(weeks: list[dict[str, Any]]) -> str:
    """The Monday of the demo's week."""
    both = [w for w in weeks if "P" in w["letters"] and "." in w["letters"]]
    whole = [w for w in both if "n" in w["letters"]]
    if not both:
        raise RuntimeError("no week of the year has both a promotion and a skip")
    monday: str = (whole or both)[0]["monday"]
    return monday


def tally(weeks: list[dict[str, Any]]) -> dict[str, int]:
    """How often what happened over the year, with the literal rule alone beside it."""
    days = [d for w in weeks for d in w["days"]]
    return {
        "weeks": len(weeks),
        "weeks_with_promotion": sum("P" in w["letters"] for w in weeks),
        "weeks_with_promotion_and_skip": sum(
            "P" in w["letters"] and "." in w["letters"] for w in weeks
        ),
        "weeks_with_all_three": sum(all(c in w["letters"] for c in "Pn.") for w in weeks),
        "days": len(days),
        "no_train": sum(d["decision"] == "no_train" for d in days),
        "skipped": sum(d["decision"] == "skipped" for d in days),
        "undecided": sum(d["decision"] == "undecided" for d in days),
        "queued": sum(d["decision"] == "queued" for d in days),
        "promoted": sum(d["promoted"] for d in days),
        "literal_would_promote": sum(bool(d["literal_would"]) for d in days),
    }


def search(tracking_uri: str, workspace: Path) -> dict[str, Any]:
    """Plays all weeks and writes the result."""
    weeks = []
    opened = partial(open_run, workspace=str(workspace), tracking_uri=tracking_uri)
    for monday in mondays():
        week = play_week(monday, open_run=opened)
        print(week["monday"], week["letters"], flush=True)
        weeks.append(week)
    result = {"chosen": choose(weeks), "tally": tally(weeks), "weeks": [stable(w) for w in weeks]}
    RESULT.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    return result


def stable(week: dict[str, Any]) -> dict[str, Any]:
    """Without the circumstances that differ from run to run."""
    dropped = ("seconds", "version", "canary")
    days = [{k: v for k, v in d.items() if k not in dropped} for d in week["days"]]
    return {**week, "days": days}
