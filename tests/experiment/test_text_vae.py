"""Trainings of a VAE of texts."""

from functools import cache

import numpy as np
import pytest
import torch
from phrases import Phrases, experiment, strip

from ganops import config
from ganops.core.errors import ConfigError, UserError
from ganops.evaluation import pictures, reconstruction
from ganops.experiment import checks
from ganops.experiment.estimator import GAN
from ganops.experiment.run import Run
from ganops.generator import Generator
from ganops.generator.artefact import nll
from ganops.generator.encoder import Encoder, parameters
from ganops.losses.autoencoding import COLLAPSED

CODE = 2
VAE = {
    "loss.name": "vae", "loss.options": {"anneal": 0.5, "word_dropout": 0.2}, "loss.warm_up": None,
    "model.latent": CODE + 8, "model.options": {"width": 8, "embedding": 4, "code": CODE}, "train.d_steps": 1,
    "train.kimg": 0.14, "train.tick_kimg": 0.02,
}  # fmt: skip
STEPS = 14


def run(**params):
    return Run(experiment(**{**VAE, **params}), Phrases(), None, torch.device("cpu"))


def outcome(training):
    """All that must not depend on an interruption."""
    curve = [{k: v for k, v in row.items() if k != "images_per_second"} for row in training.history]
    tensors = [training.selection.best.weights, training.state.tensors()]
    return curve, [{name: tensor.numpy().tobytes() for name, tensor in each.items()} for each in tensors]


@cache
def whole():
    training = run()
    list(training.play())
    return training


@pytest.mark.parametrize("step", [2, 6, 8, 12])
def test_a_training_that_is_killed_ends_in_the_bits_of_one_that_is_not(step, tmp_path):
    first, second = run(), run()
    for progress in first.play():
        if progress.step == step:
            break
    first.save(tmp_path / "checkpoint")
    second.load(tmp_path / "checkpoint")
    list(second.play())
    assert outcome(second) == outcome(whole())
    assert strip(second) == strip(whole())


def test_its_history_has_the_bound_and_the_weight_that_rises():
    rows = whole().history
    assert len(rows) == STEPS / 2
    assert all(row["bound"] == pytest.approx(row["reconstruction"] + row["divergence"]) for row in rows)
    # ticks of two steps: the means of steps 0 and 1, 2 and 3 ... of 14, of which 7 anneal
    assert [row["beta"] for row in rows] == pytest.approx([1 / 14, 5 / 14, 9 / 14, 13 / 14, 1, 1, 1])


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """Folder of a generator that has learnt the phrases through a code, and its training."""
    rate = {"start": 0.03, "end": 1e-3}
    params = {
        "loss.options": {"anneal": 0.5, "word_dropout": 0.9}, "train.kimg": 30, "train.tick_kimg": 3,
        "train.checkpoint_kimg": 30, "train.batch": 60, "train.learning_rate": {"generator": rate,
        "discriminator": rate}, "train.ema_kimg": 1,
        "model.options": {"width": 16, "embedding": 8, "code": CODE},
    }  # fmt: skip
    training, folder = run(**params), tmp_path_factory.mktemp("taught") / "generator"
    alarms = [progress.alarms for progress in training.play()]
    training.best_generator().save(folder)
    training.best_encoder().save(folder)
    return folder, alarms[-1]


def test_a_code_carries_the_phrase_there_and_back(taught):
    """The labels tell the lengths, and the first word is one of four: log 4 nats, all of which the code may say."""
    folder, alarms = taught
    assert alarms == ()
    generator = Generator.load(folder)
    said, again = reconstruction.look(folder, generator, Phrases(), seed=0)
    texts = Phrases().samples("test")
    error, bound = said["reconstruction"], said["bound"]
    assert error["whole"] == (again == texts).all(1).mean() > 0.9
    assert error["error"] == pytest.approx(1 - error["whole"], abs=0.1)
    assert np.log(4) - 0.05 < bound["nats"] < np.log(4) + 0.5
    assert bound["interval"][0] <= bound["nats"] <= bound["interval"][1]
    assert 0.9 < bound["divergence"] < 2.5
    assert "alarm" not in bound
    assert ", given its class" in bound["what"]
    pairs = pictures.again_in_words(Phrases(), again)
    assert len(pairs) == pictures.PAIRS
    assert pairs[0] == ("a", "a")
    known = set(map(tuple, texts.tolist()))
    assert np.mean([tuple(text) in known for text in generator.sample(np.arange(200)).tolist()]) > 0.8


def test_a_seed_is_one_text_and_a_code_alone_its_likeliest(taught):
    folder, _ = taught
    generator = Generator.load(folder)
    encoder = Encoder.load(folder, generator)
    assert (generator.latent, generator.description.code, generator.description.moments) == (CODE + 8, CODE, 2)
    texts = generator.sample(np.arange(50))
    assert np.array_equal(texts[7], generator.sample(np.array([7]), np.array([1]))[0])
    codes, labels = encoder.encode(Phrases().samples("test"), Phrases().labels("test")), Phrases().labels("test")
    assert codes.shape == (60, CODE)
    assert np.array_equal(encoder.decode(codes, labels), generator.render(codes, labels))
    found = parameters(generator.description)
    assert found["generator"] == sum(each.numel() for each in generator.network.parameters())
    assert found["encoder"] == sum(each.numel() for each in encoder.network.parameters())


def test_its_likelihood_is_not_known_and_the_bound_is_one(taught):
    """The marginal by 20,000 codes of the prior, of all phrases: below the bound, and not by much."""
    folder, _ = taught
    generator = Generator.load(folder)
    assert not generator.has_likelihood
    texts, labels = Phrases().samples("test"), Phrases().labels("test")
    with pytest.raises(UserError, match=r"no likelihood of samples whose code is known: .* options\.code: 0"):
        nll(generator, texts, labels)
    encoder = Encoder.load(folder, generator)
    words, divergence = reconstruction.nats_of_texts(encoder, texts, labels, seed=0)
    codes = torch.randn(20_000, CODE, generator=torch.Generator().manual_seed(0))
    exact = []
    for text, label in list(zip(texts, labels, strict=True))[:8]:
        x = generator.spec.floats(torch.from_numpy(text[None]), torch.float32).expand(len(codes), -1, -1)
        with torch.no_grad():
            logits = generator.network(codes, torch.full((len(codes),), int(label)), given=x).double()
        nats = -(logits.log_softmax(-1) * x).sum((1, 2))
        exact.append(-(torch.logsumexp(-nats, 0).item() - np.log(len(codes))))
    same = [np.flatnonzero((texts == text).all(1)) for text in texts[:8]]
    bounds = [(words + divergence)[rows].mean() for rows in same]
    assert np.mean(bounds) > np.mean(exact) - 0.02
    assert np.mean(bounds) < np.mean(exact) + 0.6
    encoder.network.register_forward_pre_hook(full_above_seven)
    again = reconstruction.nats_of_texts(encoder, texts, labels, seed=0)
    assert np.allclose(again, (words, divergence), rtol=1e-4), "in smaller pieces, where the memory holds no larger"


def full_above_seven(module, given):
    if len(given[0]) > 7:
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_code_that_says_nothing_is_told_in_the_training_and_of_the_test_split(tmp_path):
    training = run(**{"loss.options": {"beta": 50}, "train.kimg": 6, "train.tick_kimg": 2, "train.learning_rate": 0.02})
    assert [COLLAPSED in progress.alarms for progress in training.play()][-1]
    training.best_generator().save(tmp_path)
    training.best_encoder().save(tmp_path)
    said, _ = reconstruction.look(tmp_path, Generator.load(tmp_path), Phrases(), seed=0)
    assert said["bound"]["alarm"] == COLLAPSED
    assert said["bound"]["divergence"] < 0.1


def test_words_are_compared_at_their_places_up_to_the_end_of_the_longer_text():
    texts, again = np.array([[2, 3, 0, 0], [2, 3, 4, 5], [0, 0, 0, 0]]), np.array([[2, 4, 5, 0], [2, 3, 4, 5], [0] * 4])
    assert reconstruction.wrong(texts, again, ends=True).tolist() == [2 / 3, 0, 0]
    assert reconstruction.wrong(texts, again, ends=False).tolist() == [2 / 4, 0, 0]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"model.latent": 8, "model.options": {"width": 8}},
         r"model\.options\.code: vae .* G has none; expected its numbers, such as 32, which come to model\.latent: 40"),
        ({"model.latent": 8}, "latent: expected 2 of the code and two numbers a word, 10 for texts of 4, got 8"),
        ({"loss.name": "autoencoder", "loss.options": {}}, r"loss\.name: autoencoder does not .* texts; expected vae"),
        ({"loss.name": "two_stage_vae", "loss.options": {}}, r"loss\.name: two_stage_vae does not learn texts"),
        ({"loss.options": {"word_dropout": 1.5}}, r"loss\.options\.word_dropout: expected a share between 0 and 1"),
        ({"loss.name": "likelihood", "loss.options": {}}, r"model\.options\.code: likelihood \(loss\.name\) needs a G"),
        ({"loss.name": "relativistic", "loss.options": {}, "loss.warm_up": {"kimg": 0.02}},
         r"model\.options\.code: likelihood \(loss\.warm_up\.name\) needs a G"),
    ],
)  # fmt: skip
def test_the_impossible_is_refused_in_words(params, words):
    with pytest.raises(ConfigError, match=words):
        checks.check(experiment(**{**VAE, **params}))


def test_words_are_left_out_of_texts_alone():
    params = {"loss.name": "vae", "loss.options": {"word_dropout": 0.1}}
    with pytest.raises(ConfigError, match=r"loss\.options\.word_dropout: leaves out words of data\.kind: text"):
        checks.check(config.parse({}).override(params))
    checks.check(config.parse({}).override({"loss.name": "vae", "loss.options": {"anneal": 0.1}}))


def test_a_game_may_have_a_code():
    """Everything that is drawn follows from z, the code too."""
    training = run(**{"loss.name": "relativistic", "loss.options": {}, "train.kimg": 0.04})
    list(training.play())
    generator = training.best_generator()
    assert (generator.description.code, generator.latent, training.best_encoder()) == (0, CODE + 8, None)
    assert np.array_equal(generator.sample(np.arange(16))[:8], generator.sample(np.arange(8)))


def test_in_a_notebook_texts_have_codes_there_and_back():
    params = {"data.length": 5, "model.options": {"width": 8, "embedding": 4, "code": 3}, "train.batch": 10}
    gan = GAN("lstm", "vae", kind="text", kimg=0.2, params=params)
    assert gan.experiment.model.latent == 3 + 10
    gan.fit(["a red dog runs", "the dog sleeps", "a cat sleeps here"] * 5)
    codes = gan.encode(["the dog sleeps", "a dog"])
    assert codes.shape == (2, 3)
    texts = gan.decode(codes)
    assert (texts.dtype.kind, texts.shape) == ("U", (2,))
    with pytest.raises(UserError, match=r"latents: this generator takes \[N, 3\] of the kind code"):
        gan.decode(np.zeros((1, 13)))
