"""The library in one object."""

import base64
import doctest
import io
import re
import wave
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted

from ganops import GAN
from ganops.core.errors import ConfigError, TrainingError, UserError
from ganops.data.image_decoder import ImageDecoder
from ganops.data.sound_decoder import SoundDecoder
from ganops.data.text_decoder import TextDecoder
from ganops.experiment import estimator
from ganops.experiment.run import Run
from ganops.generator import DESCRIPTION, WEIGHTS, Generator
from ganops.generator.encoder import Encoder
from ganops.generator.projection import project

SMALL = {
    "train.batch": 8,
    "train.tick_kimg": 0.08,
    "train.checkpoint_kimg": 0.08,
    "model.latent": 8,
    "train.learning_rate.generator": 0.02,
}
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 16, 16), np.uint8)


def small(architecture="dcgan", loss="non_saturating", options=None, seed=0):
    params = {**SMALL, "model.options": options or {"width": 4}}
    return GAN(architecture, loss, kimg=0.2, seed=seed, params=params)


def test_fit_and_predict():
    gan = small("r3gan", "relativistic", {"widths": 8, "groups": 2}).fit(IMAGES)
    pictures = gan.predict(16)
    assert pictures.shape == (16, 16, 16, 1)
    assert pictures.dtype == np.uint8
    assert np.array_equal(gan.predict([3])[0], pictures[3])
    assert [row["kimg"] for row in gan.history] == pytest.approx([0.08, 0.16, 0.2])


def test_labels_make_it_conditional():
    colour = np.repeat(IMAGES[..., None], 3, axis=-1)
    gan = small().fit(colour, np.arange(20) % 3)
    assert gan.predict(2).shape == (2, 16, 16, 3)
    assert not np.array_equal(gan.predict([1], labels=0), gan.predict([1], labels=2))
    assert np.array_equal(gan.predict([4]), gan.predict([4], labels=[1]))  # the seed modulo the classes
    assert gan.generator.class_counts == (7, 7, 6)


def test_the_same_seed_learns_the_same():
    a, b = (small().fit(IMAGES).predict(4) for _ in range(2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, small(seed=1).fit(IMAGES).predict(4))


def test_saved_and_loaded_it_draws_the_same(tmp_path):
    gan = small().fit(IMAGES)
    gan.save(tmp_path / "generator")
    loaded = Generator.load(tmp_path / "generator")
    assert np.array_equal(loaded.sample(np.arange(3)).transpose(0, 2, 3, 1), gan.predict(3))


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (
            IMAGES * 2.0,
            None,
            "expected uint8 from 0 to 255, or floats from 0 to 1, -1 to 1 or 0 to 255, got float64 from",
        ),
        (IMAGES.astype(np.int16) - 300, None, "got int16 from -300"),
        (np.full((20, 16, 16), np.nan), None, "got float64 from nan"),
        (IMAGES.astype(str), None, "expected uint8 from 0 to 255, or floats, got <U"),
        (IMAGES[0], None, r"expected \[N, H, W\], .* got \(16, 16\)"),
        (IMAGES[:, :0], None, r"expected \[N, H, W\], .* got \(20, 0, 16, 1\)"),
        (IMAGES[:1], None, "at least 2"),
        ([], None, "expected"),
        (IMAGES, np.zeros(3, int), "expected 20 integers"),
        (IMAGES, np.full(20, -1), "from 0 on"),
        (IMAGES, np.full(20, 0.5), "expected 20 integers from 0 on, or strings, got float64"),
    ],
)
def test_what_it_cannot_learn_from_is_refused(images, labels, words):
    with pytest.raises(UserError, match=words):
        small().fit(images, labels)


def learnt_from(samples, labels=None, gan=None):
    """What is stored of samples."""
    return (gan or small())._taking().learn(samples, labels)


def stored_of(gan, samples):
    """The stored samples, and the facts of their kind."""
    found = learnt_from(samples, gan=gan)
    return found.stored, found.spec.facts


def test_floats_tensors_and_channels_first_are_the_same_images():
    colour = np.random.default_rng(1).integers(0, 256, (4, 16, 16, 3), np.uint8)
    expected = colour.transpose(0, 3, 1, 2)
    shares = (colour / 255).astype(np.float32)
    forms = [colour, expected, colour.astype(np.float64), shares, shares * 2 - 1, torch.from_numpy(colour),
             torch.from_numpy(expected.copy()), torch.from_numpy(shares).permute(0, 3, 1, 2), list(colour),
             [Image.fromarray(each) for each in colour], colour.astype(np.int64)]  # fmt: skip
    for form in forms:
        assert np.array_equal(learnt_from(form).stored, expected)


def test_other_sizes_come_to_a_side_as_prepare_brings_them(capsys):
    digits = np.random.default_rng(2).integers(0, 256, (5, 28, 28), np.uint8)
    stored = learnt_from(digits).stored
    assert stored.shape == (5, 1, 32, 32)
    assert np.array_equal(stored[:, 0, 2:30, 2:30], digits), "smaller ones are padded, as data.fit: pad says"
    assert "5 of 5 images: to 32 x 32 pixels (pad), most from 28 x 28" in capsys.readouterr().out
    mixed = [Image.fromarray(digits[0]), Image.new("RGBA", (90, 40), (255, 0, 0, 255)), digits[1, :20]]
    assert learnt_from(mixed).stored.shape == (3, 3, 32, 32)
    learnt_from([Image.fromarray(IMAGES[0])] * 3 + mixed)
    assert "3 of 6 images: to 16 x 16 pixels (pad), most from" in capsys.readouterr().out, "others stay as they are"
    decoder = ImageDecoder(16, background="black", fit="crop")
    cropped = learnt_from(mixed, gan=GAN(params={**SMALL, "data.resolution": 16, "data.fit": "crop"})).stored
    assert np.array_equal(cropped[1], decoder.decode(mixed[1])[0])


@pytest.mark.parametrize("value", [1.14, 1.002, -0.1])
def test_floats_a_little_beyond_their_range_are_none_of_another(value):
    floats = IMAGES / 255.0
    floats[0, 0, 0] = value
    with pytest.raises(UserError, match=r"got float64 from [-\d.]+ to [\d.]+; np\.clip brings overshoot back"):
        learnt_from(floats)


@pytest.mark.parametrize("ends", [(0, 1), (-1, 1), (0, 255)])
def test_what_rounding_leaves_beyond_a_range_is_clipped(ends):
    low, high = ends
    floats = IMAGES / 255.0 * (high - low) + low
    expected = learnt_from(floats).stored
    floats[IMAGES == 255] += 1e-6
    floats[IMAGES == 0] -= 1e-6
    assert np.array_equal(learnt_from(floats).stored, expected)
    assert np.abs(expected[:, 0].astype(int) - IMAGES).max() <= 1


def test_images_of_a_list_have_one_range_and_those_that_follow_it_too(tmp_path):
    sides = [np.full((16, 16), value, np.float32) for value in (200, 100, 1, 0.5)] + [np.full((20, 20), 9, np.float32)]
    assert learnt_from(sides).stored.max((1, 2, 3)).tolist() == [200, 100, 1, 0, 9]
    gan = small()
    intake = gan._taking()
    floats = IMAGES / 127.5 - 1
    learnt = intake.learn(floats)
    bright = np.abs(floats[:1])
    alone, beside = (intake.like(each, learnt.spec)[0][0] for each in (bright, np.concatenate([bright, floats])))
    assert np.array_equal(alone, beside)


@pytest.mark.parametrize("form", ["bf16", "gradient", "list", "sparse"])
def test_tensors_of_any_kind_are_images(form):
    tensor = torch.from_numpy(IMAGES / 256).float()
    forms = {"bf16": tensor.bfloat16(), "gradient": tensor.clone().requires_grad_(), "list": [*tensor.bfloat16()],
             "sparse": tensor.to_sparse()}  # fmt: skip
    found = learnt_from(forms[form]).stored[:, 0].astype(int)
    assert np.abs(found - IMAGES).max() <= 1


def test_a_folder_of_gray_and_colour_is_found_again(tmp_path):
    for i, image in enumerate(IMAGES):
        Image.fromarray(image if i % 2 else np.stack([image, image, image // 2], -1)).save(tmp_path / f"{i:02}.png")
    intake = small()._taking()
    learnt = intake.learn(tmp_path)
    assert learnt.spec.shape == (3, 16, 16)
    assert np.array_equal(intake.like(tmp_path, learnt.spec)[0], learnt.stored)
    (tmp_path / "gray").mkdir()
    Image.fromarray(IMAGES[0]).save(tmp_path / "gray/0.png")
    assert intake.like(tmp_path / "gray", learnt.spec)[0].shape == (1, 3, 16, 16)
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="expected at least one picture, got none"):
        intake.like(tmp_path / "none", learnt.spec)


def test_integers_are_the_names_of_the_classes_that_occur():
    gan = small().fit(IMAGES, np.where(np.arange(20) % 2, 2020, 7))
    assert gan.generator.description.class_names == ("7", "2020")
    assert np.array_equal(gan.predict(3, labels=2020), gan.predict(3, labels=["2020"] * 3))
    assert not np.array_equal(gan.predict(3, labels=2020), gan.predict(3, labels=7))


def test_a_folder_with_something_else_is_not_replaced(named, tmp_path):
    (tmp_path / "thesis.txt").write_text("years")
    (tmp_path / "file").write_text("as well")
    for place in (tmp_path, tmp_path / "file"):
        with pytest.raises(UserError, match="save: expected a new folder, or that of a generator"):
            named.save(place)
    assert (tmp_path / "thesis.txt").read_text() == "years"
    for _ in range(2):
        named.save(tmp_path / "model")
    for name in ("labels.json", "discriminator.safetensors"):
        (tmp_path / "model" / name).write_text("of somebody")
        with pytest.raises(UserError, match=f"is one with {name}"):
            named.save(tmp_path / "model")
        (tmp_path / "model" / name).unlink()


@pytest.mark.parametrize("latents", ["abc", 3.0, np.zeros(8), [[1.0], [1.0, 2.0]], np.array(["a"])])
def test_what_are_no_latents_is_told_in_a_sentence(named, latents):
    with pytest.raises(UserError, match="latents: expected"):
        named.decode(latents, labels=0)


def test_a_warm_start_of_another_game_is_told_in_a_sentence():
    gan = small().set_params(warm_start=True).fit(IMAGES, np.array(["cat", "dog"])[np.arange(20) % 2])
    with pytest.raises(
        UserError, match=r"warm_start: expected 16x16 grey images of cat, dog, as before; got .* of dog, w"
    ):
        gan.fit(IMAGES, np.array(["dog", "wolf"])[np.arange(20) % 2])
    with pytest.raises(UserError, match=r"of cat, dog, as before; got 16x16 grey images without labels"):
        gan.fit(IMAGES)
    gan.set_params(params={**SMALL, "train.batch": 5})
    with pytest.raises(UserError, match=r"warm_start: expected \d+ samples a step .* as before; got 5"):
        gan.fit(IMAGES, np.array(["cat", "dog"])[np.arange(20) % 2])
    gan.set_params(params={**SMALL, "model.options": {"width": 8}})
    with pytest.raises(UserError, match=r"warm_start: other networks than before"):
        gan.fit(IMAGES, np.array(["cat", "dog"])[np.arange(20) % 2])


def test_a_folder_is_learnt_from_by_its_sub_folders(tmp_path, capsys):
    for i, image in enumerate(IMAGES):
        place = tmp_path / ("boot", "bag")[i % 2] / f"{i:02}.png"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(place)
    for samples in (tmp_path, str(tmp_path)):
        found = learnt_from(samples)
        assert (found.class_names, found.spec.shape) == (("bag", "boot"), (1, 16, 16))
        assert sorted(each.tobytes() for each in found.stored) == sorted(each.tobytes() for each in IMAGES)
        assert found.y.tolist() == [0] * 10 + [1] * 10
    (tmp_path / "bag" / "bad.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"1 of 21 cannot be used, .*bad.png: not a readable image.* at most 1 %"):
        learnt_from(tmp_path)
    kinder = learnt_from(tmp_path, gan=GAN(params={**SMALL, "data.max_rejected": 0.1, "data.labels": "none"}))
    assert (kinder.y, len(kinder.stored)) == (None, 20)
    assert "1 of 21 cannot be used" in capsys.readouterr().out


def test_samples_of_a_table_are_named_by_the_paths_that_it_states(tmp_path):
    rows = []
    for i, image in enumerate(IMAGES):
        Image.fromarray(image).save(file := io.BytesIO(), "PNG")
        rows.append({"bytes": file.getvalue(), "path": f"{i % 4}_img{i}.png"})
    pq.write_table(pa.table({"image": rows}), tmp_path / "set_7.parquet")
    for pattern in (r"^(\d)_", r"(\d)"):
        found = learnt_from(tmp_path / "set_7.parquet", gan=GAN(params={**SMALL, "data.labels": pattern}))
        assert found.class_names == ("0", "1", "2", "3")


def test_an_address_is_no_path(tmp_path):
    for i, image in enumerate(IMAGES):
        Image.fromarray(image).save(tmp_path / f"{i:02}.png")
    assert len(learnt_from(f"file://{tmp_path}").stored) == len(IMAGES)


@pytest.mark.parametrize("side", [16, 28])
def test_images_have_the_channels_that_are_asked_for(side):
    colour = np.random.default_rng(3).integers(0, 256, (4, side, side, 3), np.uint8)
    for channels, given in ((1, colour), (3, colour[..., 0]), (1, colour[..., 0]), (3, colour)):
        gan = GAN(params={**SMALL, "data.channels": channels})
        forms = (given, list(given), [Image.fromarray(each) for each in given])
        first, *others = (learnt_from(form, gan=gan).stored for form in forms)
        assert first.shape[1] == channels
        assert all(np.array_equal(first, other) for other in others)


def test_mirror_images_are_learnt_from_where_they_are_asked_for(tmp_path):
    gan = GAN(params={**SMALL, "data.mirror": True})
    Image.fromarray(IMAGES[0]).save(tmp_path / "0.png")
    Image.fromarray(IMAGES[1]).save(tmp_path / "1.png")
    for samples, count in ((IMAGES, len(IMAGES)), (tmp_path, 2)):
        stored = learnt_from(samples, gan=gan).stored
        assert np.array_equal(stored[count:], stored[:count, ..., ::-1])
        assert len(stored) == 2 * count
    labelled = gan._taking().learn(IMAGES, np.arange(20) % 2)
    assert labelled.y.tolist() == [0, 1] * 20


@pytest.fixture(scope="module")
def named():
    """A GAN of classes that have names."""
    return small().fit(IMAGES, np.array(["boot", "bag"])[np.arange(20) % 2])


def test_classes_that_have_names_are_called_by_them(named):
    assert named.generator.description.class_names == ("bag", "boot")
    by_name, by_number = named.predict(3, labels="boot"), named.predict(3, labels=1)
    assert np.array_equal(by_name, by_number)
    assert np.array_equal(named.predict(2, labels=["boot", "bag"]), named.predict(2, labels=[1, 0]))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda gan: gan.predict(4, labels=99), "labels: expected integers from 0 to 1 or bag, boot, got 99"),
        (lambda gan: gan.predict(4, labels="shoe"), "or bag, boot, got 'shoe'"),
        (lambda gan: gan.predict(4, labels=[0, 1]), "labels: expected 4 or one, got int64"),
        (lambda gan: gan.predict(4, labels=1.5), "from 0 to 1 or bag, boot, got 1.5"),
        (lambda gan: gan.predict(1.5), "seeds: expected whole numbers, one for each sample, or their number; got 1.5"),
        (lambda gan: gan.predict([0, 1.5]), "got 0.0"),
        (lambda gan: gan.predict(True), "got True"),
        (lambda gan: gan.predict("3"), "got '3'"),
        (lambda gan: gan.predict(0), "seeds: expected 1 or more, or a list of them; got 0"),
        (lambda gan: gan.predict([[1]]), r"got 'int64 \(1, 1\)'"),
        (lambda gan: gan.predict(4, truncation=3), "truncation: expected a number from 0 to 1, .* got 3"),
        (lambda gan: gan.predict(4, truncation=float("nan")), "got nan"),
        (lambda gan: gan.interpolate(0, 1, steps=1), "steps: expected 2 or more, got 1"),
        (lambda gan: gan.interpolate(0, 1.5), "seeds: expected whole numbers"),
        (lambda gan: gan.set_params(kimgs=3), "kimgs: unknown to GAN; known: architecture, loss,"),
        (lambda gan: gan.evaluate(IMAGES), "labels: expected integers from 0 to 1 or bag, boot, one for each"),
    ],
)
def test_what_cannot_be_asked_for_is_told_in_a_sentence(call, words, named):
    with pytest.raises(UserError, match=words) as told:
        call(named)
    assert "\n" not in str(told.value)


def test_numbers_of_numpy_are_numbers(named):
    assert named.predict(np.int64(16)).shape == (16, 16, 16, 1)
    assert np.array_equal(named.predict(np.uint8([3]))[0], named.predict(4)[3])
    assert np.array_equal(named.predict(2, truncation=np.float32(0.5)), named.predict(2, truncation=0.5))


def test_a_gan_without_classes_takes_no_labels():
    with pytest.raises(UserError, match="labels: expected none, since it has learnt without"):
        small().fit(IMAGES).predict(4, labels=0)


# As scikit-learn's estimators do.


def test_parameters_are_those_that_were_given():
    params = {"loss.r1": 0.5}
    gan = GAN(loss="hinge", kimg=3, params=params)
    assert gan.get_params()["params"] is params
    assert repr(gan) == "GAN(loss='hinge', kimg=3, params={'loss.r1': 0.5})"
    assert eval(repr(gan)).get_params() == gan.get_params()
    assert gan.set_params(kimg=4, loss="wasserstein") is gan
    assert (gan.experiment.train.kimg, gan.experiment.loss.name, gan.kimg) == (4, "wasserstein", 4)
    with pytest.raises(ConfigError):
        gan.set_params(kimg=-1, seed=3)
    assert (gan.kimg, gan.seed) == (4, 0), "all or nothing"
    gan.kimg = 5
    assert gan.experiment.train.kimg == 5


def test_scikit_learn_clones_it(named):
    copy = clone(named)
    assert copy.get_params() == named.get_params()
    assert copy.generator is None
    check_is_fitted(named)
    with pytest.raises(NotFittedError):
        check_is_fitted(copy)
    assert np.array_equal(copy.fit(IMAGES, np.array(["boot", "bag"])[np.arange(20) % 2]).predict(4), named.predict(4))


SEEDS = "`predict` takes seeds and not rows: one seed is one sample"
WORDS = "it is refused, by a `ValueError` in our own words"
COLUMNS = "samples have a form, and no columns"
EXCLUDED = {
    "check_complex_data": WORDS,
    "check_dict_unchanged": SEEDS,
    "check_do_not_raise_errors_in_init_or_set_params": "a wrong parameter is refused where it is given",
    "check_dont_overwrite_parameters": "`fit` sets `generator`, `encoder` and `history`, which have no `_` at the end",
    "check_dtype_object": WORDS,
    "check_estimators_dtypes": SEEDS,
    "check_estimators_empty_data_messages": WORDS,
    "check_estimators_nan_inf": "its labels are floats; NaN and infinity are refused",
    "check_estimators_pickle": "`save` and `load`: a model is data, not code",
    "check_f_contiguous_array_estimator": SEEDS,
    "check_fit2d_1sample": WORDS,
    "check_fit2d_predict1d": SEEDS,
    "check_fit_idempotent": SEEDS,
    "check_fit_score_takes_y": "the second argument of `fit` is called `labels`",
    "check_methods_sample_order_invariance": SEEDS,
    "check_methods_subset_invariance": SEEDS,
    "check_n_features_in": COLUMNS,
    "check_n_features_in_after_fitting": COLUMNS,
}
"""Checks of scikit-learn that a generator does not pass, with the reasons: the table in docs/notebook.md."""


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_scikit_learns_own_checks_hold_but_for_those_that_make_no_sense_here():
    """Clips are the kind whose samples are a table [N, T]."""
    params = {**SMALL, "train.batch": 2, "train.tick_kimg": 0.008, "data.samples": 64, "model.options": {"width": 2}}
    gan = GAN("mlp", kind="wave", kimg=0.008, verbose=False, params=params)
    results = check_estimator(gan, expected_failed_checks=EXCLUDED, on_skip=None, on_fail=None)
    ended = {status: {each["check_name"] for each in results if each["status"] == status}
             for status in ("passed", "failed", "xfail")}  # fmt: skip
    assert ended["failed"] == set(), [each["exception"] for each in results if each["status"] == "failed"]
    assert ended["xfail"] == EXCLUDED.keys(), "what passes is taken out of the list"
    assert len(ended["passed"]) >= 20
    page = (Path(__file__).parents[1] / "docs" / "notebook.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(check_\w+)` \| (.*) \|$", page, re.MULTILINE))
    assert rows == EXCLUDED


def test_it_tells_scikit_learn_what_it_takes():
    takes = {kind: GAN(kind=kind).__sklearn_tags__().input_tags for kind in ("image", "text", "wave")}
    assert [takes["image"].three_d_array, takes["image"].two_d_array, takes["text"].string] == [True, False, True]
    assert takes["wave"].two_d_array


def test_what_it_raises_is_a_value_error_too():
    for call in (lambda: GAN(kimg=-1), lambda: small().fit(IMAGES * 2.0), lambda: GAN().set_params(kimgs=3)):
        with pytest.raises(ValueError, match=r"expected|unknown"):
            call()
    with pytest.raises(NotFittedError, match="call fit"):
        GAN().predict(3)


def test_the_examples_of_its_docstrings_run():
    found = doctest.testmod(estimator)
    assert (found.failed, found.attempted > 7) == (0, True)


# Interruptions, and going on.


def interrupted_after(monkeypatch, ticks):
    """Ctrl-C in the middle of the step after so many ticks."""
    whole = Run.play

    def play(run):
        for number, progress in enumerate(whole(run)):
            if number == ticks:
                raise KeyboardInterrupt
            yield progress

    monkeypatch.setattr(Run, "play", play)


def test_an_interruption_keeps_what_was_learnt_and_fit_goes_on_as_if_there_had_been_none(monkeypatch, capsys):
    expected = small().fit(IMAGES)
    gan = small().set_params(warm_start=True)
    with monkeypatch.context() as patch:
        interrupted_after(patch, 1)
        assert gan.fit(IMAGES) is gan
    assert [row["kimg"] for row in gan.history] == pytest.approx([0.08]), "what was cut does not count"
    assert "interrupted at 0.08 of 0.2 kimg: what was learnt is kept" in capsys.readouterr().out.replace("\n", " ")
    half = gan.predict(4)
    assert not np.array_equal(half, expected.predict(4))
    gan.fit(IMAGES)
    assert [row["kimg"] for row in gan.history][-1] == pytest.approx(0.2)
    assert np.array_equal(gan.predict(4), expected.predict(4))


def test_an_interruption_after_the_last_step_keeps_the_last_tick(monkeypatch, capsys):
    expected, gan = small().fit(IMAGES), small().set_params(warm_start=True)
    picture = Run.picture

    def cut(run, generator):
        if run.state.step == run.recipe.steps:
            raise KeyboardInterrupt
        return picture(run, generator)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "picture", cut)
        gan.fit(IMAGES)
    last = gan.history[-1]["kimg"]
    assert last < 0.2
    assert gan.generator.description.kimg == last
    assert "interrupted at" in capsys.readouterr().out
    gan.fit(IMAGES)
    assert np.array_equal(gan.predict(4), expected.predict(4))


def test_a_warm_start_that_fails_leaves_the_history_as_it_was(monkeypatch):
    gan = small().set_params(warm_start=True).fit(IMAGES)
    before, drawn = [*gan.history], gan.predict(4)
    picture = Run.picture

    def diverges(run, generator):
        if len(run.history) > len(before) + 1:
            raise TrainingError("the game has diverged")
        return picture(run, generator)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "picture", diverges)
        with pytest.raises(TrainingError):
            gan.fit(IMAGES)
    assert gan.history == before
    assert np.array_equal(gan.predict(4), drawn)
    gan.fit(IMAGES)
    steps = [row["kimg"] for row in gan.history]
    assert steps == sorted(set(steps))


def test_an_interruption_before_anything_was_learnt_is_one(monkeypatch):
    interrupted_after(monkeypatch, 0)
    gan = small()
    with pytest.raises(KeyboardInterrupt):
        gan.fit(IMAGES)
    assert gan.generator is None


def test_a_warm_start_after_the_end_learns_as_much_again():
    gan = small().set_params(warm_start=True).fit(IMAGES)
    once = gan.predict(4)
    gan.fit(IMAGES)
    assert gan.history[-1]["kimg"] == pytest.approx(0.4)
    assert gan.generator.description.kimg == pytest.approx(0.4)
    assert not np.array_equal(gan.predict(4), once)
    with pytest.raises(UserError, match=r"warm_start: expected .*, as before; got"):
        gan.fit(IMAGES, np.arange(20) % 2)
    cold = small().fit(IMAGES).fit(IMAGES)
    assert np.array_equal(cold.predict(4), once), "without it, fit begins anew"


# Saved, shown, measured.


@pytest.mark.parametrize("loss", ["non_saturating", "vae"])
def test_what_was_saved_is_loaded(loss, tmp_path):
    gan = small(loss=loss).fit(IMAGES, np.array(["boot", "bag"])[np.arange(20) % 2])
    gan.save(str(tmp_path / "gan"))
    loaded = GAN.load(tmp_path / "gan")
    assert np.array_equal(loaded.predict(4, labels="bag"), gan.predict(4, labels="bag"))
    assert loaded.experiment.model == gan.experiment.model
    assert loaded.experiment.loss == gan.experiment.loss
    assert loaded.experiment.train == gan.experiment.train
    if loss == "vae":
        assert np.array_equal(loaded.encode(IMAGES[:3], ["bag"] * 3), gan.encode(IMAGES[:3], [0] * 3))
    with pytest.raises(UserError, match="loaded without what it learnt from"):
        loaded.evaluate(IMAGES, np.zeros(20, int))
    with pytest.raises(UserError, match="holds no generator"):
        GAN.load(tmp_path)


def test_gans_of_all_kinds_are_loaded(spoken, written, watched, tmp_path):
    for gan in (spoken, written, watched, sounding().fit(CLIPS)):
        gan.save(tmp_path / gan.kind)
        loaded = GAN.load(tmp_path / gan.kind)
        assert loaded.generator.spec == gan.generator.spec
        assert np.array_equal(loaded.predict(3), gan.predict(3))


def test_a_plot_is_a_picture_of_the_samples(named, written):
    picture = named.plot(6)
    assert isinstance(picture, Image.Image)
    factor = 64 // 16
    assert picture.size == ((2 * 17 - 1) * factor, (3 * 17 - 1) * factor), "a column for each class"
    first = np.asarray(picture)[: 16 * factor : factor, : 16 * factor : factor]
    assert np.array_equal(first, named.predict(1)[0, ..., 0])
    assert written.plot(4).width > 0


def test_samples_between_two_seeds_begin_and_end_with_theirs(named):
    strip = named.interpolate(3, 8, steps=5, label="bag")
    assert strip.shape == (5, 16, 16, 1)
    assert np.array_equal(strip[[0, -1]], named.predict([3, 8], labels=0))
    assert np.array_equal(named.interpolate(3, 8)[[0, -1]], named.predict([3, 8]))


def test_it_is_measured_against_other_samples(named):
    labels = np.array(["boot", "bag"])[np.arange(300) % 2]
    noise = np.random.default_rng(5).integers(0, 256, (600, 4, 4), np.uint8)
    images = np.stack([np.asarray(Image.fromarray(each).resize((16, 16))) for each in noise])
    gan = GAN(kimg=0.2, verbose=False, params={**SMALL, "features.extractor": "pixels", "model.options": {"width": 4}})
    found = gan.fit(images[:300], labels).evaluate(images[300:], labels, count=300)
    assert {"fd_pixels", "precision", "recall", "coverage"} <= set(found)
    low, high = found.intervals["fd_pixels"]
    assert low < found["fd_pixels"] < high
    assert (found.protocol["real"], found.protocol["generated"], found.protocol["split"]) == (300, 300, "test")
    lines = repr(found).splitlines()
    assert lines[0].split() == ["metric", "figure", "95", "%", "better"]
    assert len(lines) == 1 + len(found.figures)
    assert found._repr_html_().count("<tr>") == len(lines)


@pytest.mark.parametrize("loss", ["autoencoder", "vae", "two_stage_vae"])
def test_an_autoencoder_gives_codes_and_makes_pictures_of_them(loss, tmp_path):
    gan = small(loss=loss).fit(IMAGES)
    codes = gan.encode(IMAGES[:5])
    assert codes.dtype == np.float32
    assert codes.shape == (5, 8)
    again = gan.decode(codes)
    assert again.shape == (5, 16, 16, 1)
    np.testing.assert_array_equal(again, gan.encoder.decode(codes).transpose(0, 2, 3, 1))
    np.testing.assert_allclose(gan.encode(IMAGES[2:3]), codes[2:3], atol=1e-5)
    gan.save(tmp_path / "generator")
    loaded = Generator.load(tmp_path / "generator")
    encoder = Encoder.beside(tmp_path / "generator", loaded)
    np.testing.assert_array_equal(encoder.encode(IMAGES[:5, None]), codes)
    np.testing.assert_array_equal(encoder.decode(codes).transpose(0, 2, 3, 1), again)


def test_a_trained_autoencoder_reconstructs_what_it_has_seen():
    stripes = np.zeros((32, 16, 16), np.uint8)
    for i in range(32):
        stripes[i, :, i // 2] = 255
    longer = {"train.tick_kimg": 4, "train.checkpoint_kimg": 4, "model.options": {"width": 8}}
    gan = GAN("dcgan", "autoencoder", kimg=4, params=SMALL | longer)
    again = gan.fit(stripes).decode(gan.encode(stripes))[..., 0].astype(float)
    mean = stripes.mean(0)
    assert np.square(again - stripes).mean() < np.square(mean - stripes).mean() / 4


def test_labels_condition_both_halves():
    labels = np.arange(20) % 3
    gan = small(loss="vae").fit(IMAGES, labels)
    codes = gan.encode(IMAGES, labels)
    assert not np.array_equal(codes, gan.encode(IMAGES, (labels + 1) % 3))
    assert gan.decode(codes, labels).shape == (20, 16, 16, 1)
    for call in (lambda: gan.encode(IMAGES), lambda: gan.decode(codes)):
        with pytest.raises(UserError, match="labels: expected integers from 0 to 2, one for each picture, got none"):
            call()
    with pytest.raises(UserError, match="labels: expected integers from 0 to 2, got 3"):
        gan.encode(IMAGES[:1], [3])


def test_a_game_finds_latents_by_optimisation(tmp_path):
    gan = small().fit(IMAGES)
    drawn = gan.predict([10**6, 10**6 + 1])
    z = gan.encode(drawn, steps=30)
    assert z.shape == (2, 8)
    np.testing.assert_array_equal(z, project(gan.generator, drawn.transpose(0, 3, 1, 2), steps=30).latents)
    np.testing.assert_array_equal(gan.decode(z), gan.generator.render(z).transpose(0, 2, 3, 1))
    gan.save(tmp_path / "generator")
    assert [path.name for path in sorted((tmp_path / "generator").iterdir())] == [DESCRIPTION, WEIGHTS]


def test_what_it_cannot_encode_is_refused():
    with pytest.raises(UserError, match="call fit"):
        GAN(loss="vae").encode(IMAGES)
    with pytest.raises(UserError, match="call fit"):
        GAN(loss="vae").decode(np.zeros((1, 8)))
    gan = small(loss="vae").fit(IMAGES)
    with pytest.raises(UserError, match=r"pictures: expected uint8 \[N, 1, 16, 16\].* got uint8 \[1, 3, 16, 16\]"):
        gan.encode(np.zeros((1, 3, 16, 16), np.uint8))
    with pytest.raises(UserError, match="images: expected uint8 from 0 to 255, or floats"):
        gan.encode(IMAGES * 2.0)
    with pytest.raises(UserError, match=r"latents: this generator takes \[N, 8\] of the kind code; got \[2, 7\]"):
        gan.decode(np.zeros((2, 7)))


def test_misspelt_parameters_are_refused():
    with pytest.raises(ConfigError, match="did you mean batch"):
        GAN(params={"train.bach": 3})


def test_it_must_learn_before_it_draws():
    with pytest.raises(UserError, match="call fit"):
        GAN().predict(3)


# Sounds.

TONES = np.stack([8000 * np.sin(2 * np.pi * f * np.arange(2048) / 8000) for f in np.linspace(200, 2000, 20)])
CLIPS = np.rint(TONES).astype(np.int16)
SHORT = {**SMALL, "data.samples": 2048, "data.bands": 16, "model.options": {"width": 4}}


def speaking(**named):
    return GAN(kind="sound", rate=8000, kimg=0.2, params=SHORT, **named)


@pytest.fixture(scope="module")
def spoken():
    return speaking().fit(CLIPS, np.arange(20) % 3)


def test_clips_in_clips_out(spoken, tmp_path):
    clips = spoken.predict(16)
    assert (clips.dtype, clips.shape) == (np.int16, (16, 2048))
    assert np.array_equal(spoken.predict([3])[0], clips[3])
    assert not np.array_equal(spoken.predict([1], labels=0), spoken.predict([1], labels=2))
    spoken.save(tmp_path / "generator")
    loaded = Generator.load(tmp_path / "generator")
    assert loaded.spec == spoken.generator.spec
    assert np.array_equal(loaded.shown(loaded.sample(np.arange(16))), clips)


def test_it_learns_from_what_the_pipeline_would_store(spoken):
    decoder = SoundDecoder(rate=8000, samples=2048, bands=16)
    raw = [decoder.decode(clip)[0] for clip in CLIPS]
    shape, facts, store, _ = decoder.finish(raw, raw[0].shape, {})
    assert (spoken.generator.spec.shape, dict(spoken.generator.spec.facts)) == (shape, facts)
    stored, found = stored_of(speaking(), CLIPS)
    assert found == facts
    assert np.array_equal(stored, [store(each) for each in raw])


def test_a_notebook_plays_what_it_draws(spoken):
    clips = spoken.predict(2)
    for shown, count in ((clips[0], 1), (clips, 2)):
        html = spoken.player(shown)._repr_html_()
        players = re.findall(r'<audio controls src="data:audio/wav;base64,([^"]*)"></audio>', html)
        assert len(players) == count
        for player, clip in zip(players, clips, strict=False):
            with wave.open(io.BytesIO(base64.b64decode(player))) as file:
                assert file.getframerate() == 8000
                assert file.readframes(file.getnframes()) == clip.tobytes()
    with pytest.raises(UserError, match=r"expected int16 \[2048\] or \[N, 2048\], got float64 \(2, 2048\)"):
        spoken.player(clips / 1)
    with pytest.raises(UserError, match="images are not played, expected a GAN of kind sound, video or wave"):
        small().fit(IMAGES).player(clips)


def test_clips_of_several_lengths_are_told_how_they_were_made_one(capsys):
    stored, _ = stored_of(speaking(), [CLIPS[0], CLIPS[1][:500], np.tile(CLIPS[2], 2), CLIPS[3] / 32768])
    assert stored.shape == (4, 1, 16, 16)
    told = capsys.readouterr().out
    assert "1 of 4 clips: padded on both sides" in told
    assert "1 of 4 clips: cut behind its first 2,048 samples" in told


@pytest.mark.parametrize(
    ("clips", "words"),
    [
        (CLIPS[:1], r"int16 \[N, T\] of at least 2 clips, got 1"),
        ([CLIPS[0], CLIPS[1] * 0], r"clips\[1\]: silent"),
        (CLIPS[0], r"clips\[0\]: expected samples \[T\] of one channel"),
        (CLIPS[:, None], r"clips\[0\]: expected samples \[T\] of one channel, got an array \(1, 2048\)"),
        (CLIPS.astype(complex), r"clips\[0\]: expected samples as int16 or floats, got complex128"),
        (np.full((2, 2048), np.nan), r"clips\[0\]: holds values that are no finite numbers"),
    ],
)
def test_clips_that_it_cannot_learn_from_are_refused(clips, words):
    with pytest.raises(UserError, match=words):
        speaking().fit(clips)


def test_keys_of_another_kind_are_refused():
    with pytest.raises(
        ConfigError, match=r"data\.rate: unknown for data\.kind: image; it is a key of data\.kind: sound"
    ):
        GAN(rate=8000)
    with pytest.raises(ConfigError, match=r"data\.resolution: unknown for data\.kind: sound"):
        GAN(kind="sound", params={"data.resolution": 64})
    with pytest.raises(ConfigError, match="did you mean sound"):
        GAN(kind="sond")


def test_an_autoencoder_of_sounds_encodes_and_decodes_clips():
    gan = speaking(loss="vae").fit(CLIPS)
    codes = gan.encode(CLIPS[:3])
    assert codes.shape == (3, 8)
    assert (gan.decode(codes).dtype, gan.decode(codes).shape) == (np.int16, (3, 2048))
    np.testing.assert_allclose(gan.encode(CLIPS[1:2]), codes[1:2], atol=1e-5)


# Waves.


def sounding(loss="relativistic", **params):
    kept = {key: value for key, value in SHORT.items() if key != "data.bands"}
    return GAN("wavegan", loss, kind="wave", rate=8000, kimg=0.2, params=kept | {"data.samples": 2048} | params)


def test_waves_in_waves_out(tmp_path):
    gan = sounding().fit(CLIPS, np.arange(20) % 3)
    clips = gan.predict(16)
    assert (clips.dtype, clips.shape) == (np.int16, (16, 2048))
    assert np.array_equal(gan.predict([3])[0], clips[3])
    assert not np.array_equal(gan.predict([1], labels=0), gan.predict([1], labels=2))
    gan.save(tmp_path / "generator")
    loaded = Generator.load(tmp_path / "generator")
    assert loaded.spec.facts == {"rate": 8000, "samples": 2048}
    assert np.array_equal(loaded.shown(loaded.sample(np.arange(16))), clips)
    assert gan.player(clips[:2])._repr_html_().count("<audio") == 2


def test_a_wave_is_learnt_as_it_is():
    """But for its loudness: the peak is that of 16 bits."""
    stored, facts = stored_of(sounding(), CLIPS)
    assert facts == {"rate": 8000, "samples": 2048}
    peaks = np.abs(CLIPS).max(axis=1, keepdims=True)
    assert np.array_equal(stored[:, 0], np.rint(CLIPS * (32767 / peaks)).astype(np.int16))


def test_the_latent_of_a_wave_is_found():
    gan = sounding("vae").fit(CLIPS)
    codes = gan.encode(CLIPS[:3])
    assert codes.shape == (3, 8)
    assert (gan.decode(codes).dtype, gan.decode(codes).shape) == (np.int16, (3, 2048))
    game = sounding().fit(CLIPS)
    assert game.decode(game.encode(CLIPS[:1], steps=2)).shape == (1, 2048)


# Texts.

SENTENCES = ["a red dog runs", "the dog sleeps", "a cat sleeps here", "the red cat runs"] * 5
BRIEF = {key: value for key, value in SMALL.items() if key != "model.latent"}
BRIEF |= {"data.length": 5, "model.options": {"width": 8, "embedding": 4}}


def writing(loss="non_saturating", **params):
    return GAN("lstm", loss, kind="text", kimg=0.2, params={**BRIEF, **params})


@pytest.fixture(scope="module")
def written():
    return writing().fit(SENTENCES, np.arange(20) % 3)


def test_texts_in_texts_out(written, tmp_path):
    texts = written.predict(16)
    assert (texts.dtype.kind, texts.shape) == ("U", (16,))
    known = {"<unk>", *" ".join(SENTENCES).split()}
    assert all(set(text.split()) <= known and len(text.split()) <= 5 for text in texts.tolist())
    assert written.predict([3])[0] == texts[3]
    assert written.predict(16, truncation=0.7).tolist() != texts.tolist()
    assert len({*written.predict(16, labels=1, truncation=0).tolist()}) == 1, "at temperature 0 the likeliest words"
    written.save(tmp_path / "generator")
    loaded = Generator.load(tmp_path / "generator")
    assert loaded.shown(loaded.sample(np.arange(16))).tolist() == texts.tolist()


def test_it_learns_from_the_texts_that_the_pipeline_would_store(written):
    decoder = TextDecoder(length=5)
    raw = [decoder.decode(text)[0] for text in SENTENCES]
    shape, facts, store, _ = decoder.finish(raw, (), {})
    assert (written.generator.spec.shape, dict(written.generator.spec.facts)) == (shape, facts)
    for samples in (SENTENCES, tuple(SENTENCES), np.array(SENTENCES), np.array(SENTENCES, object)):
        stored, found = stored_of(writing(), samples)
        assert found == facts
        assert np.array_equal(stored, [store(each) for each in raw])


def test_words_that_mean_others_are_no_start(written, tmp_path):
    written.save(tmp_path / "generator")
    start = {"train.start": str(tmp_path / "generator")}
    writing(**start).fit(SENTENCES, np.arange(20) % 3)
    others = [text.replace("red", "blue") for text in SENTENCES]
    with pytest.raises(ConfigError, match=r"train\.start: .* has other words \(.*\) than these texts"):
        writing(**start).fit(others, np.arange(20) % 3)


def test_a_game_of_soft_words_is_loaded(tmp_path):
    options = {"width": 8, "embedding": 4, "softness": 1.0}
    params = {**BRIEF, "data.length": 4, "data.words": 6, "model.latent": 24, "model.options": options}
    gan = GAN("lstm", kind="text", kimg=0.2, params=params).fit(SENTENCES)
    gan.save(tmp_path / "soft")
    assert GAN.load(tmp_path / "soft").predict(8).tolist() == gan.predict(8).tolist()


def test_a_latent_has_two_numbers_for_each_word_unless_one_is_stated():
    assert writing().experiment.model.latent == 10
    assert writing(**{"data.length": 12}).experiment.model.latent == 24
    assert GAN("lstm", kind="text").experiment.model.latent == 40
    with pytest.raises(ConfigError, match="expected two numbers a word, 10 for texts of 5, got 8"):
        writing(**{"model.latent": 8})


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ("a b c", "texts: expected a list of str, got one string"),
        (["a b"], "texts: expected a list of str of at least 2 texts, got 1"),
        (["a b", ""], r"texts\[1\]: empty"),
        (["a b", " \t"], r"texts\[1\]: empty"),
        (["a b", 5], r"texts\[1\]: expected a str, got int"),
        (["a b", b"a b"], r"texts\[1\]: expected a str, got bytes"),
        (["a b", "a\0b"], r"texts\[1\]: holds NUL"),
        (IMAGES, r"texts\[0\]: expected a str, got ndarray"),
    ],
)
def test_texts_that_it_cannot_learn_from_are_refused(texts, words):
    with pytest.raises(UserError, match=words):
        writing().fit(texts)


def test_texts_are_neither_heard_nor_encoded(written):
    with pytest.raises(UserError, match="player: texts are not played, expected a GAN of kind sound, video or wave"):
        written.player(written.predict(2))
    for call in (lambda: written.encode(SENTENCES), lambda: written.decode(np.zeros((1, 10)), [0])):
        with pytest.raises(UserError, match="latents of texts cannot be found: no gradient leads from word to word"):
            call()
    with pytest.raises(UserError, match="latents of texts cannot be found"):
        project(written.generator, np.zeros((1, 5), np.uint16))


def test_texts_that_were_cut_are_told(capsys):
    stored_of(writing(**{"data.length": 3}), SENTENCES)
    assert "15 of 20 texts: cut behind its first 3 words" in capsys.readouterr().out


# Films.

FILMS = np.random.default_rng(4).integers(0, 256, (20, 4, 16, 16), np.uint8)


def watching(loss="non_saturating", **params):
    small = {**SMALL, "model.options": {"width": 8}, "data.frames": 4, "data.resolution": 16, **params}
    return GAN("mlp", loss, kind="video", fps=12.5, kimg=0.2, params=small)


@pytest.fixture(scope="module")
def watched():
    return watching().fit(FILMS, np.arange(20) % 3)


def test_films_in_films_out(watched, tmp_path):
    films = watched.predict(8)
    assert (films.dtype, films.shape) == (np.uint8, (8, 4, 16, 16, 1))
    assert np.array_equal(watched.predict([3])[0], films[3])
    assert not np.array_equal(watched.predict([1], labels=0), watched.predict([1], labels=2))
    assert watched.generator.spec.facts == {"fps": 12.5}
    watched.save(tmp_path / "generator")
    loaded = Generator.load(tmp_path / "generator")
    assert loaded.spec == watched.generator.spec
    assert np.array_equal(loaded.shown(loaded.sample(np.arange(8))), films)


def test_it_learns_from_the_films_as_they_are_where_they_fit():
    stored, facts = stored_of(watching(), FILMS)
    assert np.array_equal(stored[:, 0], FILMS)
    assert facts == {"fps": 12.5}
    assert np.array_equal(stored_of(watching(), FILMS[..., None])[0], stored)
    assert stored_of(watching(), FILMS[..., None].repeat(3, -1))[0].shape == (20, 3, 4, 16, 16)
    mixed, _ = stored_of(watching(), [FILMS[0], FILMS[1][..., None].repeat(3, -1)])
    assert mixed.shape == (2, 3, 4, 16, 16)


def test_films_of_several_lengths_and_sizes_are_told_how_they_were_made_one(capsys):
    stored, _ = stored_of(watching(), [FILMS[0], FILMS[1][:2], np.tile(FILMS[2], (2, 1, 1)), FILMS[3].repeat(2, 1)])
    assert stored.shape == (4, 1, 4, 16, 16)
    told = capsys.readouterr().out
    assert "1 of 4 films: its last frame is held" in told
    assert "1 of 4 films: cut behind its first 4 frames" in told


def test_a_notebook_shows_films_that_move(watched):
    films = watched.predict(2)
    for shown, count in ((films[0], 1), (films, 2)):
        html = watched.player(shown)._repr_html_()
        pictures = re.findall(r'<img [^>]*src="data:image/webp;base64,([^"]*)">', html)
        assert len(pictures) == count
        for picture, film in zip(pictures, films, strict=False):
            with Image.open(io.BytesIO(base64.b64decode(picture))) as moving:
                assert moving.n_frames == 4
                assert np.array_equal(np.asarray(moving.convert("L")), film[0, ..., 0])
    with pytest.raises(UserError, match=r"player: expected uint8 \[4, 16, 16, 1\] or \[N, 4, 16, 16, 1\], got float64"):
        watched.player(films / 1)


@pytest.mark.parametrize(
    ("films", "words"),
    [
        (FILMS[:1], r"uint8 \[N, T, H, W\] or \[N, T, H, W, C\] of at least 2 films, got 1"),
        (FILMS[0], r"films\[0\]: expected uint8 \[T, H, W\] or \[T, H, W, 1 or 3\], got uint8 \[16, 16\]"),
        (FILMS / 255, r"films\[0\]: expected uint8 .* got float64"),
        ([FILMS[0], FILMS[1][:1]], r"films\[1\]: one frame: expected a film, got a still"),
    ],
)
def test_films_that_it_cannot_learn_from_are_refused(films, words):
    with pytest.raises(UserError, match=words):
        watching().fit(films)


def test_an_autoencoder_of_films_encodes_and_decodes():
    gan = watching(loss="autoencoder").fit(FILMS)
    codes = gan.encode(FILMS[:3])
    assert codes.shape == (3, 8)
    assert gan.decode(codes).shape == (3, 4, 16, 16, 1)


def test_latents_of_films_are_found_by_search(watched):
    seeds = np.arange(2)
    found = watched.encode(watched.predict(seeds), seeds % 3, steps=20)
    assert found.shape == (2, 8)
    again = watched.decode(found, seeds % 3)
    assert (
        np.abs(again.astype(int) - watched.predict(seeds)).mean()
        < np.abs(128 - watched.predict(seeds).astype(int)).mean()
    )


def test_a_latent_of_films_has_a_content_and_the_motion_in_each_frame():
    assert GAN(kind="video", fps=8).experiment.model.latent == 48 + 8 * 8
    params = {"data.frames": 4, "model.options": {"content": 10, "motion": 2, "width": 4}}
    assert GAN(kind="video", params=params).experiment.model.latent == 10 + 4 * 2
    assert GAN("mlp", kind="video").experiment.model.latent == 128


def test_a_rate_of_films_is_none_of_images():
    with pytest.raises(
        ConfigError, match=r"data\.fps: unknown for data\.kind: image; it is a key of data\.kind: video"
    ):
        GAN(fps=8)
