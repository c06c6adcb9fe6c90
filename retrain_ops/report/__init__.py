"""One self-contained HTML file per day: what was decided, on which numbers, in words and pictures.

Like the decision that it shows it holds content only, so that a re-run writes the
same bytes. It loads nothing from a network, and needs the extra `report` (Jinja2).
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Any

from retrain_ops.decisions.curves import REPORT_FILE, ScoreCounts
from retrain_ops.decisions.judge import DRIFT_COUNTS_FILE
from retrain_ops.decisions.record import Decision, recover_decision
from retrain_ops.mlflow.tracking import find_run, upload_once
from retrain_ops.report.page import HISTORY_DAYS, page
from retrain_ops.run import Run

__all__ = ["HTML_FILE", "render", "write_report"]

HTML_FILE = "report.html"

log = logging.getLogger(__name__)


def write_report(run: Run) -> bool:
    """Writes the key's `report.html` and logs it to its MLflow run, if it has one.

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
    html = render(
        decision,
        curves=(run.read(REPORT_FILE) or {}).get("curves", {}) if "gate" in decision else {},
        counts=(run.read(DRIFT_COUNTS_FILE) or {}).get("features", {}),
        threshold=run.spec.drift.threshold,
        history=_history(run),
    ).encode()
    run.workspace.write(run.path(HTML_FILE), html)
    logged = find_run(run) if "gate" in decision else None
    if logged is not None:
        upload_once(run, logged, HTML_FILE, html)
    return True


def render(
    decision: Decision,
    *,
    curves: Mapping[str, ScoreCounts | None],
    counts: Mapping[str, Any],
    threshold: float,
    history: list[Decision],
) -> str:
    """The page.

    Args:
        decision: content of decision.json.
        curves: score counts of `champion` and `challenger` (`report.json`), or nothing.
        counts: binned counts by feature (`drift_counts.json`), or nothing.
        threshold: PSI above which a feature triggers.
        history: decisions of the days up to this one, oldest first.

    Raises:
        ImportError: without Jinja2.
    """
    content = page(decision, curves=curves, counts=counts, threshold=threshold, history=history)
    return str(_template().render(content))


@lru_cache(maxsize=1)
def _template() -> Any:
    """Compiled once a process: it takes longer than a page does."""
    import jinja2

    text = files(__package__).joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(text)


def _history(run: Run) -> list[Decision]:
    """Decisions up to this key's, oldest first: later days never change an earlier report."""
    first = run.window.end - timedelta(days=HISTORY_DAYS - 1)
    ends = [end for end in run.workspace.list_keys() if first <= end <= run.window.end]
    found = (recover_decision(run.workspace, end) for end in sorted(ends))
    return [decision for decision in found if decision is not None]
