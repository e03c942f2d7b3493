from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.rewards.rules import FIRST_WAIT, LONGEST_WAIT, Period, ends_at, timeline, wait_after, within_cap

START = datetime(2026, 11, 1, tzinfo=UTC)
DAY = 86_400


@dataclass(frozen=True)
class Given:
    """A grant on a day of the story."""

    id: str
    granted_at: datetime
    seconds: int
    paid: bool = False


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def spans(periods: list[Period]) -> list[tuple[str, float, float]]:
    return [
        (p.grant_id, (p.starts_at - START) / timedelta(days=1), (p.ends_at - START) / timedelta(days=1))
        for p in periods
    ]


def test_days_begin_when_they_are_granted_and_line_up_behind_each_other() -> None:
    assert spans(timeline([Given("a", day(0), 30 * DAY), Given("b", day(10), 30 * DAY)])) == [
        ("a", 0, 30),
        ("b", 30, 60),
    ]


def test_after_a_gap_days_begin_anew() -> None:
    assert spans(timeline([Given("a", day(0), 10 * DAY), Given("b", day(20), 10 * DAY)])) == [
        ("a", 0, 10),
        ("b", 20, 30),
    ]


def test_paid_time_goes_before_earned_time_that_is_not_used_yet() -> None:
    grants = [Given("earned", day(0), 30 * DAY), Given("paid", day(10), 30 * DAY, paid=True)]
    assert spans(timeline(grants)) == [("earned", 0, 10), ("paid", 10, 40), ("earned", 40, 60)]


def test_earned_time_waits_behind_all_paid_time() -> None:
    grants = [
        Given("p1", day(0), 10 * DAY, paid=True),
        Given("e", day(1), 10 * DAY),
        Given("p2", day(2), 10 * DAY, paid=True),
    ]
    assert spans(timeline(grants)) == [("p1", 0, 10), ("p2", 10, 20), ("e", 20, 30)]


def test_a_revocation_cuts_from_the_tail() -> None:
    grants = [Given("a", day(0), 30 * DAY), Given("b", day(0), 30 * DAY), Given("r", day(5), -40 * DAY)]
    assert spans(timeline(grants)) == [("a", 0, 20)]


def test_a_revocation_never_takes_used_days() -> None:
    grants = [Given("a", day(0), 30 * DAY), Given("r", day(20), -30 * DAY)]
    assert spans(timeline(grants)) == [("a", 0, 20)]
    assert spans(timeline([Given("a", day(0), 30 * DAY), Given("r", day(40), -30 * DAY)])) == [("a", 0, 30)]


def test_a_reward_that_is_taken_back_leaves_paid_days_alone() -> None:
    grants = [Given("e", day(0), 30 * DAY), Given("p", day(30), 365 * DAY, paid=True), Given("r", day(40), -30 * DAY)]
    assert spans(timeline(grants)) == [("e", 0, 30), ("p", 30, 395)]
    earned = Given("e2", day(35), 10 * DAY)
    assert spans(timeline([*grants, earned])) == [("e", 0, 30), ("p", 30, 395)]


def test_paid_days_that_are_given_back_let_earned_ones_move_up() -> None:
    grants = [Given("p", day(0), 30 * DAY, paid=True), Given("e", day(1), 10 * DAY)]
    assert spans(timeline([*grants, Given("r", day(5), -20 * DAY, paid=True)])) == [("p", 0, 10), ("e", 10, 20)]
    assert spans(timeline([*grants, Given("r", day(5), -30 * DAY, paid=True)])) == [("p", 0, 5), ("e", 5, 15)]


def test_nothing_granted_has_no_end() -> None:
    assert ends_at([]) is None
    assert ends_at([Given("r", day(0), -DAY)]) is None


STORIES = st.lists(
    st.tuples(st.integers(0, 200 * DAY), st.integers(-40 * DAY, 40 * DAY).filter(bool), st.booleans()), max_size=25
)


def told(story: list[tuple[int, int, bool]]) -> list[Given]:
    return [
        Given(f"{number:03}", START + timedelta(seconds=at), seconds, paid)
        for number, (at, seconds, paid) in enumerate(story)
    ]


@given(STORIES)
def test_the_end_follows_from_each_grant_alone(story: list[tuple[int, int, bool]]) -> None:
    """Two sorts of time are used one after the other; each is given, used up and revoked by itself."""
    grants = sorted(told(story), key=lambda grant: (grant.granted_at, grant.id))
    left, now = {True: timedelta(), False: timedelta()}, START
    for grant in grants:
        passed, now = grant.granted_at - now, grant.granted_at
        for sort in (True, False):
            used = min(passed, left[sort])
            left[sort], passed = left[sort] - used, passed - used
        left[grant.paid] = max(timedelta(), left[grant.paid] + timedelta(seconds=grant.seconds))
    found, whole = ends_at(grants), left[True] + left[False]
    assert found == now + whole if whole else found is None or found <= now


@given(STORIES, st.randoms(use_true_random=False))
def test_the_order_of_reading_does_not_matter(story: list[tuple[int, int, bool]], random: object) -> None:
    grants = told(story)
    shuffled = list(grants)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis' own Random
    assert timeline(shuffled) == timeline(grants)


@given(STORIES)
def test_periods_follow_each_other_and_give_nobody_more_than_was_granted(story: list[tuple[int, int, bool]]) -> None:
    grants = told(story)
    plan = timeline(grants)
    for before, after in pairwise(plan):
        assert before.starts_at < before.ends_at <= after.starts_at < after.ends_at
    for grant in grants:
        covered = sum((p.ends_at - p.starts_at for p in plan if p.grant_id == grant.id), timedelta())
        assert timedelta() <= covered <= timedelta(seconds=max(grant.seconds, 0))
        assert all(p.starts_at >= grant.granted_at for p in plan if p.grant_id == grant.id)


@given(STORIES, st.integers(0, 200 * DAY))
def test_what_was_used_stays_used(story: list[tuple[int, int, bool]], at: int) -> None:
    """Grants of later days never change the periods of earlier ones."""
    now = START + timedelta(seconds=at)
    grants = told(story)

    def used(plan: list[Period]) -> list[tuple[str, datetime, datetime]]:
        return [(p.grant_id, p.starts_at, min(p.ends_at, now)) for p in plan if p.starts_at < now]

    known_then = timeline([grant for grant in grants if grant.granted_at < now])
    assert merged(used(timeline(grants))) == merged(used(known_then))


def merged(periods: list[tuple[str, datetime, datetime]]) -> list[tuple[str, datetime, datetime]]:
    """Pieces of one grant that touch are one piece."""
    whole: list[tuple[str, datetime, datetime]] = []
    for grant_id, start, end in periods:
        if whole and whole[-1][0] == grant_id and whole[-1][2] == start:
            whole[-1] = (grant_id, whole[-1][1], end)
        else:
            whole.append((grant_id, start, end))
    return whole


@pytest.mark.parametrize(
    ("earned", "days", "cap", "fits"),
    [(335, 30, 365, True), (336, 30, 365, False), (0, 30, 30, True), (0, 31, 30, False), (10**6, 30, None, True)],
)
def test_a_reward_that_does_not_wholly_fit_the_cap_drops(earned: int, days: int, cap: int | None, fits: bool) -> None:
    assert within_cap(earned, days, cap) is fits


def test_waits_grow_up_to_an_hour() -> None:
    assert [wait_after(n) for n in (0, 1, 2)] == [FIRST_WAIT, FIRST_WAIT * 2, FIRST_WAIT * 4]
    assert wait_after(10_000) == LONGEST_WAIT
