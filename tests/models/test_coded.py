"""Every architecture as an encoder and a decoder."""

from contextlib import nullcontext

import pytest
import torch

from ganops.core.randomness import Draws
from ganops.experiment import build
from ganops.losses import LESSONS
from ganops.models import ARCHITECTURES, coded
from ganops.training.lesson import Lesson
from ganops.training.objective import Player, Turn
from ganops.training.state import State

OPTIONS = {
    "began": {"width": 4},
    "dcgan": {"width": 8},
    "infogan": {"width": 16, "hidden": 32},
    "mlp": {"width": 16},
    "mocogan": {"width": 8, "content": 2, "motion": 1, "hidden": 4},
    "r3gan": {"widths": 16, "groups": 2},
    "sngan": {"width": 16},
    "stylegan2": {"base": 256, "maximum": 16},
    "wavegan": {"width": 4},
}
SHAPES = {"mocogan": (1, 2, 16, 16), "wavegan": (1, 128)}
"""Shape of a sample where it is no plane."""
PLANES = (1, 16, 16)
FAMILIES = {
    "autoencoder": {},
    "autoencoder, mixture": {"prior": "mixture"},
    "vae": {},
    "two_stage_vae": {"hidden": 8},
}
CODE, CLASSES = 4, 3


def players(architecture, classes=CLASSES):
    torch.manual_seed(0)
    return ARCHITECTURES[architecture](
        shape=SHAPES.get(architecture, PLANES), classes=classes, latent=CODE, **OPTIONS[architecture]
    )


def samples(architecture=None, classes=CLASSES, number=6):
    torch.manual_seed(1)
    return torch.rand(number, *SHAPES.get(architecture, PLANES)) * 2 - 1, torch.arange(
        number
    ) % classes if classes else None


def test_the_table_is_walked():
    assert OPTIONS.keys() == ARCHITECTURES.keys() - {"lstm"}, "a text has its own: see test_lstm"


@pytest.mark.parametrize("architecture", OPTIONS)
def test_a_score_follows_from_the_features_and_the_label_alone(architecture):
    D = players(architecture)[1].eval()
    x, y = samples(architecture)
    features = D.features(x)
    assert features.shape == (6, D.width)
    assert all(hasattr(D, part) for part in D.beyond)
    if architecture == "began":  # an autoencoder: its score is an error, of what the features are decoded to
        assert torch.equal(D.decoder(D.code(features), y), D.reconstruct(x, y))
        return
    D.features = lambda _: features
    again = D(torch.zeros_like(x), y)
    del D.features
    assert torch.allclose(again, D(x, y), atol=1e-5)


PRECISIONS = {"fp32": nullcontext, "bf16": lambda: torch.autocast("cpu", torch.bfloat16)}


@pytest.mark.parametrize(("classes", "precision"), [(0, "fp32"), (CLASSES, "fp32"), (CLASSES, "bf16")])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("architecture", OPTIONS)
def test_every_architecture_is_taught_by_every_family_and_samples(architecture, family, classes, precision):
    kind = LESSONS[family.partition(",")[0]](**FAMILIES[family])
    G, E = build.halves(kind, players(architecture, classes), CODE, classes)
    x, y = samples(architecture, classes)
    latent = coded.latent(CODE, {} if kind.fitted else kind.prior)
    z = torch.randn(6, latent)
    turn = Turn(x, y, z, Draws((0, 0), 6, slice(None), x.device, x.dtype))
    for stage in kind.stages:
        lesson = Lesson(stage, PRECISIONS[precision])
        parameters = {f"{player}.{name}": parameter for player, network in (("G", G), ("D", E))
                      for name, parameter in network.named_parameters()}  # fmt: skip
        for name, parameter in parameters.items():
            parameter.requires_grad_(lesson.learns(name))
        state = State.fresh(G, E)
        for adam in (state.adam_G, state.adam_D):
            adam.param_groups[0]["lr"] = 1e-3
        terms = lesson.play(Player(G, state.adam_G), Player(E, state.adam_D), [turn])
        assert all(value.isfinite() for value in terms.values())
        for name, parameter in parameters.items():
            assert (parameter.grad is not None) == lesson.learns(name), f"{name} is used in every step, or rests"
    if kind.fitted:
        with torch.no_grad():
            codes = E.eval()(x, y)
        G = coded.with_prior(G, CODE, classes, kind.prior)
        G.density.fit(codes, y, 0)
        z = torch.randn(6, G.latent)
    assert G.eval()(z, y).shape == x.shape


@pytest.mark.parametrize("family", ["autoencoder", "two_stage_vae"])
@pytest.mark.parametrize("architecture", OPTIONS)
def test_the_code_of_a_sample_does_not_depend_on_the_others(architecture, family):
    kind = LESSONS[family]()
    _, E = build.halves(kind, players(architecture), CODE, CLASSES)
    x, y = samples(architecture)
    E.eval()
    with torch.no_grad():
        together = E(x, y)
        apart = torch.cat([E(x[i : i + 1], y[i : i + 1]) for i in range(len(x))])
    assert torch.allclose(together, apart, atol=1e-5)
    assert together.std(0).min() > 0, "a code that is always the same would depend on nothing"


@pytest.mark.parametrize("architecture", OPTIONS)
def test_nothing_of_the_score_stays_in_an_encoder(architecture):
    _, D = players(architecture)
    parts = {name for name, _ in D.named_children()}
    encoder = coded.encoder(D, CODE, CLASSES, 2, {})
    assert {name for name, _ in encoder.trunk.named_children()} == parts - set(D.beyond)
    assert (encoder.head.out_features, encoder.label.num_embeddings) == (2 * CODE, CLASSES)


@pytest.mark.parametrize("architecture", ["infogan", "mlp"])
def test_a_critic_without_features_becomes_no_encoder(architecture):
    _, D = ARCHITECTURES[architecture](
        shape=(1, 16, 16), classes=0, latent=CODE, critic="autoencoder", **OPTIONS[architecture]
    )
    with pytest.raises(ValueError, match="an encoder is made of D's features, and this D has none"):
        coded.encoder(D, CODE, 0, 1, {})


def test_labels_condition_both_halves():
    _, E = build.halves(LESSONS["vae"](), players("dcgan"), CODE, CLASSES)
    torch.nn.init.normal_(E.label.weight)
    x, _ = samples()
    zero, one = (E.eval()(x, torch.full((6,), label)) for label in (0, 1))
    assert torch.allclose(zero - one, (E.label.weight[0] - E.label.weight[1]).expand(6, -1), atol=1e-5)


def test_codes_and_latents_of_two_stages_have_their_own_ways():
    G, _ = build.halves(LESSONS["two_stage_vae"](hidden=8), players("dcgan"), CODE, CLASSES)
    G.eval().vary(torch.tensor(0.25))
    torch.nn.init.normal_(G.prior.layers[-1].weight, std=0.1)
    _, y = samples()
    z = torch.randn(6, 2 * CODE)
    code = G(z[:, :CODE], y, second=True)
    assert torch.allclose(G(z, y), G(code + 0.5 * z[:, CODE:], y), atol=1e-6)
