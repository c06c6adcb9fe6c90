from datetime import UTC, date, datetime, time, timedelta

import pytest

from retrain_ops.errors import ConfigError
from retrain_ops.spec.window import (
    day_that_has_come,
    parse_as_of,
    parse_window_end,
    window_of,
)


def flights_window(end: date):
    return window_of(end, train_days=22, holdout_days=7, label_delay_days=2, cutoff_time=time(2))


def test_the_worked_day_of_the_design():
    window = flights_window(date(2013, 8, 14))
    assert window.instant == datetime(2013, 8, 14, 2, tzinfo=UTC)
    assert (window.train[0], window.train[-1]) == (date(2013, 7, 15), date(2013, 8, 5))
    assert (window.holdout[0], window.holdout[-1]) == (date(2013, 8, 6), date(2013, 8, 12))
    assert window.unlabelled == (date(2013, 8, 13),)
    assert len(window.days) == 30
    assert window.newest_labelled == date(2013, 8, 12)


def test_current_days_end_the_day_before_the_run():
    days = flights_window(date(2013, 8, 14)).last_days(7)
    assert (days[0], days[-1]) == (date(2013, 8, 7), date(2013, 8, 13))


def test_a_label_delay_of_one_day_leaves_no_unlabelled_day():
    window = window_of(
        date(2013, 3, 1), train_days=2, holdout_days=1, label_delay_days=1, cutoff_time=time(2)
    )
    assert window.unlabelled == ()
    assert window.days == (date(2013, 2, 26), date(2013, 2, 27), date(2013, 2, 28))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2013-08-14", date(2013, 8, 14)),
        ("2013-08-14T02:00:00+00:00", date(2013, 8, 14)),
        ("2013-08-13T23:30:00-05:00", date(2013, 8, 14)),
        ("2013-08-14T02:00:00", date(2013, 8, 14)),
    ],
)
def test_a_window_end_is_cut_to_its_day_in_utc(text, expected):
    assert parse_window_end(text) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2013-13-01", "14/08/2013"])
def test_what_is_no_date_is_refused_with_an_example(text):
    with pytest.raises(ConfigError, match="2013-08-14"):
        parse_window_end(text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00+05:00", "9999-12-31T23:00-05:00"])
def test_an_instant_that_no_calendar_has_in_utc_is_refused(text):
    with pytest.raises(ConfigError, match="years 1 to 9999"):
        parse_window_end(text)
    with pytest.raises(ConfigError, match=r"years 1 to 9999|in the future"):
        parse_as_of(text, datetime(2013, 8, 14, tzinfo=UTC))


@pytest.mark.parametrize("end", [date.min, date.min + timedelta(days=29)])
def test_a_window_that_would_begin_before_all_days_is_refused(end):
    with pytest.raises(ConfigError, match=rf"the window of {end} would begin before the year 1"):
        flights_window(end)
    assert flights_window(date.min + timedelta(days=30)).train[0] == date.min


@pytest.mark.parametrize(
    ("hour", "day", "has_come"),
    [(22, 14, True), (22, 15, False), (23, 15, True), (23, 16, False), (0, 14, True)],
)
def test_a_day_has_come_when_it_has_begun_by_any_clock_that_is_an_hour_ahead(hour, day, has_come):
    end, now = date(2013, 8, day), datetime(2013, 8, 14, hour, tzinfo=UTC)
    if has_come:
        assert day_that_has_come(end, now) == end
        return
    with pytest.raises(ConfigError, match=rf"{end} lies in the future, the clock .* 2013-08-14 "):
        day_that_has_come(end, now)
