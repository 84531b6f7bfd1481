"""Texts by LSTM: exact sampling, straight-through gradients, and what reads them."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import nn

from ganops.core.latents import latents, normal_table
from ganops.generator.onnx import Renderer, export_onnx, graph_inputs, run_onnx
from ganops.kinds import KINDS, Spec
from ganops.losses import square_norms
from ganops.losses.likelihood import nll
from ganops.models import ARCHITECTURES
from ganops.models.lstm import _drawn

LENGTH, WORDS = 3, 5


def make(length=LENGTH, words=WORDS, classes=2, seed=0, sharper=3.0, **options):
    """Players whose words are far from equally likely."""
    torch.manual_seed(seed)
    sizes = {"width": 8, "embedding": 4, **options}
    latent = sizes.get("code", 0) + 2 * length
    G, D = ARCHITECTURES["lstm"](shape=(length, words), classes=classes, latent=latent, **sizes)
    with torch.no_grad():
        G.writer.weight.mul_(sharper)
        G.writer.bias.normal_()
    return G, D


def z_of(count, length=LENGTH, code=0):
    return torch.from_numpy(latents(np.arange(count), code + 2 * length, normal_table()))


def every_text(length, words):
    """All texts there are, one-hot: [words^length, length, words]."""
    numbers = torch.tensor(list(itertools.product(range(words), repeat=length)))
    return numbers, nn.functional.one_hot(numbers, words).float()


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("temperature", [None, 0.5])
def test_texts_are_drawn_with_exactly_their_probabilities(temperature, layers):
    """20,000 texts of two words, against the probabilities of all 25 (Pearson's chi-square)."""
    G, _ = make(length=2, classes=0, layers=layers)
    _, texts = every_text(2, WORDS)
    count = 20_000
    of_all, of_drawn = (None if temperature is None else torch.full((n,), temperature) for n in (len(texts), count))
    with torch.no_grad():
        chances = (-nll(G(z_of(0, 2), given=texts, temperature=of_all), texts).double()).exp()
        drawn = G(z_of(count, 2), temperature=of_drawn).argmax(-1)
    assert chances.sum().item() == pytest.approx(1, abs=1e-5)
    assert chances.max() > 5 * chances.min(), "equal chances would prove little"
    found = torch.bincount(drawn @ torch.tensor([WORDS, 1]), minlength=len(texts))
    assert chisquare(found, chances / chances.sum() * count).pvalue > 1e-3


def test_texts_of_a_code_are_drawn_with_the_probabilities_that_it_has():
    """20,000 texts of one code, against the probabilities of all 25 under it; another code has others."""
    G, _ = make(length=2, classes=0, code=3, layers=2)
    _, texts = every_text(2, WORDS)
    z = z_of(20_000, 2, code=3)
    z[:, :3] = torch.tensor([0.5, -1.0, 2.0])
    with torch.no_grad():
        chances, others = ((-nll(G(code.expand(25, -1), given=texts), texts).double()).exp() for code in (z[0], -z[0]))
        drawn = G(z).argmax(-1)
    assert chances.sum().item() == pytest.approx(1, abs=1e-5)
    assert (chances - others).abs().max() > 0.02
    found = torch.bincount(drawn @ torch.tensor([WORDS, 1]), minlength=len(texts))
    assert chisquare(found, chances / chances.sum() * len(z)).pvalue > 1e-3


def test_a_code_alone_gives_its_likeliest_words():
    G, _ = make(code=3, layers=2)
    z, y = z_of(40, code=3), torch.arange(40) % 2
    with torch.no_grad():
        texts = G(z[:, :3], y)
        logits = G(z[:, :3], y, given=texts)
        assert torch.equal(logits, G(z, y, given=texts)), "of given texts the code alone is looked at"
        assert torch.equal(texts, G(z, y, temperature=torch.zeros(40)))
    assert torch.equal(texts.argmax(-1), logits.argmax(-1))
    assert len(texts.argmax(-1).unique(dim=0)) > 2, "codes differ"


def test_without_a_code_the_weights_are_those_of_before_there_were_codes():
    plain, with_code = make()[0].state_dict(), make(code=3)[0].state_dict()
    assert with_code.keys() - plain.keys() == {"beside.weight", "states.weight", "states.bias"}
    first = [name for name in plain if not name.startswith("writer")]  # which `make` moves by later numbers
    assert all(torch.equal(plain[name], with_code[name]) for name in first)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"code": -1}, "code: expected at least 0, got -1"),
        ({"code": 4}, "latent: expected 4 of the code and two numbers a word, 10 for texts of 3, got 6"),
        ({"code": 4, "softness": 0.5}, "latent: expected 4 of the code and 5 numbers a word, 19 for texts of 3, got 6"),
    ],
)
def test_a_latent_that_does_not_fit_is_refused_with_the_right_number(options, words):
    with pytest.raises(ValueError, match=words):
        ARCHITECTURES["lstm"](shape=(3, 5), classes=0, latent=6, **options)


def test_a_probability_depends_on_the_words_before_and_on_the_label_alone():
    G, _ = make()
    y = torch.tensor([0, 1])
    one, other = (
        nn.functional.one_hot(torch.tensor(words).expand(2, -1), WORDS).float() for words in ([1, 2, 3], [1, 4, 0])
    )
    with torch.no_grad():
        seen, else_ = G(z_of(2), y, given=one), G(z_of(2), y, given=other)
    assert torch.allclose(seen[:, :2], else_[:, :2])
    assert not torch.allclose(seen[:, 2], else_[:, 2])
    assert not torch.allclose(seen[0, 0], seen[1, 0])


def test_the_coldest_text_is_the_likeliest_word_at_each_place():
    G, _ = make()
    z, y = z_of(40), torch.arange(40) % 2
    with torch.no_grad():
        texts = G(z, y, temperature=torch.zeros(40))
        logits = G(z, y, given=texts)
    assert torch.equal(texts.argmax(-1), logits.argmax(-1))
    assert len(texts.argmax(-1).unique(dim=0)) <= 2, "one for each label"


def test_under_autocast_words_are_drawn_with_the_probabilities_that_it_gives():
    """bfloat16 has three digits: a sum of a thousand small probabilities in it would lose most words."""
    words, count = 1000, 40_000
    G, _ = make(length=2, words=words, classes=0, sharper=0.1)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        texts = G(z_of(count, 2))
        logits = G(z_of(1, 2), given=texts[:1])
    assert texts.dtype == torch.float32
    assert logits.dtype == torch.bfloat16, "otherwise nothing is tested"
    expected = logits[0, 0].float().softmax(0).double()
    found = torch.bincount(texts[:, 0].argmax(-1), minlength=words)
    often = expected * count >= 5
    assert often.sum() > 500
    counts, sums = found[often].double(), expected[often] * count
    assert chisquare(counts * sums.sum() / counts.sum(), sums).pvalue > 1e-3


def test_the_gradient_of_a_drawn_word_is_that_of_its_probabilities():
    logits = torch.randn(6, WORDS, dtype=torch.float64, requires_grad=True)
    weights, at = torch.randn(6, WORDS, dtype=torch.float64), torch.full((6,), 0.7)
    drawn = _drawn(logits, torch.rand(6, 1, dtype=torch.float64), at)
    assert torch.equal(drawn.detach(), drawn.detach().round())
    assert torch.equal(drawn.detach().sum(1), torch.ones(6, dtype=torch.float64))
    (own,) = torch.autograd.grad((drawn * weights).sum(), logits)
    (of_softmax,) = torch.autograd.grad(((logits / 0.7).softmax(1) * weights).sum(), logits)
    assert torch.allclose(own, of_softmax, rtol=1e-6)


@pytest.mark.parametrize("code", [0, 2])
@pytest.mark.parametrize("classes", [0, 2])
@pytest.mark.parametrize("length", [2, 3, 7])
def test_shapes_and_gradients(length, classes, code):
    """The scores, and the gradient of their gradient, reach every parameter in a step with R1."""
    G, D = make(length=length, classes=classes, layers=2, code=code)
    y = torch.tensor([0, 1, 1]) if classes else None
    x = G(z_of(3, length, code), y)
    assert x.shape == (3, length, WORDS)
    scores = D(x, y)
    assert scores.shape == (3,)
    penalty = square_norms(x, scores)
    assert (penalty > 0).all()
    (scores.sum() + penalty.sum()).backward()
    for network in (G, D):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all()
    G.zero_grad(set_to_none=True)
    nll(G(z_of(3, length, code), y, given=x.detach()), x.detach()).sum().backward()
    assert all(parameter.grad is not None for parameter in G.parameters())


def test_the_critic_is_twice_differentiable():
    _, D = make()
    x = torch.randn(2, LENGTH, WORDS, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0, 1])
    assert torch.autograd.gradgradcheck(lambda x: D.double()(x, y), (x,))


@pytest.mark.parametrize("code", [0, 2])
def test_half_precision_is_the_same_network(code):
    G, D = make(code=code)
    z, y = z_of(8, code=code), torch.arange(8) % 2
    with torch.no_grad():
        x = G(z, y)
        exact = G(z, y, given=x), D(x, y)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = G(z, y, given=x), D(x, y)
    for one, other in zip(exact, rounded, strict=True):
        assert (one - other).abs().max() < 0.05 * one.abs().max()


def test_a_seed_decides_the_weights():
    same, again, other = ({**G.state_dict(), **D.state_dict()} for G, D in (make(seed=s) for s in (1, 1, 2)))
    assert all(torch.equal(tensor, again[key]) for key, tensor in same.items())
    assert any(not torch.equal(tensor, other[key]) for key, tensor in same.items())


def test_likelihood_of_words_without_a_preference():
    """Logits that are all equal have L log V nats (a closed form)."""
    _, texts = every_text(2, 4)
    assert torch.allclose(nll(torch.zeros_like(texts), texts), torch.full((16,), 2 * math.log(4)))


CODES = (0, 3)


@pytest.fixture(scope="module", params=CODES, ids=lambda code: f"code {code}")
def served(request, tmp_path_factory):
    """A generator, and its graph."""
    G, _ = make(length=4, words=60, layers=2, code=request.param)
    spec = Spec("text", (4,), 2, {"words": ["", *map(str, range(1, 60))], "by": "words"})
    path = tmp_path_factory.mktemp("served") / "generator.onnx"
    export_onnx(G, path, spec, latent=request.param + 8)
    return Renderer(G, spec), path


@pytest.mark.parametrize("temperature", [1.0, 0.7, 0.0])
def test_a_graph_draws_the_texts_of_pytorch(served, temperature):
    renderer, path = served
    inputs = graph_inputs(np.arange(4000), temperature, latent=renderer.G.code + 8, classes=2)
    texts, eager = run_onnx(path, inputs), renderer.render(inputs)
    assert texts.dtype == np.uint16
    assert (texts != eager).any(axis=1).sum() <= 20
    assert KINDS["text"].agree(texts, eager) is None
    distinct = len(np.unique(texts, axis=0))
    assert distinct > 1000 if temperature else (distinct <= 2 or renderer.G.code)


def test_a_seed_is_one_text_alone_and_in_any_batch(served):
    renderer, path = served
    inputs = graph_inputs(np.arange(300), 1.0, latent=renderer.G.code + 8, classes=2)
    for render in (lambda batch: run_onnx(path, batch), renderer.render):
        texts = render(inputs)
        for size in (7, 64):
            batches = [{name: value[i : i + size] for name, value in inputs.items()} for i in range(0, 300, size)]
            assert np.array_equal(np.concatenate([render(batch) for batch in batches]), texts)
        for i in range(0, 300, 10):
            assert np.array_equal(render({name: value[i : i + 1] for name, value in inputs.items()})[0], texts[i])
