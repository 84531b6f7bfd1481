"""Votes on the pictures of two versions, cast blind: one a line of a file, and counted for one pair at a time."""

import errno
import json
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from scipy.stats import binomtest

from ganops.core.errors import UserError
from ganops.core.files import locked

CHOICES = ("left", "right", "none")


@dataclass(frozen=True)
class Side:
    """A version whose pictures are on one side."""

    version: int
    identity: str
    """Hash of training, weights and evaluation: a registry that begins anew gives its numbers to other generators."""


@dataclass(frozen=True)
class Ballot:
    """A question to be voted on: pictures of two versions from the same seeds."""

    id: str
    """A ballot counts once."""
    model: str
    left: Side
    right: Side
    seeds: tuple[int, ...]

    @classmethod
    def shuffled(cls, model: str, one: Side, other: Side, seeds: Sequence[int]) -> "Ballot":
        """Draw which of the two is on the left; nobody can know it from the seeds or from former ballots."""
        left, right = (one, other) if secrets.randbits(1) else (other, one)
        return cls(secrets.token_hex(8), model, left, right, tuple(map(int, seeds)))


@dataclass(frozen=True)
class Vote:
    """A ballot and the choice of a person."""

    at: str
    """UTC, ISO 8601."""
    ballot: Ballot
    choice: str
    """left, right or none: no difference."""

    @property
    def preferred(self) -> Side | None:
        """The version whose pictures are better."""
        return {"left": self.ballot.left, "right": self.ballot.right}.get(self.choice)


def cast(path: Path, ballot: Ballot, choice: str) -> bool:
    """Appends a vote to `path` as one line of JSON, on the disk when this returns; False: the ballot was cast before.

    Processes that vote at the same time wait for each other. A line that a crash cut short stays as it is, unread.

    Raises:
        UserError: The choice is none of `CHOICES`, or the file cannot be written.
    """
    if choice not in CHOICES:
        raise UserError(f"vote: expected {', '.join(CHOICES)}, got {choice}")
    vote = Vote(datetime.now(UTC).isoformat(timespec="milliseconds"), ballot, choice)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a+b") as file, locked(path) as held:
            if not held:  # one vote could count twice
                raise OSError(errno.ENOLCK, "its file system has no locks")
            file.seek(0)
            content = file.read()
            if any(known.ballot.id == ballot.id for known in _parse(content)):
                return False
            torn = b"" if not content or content.endswith(b"\n") else b"\n"
            file.write(torn + json.dumps(asdict(vote)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"the vote could not be kept in {path}: {error.strerror}; make room or give access") from error
    return True


def read(path: Path) -> list[Vote]:
    """All votes, the first one first; lines that are none are left out."""
    return list(_parse(path.read_bytes())) if path.exists() else []


def _parse(content: bytes) -> Iterable[Vote]:
    for line in content.splitlines():
        try:
            found = json.loads(line)
            ballot = found["ballot"]
            sides = {side: Side(**ballot[side]) for side in ("left", "right")}
            yield Vote(found["at"], Ballot(**{**ballot, **sides, "seeds": tuple(ballot["seeds"])}), found["choice"])
        except (ValueError, KeyError, TypeError):
            continue


@dataclass(frozen=True)
class Tally:
    """Votes for one of two versions, for the other, and for neither."""

    one: int
    other: int
    neither: int

    @classmethod
    def of(cls, votes: Iterable[Vote], one: str, other: str) -> "Tally":
        """Counts the votes between two identities, whichever side they were on; all other votes are left out."""
        pairs = ((vote.preferred, {vote.ballot.left.identity, vote.ballot.right.identity}) for vote in votes)
        names = [side.identity if side else None for side, pair in pairs if pair == {one, other}]
        return cls(names.count(one), names.count(other), names.count(None))

    @property
    def share(self) -> float | None:
        """The share for the first among the votes that prefer one of the two; None without any."""
        return self.one / (self.one + self.other) if self.one + self.other else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The exact 95 % interval of `share` (Clopper & Pearson 1934), which is never too narrow."""
        if self.share is None:
            return None
        found = binomtest(self.one, self.one + self.other).proportion_ci(confidence_level=0.95, method="exact")
        return float(found.low), float(found.high)

    @property
    def decided(self) -> bool:
        """True where one of the two is preferred beyond chance."""
        return self.interval is not None and not self.interval[0] <= 0.5 <= self.interval[1]
