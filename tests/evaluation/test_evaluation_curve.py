"""The curve over temperatures: of a known language quality rises and variety falls, and no curve beats itself."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from languages import FACTS, LENGTH, chain, extractor

from ganops.core.errors import UserError
from ganops.core.latents import latents, normal_table
from ganops.evaluation import curve, pictures
from ganops.evaluation.comparison import of_samplers
from ganops.evaluation.verdict import FIRST_SEED
from ganops.generator import Description, Generator
from ganops.generator.artefact import WARM_UP, generator_network, nll
from ganops.kinds import Spec
from ganops.metrics.extractors import EXTRACTORS
from ganops.metrics.reference import Reference, build

TEMPERATURES = (1.0, 0.8, 0.6)
SPEC = Spec("text", (LENGTH,), 0, FACTS)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features") / "features"
    splits = {"train": chain(1500, 0), "validation": chain(400, 1), "test": chain(400, 2)}
    made = extractor()  # trained once for all files
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EXTRACTORS["language"], "make", lambda *_, **__: made)
        build(splits, {}, folder, extractor="language", seed=0, kind="text", facts=FACTS)
    return Reference.open(folder)


@dataclass
class Chain:
    """The language itself as a sampler, a share of whose words are replaced."""

    spoilt: float = 0.0
    spec: Spec = SPEC

    def sample(self, seeds, labels=None, truncation=1.0):
        rng = np.random.default_rng(int(seeds[0]))
        texts = chain(len(seeds), int(seeds[0]), truncation)
        spoilt = (texts > 0) & (rng.random(texts.shape) < self.spoilt)
        return np.where(spoilt, rng.integers(2, 14, texts.shape), texts).astype(np.uint16)


def test_quality_rises_and_variety_falls_with_the_temperature(reference):
    points = curve.points(Chain(), reference, TEMPERATURES, samples=500, split="test", seed=0)
    nats, distances, alike = (
        [p.figures[name] for p in points] for name in ("nll_language", "fd_language", "self_bleu")
    )
    assert nats == sorted(nats, reverse=True)
    assert distances == sorted(distances)
    assert alike == sorted(alike)
    assert all(low < point.figures[name] < high for point in points for name, (low, high) in point.intervals.items())


def test_who_spoils_words_is_dominated_by_the_language_itself(reference):
    found = of_samplers(
        Chain(), Chain(0.3), reference, samples=500, split="test", seed=0, truncations=TEMPERATURES
    )  # fmt: skip
    content = found.content()["curves"]
    assert content["one"]["dominated"] is False
    assert [each["by"] is None for each in content["one"]["domination"]] == [True] * 3
    assert content["other"]["domination"][0]["by"] is not None
    table = found.curves.table()
    assert table.row_count == 6
    assert "The one is not dominated by the other (0 of 3 truncations)." in str(table.title)


def test_only_texts_have_the_pair(reference):
    images = SimpleNamespace(spec=Spec("image", (1, 16, 16)))
    with pytest.raises(UserError, match="truncations: expected none for images"):
        of_samplers(images, images, reference, samples=100, split="test", seed=0, truncations=(1.0,))


def generator(seed, code=0):
    options = {"width": 8, "embedding": 8, **({"code": code} if code else {})}
    description = Description("lstm", options, code + 2 * LENGTH, 0, (), (LENGTH,), 1.0, "", kind="text", facts=FACTS)
    torch.manual_seed(seed)
    return Generator(generator_network(description), description)


def test_the_model_stands_beside_its_warm_up_and_real_texts(reference, tmp_path):
    model, folder = generator(0), tmp_path / "generator"
    model.save(folder)
    prepared = SimpleNamespace(measured=lambda split: (chain(400, 2), None))
    how = {"samples": 100, "split": "test", "seed": 0}
    found = curve.look(folder, model, prepared, reference, (1.0, 0.7), **how)["curve"]
    assert "baseline" not in found
    assert [point["truncation"] for point in found["model"]] == [1.0, 0.7]
    for point in found["model"]:
        expected = nll(model, chain(400, 2), temperature=point["truncation"]).mean()
        assert point["nll_test"] == pytest.approx(expected)
        assert point["intervals"].keys() == {"fd_language", "nll_language", "nll_test"}
    assert found["real"]["nll_language"] == reference.nll("test").mean()
    assert {"fd_language", "self_bleu"} < found["real"].keys()

    generator(0).save(tmp_path / "same")
    (tmp_path / "same" / "generator.safetensors").rename(folder / WARM_UP)
    found = curve.look(folder, model, prepared, reference, (1.0, 0.7), **how)["curve"]
    assert found["baseline"] == found["model"]
    assert [each["by"] for each in found["domination"]] == [None, None]
    assert curve.look(folder, model, prepared, reference, (), **how) == {}

    generator(1).save(tmp_path / "other")
    (tmp_path / "other" / "generator.safetensors").rename(folder / WARM_UP)
    found = curve.look(folder, model, prepared, reference, (1.0,), **how)["curve"]
    alone = curve.look(tmp_path, generator(1), prepared, reference, (1.0,), **how)["curve"]
    assert found["baseline"] == alone["model"] != found["model"]


def test_a_model_with_a_code_has_no_likelihood_and_says_why(reference, tmp_path):
    prepared = SimpleNamespace(measured=lambda split: (chain(400, 2), None))
    how = {"samples": 100, "split": "test", "seed": 0}
    found = curve.look(tmp_path, generator(0, code=3), prepared, reference, (1.0, 0.7), **how)["curve"]
    assert found["left_out"] == {"nll_test": curve.NO_LIKELIHOOD}
    assert all("nll_test" not in point and "nll_language" in point for point in found["model"])


def test_between_two_codes_each_text_is_that_of_its_code_alone(reference):
    model = generator(1, code=3)
    found = pictures.sentences(model, reference, count=200)
    title = list(found)[-1]
    assert title.startswith("From one code to another")
    z = latents(FIRST_SEED + np.arange(2), model.latent, normal_table())
    ends = model.shown(model.render(z, truncation=0.0)).tolist()
    assert [found[title][0][0], found[title][-1][0]] == ends
    assert len(found[title]) == 6


def test_sentences_are_ranked_by_the_nats_of_a_word(reference):
    """Each of them is read again by the extractor: as many words as it shows, and its end."""
    model = generator(1)
    found = pictures.sentences(model, reference, count=200)
    assert list(found) == ["Most likely", "Typical", "Least likely"]
    best, typical, worst = ([nats for _, nats in found[title]] for title in found)
    assert best == sorted(best)
    assert worst == sorted(worst, reverse=True)
    assert max(best) <= min(typical) <= max(typical) <= min(worst)
    drawn = model.sample(FIRST_SEED + np.arange(200))
    texts = model.shown(drawn).tolist()
    for text, nats in found["Least likely"]:
        row = drawn[[texts.index(text)]]
        assert nats == pytest.approx(extractor().nll(row)[0] / (max(1, len(text.split())) + 1), rel=1e-4)


def test_pictures_of_texts_are_those_that_say_something(reference, tmp_path):
    model = generator(1)
    features, _ = extractor().features(model.sample(np.arange(100)))
    prepared = SimpleNamespace(spec=SPEC)
    assert {*pictures.draw(model, prepared, reference, features, tmp_path)} == {"samples", "memorisation"}
    assert pictures.play(model, prepared, tmp_path) == []
