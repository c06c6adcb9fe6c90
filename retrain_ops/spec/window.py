"""Which days a run sees, all derived from one date: the window end D.

::

      train_days          holdout_days   label_delay_days - 1 (no labels yet)
    |--------------------|--------------|---|  D  (the run, at `cutoff_time` UTC)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from retrain_ops.errors import ConfigError

DAY = "day"
"""The column that a run puts in front of the source's own: the partition's day."""

CLOCKS_APART = timedelta(hours=1)
"""How far the clock of a scheduler may be ahead of this machine's."""


def of_day(table: Any, row: int) -> str:
    """The day of a row of an Arrow table, for a message about it; empty where rows have no day."""
    return f" of {table[DAY][row].as_py()}" if DAY in table.column_names else ""


def days_between(first: date, last: date) -> tuple[date, ...]:
    """All days from `first` to `last`, both included."""
    return tuple(first + timedelta(days=i) for i in range((last - first).days + 1))


def parse_window_end(text: str) -> date:
    """A window end as people and schedulers write it: a date, or an instant cut to its UTC day.

    Raises:
        ConfigError: `text` is neither.
    """
    try:
        if len(text) == 10:
            return date.fromisoformat(text)
        instant = datetime.fromisoformat(text)
    except ValueError as problem:
        raise ConfigError(f"{text!r} is not a date: write it as 2013-08-14") from problem
    return instant_in_utc(instant).date()


def day_that_has_come(end: date, now: datetime) -> date:
    """`end`, a window end whose days are over.

    Raises:
        ConfigError: it lies in the future, so that its rows cannot all be there.
    """
    if end > (instant_in_utc(now) + CLOCKS_APART).date():
        raise ConfigError(
            f"{end.isoformat()} lies in the future, the clock here shows {now:%Y-%m-%d %H:%M} UTC: "
            "name a day that has begun"
        )
    return end


def parse_as_of(text: str, now: datetime) -> datetime:
    """When something counts: an instant with its time zone, or a date: the end of that UTC day.

    Today's date is `now`.

    Raises:
        ConfigError: `text` is neither, or lies in the future.
    """
    try:
        whole_day = date.fromisoformat(text) if len(text) == 10 else None
        instant = datetime.fromisoformat(text)
    except ValueError as problem:
        raise ConfigError(
            f"{text!r} is no instant: write it as 2013-08-14 or 2013-08-14T09:30Z"
        ) from problem
    if whole_day is not None:
        end = datetime.combine(whole_day, time(23, 59, 59), tzinfo=UTC)
        instant = now if whole_day == now.date() else end
    if instant.tzinfo is None:
        raise ConfigError(f"{text!r} has no time zone: write it as {text}Z or {text}+01:00")
    if instant > now:
        raise ConfigError(f"{text} lies in the future: a change counts from a time that has come")
    return instant_in_utc(instant)


def instant_in_utc(instant: datetime) -> datetime:
    """`instant` in UTC; an instant without a time zone is taken as UTC.

    Raises:
        ConfigError: it lies in UTC before the year 1 or after 9999.
    """
    if instant.tzinfo is None:
        return instant.replace(tzinfo=UTC)
    try:
        return instant.astimezone(UTC)
    except OverflowError as problem:
        text = f"{instant.isoformat()} is no instant of the years 1 to 9999"
        raise ConfigError(text) from problem


def newest_window_end(now: datetime, cutoff: time) -> date:
    """The newest window end whose instant has come at `now`."""
    since_midnight = timedelta(hours=cutoff.hour, minutes=cutoff.minute, seconds=cutoff.second)
    return (instant_in_utc(now) - since_midnight).date()


@dataclass(frozen=True, slots=True)
class Window:
    """The days and the instant of one run.

    `end` is the window end D. `instant` is D at the cutoff time, UTC: no row
    whose request time is at or after it exists for this run, and no label of a
    day after `newest_labelled`.
    """

    end: date
    instant: datetime
    train: tuple[date, ...]
    holdout: tuple[date, ...]
    unlabelled: tuple[date, ...]

    @property
    def days(self) -> tuple[date, ...]:
        """Every day that is pulled, oldest first."""
        return self.train + self.holdout + self.unlabelled

    @property
    def newest_labelled(self) -> date:
        """The newest day whose outcomes are complete at `instant`."""
        return self.holdout[-1]

    def last_days(self, count: int) -> tuple[date, ...]:
        """The `count` days that end with D - 1, labelled or not."""
        return days_between(self.end - timedelta(days=count), self.end - timedelta(days=1))


def window_of(
    end: date,
    *,
    train_days: int,
    holdout_days: int,
    label_delay_days: int,
    cutoff_time: time,
) -> Window:
    """The window that ends at `end`; the newest labelled day is `end - label_delay_days`.

    Raises:
        ConfigError: it would begin before the year 1.
    """
    try:
        newest = end - timedelta(days=label_delay_days)
        holdout_first = newest - timedelta(days=holdout_days - 1)
        train_first = holdout_first - timedelta(days=train_days)
    except OverflowError as problem:
        text = f"the window of {end.isoformat()} would begin before the year 1: name a later day"
        raise ConfigError(text) from problem
    return Window(
        end=end,
        instant=datetime.combine(end, cutoff_time, tzinfo=UTC),
        train=days_between(train_first, holdout_first - timedelta(days=1)),
        holdout=days_between(holdout_first, newest),
        unlabelled=days_between(newest + timedelta(days=1), end - timedelta(days=1)),
    )
