"""python -m tools.docs.readme: put measured figures into README.md and docs/benchmarks.md.

They go between the pages' markers. Sources: dags/flights_weeks.json, and what the newest `make
demo`, `make proofs` and `make bench-...` left in build/. What is measured is kept in
docs/figures.json, so that a test can see whether the pages still say what the files say.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
BENCHMARKS = ROOT / "docs" / "benchmarks.md"
FIGURES = ROOT / "docs" / "figures.json"
WEEKS = ROOT / "dags" / "flights_weeks.json"

MEASURED = {
    "week": "build/demo/week.json",
    "doubling": "build/demo/doubling.json",
    "rollout": "build/proofs/rollout.json",
    "forks": "build/proofs/forks.json",
    "same_bytes": "build/proofs/same_bytes.json",
    "training": "build/bench/training.json",
    "evaluation": "build/bench/evaluation.json",
    "registry": "build/bench/registry.json",
    "serving": "build/bench/serving.json",
}


def collect() -> dict[str, Any]:
    """The figures kept so far, replaced by whatever was measured since."""
    figures: dict[str, Any] = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    for name, path in MEASURED.items():
        if (ROOT / path).exists():
            figures[name] = json.loads((ROOT / path).read_text())
    return figures


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(c) for c in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def week_table(figures: Mapping[str, Any]) -> str:
    """The demo's week."""
    names = {
        "date": "day",
        "trigger": "trigger",
        "psi_max": "PSI max",
        "f1_champion": "F1 champion",
        "f1_challenger": "F1 challenger",
        "decision": "decision",
        "literal_would": "literal rule alone",
        "promoted": "promoted",
        "version": "version",
    }
    return table(list(names.values()), [[d.get(k) for k in names] for d in figures["week"]])


def doubling_table(figures: Mapping[str, Any]) -> str:
    """What there was before and after a re-run and a backfill."""
    stages = figures["doubling"]["stages"]
    rows = {
        "rows in data/processed": lambda s: sum(s["processed_rows"].values()),
        "rows in the feature table": lambda s: sum(s["feature_rows"].values()),
        "MLflow runs": lambda s: sum(s["mlflow_runs"].values()),
        "most MLflow runs of one window": lambda s: max(s["mlflow_runs"].values()),
        "model versions": lambda s: sum(s["versions"].values()),
        "changes of @champion": lambda s: s["events"],
    }
    body = [[name, *(f"{count(s):,}" for s in stages)] for name, count in rows.items()]
    return table(["", *(s["stage"] for s in stages)], body)


def weeks_table(figures: Mapping[str, Any]) -> str:
    """The year, from the committed search."""
    tally = json.loads(WEEKS.read_text())["tally"]
    return table(["over the year", "count"], [[k.replace("_", " "), v] for k, v in tally.items()])


def ratios_table(rows: Sequence[Mapping[str, Any]], *, quality: bool = False) -> str:
    """Ours beside the peers; a gate that was missed is marked."""
    body = []
    for row in rows:
        both = [row.get(f"{who}_mb", row[f"{who}_s"]) for who in ("ours", "peer")]
        missed = " MISSED" if row["ratio"] > row["gate"] else ""
        numbers = [f"{value:.3g}" for value in (*both, row["ratio"])]
        cells = [row["row"], row["peer"], row["threads"], *numbers, f"{row['gate']}{missed}"]
        body.append([*cells, _signed(row["quality_delta"])] if quality else cells)
    head = ["task", "peer", "threads", "ours", "peer's", "ratio", "gate"]
    return table([*head, "quality"] if quality else head, body)


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.2g}"


def training_table(figures: Mapping[str, Any]) -> str:
    """Seconds of training and prediction, and the difference in quality."""
    rows = [row for row in figures["training"] if row["ratio"] is not None]
    return ratios_table(rows, quality=True)


def evaluation_table(figures: Mapping[str, Any]) -> str:
    """Seconds of the evaluation's kernels."""
    return ratios_table(figures["evaluation"]["rows"])


def registry_table(figures: Mapping[str, Any]) -> str:
    """Seconds, or MiB, of the MLflow client."""
    return ratios_table(figures["registry"])


def serving_table(figures: Mapping[str, Any]) -> str:
    """CPU seconds of an answer of the scoring server."""
    return ratios_table(figures["serving"])


PAGES = {
    README: {"week": week_table, "doubling": doubling_table, "weeks": weeks_table},
    BENCHMARKS: {
        "training": training_table,
        "evaluation": evaluation_table,
        "registry": registry_table,
        "serving": serving_table,
    },
}


def fill(page: Path, figures: Mapping[str, Any]) -> str:
    """The page's text with every marked block as the figures give it."""
    text = page.read_text()
    for name, render in PAGES[page].items():
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        if not pattern.search(text):
            raise SystemExit(f"{page.name} has no block {name}")
        block = render(figures)
        text = pattern.sub(lambda m, b=block: f"{m[1]}{b}\n{m[2]}", text)  # type: ignore[misc]
    return text


def main() -> int:
    """Collects, keeps and fills."""
    figures = collect()
    FIGURES.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n")
    for page in PAGES:
        page.write_text(fill(page, figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
