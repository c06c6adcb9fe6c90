"""Days of a window that do not look like days: too few rows, a column gone, labels missing.

Held against the days that the champion learnt from, or against the window's own days where there
is no champion, so that nothing has to be set. A day is odd when it lies far from their median and
beyond all of them; what is far enough is said at each rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from retrain_ops import _core
from retrain_ops.data.labels import labels_of
from retrain_ops.data.source import Columns, day_index
from retrain_ops.errors import ValidationError
from retrain_ops.spec.spec import RetrainSpec
from retrain_ops.spec.window import Window
from retrain_ops.stats.rules import OddDay

FEWER, MORE = 10, 5  # times fewer, or more, rows than on the median day
MISSING_MORE = 0.25  # of a day's values, beyond the median day's share
SHOWN = 10
EXPECTED = 10  # rows of a class; where fewer are expected, none at all is no surprise


@dataclass(frozen=True, slots=True)
class Oddity:
    """One thing that is odd about one day."""

    kind: OddDay
    text: str


@dataclass(frozen=True, slots=True)
class DayCounts:
    """Rows and missing values per feature of some days; labelled rows and positives where known.

    Each list has one entry per day of `days`, none of a day for what is not known. Of amounts
    there are no positives; `alike` has the one label of a day whose labels are all equal.
    """

    days: tuple[date, ...]
    rows: list[int]
    missing: Mapping[str, list[int]]
    labelled: list[int] = field(default_factory=list)
    positives: list[int] = field(default_factory=list)
    alike: list[str | None] = field(default_factory=list)


def count_days(table: Columns, spec: RetrainSpec, days: Sequence[date]) -> DayCounts:
    """The counts of a window's rows; a day without rows counts zero."""
    codes, found = day_index(table)
    place = {day: i for i, day in enumerate(found)}

    def per_day(marked: pa.ChunkedArray) -> list[int]:
        code = marked.cast(pa.int32()).to_numpy()
        counts = _core.category_counts(code, codes, 2, len(found))[:, 1]
        return [int(counts[place[day]]) if day in place else 0 for day in days]

    label = table[spec.source.label]
    rate = labels_of(spec).is_rate
    return DayCounts(
        days=tuple(days),
        rows=per_day(pc.is_valid(table["day"])),
        missing={n: per_day(pc.is_null(table[n], nan_is_null=True)) for n in spec.features.all},
        labelled=per_day(pc.is_valid(label)),
        positives=per_day(_is_one(label)) if rate else [],
        alike=[] if rate else _alike(table, spec.source.label, days),
    )


def _is_one(label: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.fill_null(pc.equal(label, pa.scalar(1).cast(label.type)), False)


def _alike(table: pa.Table, label: str, days: Sequence[date]) -> list[str | None]:
    """The one label of each day whose labels are all equal, in words."""
    column = table[label]
    names = pc.unique(column).drop_null() if pa.types.is_string(column.type) else None
    if names is not None:
        column = pc.index_in(column, value_set=names)
    both = pa.table({"day": table["day"], "label": column})
    ends = both.group_by("day").aggregate([("label", "min"), ("label", "max")])
    found = zip(*(ends[n].to_pylist() for n in ("day", "label_min", "label_max")), strict=True)
    one = {
        day: f"{float(low):g}" if names is None else repr(names[low].as_py())
        for day, low, high in found
        if low is not None and low == high
    }
    return [one.get(day) for day in days]


def counts_of_reference(reference: Mapping[str, Any]) -> DayCounts:
    """The counts that a model's reference froze."""
    counts = {n: np.asarray(f["counts"], np.int64) for n, f in reference["features"].items()}
    return counts_of_bins(counts, tuple(date.fromisoformat(day) for day in reference["days"]))


def counts_of_bins(
    counts: Mapping[str, NDArray[np.int64]],
    found: Sequence[date],
    days: Sequence[date] | None = None,
) -> DayCounts:
    """From binned counts [found, bins] by feature, whose last bin is what is missing.

    Args:
        counts: by feature.
        found: the days that they count.
        days: the days that are wanted, where some may have no rows; `found` when None.
    """
    place = {day: i for i, day in enumerate(found)}
    wanted = [place.get(day) for day in (found if days is None else days)]

    def per_day(of_day: NDArray[np.int64]) -> list[int]:
        return [0 if i is None else int(of_day[i]) for i in wanted]

    return DayCounts(
        days=tuple(found if days is None else days),
        rows=per_day(next(iter(counts.values())).sum(axis=1)),
        missing={name: per_day(bins[:, -1]) for name, bins in counts.items()},
    )


def odd_days(now: DayCounts, usual: DayCounts | None, window: Window) -> list[Oddity]:
    """What is odd about the days of a window, in their order within each kind.

    Args:
        now: the window's counts.
        usual: those of the days that the champion learnt from; None where nobody serves.
        window: says which days should have all their labels.
    """
    mature = [i for i, day in enumerate(now.days) if day <= window.newest_labelled]
    odd_values = _odd_amounts if now.alike else _odd_label_rates
    labels = [*odd_values(now, mature), *_odd_labels(now, mature)]
    return [*odd_features(now, usual), *labels]


def odd_features(now: DayCounts, usual: DayCounts | None) -> list[Oddity]:
    """`odd_days` of rows and missing values alone, for days whose labels are not there yet."""
    return [*_odd_rows(now, usual), *_odd_nulls(now, usual)]


def texts_of(found: Sequence[Oddity]) -> tuple[str, ...]:
    """The first ten in words, and how many more there are."""
    texts = [odd.text for odd in found]
    more = [f"and {len(texts) - SHOWN} more odd days"] if len(texts) > SHOWN else []
    return (*texts[:SHOWN], *more)


def texts_of_odd(spec: RetrainSpec, window: Window, found: Sequence[Oddity]) -> tuple[str, ...]:
    """The first ten odd things in words.

    Raises:
        ValidationError: one is of a kind that the spec refuses.
    """
    refused = [o.text for o in found if o.kind in spec.validate.refuse_days]
    if refused:
        raise ValidationError(
            f"{spec.model.name}/{window.end}: {len(refused)} odd day(s) of a kind that "
            f"[validate] refuse_days names: {'; '.join(refused[:SHOWN])}"
        )
    return texts_of(found)


def _odd_rows(now: DayCounts, usual: DayCounts | None) -> Iterator[Oddity]:
    """Less than a tenth, or more than five times, the rows of the median day."""
    typical = median((usual or now).rows)
    seen = usual.rows if usual else ()
    for day, rows in zip(now.days, now.rows, strict=True):
        few = rows * FEWER < typical and all(rows < other for other in seen)
        many = rows > MORE * typical and all(rows > other for other in seen)
        if few or many:
            share = f"{rows / typical:.0%} of the {typical:g} of the median day"
            yield Oddity("rows", f"{day} has {rows} rows, {share}")


def _odd_nulls(now: DayCounts, usual: DayCounts | None) -> Iterator[Oddity]:
    """A quarter more of a feature's values is missing than usual, or all of them.

    Where nobody serves yet, that is also what all days of the window lack.
    """
    for name, missing in now.missing.items():
        seen = _shares(usual, name) if usual else []
        base = seen or _shares(now, name)
        if not usual and base and min(base) == 1.0:
            yield Oddity("nulls", f"{name} is missing in all {sum(now.rows)} rows of the window")
        if (usual and name not in usual.missing) or not base:
            continue  # a feature that the champion does not have
        typical = median(base)
        for day, rows, gone in zip(now.days, now.rows, missing, strict=True):
            share = gone / rows if rows else 0.0
            far = share > typical + MISSING_MORE or (gone == rows and share > typical)
            if far and all(share > other for other in seen):
                text = f"{day}: {name} is missing in {gone} of {rows} rows"
                yield Oddity("nulls", f"{text}, on the median day in {typical:.1%}")


def _shares(counts: DayCounts, name: str) -> list[float]:
    """The share of missing values on each day with rows."""
    pairs = zip(counts.missing.get(name, ()), counts.rows, strict=False)
    return [missing / rows for missing, rows in pairs if rows]


def _odd_label_rates(now: DayCounts, mature: Sequence[int]) -> Iterator[Oddity]:
    """Less than a tenth of the zeros or ones that the median day's rate gives so many rows.

    A rate far from others is no fault by itself: in a storm four flights in five are late.
    """
    rates = {i: now.positives[i] / now.labelled[i] for i in mature if now.labelled[i]}
    typical = median(rates.values()) if rates else 0.0
    for i in rates:
        n, ones = now.labelled[i], now.positives[i]
        for count, expected in ((ones, n * typical), (n - ones, n * (1 - typical))):
            if expected >= EXPECTED and count * FEWER < expected:
                text = f"{now.days[i]}: {ones} of {n} labels are 1"
                yield Oddity("label_rate", f"{text}, on the median day {typical:.1%}")


def _odd_amounts(now: DayCounts, mature: Sequence[int]) -> Iterator[Oddity]:
    """All labels of a day are one amount, where those of most days differ."""
    many = [i for i in mature if now.labelled[i] >= EXPECTED]
    constant = [i for i in many if now.alike[i] is not None]
    if 2 * len(constant) < len(many):
        for i in constant:
            text = f"{now.days[i]}: all {now.labelled[i]} labels are {now.alike[i]}"
            yield Oddity("label_rate", f"{text}, on most days they differ")


def _odd_labels(now: DayCounts, mature: Sequence[int]) -> Iterator[Oddity]:
    """A tenth of the labels that rows of other days have, on a day that should have them all."""
    shares = {i: now.labelled[i] / now.rows[i] for i in mature if now.rows[i]}
    typical = median(shares.values()) if shares else 0.0
    for i, share in shares.items():
        if share * FEWER < typical:
            text = f"{now.days[i]}: {now.labelled[i]} of {now.rows[i]} rows have a label"
            yield Oddity("labels", f"{text}, on the median day {typical:.0%}")
