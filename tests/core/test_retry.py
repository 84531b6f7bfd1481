"""What is away is waited for, as long as was said and no longer; what is wrong is told at once."""

import pytest

from ganops.core import retry
from ganops.core.errors import UserError
from ganops.core.retry import insist


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(retry, "time", clock)
    return clock


def away_until(moment, clock):
    def action():
        if clock.now < moment:
            raise OSError("nobody there")
        return "done"

    return action


def waits(action, seconds, tell=lambda text: None):
    return insist(action, away=lambda error: isinstance(error, OSError), seconds=seconds, tell=tell)


def test_what_comes_back_in_time_is_used_soon_after(clock):
    said = []
    assert waits(away_until(600, clock), 900, said.append) == "done"
    assert 600 <= clock.now <= 600 + retry.MAX_PAUSE
    assert [text.split(";")[0] for text in said] == ["nobody there", f"it is back, {clock.now:.0f} s later"]
    assert "at most 900 s" in said[0]


def test_an_error_without_words_is_told_by_its_name(clock):
    said = []

    def action():
        if clock.now < 5:
            raise TimeoutError
        return "done"

    assert waits(action, 900, said.append) == "done"
    assert said[0].startswith("TimeoutError; it is waited for")


def test_what_stays_away_is_told_with_its_own_error(clock):
    with pytest.raises(OSError, match="nobody there"):
        waits(away_until(1000, clock), 900)
    assert 900 - retry.MAX_PAUSE <= clock.now <= 900


@pytest.mark.parametrize(("seconds", "error"), [(0, OSError), (900, ValueError)])
def test_nothing_is_waited_for_without_need(seconds, error, clock):
    def action():
        raise error("told at once")

    said = []
    with pytest.raises(error, match="told at once"):
        waits(action, seconds, said.append)
    assert (clock.now, said) == (0, [])


def test_nothing_is_said_where_nothing_is_away(clock):
    said = []
    assert waits(lambda: 7, 900, said.append) == 7
    assert said == []


def test_seconds_come_from_the_environment(monkeypatch):
    for name in (retry.NAME, retry.FORMER):
        monkeypatch.delenv(name, raising=False)
    assert retry.retry_timeout() == retry.DEFAULT > 600
    for name in ("GANOPS_PATIENCE", "GANOPS_RETRY_TIMEOUT"):  # the later one wins
        monkeypatch.setenv(name, "2.5")
        assert retry.retry_timeout() == 2.5
        for wrong in ("soon", "-1", "nan", "inf"):
            monkeypatch.setenv(name, wrong)
            with pytest.raises(UserError, match=f"{name}: expected seconds"):
                retry.retry_timeout()


def test_attempts_have_an_end_and_pauses_of_their_own(clock):
    tried = []

    def action():
        tried.append(clock.now)
        raise OSError("nobody there")

    with pytest.raises(OSError, match="nobody there"):
        insist(action, away=lambda error: True, attempts=4, pause=lambda attempt: 10 * attempt)
    assert tried == [0, 10, 30, 60]
