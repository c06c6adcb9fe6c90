"""`retrain-ops init`: a commented spec for rows that nobody has described yet."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, Context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrain_ops.cli.command import writing
from retrain_ops.errors import SourceError
from retrain_ops.spec.spec import parse_spec
from retrain_ops.spec.window import days_between

if TYPE_CHECKING:
    from retrain_ops.data.survey import Column, Survey

HELP = "look at a folder of daily files and write a commented spec for it"
LINE = 96
SLICE_LEVELS = 20
GAPS_SHOWN = 10
SPARE_DAYS = 3
"""Days that a short source keeps for runs after the first."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `init`."""
    parser.add_argument("source", metavar="SOURCE", help="folder or URI of the partitions")
    parser.add_argument("--spec", help="the file to write (default: NAME.toml)")
    parser.add_argument("--name", help="the model's name (default: that of the folder)")
    parser.add_argument(
        "--problem",
        choices=["binary", "regression"],
        default="binary",
        help="what the label is: 0 and 1, or an amount",
    )
    parser.add_argument("--label", help="column of the outcome (default: guessed)")
    parser.add_argument("--event-time", help="column of the request's time (default: guessed)")
    parser.add_argument("--request-id", help="column that names a request (default: guessed)")


def init(options: argparse.Namespace) -> dict[str, Any]:
    """Writes the spec; says where, what was guessed and what comes next.

    Raises:
        ConfigError: the file exists or cannot be written, or no name of a model was given.
        SourceError: there are no partitions or too few, or no label, time or id among their
            columns.
    """
    from retrain_ops.data.survey import look_at

    named = {
        "label": options.label,
        "event_time": options.event_time,
        "request_id": options.request_id,
    }
    source = options.source
    if "://" not in source:
        source = str(Path(source).resolve())
    name = options.name or _name(source)
    file = Path(options.spec or f"{name}.toml")
    with writing(file, "--spec"):
        if file.exists():
            raise FileExistsError(file)
    given: dict[Any, str] = {k: v for k, v in named.items() if v is not None}
    amounts = options.problem == "regression"
    survey = look_at(source, given, amounts=amounts)
    text = draft(survey, name, frozenset(k for k, v in named.items() if v), amounts=amounts)
    _check(text, survey)
    with writing(file, "--spec"), open(file, "x", encoding="utf-8") as stream:
        stream.write(text)
    guessed = {role: survey.of_role(role)[0].name for role in named if named[role] is None}  # type: ignore[arg-type]
    return {
        "status": "ok",
        "spec": str(file),
        "days": len(survey.days),
        "rows": survey.rows,
        "guessed": guessed,
        **({"missing_days": gaps} if (gaps := _gaps(survey)) else {}),
        "next": f"read it, correct what was guessed, then: retrain-ops check {file}",
    }


def _check(text: str, survey: Survey) -> None:
    """Refuses to write what `check` would refuse.

    Raises:
        ConfigError: the spec is wrong: its name, or that of a column.
        SourceError: the source is too short for a window that decides anything.
    """
    spec = parse_spec(text, where="the draft", folder=Path())
    needed = len(spec.window_at(date(2000, 1, 1)).days)
    if len(survey.days) < needed:
        raise SourceError(
            f"{survey.path} has {len(survey.days)} day(s): the shortest window that decides "
            f"anything has {needed}; load more days"
        )


def _gaps(survey: Survey) -> list[str]:
    """The newest days that the source lacks: a day without rows needs a file without rows."""
    from retrain_ops.data.survey import DAYS_READ

    days = days_between(survey.days[-DAYS_READ:][0], survey.days[-1])
    return [day.isoformat() for day in days if day not in survey.days][-GAPS_SHOWN:]


def _name(source: str) -> str:
    words = re.sub(r"[^A-Za-z0-9_\-]+", "_", source.rstrip("/").rpartition("/")[2]).strip("_-")
    return words or "model"


def draft(survey: Survey, name: str, named: frozenset[str], *, amounts: bool = False) -> str:
    """The spec's text; what is not in `named` is guessed, and said to be guessed."""
    tables = (
        _head(survey),
        _model(name, amounts),
        _source(survey, named, amounts),
        _features(survey),
        _window(survey),
        _validate(survey, amounts),
        _gate(survey, amounts),
        *((_canary(survey),) if amounts else ()),
    )
    return "\n".join("\n".join(lines) + "\n" for lines in tables)


def _head(survey: Survey) -> Iterator[str]:
    yield (
        f"# Drafted from {survey.rows:,} rows; the source has {len(survey.days)} days, "
        f"{survey.days[0]} to {survey.days[-1]}."
    )
    yield '# Lines marked "guessed" are guesses: correct them. docs/spec.md has every key.'


def _model(name: str, amounts: bool) -> Iterator[str]:
    yield "[model]"
    yield f"name = {_text(name)}"
    if amounts:
        yield 'problem = "regression"'


def _source(survey: Survey, named: frozenset[str], amounts: bool) -> Iterator[str]:
    rate = f"{'mean' if amounts else 'share of ones'} {survey.label_rate:.3f}"
    yield "[source]"
    yield f"path = {_text(survey.path)} # {survey.partition}=YYYY-MM-DD/*.{survey.kind}"
    if survey.kind != "parquet":
        yield f"kind = {_text(survey.kind)}"
    for role, words in (("label", rate), ("event_time", ""), ("request_id", "")):
        (column,) = survey.of_role(role)  # type: ignore[arg-type]
        guess = "" if role in named else "guessed"
        comment = ", ".join(filter(None, (guess, column.type, words)))
        yield f"{role} = {_text(column.name)} # {comment}"
    if survey.partition != "day":
        yield f"partition = {_text(survey.partition)}"
    yield (
        f"label_delay_days = {survey.unlabelled + 1} # guessed: the newest {survey.unlabelled} "
        "day(s) have no label; labels of day d are complete this many days later"
    )


def _features(survey: Survey) -> Iterator[str]:
    yield "[features]"
    yield "# Everything that is known at the request's time and is no answer in disguise: a column"
    yield "# that is filled in after the outcome makes a model that is perfect here and useless."
    yield from _array("numeric", survey.of_role("numeric"))
    if codes := _codes(survey):
        yield "# Whole numbers with few values may be categories; if so, move them below:"
        yield f"# {', '.join(column.name for column in codes)}"
    yield from _array("categorical", survey.of_role("categorical"))
    for column in survey.of_role("left out"):
        yield f"# left out: {_text(column.name)} {column.why}"


def _codes(survey: Survey) -> list[Column]:
    """Numbers that may stand for categories; they get no range, which no category has."""
    whole = re.compile(r"u?int\d+|bool")
    numbers = survey.of_role("numeric")
    return [c for c in numbers if whole.fullmatch(c.type) and c.distinct <= SLICE_LEVELS]


def _window(survey: Survey) -> Iterator[str]:
    train, holdout = _window_days(survey)
    yield "[window]"
    if (train, holdout) != (22, 7):
        yield f"# Shorter than the default (22 + 7): the source has {len(survey.days)} days."
    yield f"train_days = {train}"
    yield f"holdout_days = {holdout} # fewer than 5 decide nothing"
    yield ""
    yield "[drift]"
    yield f"current_days = {min(7, holdout)}"


def _window_days(survey: Survey) -> tuple[int, int]:
    labelled = len(survey.days) - survey.unlabelled - SPARE_DAYS
    if labelled >= 29:
        return 22, 7
    holdout = min(7, max(5, labelled // 4))
    return max(2, labelled - holdout), holdout


def _validate(survey: Survey, amounts: bool) -> Iterator[str]:
    per_day = survey.rows / min(len(survey.days), 60)
    days = sum(_window_days(survey)) + survey.unlabelled
    low, high = survey.label_rate / 2, min(1.0, survey.label_rate * 2)
    yield "[validate]"
    yield f"min_rows = {max(1, int(per_day * days / 2))} # half of what such a window has"
    if not amounts:
        yield f"label_rate = [{_floor(low)}, {_ceil(high)}] # seen: {survey.label_rate:.3f}"
    codes = _codes(survey)
    bounded = [c for c in survey.of_role("numeric") if c.lowest is not None and c not in codes]
    if bounded:
        yield ""
        yield "[validate.ranges] # as wide again on either side as what was seen"
    for column in bounded:
        low, high = column.lowest or 0.0, column.highest or 0.0
        span = high - low
        limits = f"[{_bound(low - span, ROUND_FLOOR)}, {_bound(high + span, ROUND_CEILING)}]"
        yield f"{_text(column.name)} = {limits} # seen: {low:.6g} to {high:.6g}"
    features = survey.of_role("numeric") + survey.of_role("categorical")
    yield ""
    yield "[validate.max_null_share] # twice what was seen, and 5 % more"
    for column in features:
        share = min(1.0, _ceil(column.unknown * 2 + 0.05))
        yield f"{_text(column.name)} = {share} # seen: {column.unknown:.3f}"


def _gate(survey: Survey, amounts: bool) -> Iterator[str]:
    slices = [c for c in survey.columns if 2 <= c.distinct <= SLICE_LEVELS and not c.why]
    yield "[gate]"
    if amounts:
        spread = f"{survey.label_spread:.3g}"
        yield f"# Margins are in the label's unit, whose mean distance from its median is {spread}."
        yield 'metric = "mae" # guessed; others: rmse, pinball, bias, r2, mape, smape'
        yield f"min_improvement = {_part(survey, 0.01)} # guessed: what is worth a change"
        yield f"slice_margin = {_part(survey, 0.05)} # guessed: what a group may lose"
    yield "# Groups that must be shown not to lose. Only you know which: of these, or any column"
    yield "# of the source, which need not be a feature."
    for column in slices:
        yield f"#   {_text(column.name)}: {column.distinct} values"
    yield "protected = []"


def _canary(survey: Survey) -> Iterator[str]:
    yield "[canary]"
    yield f"max_f1_drop = {_part(survey, 0.1)} # guessed: of the metric of [gate]"
    yield f"gross_drop = {_part(survey, 0.5)} # guessed: so much worse ends a canary at once"


def _part(survey: Survey, share: float) -> float:
    """A share of the labels' spread, to two digits."""
    return float(f"{survey.label_spread * share:.2g}")


def _array(key: str, columns: Sequence[Column]) -> Iterator[str]:
    """One line, or as many as it takes."""
    names = [_text(column.name) for column in columns]
    line = f"{key} = [{', '.join(names)}]"
    if len(line) <= LINE:
        yield line
        return
    yield f"{key} = ["
    row = "   "
    for name in names:
        if len(row) + len(name) + 2 > LINE:
            yield row
            row = "   "
        row += f" {name},"
    yield row
    yield "]"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _bound(value: float, away: str) -> str:
    """Six digits, rounded away from the values between the bounds; the ends of float64 stay."""
    kept = max(-sys.float_info.max, min(value, sys.float_info.max))
    short = float(Context(prec=6, rounding=away).create_decimal(repr(kept)))
    return repr(short if math.isfinite(short) else kept)


def _floor(share: float) -> float:
    return math.floor(share * 1000) / 1000


def _ceil(share: float) -> float:
    return math.ceil(share * 1000) / 1000
