"""One self-contained HTML file per day: what was decided, on which numbers, in words and pictures.

Like the decision that it shows it holds content only, so that a re-run writes the
same bytes. It loads nothing from a network, and needs the extra `report` (Jinja2).
`render_days` makes one of many days, from their decisions and the registry.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Any

from retrain_ops.decisions.amounts import AmountPicture
from retrain_ops.decisions.classes import ClassPicture
from retrain_ops.decisions.curves import REPORT_FILE, ScoreCounts
from retrain_ops.decisions.judge import DRIFT_COUNTS_FILE
from retrain_ops.decisions.record import Decision, read_decision, recover_decision
from retrain_ops.mlflow.tracking import find_run, upload_once
from retrain_ops.mlflow.types import MlflowRun
from retrain_ops.report.days import days_page
from retrain_ops.report.evidently import PAGE_FILE, SNAPSHOT_FILE
from retrain_ops.report.page import HISTORY_DAYS, WORD_END, page
from retrain_ops.run import Run
from retrain_ops.spec.window import days_between

__all__ = ["HTML_FILE", "render", "render_days", "write_report"]

HTML_FILE = "report.html"
DAYS_FILE = "days.html"
READERS = ("check_drift", "pull_data", "validate_data")
"""The steps that read rows, in order; a quiet day ends after the first."""

log = logging.getLogger(__name__)


def write_report(run: Run) -> bool:
    """Writes the key's `report.html` and logs it to its MLflow run, if it has one.

    The model's newest run also gets `days.html`, the page of the thirty days up to it.

    Returns:
        False when there is nothing to show, or no Jinja2 to show it with.
    """
    decision = recover_decision(run.workspace, run.window.end)
    if decision is None:
        return False
    if importlib.util.find_spec("jinja2") is None:
        log.warning(
            "%s: no report.html, Jinja2 is not installed: pip install jinja2",
            run.retrain_key,
        )
        return False
    pictures = (run.read(REPORT_FILE) or {}) if "gate" in decision else {}
    html = render(
        decision,
        curves=pictures.get("curves", {}),
        amounts=pictures.get("amounts", {}),
        classes=pictures.get("classes", {}),
        counts=(run.read(DRIFT_COUNTS_FILE) or {}).get("features", {}),
        threshold=run.spec.drift.threshold,
        history=_history(run),
        warnings=_warnings(run, READERS if "gate" in decision else READERS[:1]),
    ).encode()
    run.workspace.write(run.path(HTML_FILE), html)
    logged = find_run(run) if "gate" in decision else None
    if logged is not None:
        upload_once(run, logged, HTML_FILE, html)
        for name in (PAGE_FILE, SNAPSHOT_FILE) if run.spec.drift.report else ():
            if (data := run.workspace.recover(run.path(name))) is not None:
                upload_once(run, logged, name, data)
        _log_days(run, logged)
    return True


def _log_days(run: Run, logged: MlflowRun) -> None:
    """The page of the days up to this one, with the model's newest run; older runs keep theirs."""
    later = (end for end in run.workspace.list_keys() if end > run.window.end)
    decided = (recover_decision(run.workspace, end) for end in later)
    if any(decision is not None and "gate" in decision for decision in decided):
        return
    first = run.window.end - timedelta(days=HISTORY_DAYS - 1)
    upload_once(run, logged, DAYS_FILE, render_days(run, first, run.window.end)[0].encode())


def render(
    decision: Decision,
    *,
    curves: Mapping[str, ScoreCounts | None],
    counts: Mapping[str, Any],
    threshold: float,
    history: list[Decision],
    amounts: Mapping[str, AmountPicture | None] | None = None,
    classes: Mapping[str, ClassPicture | None] | None = None,
    warnings: Sequence[str] = (),
) -> str:
    """The page.

    Args:
        decision: content of decision.json.
        curves: score counts of `champion` and `challenger` (`report.json`), or nothing.
        counts: binned counts by feature (`drift_counts.json`), or nothing.
        threshold: PSI above which a feature triggers.
        history: decisions of the days up to this one, oldest first.
        amounts, classes: what models of amounts or of several classes have in `report.json`
            instead of curves, or nothing.
        warnings: what was odd about the window's rows, in words.

    Raises:
        ImportError: without Jinja2.
    """
    content = page(
        decision,
        curves=curves,
        amounts=amounts or {},
        classes=classes or {},
        counts=counts,
        threshold=threshold,
        history=history,
    )
    return _rendered("page.html.j2", {**content, "warnings": warnings})


def render_days(run: Run, first: date, last: date) -> tuple[str, int]:
    """The page of the days from `first` to `last`, and how many of them have a decision.

    Raises:
        ConfigError: none has one, or the range holds more than `LONGEST_RANGE` days.
        ImportError: without Jinja2.
    """
    ends = [end for end in run.workspace.list_keys() if first <= end <= last]
    found = [d for end in ends if (d := read_decision(run.workspace, end)) is not None]
    world = run.registry.world()
    content = days_page(run.spec, world, found, days_between(first, last))
    return _rendered("days.html.j2", content), len(found)


def _rendered(name: str, content: Mapping[str, Any]) -> str:
    return str(_template(name).render(content))


@lru_cache(maxsize=2)
def _template(name: str) -> Any:
    """Compiled once a process: it takes longer than a page does."""
    import jinja2

    def text_of(template: str) -> str:
        return files(__package__).joinpath(template).read_text(encoding="utf-8")

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(text_of),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment.get_template(name)


def _breakable(name: str) -> Any:
    """A name that may be broken between its words only, an underscore being no space."""
    from markupsafe import Markup

    return Markup("<wbr>").join(WORD_END.split(name))


def _warnings(run: Run, steps: Sequence[str]) -> list[str]:
    """What the steps found odd about the rows."""
    records = (run.read(f"{name}.json") or {} for name in steps)
    found = (str(text) for record in records for text in record.get("warnings", ()))
    return list(dict.fromkeys(found))


def _history(run: Run) -> list[Decision]:
    """Decisions up to this key's, oldest first: later days never change an earlier report."""
    first = run.window.end - timedelta(days=HISTORY_DAYS - 1)
    ends = [end for end in run.workspace.list_keys() if first <= end <= run.window.end]
    found = (recover_decision(run.workspace, end) for end in sorted(ends))
    return [decision for decision in found if decision is not None]
