"""Votes: none is lost or counted twice, none counts for another pair, and the interval is the exact one."""

import errno
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from ganops.core.errors import UserError
from ganops.serving import votes
from ganops.serving.votes import Ballot, Side, Tally

ONE, OTHER = Side(1, "a"), Side(2, "b")


def ballot(one=ONE, other=OTHER):
    return Ballot.shuffled("faces", one, other, range(3))


def prefer(path, side, one=ONE, other=OTHER):
    made = ballot(one, other)
    assert votes.cast(path, made, "none" if side is None else "left" if made.left == side else "right")
    return made


def test_a_vote_is_for_a_version_on_whichever_side_it_was(tmp_path):
    path = tmp_path / "reports" / "votes.jsonl"
    sides = {prefer(path, side).left for side in [ONE] * 30 + [OTHER] * 10 + [None] * 5}
    assert sides == {ONE, OTHER}  # by chance alone once in 2**44
    assert Tally.of(votes.read(path), "a", "b") == Tally(30, 10, 5)
    assert Tally.of(votes.read(path), "b", "a") == Tally(10, 30, 5)


def test_other_pairs_are_not_counted_even_under_equal_numbers(tmp_path):
    path = tmp_path / "votes.jsonl"
    prefer(path, ONE)
    prefer(path, ONE, other=Side(2, "another, after the registry was wiped"))
    prefer(path, ONE, other=Side(3, "c"))
    assert Tally.of(votes.read(path), "a", "b") == Tally(1, 0, 0)


def test_a_ballot_counts_once(tmp_path):
    path, made = tmp_path / "votes.jsonl", ballot()
    assert votes.cast(path, made, "left")
    assert not votes.cast(path, made, "right")
    assert [vote.choice for vote in votes.read(path)] == ["left"]


def test_a_line_holds_all_that_a_vote_was_about(tmp_path):
    path = tmp_path / "votes.jsonl"
    made = prefer(path, None)
    (line,) = path.read_text().splitlines()
    found = json.loads(line)
    assert found["ballot"]["seeds"] == [0, 1, 2]
    assert found["ballot"]["left"] == {"version": made.left.version, "identity": made.left.identity}
    assert (found["ballot"]["model"], found["choice"], found["at"][-6:]) == ("faces", "none", "+00:00")


def test_votes_at_once_are_all_kept(tmp_path):
    path = tmp_path / "votes.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: prefer(path, ONE), range(40)))
    assert Tally.of(votes.read(path), "a", "b") == Tally(40, 0, 0)
    assert len(path.read_text().splitlines()) == 40


def test_a_line_cut_short_takes_no_other_with_it(tmp_path):
    path = tmp_path / "votes.jsonl"
    prefer(path, ONE)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:40])  # a crash in the middle of the second vote
    prefer(path, OTHER)
    assert Tally.of(votes.read(path), "a", "b") == Tally(1, 1, 0)
    assert path.read_bytes().startswith(whole)


def test_what_cannot_be_kept_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="could not be kept"):
        votes.cast(tmp_path / "file" / "votes.jsonl", ballot(), "left")
    with pytest.raises(UserError, match="expected left, right, none, got both"):
        votes.cast(tmp_path / "votes.jsonl", ballot(), "both")
    assert votes.read(tmp_path / "votes.jsonl") == []


@pytest.mark.parametrize(
    ("one", "other", "interval"),
    [(8, 2, (0.4439, 0.9748)), (0, 5, (0.0, 0.5218)), (5, 5, (0.1871, 0.8129)), (15, 5, (0.5090, 0.9134))],
)
def test_interval_is_that_of_the_tables(one, other, interval):
    assert Tally(one, other, 100).interval == pytest.approx(interval, abs=1e-4)


def test_five_votes_of_five_are_still_chance():
    # the same side five times in a row: once in 16, whichever side
    assert [Tally(n, 0, 0).decided for n in (0, 1, 5, 6)] == [False, False, False, True]
    assert Tally(0, 0, 3).share is None


def test_without_locks_no_vote_is_taken_for_it_could_count_twice(tmp_path, monkeypatch):
    def lockless(*_):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr("fcntl.flock", lockless)
    ballot = Ballot.shuffled("faces", Side(1, "a"), Side(2, "b"), [0, 1])
    with pytest.raises(UserError, match="could not be kept"):
        votes.cast(tmp_path / "votes.jsonl", ballot, "left")
    assert votes.read(tmp_path / "votes.jsonl") == []
