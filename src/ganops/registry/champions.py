"""Champions, present and past, and why: a record of moves that nothing overwrites, and the alias that follows it.

MLflow moves an alias without asking what it pointed to, so that of two moves at once either may be lost. Here each move
is first written down, as a tag of the registered model with a key of its own, and says which champion it was meant to
replace. Read in order, moves that were meant for another champion are void: all readers come to the same champion, and
whoever has written moves the alias until it stands there. Keys begin with a time, and that of a move is later than all
that its writer saw, also where a clock was ahead.
"""

import functools
import json
import os
import re
import secrets
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from ganops.core.errors import RegistryError, problems
from ganops.core.git import JOB
from ganops.registry import tracking
from ganops.registry.model import Model
from ganops.registry.moves import CONDITIONAL, MOVE, Move
from ganops.registry.tracking import mlflow

CHAMPION = "champion"
HISTORY = "ganops.history."
KEY = re.compile(rf"{re.escape(HISTORY)}\d{{1,25}}\.[0-9a-f]+")
MAX_REASON_CHARS = 3000
"""Characters of a reason that are kept."""
ANY = "any"
"""Promote whoever is the champion now."""
YOUNG_SECONDS = 60.0
"""Seconds for which an alias that is behind its record is a move under way or interrupted; later, somebody moved it."""


class ChampionMovedError(RegistryError):
    """The champion is another one than the one that a decision was made against."""


class _MovingError(RegistryError):
    """An alias did not stand where the record says when it was looked at."""


@tracking.refusals()
def current(model: Model) -> str | None:
    """The version that the alias names now, if any.

    Raises:
        RegistryError: There is no such model.
    """
    version = model.entry().aliases.get(CHAMPION)
    return None if version is None else str(version)


@tracking.refusals()
def history(model: Model) -> list[Move]:
    """Every move of the alias, the first one first.

    Raises:
        RegistryError: There is no such model.
    """
    return [move for _, move in _read(model)]


@tracking.refusals()
def promote(model: Model, version: str, *, kind: str = "promote", why: str = "", over: Any = ANY) -> str | None:
    """Makes a version the champion and records it; the former one is returned, if there was another.

    Args:
        model: The registered model.
        version: The new champion; where it is that already, nothing happens.
        kind: gate or promote.
        why: The reason, for the record.
        over: The champion that the decision was made against, as a number; None: there was none.

    Raises:
        RegistryError: There is no such version.
        ChampionMovedError: The champion is another one than `over`.
    """
    _expect(model, version)
    settle(model)
    champion = _last(_read(model))
    if champion == int(version):
        return None
    if over != ANY and champion != over:
        problem = f"the champion of {model.name} is {_words(champion)}, the decision was made against {_words(over)}"
        raise ChampionMovedError(problem)
    _move(model, kind, int(version), champion, why)
    return None if champion is None else str(champion)


@tracking.refusals()
def rollback(model: Model, *, why: str = "") -> str:
    """Makes the version champion that was it before the present one, and returns it; again goes further back.

    Raises:
        RegistryError: There is no champion, none before it, or its version was deleted.
        ChampionMovedError: Another move came first.
    """
    settle(model)
    stack = _stack(history(model))
    if not stack:
        raise RegistryError(f"{model.name} has no champion to roll back from")
    if len(stack) == 1:
        raise RegistryError(f"{model.name} version {stack[0]} is the first champion: there is none before it")
    _expect(model, str(stack[-2]))
    _move(model, "rollback", stack[-2], stack[-1], why)
    return str(stack[-2])


@tracking.refusals()
def settle(model: Model) -> None:
    """Finishes a move that was interrupted, or records that the alias was moved by other means.

    Raises:
        RegistryError: There is no such model.
    """
    alias = current(model)  # before the record: a whole move that comes between is young
    moves = _read(model)
    champion, found = _last(moves), None if alias is None else int(alias)
    if found == champion:
        return
    # either way: a move of a clock that is ahead is not young for as long as that
    young = moves and abs(time.time_ns() - moves[-1][0]) < YOUNG_SECONDS * 1e9
    if young and champion is not None and model.has(str(champion)):
        _align(model)
    else:
        _write(model, "found", found, champion, "the alias was moved, or its version deleted, by other means")


@tracking.refusals()
def grounds(model: Model, version: str) -> str:
    """Return why a version became the champion, as its move says; of one that came back by a rollback, its own move.

    Raises:
        RegistryError: There is no such model.
    """
    moves = [move for move in history(model) if move.to == int(version)]
    decided = [move for move in moves if move.kind in ("gate", "promote")] or moves
    if not decided:
        return ""
    move = decided[-1]
    return f"{move.by} promoted it: {move.why}" if move.kind == "promote" else move.why


@tracking.refusals()
def taken_back(model: Model, version: str, same: Collection[str] = ()) -> bool:
    """Return True where a person rolled the generator of a version back and nobody has brought it back since.

    Args:
        model: The registered model.
        version: One that may become the champion.
        same: All versions of its generator, which may have been evaluated or described anew.

    Raises:
        RegistryError: There is no such model.
    """
    moves, generator = history(model), {int(version), *map(int, same)}
    if _rolled_back(moves, generator):
        return True
    own = _rolled_back(moves, {int(version)})
    return own is not None and own.to in generator  # another version of it was wanted in the place of this one


def _rolled_back(moves: Sequence[Move], versions: Collection[int]) -> Move | None:
    """Return the last move about some versions, where it is a rollback from one of them to one that is none of them."""
    last = next((move for move in reversed(moves) if {move.to, move.over} & {*versions}), None)
    away = last is not None and last.kind == "rollback" and last.over in versions and last.to not in versions
    return last if away else None


def _stack(moves: Sequence[Move]) -> list[int]:
    """The champions through which rollbacks walk back, the present one last: no version follows itself."""
    stack: list[int] = []
    for move in moves:
        if move.to is None:
            stack = []
        elif move.kind == "rollback":  # another may have been promoted, and the former one again, while it was decided
            while stack and stack[-1] != move.to:
                stack.pop()
            stack = stack or [move.to]
        elif move.to != move.over:
            stack.append(move.to)
    return stack


def _move(model: Model, kind: str, to: int, over: int | None, why: str) -> None:
    """Writes a move down and takes it back where another was written beside it; else moves the alias.

    The keys of two such moves need not come in the order in which they were written. Who sees no other may have been
    told that its move holds, so that who sees one takes its own back, be it earlier or later; of two that see each
    other both do, and decide anew.
    """
    key, conditional = _write(model, kind, to, over, why), kind in CONDITIONAL
    written = _written(model)
    if conditional and (key != list(written)[-1] or key not in _valid(written)):
        model.client.delete_registered_model_tag(model.name, key)
        _align(model)
        raise ChampionMovedError(f"the champion of {model.name} is no longer {_words(over)}: another move came first")
    _align(model)
    if not conditional and (champion := _last(_read(model))) != to:
        problem = f"the champion of {model.name} is {_words(champion)}: another move came at the same time"
        raise ChampionMovedError(problem)


def _align(model: Model) -> None:
    """Moves the alias until it stands where the record says, which others may be writing."""

    def align() -> None:
        champion, alias = _last(_read(model)), current(model)
        if champion is None or alias == str(champion):
            return
        try:
            model.client.set_registered_model_alias(model.name, CHAMPION, str(champion))
        except mlflow.MlflowException as error:
            if not tracking.is_conflict(error):
                raise
        raise _MovingError(f"the alias {CHAMPION} of {model.name} does not come to rest: others move it all the time")

    tracking.again(align, lambda error: isinstance(error, _MovingError))


def _write(model: Model, kind: str, to: int | None, over: int | None, why: str) -> str:
    now, job = datetime.now(UTC).isoformat(timespec="milliseconds"), os.environ.get(JOB)
    number = os.getuid() if hasattr(os, "getuid") else "unknown"
    by = os.environ.get("MLFLOW_TRACKING_USERNAME") or tracking.user() or f"uid {number}"
    move = Move(now, kind, to, over, f"{by} ({job})" if job else by, why[:MAX_REASON_CHARS])
    # by time, behind the last move where a clock was ahead, and two at the same time do not overwrite each other
    last = max(map(_time, _written(model)), default=0)
    key = f"{HISTORY}{max(time.time_ns(), last + 1)}.{secrets.token_hex(4)}"
    model.client.set_registered_model_tag(model.name, key, json.dumps(asdict(move)))
    return key


def _written(model: Model) -> dict[str, Move]:
    """All moves by their keys, the first one first, void ones too; tags that are no moves are passed over."""
    moves = {}
    for key, value in model.entry().tags.items():
        if not key.startswith(HISTORY):
            continue
        try:
            moves[key] = MOVE.validate_json(value, strict=True)
        except ValidationError as error:
            _pass_over(model.name, key, problems(error)[0].words)
        else:
            if not KEY.fullmatch(key):
                del moves[key]
                _pass_over(model.name, key, "its name holds no time")
    return dict(sorted(moves.items(), key=lambda item: (_time(item[0]), item[0])))


@functools.cache
def _pass_over(name: str, key: str, reason: str) -> None:
    """Says it once."""
    words = f"is no move of the champion and is passed over: {reason}"
    print(f"registry: a tag of {name}, {key!r}, {words}", file=sys.stderr)


def _valid(written: dict[str, Move]) -> dict[str, Move]:
    """The moves that hold."""
    moves: dict[str, Move] = {}
    champion = None
    for key, move in written.items():
        if not move.conditional or move.over == champion:
            # one that holds for any champion may have seen another than the one that it came to replace
            moves[key] = replace(move, over=champion)
            champion = move.to
    return moves


def _time(key: str) -> int:
    """Nanoseconds since 1970 of a move's key."""
    return int(key.removeprefix(HISTORY).partition(".")[0])


def _read(model: Model) -> list[tuple[int, Move]]:
    """The moves that hold, with their times in nanoseconds."""
    return [(_time(key), move) for key, move in _valid(_written(model)).items()]


def _last(moves: Sequence[tuple[int, Move]]) -> int | None:
    return moves[-1][1].to if moves else None


def _words(version: int | None) -> str:
    return "nobody" if version is None else f"version {version}"


def _expect(model: Model, version: str) -> None:
    if not model.has(version):
        raise RegistryError(f"the registry has no version {version} of {model.name}")
