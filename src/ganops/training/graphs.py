"""Steps on a GPU as CUDA graphs: a kind of step that returns is recorded once, and from then on launched as a whole.

A step of a small network is thousands of launches, which take the host several times as long as the GPU needs for them.
The step of an optimiser stays outside, between two graphs: so learning rates and betas may change.
"""

import gc
import warnings
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim import Optimizer

from ganops.core.errors import TrainingError
from ganops.core.randomness import Draws, Make, Numbers
from ganops.training.objective import Objective, Player, Terms, Turn, Weights, acts

WARM_UP = 3
"""Steps of a kind before it is recorded: they do once what libraries do at first."""


@dataclass
class Recorded:
    """Plays the steps of a phase, those of a known kind from their tapes: sums over the workers are in them."""

    objective: Objective
    G: Player
    D: Player
    _stream: Any = field(default_factory=torch.cuda.Stream)
    _pool: Any = field(default_factory=torch.cuda.graph_pool_handle)
    """Memory of all kinds, which take turns: what one comes to is read, or copied, before another is launched."""
    _seen: dict[Hashable, int] = field(default_factory=dict)
    _tapes: dict[Hashable, "_Tape"] = field(default_factory=dict)
    _asked: dict[Hashable, list[dict[str, Make]]] = field(default_factory=dict)

    def play(self, turns: Sequence[Turn]) -> Terms:
        """Take one step.

        Raises:
            TrainingError: The GPU refuses to record it.
        """
        kind = tuple(self._kind(turn) for turn in turns)
        if None in kind:
            return self.objective.play(self.G, self.D, turns)
        if kind in self._tapes:
            return self._tapes[kind].play(turns)
        asked = self._asked.setdefault(kind, [{} for _ in turns])
        self._seen[kind] = self._seen.get(kind, 0) + 1
        if self._seen[kind] <= WARM_UP:
            noted = [replace(turn, draws=_Noting(**vars(turn.draws), asked=each))
                     for turn, each in zip(turns, asked, strict=True)]  # fmt: skip
            return self.objective.play(self.G, self.D, noted)
        gc.collect()  # nothing of the GPU may be freed while it records
        torch.cuda.synchronize()
        torch.cuda.empty_cache()  # what steps were played in one by one is of no use to those that are recorded
        try:
            with torch.cuda.stream(self._stream):
                self._tapes[kind] = _Tape.of(self.objective, self.G, self.D, turns, asked, self._pool)
        except (torch.OutOfMemoryError, dist.DistError):  # a worker that is lost is no fault of the step
            raise
        except (RuntimeError, KeyError) as error:
            raise TrainingError(
                f"this step cannot be recorded as a CUDA graph: {str(error).splitlines()[0]}; compute.graphs: off "
                "plays it operation by operation"
            ) from error
        return self._tapes[kind].play(turns)

    def close(self) -> None:
        """Destroy the graphs: the end of NCCL waits for those that hold its sums, and an error would keep them."""
        for tape in self._tapes.values():
            _destroy(tape.pieces)

    def _kind(self, turn: Turn) -> Hashable:
        """All but tensors and weights that decides what is computed; None: no other turn is like it."""
        weights, own = turn.weights, self.objective.kind(turn)
        return None if own is None else (*(acts(weight) for weight in (weights.r1, weights.r2, weights.penalty)), own)


@dataclass(frozen=True)
class _Noting(Draws):
    """Draws that remember what is asked for."""

    asked: dict[str, Make] = field(default_factory=dict)

    def of(self, name: str, make: Make) -> Numbers:
        self.asked[name] = make
        return super().of(name, make)


@dataclass(frozen=True)
class _Kept(Draws):
    """Numbers that lie on the GPU, in the same place for each step."""

    kept: dict[str, Numbers] = field(default_factory=dict)

    def of(self, name: str, make: Make) -> Numbers:
        return self.kept[name]


class _Piece(NamedTuple):
    """A graph, which is launched at once, and the optimiser that steps after it."""

    graph: torch.cuda.CUDAGraph
    optimizer: Optimizer | None
    gradients: list[tuple[Tensor, Tensor | None]]


def _destroy(pieces: list[_Piece]) -> None:
    for piece in pieces:
        piece.graph.reset()


class _Tape(NamedTuple):
    """A kind of step: the tensors that it reads, its pieces, and the terms that it comes to."""

    turns: list[Turn]
    asked: list[dict[str, Make]]
    weights: Tensor
    pieces: list[_Piece]
    names: tuple[str, ...]
    terms: Tensor

    @classmethod
    def of(
        cls, objective: Objective, G: Player, D: Player, turns: Sequence[Turn], asked: list[dict[str, Make]], pool: Any
    ) -> "_Tape":
        """Record a step, which is not taken."""
        weights = torch.zeros(len(turns), 3, dtype=torch.float64, device=turns[0].x.device)
        fixed = [_fixed(turn, each, row) for turn, each, row in zip(turns, asked, weights, strict=True)]
        recorder = _Recorder(pool)
        players = [replace(each, optimizer=_Cut(each.optimizer, recorder)) for each in (G, D)]
        recorder.begin()
        try:
            terms = objective.play(players[0], players[1], fixed)
            names = tuple(terms)
            found = torch.stack([terms[name].double() for name in names])
        except BaseException:
            with suppress(RuntimeError):  # which would say that there was an error, and not which
                recorder.end(None)
            _destroy(recorder.pieces)
            raise
        recorder.end(None)
        return cls(fixed, asked, weights, recorder.pieces, names, found)

    def play(self, turns: Sequence[Turn]) -> Terms:
        """Take a step of this kind."""
        for fixed, turn, asked in zip(self.turns, turns, self.asked, strict=True):
            fixed.x.copy_(turn.x)
            fixed.z.copy_(turn.z)
            if fixed.y is not None and turn.y is not None:
                fixed.y.copy_(turn.y)
            for name, make in asked.items():
                for there, numbers in zip(fixed.draws.of(name, make), turn.draws.on_host(name, make), strict=True):
                    there.copy_(numbers, non_blocking=True)
        weights = [[each.weights.r1, each.weights.r2, each.weights.penalty] for each in turns]
        self.weights.copy_(torch.tensor(weights, dtype=torch.float64).pin_memory(), non_blocking=True)
        for piece in self.pieces:
            piece.graph.replay()
            for parameter, gradient in piece.gradients:
                parameter.grad = gradient
            if piece.optimizer is not None:
                piece.optimizer.step()
        return dict(zip(self.names, self.terms.clone().unbind(), strict=True))


def _fixed(turn: Turn, asked: dict[str, Make], weights: Tensor) -> Turn:
    """A turn whose tensors are the tape's own; penalties that act read their weights from a tensor [3]."""
    own = (turn.weights.r1, turn.weights.r2, turn.weights.penalty)
    read = Weights(*(there if acts(weight) else 0.0 for weight, there in zip(own, weights, strict=True)))
    kept = {name: tuple(each.clone() for each in turn.draws.of(name, make)) for name, make in asked.items()}
    draws = _Kept(**vars(turn.draws), kept=kept)
    y = None if turn.y is None else turn.y.clone()
    return replace(turn, x=turn.x.clone(), y=y, z=turn.z.clone(), draws=draws, weights=read)


class _Recorder:
    """Records one graph after another, in memory that they share: they are launched in this order."""

    def __init__(self, pool: Any) -> None:
        self.pieces: list[_Piece] = []
        self.pool = pool

    def begin(self) -> None:
        self.graph = torch.cuda.CUDAGraph()
        # of this thread alone: others pin memory meanwhile
        self.graph.capture_begin(self.pool, capture_error_mode="thread_local")

    def end(self, optimizer: Optimizer | None) -> None:
        with warnings.catch_warnings(action="ignore", category=UserWarning):  # between two optimisers it is empty
            self.graph.capture_end()
        parameters = [each for group in optimizer.param_groups for each in group["params"]] if optimizer else []
        self.pieces.append(_Piece(self.graph, optimizer, [(each, each.grad) for each in parameters]))


class _Cut:
    """An optimiser whose step is where one graph ends and the next one begins."""

    def __init__(self, optimizer: Any, recorder: _Recorder) -> None:
        self.optimizer, self.recorder, self.param_groups = optimizer, recorder, optimizer.param_groups

    def zero_grad(self, *, set_to_none: bool) -> None:
        self.optimizer.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        self.recorder.end(self.optimizer)
        self.recorder.begin()
