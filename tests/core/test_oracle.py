"""The oracle, against its definition, exact sums over all texts, and the published figures of SeqGAN's."""

import json
import math
import os
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from ganops.core.oracle import GATES, PRECISION, OracleNetwork

SMALL = {"words": 4, "length": 5, "hidden": 3, "embedding": 2}


def small(seed=0, **sizes):
    return OracleNetwork.drawn(**{**SMALL, **sizes}, seed=seed)


def every_text(model):
    return torch.tensor(list(product(range(model.words), repeat=model.length)))


def arrays(words=4, hidden=3, embedding=2, seed=0):
    rng = np.random.default_rng(seed)
    found = {"embedding": rng.normal(size=(words, embedding))}
    for gate in GATES:
        found[f"w{gate}"], found[f"u{gate}"] = rng.normal(size=(embedding, hidden)), rng.normal(size=(hidden, hidden))
        found[f"b{gate}"] = rng.normal(size=hidden)
    return found | {"wo": rng.normal(size=(hidden, words)), "bo": rng.normal(size=words)}


def by_definition(a, text):
    """The negative log-likelihood by the equations of SeqGAN's oracle, a word at a time in float64."""

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    h = c = np.zeros(len(a["bi"]))
    found, before = 0.0, 0
    for word in text:
        x = a["embedding"][before]
        i, f, o = (sigmoid(x @ a[f"w{gate}"] + h @ a[f"u{gate}"] + a[f"b{gate}"]) for gate in ("i", "f", "og"))
        c = f * c + i * np.tanh(x @ a["wc"] + h @ a["uc"] + a["bc"])
        h = o * np.tanh(c)
        logits = h @ a["wo"] + a["bo"]
        found += np.log(np.exp(logits).sum()) - logits[word]
        before = word
    return found


def test_the_likelihood_is_that_of_the_definition():
    model = OracleNetwork.of_arrays(arrays(), 5)
    texts = every_text(model)[::37]
    expected = [by_definition(arrays(), text) for text in texts.tolist()]
    assert model.nll(texts).tolist() == pytest.approx(expected, rel=1e-5)
    assert model.nll(texts).dtype == torch.float64
    assert model.nll(texts[:0]).shape == (0,)


def test_probabilities_of_all_texts_sum_to_one_and_estimates_are_the_exact_sums():
    model = small()
    nll = model.nll(every_text(model))
    assert (-nll).exp().sum() == pytest.approx(1, abs=1e-5)
    floor, uniform = model.floor(), model.uniform()
    for estimate, exact in ((floor, ((-nll).exp() * nll).sum()), (uniform, nll.mean())):
        assert abs(estimate.text - exact) < 4 * estimate.error < 0.02 * exact
        assert estimate.text == pytest.approx(estimate.word * 5)


def test_texts_are_drawn_as_often_as_they_are_likely():
    """Chi-squared over all 64 texts of three words: its mean are 63 degrees, its standard deviation is sqrt(126)."""
    model = small(length=3)
    every = every_text(model)
    chances = (-model.nll(every)).exp().numpy()
    drawn = model.sample(20_000, 0)
    assert (drawn.shape, drawn.dtype) == ((20_000, 3), torch.int64)
    counts = np.bincount((drawn * torch.tensor([16, 4, 1])).sum(1), minlength=64)
    expected = 20_000 * chances / chances.sum()
    assert ((counts - expected) ** 2 / expected).sum() < 63 + 4 * math.sqrt(126)


def test_weights_are_standard_normal_numbers_of_the_seed_alone():
    model = small(words=300, hidden=32, embedding=32)
    weights = torch.cat([each.flatten() for name, each in model.state_dict().items() if name != "recurrent.bias_hh_l0"])
    assert not model.recurrent.bias_hh_l0.any()  # one bias a gate
    assert abs(weights.mean()) < 4 / math.sqrt(len(weights))
    assert weights.std() == pytest.approx(1, abs=4 / math.sqrt(2 * len(weights)))
    torch.manual_seed(1)
    again, other = small(words=300, hidden=32, embedding=32), small(1, words=300, hidden=32, embedding=32)
    assert all(torch.equal(each, again.state_dict()[name]) for name, each in model.state_dict().items())
    assert not torch.equal(model.writer.weight, other.writer.weight)
    assert torch.equal(model.sample(7, 3), again.sample(7, 3))
    assert not torch.equal(model.sample(7, 3), model.sample(7, 4))


def test_the_toy_of_the_design_is_as_hard_as_others_of_its_size():
    """V 100, L 12, hidden 16: with weights of another generator 3.263 and 6.12 nats a word were measured."""
    model = OracleNetwork.drawn(words=100, length=12, hidden=16, embedding=16, seed=0)
    floor = model.floor()
    assert 2.9 < floor.word < 3.6
    assert 5.7 < model.uniform().word < 6.5
    assert floor.error <= PRECISION * floor.text


def test_a_folder_gives_it_back(tmp_path):
    model = small()
    model.save(tmp_path, seed=0, floor=model.floor()._asdict())
    loaded, texts = OracleNetwork.load(tmp_path), every_text(model)
    assert torch.equal(loaded.nll(texts), model.nll(texts))
    about = json.loads((tmp_path / "oracle.json").read_text())
    assert {name: about[name] for name in SMALL} == SMALL
    assert about["floor"].keys() == {"text", "word", "error"}
    content = bytearray((tmp_path / "oracle.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "oracle.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"oracle\.safetensors: expected the SHA-256 "):
        OracleNetwork.load(tmp_path)
    model.save(tmp_path)
    about = json.loads((tmp_path / "oracle.json").read_text())
    for name, size in (("hidden", 10**9), ("words", 10**9), ("length", 10**9), ("length", 0)):
        (tmp_path / "oracle.json").write_text(json.dumps({**about, name: size}))
        with pytest.raises(ValueError, match=r"oracle\.json: expected the sizes of its weights"):
            OracleNetwork.load(tmp_path)
    (tmp_path / "oracle.json").write_text("{}")
    with pytest.raises(ValueError, match="expected words, length, hidden, embedding and sha256"):
        OracleNetwork.load(tmp_path)


@pytest.mark.parametrize("form", ["npz", "npy", "single npz"])
def test_arrays_of_seqgan_are_read_in_any_form(tmp_path, form):
    for name, array in arrays().items():
        if form == "npz":
            np.savez(tmp_path / f"{name}.npz", array)
        else:
            with open(tmp_path / f"{name}.{form[-3:]}", "wb") as file:
                np.save(file, array)
    model = OracleNetwork.from_seqgan(tmp_path)
    assert (model.words, model.length, model.hidden) == (4, 20, 3)
    assert torch.equal(model.writer.bias, torch.tensor(arrays()["bo"], dtype=torch.float32))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"uf": None}, r"expected uf\.npz or uf\.npy, an array of the oracle's weights"),
        ({"uf": np.zeros((3, 2))}, r"uf: expected \[3, 3\], got \[3, 2\]"),
        ({"bi": np.zeros((3, 1))}, r"expected an embedding \[words, dimensions\], and a bias bi \[hidden\]"),
        ({"wo": np.array([{}])}, r"wo\.npy: expected an array of numpy, got ValueError"),
    ],
)
def test_arrays_that_are_none_are_refused(tmp_path, change, words):
    for name, array in (arrays() | change).items():
        if array is not None:
            np.save(tmp_path / f"{name}.npy", array)
    with pytest.raises(ValueError, match=words):
        OracleNetwork.from_seqgan(tmp_path)


@pytest.mark.slow
def test_the_published_oracle_has_its_published_figures():
    """5.743 nats a word of its own texts, 11.42 of uniform ones, here of 2,000 texts each."""
    shared = os.environ.get("GANOPS_SHARED_DATA")
    folder = Path(shared or "", "seqgan_oracle")
    if not shared or not folder.is_dir():
        pytest.skip("GANOPS_SHARED_DATA names no folder with seqgan_oracle, the arrays that SeqGAN's authors published")
    model = OracleNetwork.from_seqgan(folder)
    assert (model.words, model.hidden, model.length) == (5000, 32, 20)
    floor, uniform = model.floor(), model.uniform()
    assert floor.word == pytest.approx(5.743, abs=0.02)
    assert uniform.word == pytest.approx(11.42, abs=0.03)
    assert max(floor.error / floor.text, uniform.error / uniform.text) <= PRECISION
