"""Adam moves no parameter on which nothing depends: its gradient is rounding, which Adam makes a walk.

Each architecture of the table is played in each game of the table, in float64, where rounding is far below all else.
"""

import copy
from contextlib import nullcontext

import pytest
import torch

from ganops.core.randomness import Draws
from ganops.losses import LOSSES, square_norms
from ganops.models import ARCHITECTURES
from ganops.training.objective import Player, Turn
from ganops.training.state import State
from ganops.training.step import Game, discriminator_loss, generator_loss, play

NETWORKS = {
    "began": ("began", {"width": 4}),
    "dcgan": ("dcgan", {"width": 8}),
    "dcgan-none": ("dcgan", {"width": 8, "norm": "none"}),
    "infogan": ("infogan", {"width": 16, "hidden": 32}),
    "infogan-none": ("infogan", {"width": 16, "hidden": 32, "norm": "none"}),
    "infogan-autoencoder": ("infogan", {"width": 16, "hidden": 32, "critic": "autoencoder"}),
    "infogan-autoencoder-none": ("infogan", {"width": 16, "hidden": 32, "critic": "autoencoder", "norm": "none"}),
    "mlp": ("mlp", {"width": 16}),
    "mlp-autoencoder": ("mlp", {"width": 16, "critic": "autoencoder"}),
    "r3gan": ("r3gan", {"widths": 16, "groups": 2}),
    "sngan": ("sngan", {"width": 16}),
    "stylegan2": ("stylegan2", {"base": 256, "maximum": 16}),
    "lstm": ("lstm", {"width": 8, "embedding": 4}),
    "mocogan": ("mocogan", {"width": 8, "content": 2, "motion": 1, "hidden": 4}),
    "mocogan-r3gan": ("mocogan", {"width": 16, "content": 2, "motion": 1, "hidden": 4, "frame": "r3gan"}),
    "mocogan-sngan": ("mocogan", {"width": 16, "content": 2, "motion": 1, "hidden": 4, "frame": "sngan"}),
    "wavegan": ("wavegan", {"width": 8}),
}
PLANES = (1, 16, 16)
FILM = (1, 2, 16, 16)
SHAPES = {"lstm": (2, 5), "mocogan": FILM, "mocogan-r3gan": FILM, "mocogan-sngan": FILM, "wavegan": (1, 128)}
"""Shape of a sample where it is no plane."""
ROUNDING = 1e-11
"""Share of the largest gradient of a network, far above the rounding of float64 and far below every true gradient."""


def players(name, classes):
    """In float64, with weights that no start has made zero."""
    architecture, options = NETWORKS[name]
    torch.manual_seed(0)
    networks = ARCHITECTURES[architecture](shape=SHAPES.get(name, PLANES), classes=classes, latent=4, **options)
    for network in networks:
        network.double()
        for parameter in network.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    return networks


def turn_of(name, classes):
    source = torch.Generator().manual_seed(1)
    shapes = SHAPES.get(name, PLANES), (4,)
    x, z = (torch.randn(6, *shape, generator=source, dtype=torch.float64) for shape in shapes)
    draws = Draws((0, 0), 6, slice(None), x.device, x.dtype)
    return Turn(x.tanh(), torch.arange(6) % 3 if classes else None, z, draws)


def game(loss):
    played = Game(LOSSES[loss](), square_norms, nullcontext)
    played.memory.get("balance", torch.zeros(())).fill_(0.3)
    return played


def without_effect(G, D, played, turn):
    """Names of the parameters, of G and of D, whose gradients are rounding.

    At the scores as they are and at large ones: a hinge game sees only differences while all lie within its margin.
    """
    fake = G(turn.z, turn.y)
    loud = 3 / D(turn.x, turn.y).abs().mean().detach()
    found = []
    for factor in (1, loud):
        critic = lambda x, y: factor * D(x, y)  # noqa: B023, E731
        losses = discriminator_loss(critic, played, turn, fake)[0], generator_loss(critic, played, turn, fake)[0]
        silent = set()
        for player, network, loss in zip("DG", (D, G), losses, strict=True):
            names, parameters = zip(*network.named_parameters(), strict=True)
            sizes = [g.abs().max() for g in torch.autograd.grad(loss, parameters, retain_graph=True)]
            silent |= {f"{player}.{n}" for n, size in zip(names, sizes, strict=True) if size < ROUNDING * max(sizes)}
        found.append(silent)
    return set.intersection(*found)


def moved(G, D, played, turn):
    """Names of the parameters that a step of the game moves."""
    state = State.fresh(copy.deepcopy(G), copy.deepcopy(D))
    for adam in (state.adam_G, state.adam_D):
        for group in adam.param_groups:
            group.update(lr=1e-3, eps=1e-30)  # rounding moves as far as anything
    play(Player(state.G, state.adam_G), Player(state.D, state.adam_D), played, [turn])
    return {
        f"{player}.{name}"
        for player, before, after in (("G", G, state.G), ("D", D, state.D))
        for name, parameter in after.named_parameters()
        if not torch.equal(parameter, before.get_parameter(name))
    }


def test_the_table_is_walked():
    assert {architecture for architecture, _ in NETWORKS.values()} == set(ARCHITECTURES)


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_adam_moves_what_has_an_effect_and_nothing_else(name, classes):
    G, D = players(name, classes)
    turn = turn_of(name, classes)
    every = {f"{player}.{name}" for player, net in (("G", G), ("D", D)) for name, _ in net.named_parameters()}
    offset = {f"D.{D.offset}"} if hasattr(D, "offset") else set()
    for loss in LOSSES:
        played = game(loss)
        silent, still = without_effect(G, D, played, turn), every - moved(G, D, played, turn)
        assert silent <= still <= offset, loss
        # what moves the scores of one label has an effect where the labels of a batch are compared with one another
        seen = played.loss.across_labels and getattr(D, "offset_by_label", False)
        assert silent == (offset if played.loss.only_differences and not seen else set()), loss
