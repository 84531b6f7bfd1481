"""Objectives of autoencoders: samples through a code and back. G is the decoder, D the encoder.

An encoder maps x and y to codes [N, code], or to normal distributions of them [N, 2 code]: the means, then the
logarithms of the variances.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ganops.core.collective import mean_over_workers
from ganops.core.devices import NARROW
from ganops.core.randomness import Draws
from ganops.losses.likelihood import nll
from ganops.losses.turn import Turn

PACE = 0.01
"""Weight of a step in the running error of a reconstruction."""
SMALLEST = 1e-8
"""The smallest variance of a decoder, in units of the samples squared."""
LOG_VARIANCES = (-14.0, 8.0)
"""Bounds of the logarithm of a code's variance."""
SILENT = 1e-3
"""Nats of divergence below which a code says nothing of its sample."""
SILENT_TEXT = 0.1
"""The same of a text, whose decoder can do without: it knows the words before each place."""
COLLAPSED = "the code says nothing of its sample: its divergence is near 0"
"""Alarm of a code that is silent."""


@dataclass(frozen=True)
class Autoencoding:
    """A decoder and an encoder that are taught together."""

    beta: float = 0.0
    """Weight of the divergence of a code's distribution from the standard normal one; 0: the code is a point."""
    memory: dict[str, Tensor] = field(default_factory=dict)
    """The running mean squared error of a number, which is the decoder's variance; empty where β is 0."""
    parts: tuple[str, ...] = ()
    """Names of the parts that are taught, behind G. or D.; empty: all."""
    anneal: float = 0.0
    """Share of the phase in which the weight rises from 0 to β, in a straight line."""
    silent = SILENT

    def __call__(self, G: nn.Module, E: nn.Module, turn: Turn) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of each sample [N], and the terms `loss`, `error` and `divergence` (nats)."""
        out = E(turn.x, turn.y)
        code, nats = sampled(out, turn.draws, "code") if self.beta else (out, None)
        weight = self.weight(turn)
        loss, terms = self.loss(turn.x, G(code, turn.y), nats, "error", "divergence", weight)
        return loss, terms | self.told(weight, turn.x)

    def weight(self, turn: Turn) -> float:
        """Return the weight of the divergence in a turn: β, or less while it rises (Bowman et al. 2016, 3.1)."""
        return self.beta * min(1.0, turn.progress / self.anneal) if self.anneal else self.beta

    def told(self, weight: float, like: Tensor) -> dict[str, Tensor]:
        """Return the weight as the term `beta` where it changes."""
        if not self.anneal:
            return {}
        dtype = torch.float32 if like.device.type in NARROW else torch.float64
        # filled where it is: the host waits for no copy, and a step that copies cannot be recorded
        return {"beta": torch.full((), weight, dtype=dtype, device=like.device)}

    def loss(
        self, x: Tensor, again: Tensor, nats: Tensor | None, error: str, divergence: str, weight: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared errors, or -E_q[log p(x | code)] + β KL(q(code | x) || N(0, 1)) over the numbers of a sample.

        (Kingma & Welling 2014, equation 3.) p is normal around the decoder's output, with the variance that is best for
        the errors so far.
        """
        squares = (again.to(x.dtype) - x).square().flatten(1)
        errors, terms = squares.mean(1), {error: squares.mean()}
        if nats is None:
            return errors, terms | {"loss": errors.mean()}
        variance, numbers = self.memory[error], squares.shape[1]
        _remember(variance, errors.detach().mean())
        loss = (normal_nats(errors, variance, numbers) + weight * nats) / numbers
        return loss, terms | {"loss": loss.mean(), divergence: nats.mean()}

    def alarms(self, metrics: Mapping[str, float]) -> tuple[str, ...]:
        """Return what the means since the last tick warn a person of; nothing before the weight is all of β."""
        silent = metrics.get("divergence", math.inf) < self.silent
        return (COLLAPSED,) if silent and metrics.get("beta", self.beta) > RISEN * self.beta else ()


RISEN = 0.999
"""Share of β from which on the weight has risen: a mean of equal numbers is rounded."""


@dataclass(frozen=True)
class Sentences(Autoencoding):
    """A decoder that writes a text word by word, and an encoder (Bowman et al. 2016, section 3).

    The loss is in nats of a text, and β above 0: a decoder that has a likelihood needs no variance.
    """

    dropout: float = 0.0
    """Share of the words that the decoder does not see before the next one."""
    silent = SILENT_TEXT

    def __call__(self, G: nn.Module, E: nn.Module, turn: Turn) -> tuple[Tensor, dict[str, Tensor]]:
        """Return -E_q[log p(x | code)] + β KL(q(code | x) || N(0, 1)) in nats, [N], and its terms.

        They are `reconstruction` and `divergence`, and their sum, `bound`, which is at least -log p(x) where no words
        are left out.
        """
        code, nats = sampled(E(turn.x, turn.y), turn.draws, "code")
        words = nll(G(code, turn.y, given=self.seen(turn)), turn.x)
        weight = self.weight(turn)
        terms = {"bound": (words + nats).mean(), "reconstruction": words.mean(), "divergence": nats.mean()}
        return words + weight * nats, terms | self.told(weight, turn.x)

    def seen(self, turn: Turn) -> Tensor:
        """The texts as the decoder sees them, no word in the place of those left out (section 3.1): [N, L, V]."""
        if not self.dropout:
            return turn.x
        return turn.x * (turn.draws.uniform("words", turn.x.shape[1]) >= self.dropout)[..., None]


class SecondStage(Autoencoding):
    """A VAE of the codes of a first one, which rests meanwhile (Dai & Wipf 2019, section 4)."""

    def __call__(self, G: Any, E: nn.Module, turn: Turn) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of each sample [N], and the terms `loss`, `code_error` and `code_divergence` (nats)."""
        with torch.no_grad():
            code, _ = sampled(E(turn.x, turn.y), turn.draws, "code")
        second, nats = sampled(E(code, turn.y, second=True), turn.draws, "second code")
        again = G(second, turn.y, second=True)
        loss = self.loss(code, again, nats, "code_error", "code_divergence", self.beta)
        G.vary(self.memory["code_error"])
        return loss


def sampled(out: Tensor, draws: Draws, name: str) -> tuple[Tensor, Tensor]:
    """Draw codes from their distributions, [N, 2 code] -> [N, code], and measure KL(. || N(0, 1)) in nats, [N]."""
    mean, log_variance = moments(out)
    code = mean + (log_variance / 2).exp() * draws.normal(name, mean.shape[1]).to(mean)
    return code, divergence(mean, log_variance)


def moments(out: Tensor) -> tuple[Tensor, Tensor]:
    """Split an encoder's output [N, 2 code] into means and logarithms of variances, each [N, code]."""
    mean, log_variance = (out if out.dtype == torch.float64 else out.float()).chunk(2, 1)
    return mean, log_variance.clamp(*LOG_VARIANCES)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) in nats, [N, code] -> [N] (Kingma & Welling 2014, appendix B)."""
    return (log_variance.exp() + mean.square() - 1 - log_variance).sum(1) / 2


def normal_nats(errors: Tensor, variance: Tensor, numbers: int) -> Tensor:
    """-log N(x; decoder's output, variance) in nats, [N], from mean squared errors [N] over the numbers of a sample.

    The best variance is the mean squared error itself, so it needs no parameter (Rybkin et al. 2021, "Simple and
    effective VAE training with calibrated decoders", section 3.2).
    """
    variance = variance.to(errors)
    return numbers / 2 * (errors / variance + variance.log() + math.log(2 * math.pi))


@torch.no_grad()
def _remember(running: Tensor, error: Tensor) -> None:
    error = mean_over_workers(error).to(running)
    running.copy_(torch.where(running == 0, error, running.lerp(error, PACE)).clamp_min(SMALLEST))


@dataclass(frozen=True)
class Family:
    """A family of autoencoders: the objectives that it is taught by in turn, and the networks that it needs."""

    stages: tuple[Autoencoding, ...]
    shares: tuple[float, ...] = (1.0,)
    """Share of each stage in the training."""
    prior: dict[str, Any] = field(default_factory=dict)
    """Network before the decoder: its name in `models.coded.PRIORS`, and its options; empty: there is none."""
    texts: Sentences | None = None
    """The objective of texts, in the place of the stages; None: the family has none."""

    def of_texts(self) -> "Family":
        """Return the family as texts learn it.

        Raises:
            ValueError: It does not learn texts.
        """
        if self.texts is None:
            raise ValueError("it has no decoder of texts: a density of codes would stand before the numbers of words")
        return Family((self.texts,))

    @property
    def fitted(self) -> bool:
        """True where the prior is fitted to codes at the end; else it is learnt."""
        return self.prior.get("name") == "fitted"

    @property
    def moments(self) -> int:
        """Numbers that the encoder has for each number of a code: 1, or 2 where the code is a distribution."""
        return 2 if self.stages[0].beta else 1


def autoencoder(prior: Literal["gaussian", "mixture"] = "gaussian") -> Family:
    """An autoencoder, to whose codes a density is fitted (Ghosh et al. 2020, section 4).

    Args:
        prior: One Gaussian, or one for each class where there are labels; or a mixture of ten.
    """
    return Family((Autoencoding(),), prior={"name": "fitted", "components": {"gaussian": 1, "mixture": 10}[prior]})


def vae(beta: float = 1.0, anneal: float = 0.0, word_dropout: float = 0.0) -> Family:
    """A variational autoencoder (Kingma & Welling 2014), of texts that of Bowman et al. (2016).

    Args:
        beta: Weight of the divergence, above 0 (Higgins et al. 2017). At 1 the loss is a bound of -log p(x).
        anneal: Share of the training in which the weight rises from 0 to `beta`, in a straight line.
        word_dropout: Of texts: share of the words that the decoder does not see, so that it needs its code.
    """
    for name, share in (("anneal", anneal), ("word_dropout", word_dropout)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name}: expected a share between 0 and 1, got {share:g}")
    texts = Sentences(_positive(beta), anneal=anneal, dropout=word_dropout)
    return Family((Autoencoding(beta, _memory("error"), anneal=anneal),), texts=texts)


def two_stage_vae(beta: float = 1.0, second: float = 0.5, hidden: int = 512) -> Family:
    """A variational autoencoder, and then one of its codes (Dai & Wipf 2019).

    Args:
        beta: Weight of the divergence in both stages, above 0.
        second: Share of the training that is the second stage's, between 0 and 1.
        hidden: Units of the layers of the second stage.
    """
    if not 0 < second < 1:
        raise ValueError(f"second: expected a share between 0 and 1, got {second:g}")
    if hidden < 1:
        raise ValueError(f"hidden: expected at least 1, got {hidden}")
    taught = ("G.decoder", "D.trunk", "D.head", "D.label")
    first = Autoencoding(_positive(beta), _memory("error"), taught)
    stages = first, SecondStage(beta, _memory("code_error"), ("G.prior", "D.second"))
    return Family(stages, (1 - second, second), {"name": "two_stage", "hidden": hidden})


def _positive(beta: float) -> float:
    if not 0 < beta < math.inf:
        raise ValueError(f"beta: expected a weight above 0, got {beta:g}")
    return beta


def _memory(name: str) -> dict[str, Tensor]:
    return {name: torch.zeros((), dtype=torch.float64)}
