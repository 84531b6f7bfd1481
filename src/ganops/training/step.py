"""The game: what one step of a GAN is."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ganops.core.collective import mean_over_workers, moments_over_workers, workers
from ganops.core.randomness import Draws
from ganops.training.objective import Player, Terms, Turn, acts, descend, wide
from ganops.training.objective import Weights as Weights  # this was their place
from ganops.training.objective import group as group


class Loss(Protocol):
    """One objective per sample for each player; both see both scores."""

    @property
    def discriminator(self) -> Callable[[Tensor, Tensor], Tensor]:
        """(real scores, fake scores) -> [N]."""

    @property
    def generator(self) -> Callable[[Callable[[], Tensor], Tensor], Tensor]:
        """(a function that returns real scores, fake scores) -> [N]."""

    @property
    def observe(self) -> Callable[[Tensor, Tensor], None]:
        """Take the mean real and fake score of all workers after each turn of D."""

    @property
    def memory(self) -> dict[str, Tensor]:
        """Scalars that `observe` moves in place."""

    @property
    def only_differences(self) -> bool:
        """D's objective does not see what all scores have in common."""

    @property
    def across_labels(self) -> bool:
        """Scores of samples of different labels are compared."""

    @property
    def real_logit(self) -> Callable[[Tensor, Tensor], Tensor] | None:
        """(real scores, fake scores) -> [N], above 0 where D takes a real sample for real; None: no score says."""


class Penalty(Protocol):
    """A demand on D's gradient at points of its own."""

    @property
    def points(self) -> Callable[[Tensor, Tensor, Callable[..., Tensor]], Tensor]:
        """(x, fake, uniform numbers of a shape) -> points [N, ...]."""

    @property
    def measure(self) -> Callable[[Tensor], Tensor]:
        """Squared norms of the gradient [N] -> [N]."""


class Augmentation(Protocol):
    """A transform of what D is shown instead of the samples themselves."""

    @property
    def memory(self) -> dict[str, Tensor]:
        """Scalars that it moves in place, `strength` among them."""

    def __call__(self, x: Tensor, draws: Draws, name: str) -> Tensor:
        """Samples [N, ...] -> the same shape; follows from the draws and the name."""

    def moves(self, turn: int) -> bool:
        """Return True where it moves its strength after a turn of D."""

    def observe(self, turn: int, signs: Tensor, batch: int) -> None:
        """Take, after each turn of D, how sure it is of this worker's real samples: the mean sign, in [-1, 1]."""


@dataclass(frozen=True)
class Game:
    """The objective of the players."""

    loss: Loss
    square_norms: Callable[[Tensor, Tensor], Tensor]
    """(x, scores of D at x) -> squared norms of the gradient [N]; R1 where x is real, R2 where it is generated."""
    autocast: Callable[[], AbstractContextManager[None]]
    """The precision of the networks; scores and penalties are at least float32."""
    penalty: Penalty | None = None
    clip: float = 0.0
    """Largest absolute weight of D; 0: no limit."""
    augment: Augmentation | None = None
    consistency: float = 0.0
    """Weight of what augmentation does to a score, which then decides on the samples themselves; 0: off."""
    remedies = ("a gradient penalty (loss.r1)",)
    """Words for what may keep it from diverging."""

    @property
    def memory(self) -> dict[str, Tensor]:
        """All that is remembered from one step to the next, by name."""
        return {**self.loss.memory, **(self.augment.memory if self.augment else {})}

    def shown(self, x: Tensor, turn: Turn, name: str) -> Tensor:
        """The samples that D decides on."""
        return x if self.augment is None or self.consistency else self.augment(x, turn.draws, name)

    def learns(self, name: str) -> bool:
        """Return True: both players learn with all they have."""
        return True

    def kind(self, turn: Turn) -> Hashable:
        """Return whether a turn measures more, and whether the augmentation moves after it."""
        return turn.report, self.augment is not None and self.augment.moves(turn.number)

    def play(self, G: Player, D: Player, turns: Sequence[Turn]) -> Terms:
        """Take one step, as `play`."""
        return play(G, D, self, turns)

    def alarms(self, metrics: Mapping[str, float]) -> tuple[str, ...]:
        """Return what the means since the last tick say about the balance of the game."""
        return alarms(metrics)


def discriminator_loss(D: nn.Module, game: Game, turn: Turn, fake: Tensor) -> tuple[Tensor, Terms]:
    """E[ L_D(D(x), D(G(z))) + r1/2 |dD/dx|² + r2/2 |dD/dG(z)|² ]   (R3GAN, Huang et al. 2024, equation 5)
    + w E[ penalty(dD/dx̂) ]   (WGAN-GP, Gulrajani et al. 2017, equation 3)
    + c E[ (D(T(x)) - D(x))² + (D(T(G(z))) - D(G(z)))² ]   (bCR, Zhao et al. 2021, section 3.1).

    Where there are augmentations T and c is 0, D stands for D after them; gradients are those at the samples.
    """  # fmt: skip
    weights = turn.weights
    x, fake = turn.x.detach().requires_grad_(acts(weights.r1)), fake.detach().requires_grad_(acts(weights.r2))
    with game.autocast():
        on_real, on_fake = D(game.shown(x, turn, "real"), turn.y), D(game.shown(fake, turn, "fake"), turn.y)
    on_real, on_fake = wide(on_real), wide(on_fake)
    loss = game.loss.discriminator(on_real, on_fake)
    terms = {
        "loss_d": loss.mean(),
        "score_real": on_real.mean(),
        "score_fake": on_fake.mean(),
        "sign_real": on_real.sign().mean(),
        "told_apart": ((on_real - on_fake).sign().mean() + 1) / 2,  # equal scores count half
    }
    if game.augment and game.loss.real_logit:
        terms["r_t"] = game.loss.real_logit(on_real.detach(), on_fake.detach()).sign().mean()
    if turn.report:
        terms["spread"] = _spread(fake.detach()) / _spread(turn.x)
    for name, weight, samples, scores in (("r1", weights.r1, x, on_real), ("r2", weights.r2, fake, on_fake)):
        if acts(weight):
            squares = game.square_norms(samples, scores)
            loss = loss + weight / 2 * squares
            terms[name] = squares.mean()
    if game.penalty and acts(weights.penalty):
        penalty = _penalty(D, game, game.penalty, turn, fake)
        loss = loss + weights.penalty * penalty
        terms["penalty"] = penalty.mean()
    if game.augment and game.consistency:
        inconsistency = _inconsistency(D, game, game.augment, turn, {"real": (x, on_real), "fake": (fake, on_fake)})
        loss = loss + game.consistency * inconsistency
        terms["inconsistency"] = inconsistency.mean()
    return loss.mean(), terms


def _inconsistency(
    D: nn.Module, game: Game, augment: Augmentation, turn: Turn, decided: dict[str, tuple[Tensor, Tensor]]
) -> Tensor:
    """Distance by which augmentation moves the scores, [N]: summed over both sides, (samples, scores) by name."""
    moved = []
    for name, (samples, scores) in decided.items():
        with game.autocast():
            again = D(augment(samples.detach(), turn.draws, name), turn.y)
        moved.append((wide(again) - scores).square())
    return torch.stack(moved).sum(0)


def _penalty(D: nn.Module, game: Game, penalty: Penalty, turn: Turn, fake: Tensor) -> Tensor:
    points = penalty.points(turn.x, fake.detach(), lambda *shape: turn.draws.uniform(f"points {shape}", *shape))
    points = points.detach().requires_grad_()
    with game.autocast():
        scores = D(game.shown(points, turn, "points"), turn.y)
    return penalty.measure(game.square_norms(points, wide(scores)))


def generator_loss(D: nn.Module, game: Game, turn: Turn, fake: Tensor) -> tuple[Tensor, Terms]:
    """E[ L_G(D(x), D(G(z))) ]; D(x) is computed only if the game asks for it."""

    def on_real() -> Tensor:
        with torch.no_grad(), game.autocast():
            return wide(D(game.shown(turn.x, turn, "real for G"), turn.y))

    with game.autocast():
        on_fake = D(game.shown(fake, turn, "fake for G"), turn.y)
    loss = game.loss.generator(on_real, wide(on_fake)).mean()
    return loss, {"loss_g": loss}


def play(G: Player, D: Player, game: Game, turns: Sequence[Turn]) -> Terms:
    """One step: D learns from x and G(z) turn by turn, then G learns from D's new opinion of the last turn's G(z).

    Gradients are averaged over the workers. In G's turn D is frozen: its gradients would be computed for nothing.
    """
    *early, last = turns
    terms: Terms = {}
    for turn in early:
        with torch.no_grad(), game.autocast():
            fake = G.network(turn.z, turn.y)
        terms |= _teach(D, game, turn, wide(fake))  # a penalty may act in none but these
    with game.autocast():
        fake = G.network(last.z, last.y)
    fake = wide(fake)
    terms |= _teach(D, game, last, fake)
    D.network.requires_grad_(False)
    loss, more = generator_loss(D.network, game, last, fake)
    descend(loss, G.optimizer)
    D.network.requires_grad_(True)
    return {name: value.detach() for name, value in (terms | more).items()}


def _teach(D: Player, game: Game, turn: Turn, fake: Tensor) -> Terms:
    """One turn of D."""
    loss, terms = discriminator_loss(D.network, game, turn, fake)
    descend(loss, D.optimizer, still=_unseen(D.network, game))
    with torch.no_grad():
        if game.clip:
            for parameter in (each for group in D.optimizer.param_groups for each in group["params"]):
                parameter.clamp_(-game.clip, game.clip)
        if game.loss.memory:
            game.loss.observe(mean_over_workers(terms["score_real"]), mean_over_workers(terms["score_fake"]))
        if game.augment and "r_t" in terms:
            game.augment.observe(turn.number, terms["r_t"], turn.draws.batch)
    return terms | {name: value.clone() for name, value in game.memory.items()}


def _unseen(D: nn.Module, game: Game) -> list[nn.Parameter]:
    """The parameters of D on which nothing depends in this game: their gradients are rounding, which Adam enlarges."""
    offset = getattr(D, "offset", None)
    seen = game.loss.across_labels and getattr(D, "offset_by_label", False)
    return [D.get_parameter(offset)] if offset and game.loss.only_differences and not seen else []


def _spread(x: Tensor) -> Tensor:
    """Spread of samples: their standard deviation over the batch of all workers, above 0."""
    variance, mean = torch.var_mean(x, 0, correction=0)
    if workers() > 1:
        _, variance = moments_over_workers(mean, variance)
    return variance.mean().sqrt() + 1e-6


def alarms(metrics: Mapping[str, float]) -> tuple[str, ...]:
    """Return what the means since the last tick say about the balance of the game."""
    found = []
    if metrics["spread"] < COLLAPSED:
        found.append(f"G has collapsed: its samples differ {metrics['spread']:.1%} as much as real ones do")
    if not 1 - WON < metrics["told_apart"] < WON:  # an autoencoder's scores are errors: lower on real samples
        found.append("D has won: it tells real from generated samples apart nearly always")
    return tuple(found)


COLLAPSED, WON = 0.05, 0.995
"""Share of the real samples' spread, and share of pairs that D tells apart."""
