"""Samples of an evaluation that can be heard."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest
from packages import SOUND
from PIL import Image

from ganops.evaluation import pictures, reporting
from ganops.evaluation.verdict import FIRST_SEED
from ganops.generator import Description, Generator, generator_network
from ganops.kinds import Spec, sound

CLASSES = ("one", "two", "three")


class Set:
    """A prepared set in memory: nine held-out samples of three classes, the last of which has one."""

    def __init__(self, spec, labelled=True):
        self.spec, self.labelled = spec, labelled
        self.y = np.array([0, 1, 0, 1, 2, 0, 1, 0, 1])
        self.x = np.random.default_rng(0).integers(0, 256, (9, *spec.shape), np.uint8)

    def measured(self, split):
        assert split == "test"
        return self.x, self.y if self.labelled else None


def generator(kind="sound", classes=3):
    names = CLASSES[:classes]
    description = Description("dcgan", {"width": 4}, 8, classes, names, (1, 16, 16), 0.0, "f", kind=kind,
                              facts=SOUND if kind == "sound" else {})  # fmt: skip
    return Generator(generator_network(description), description)


def read(path):
    with wave.open(io.BytesIO(path.read_bytes())) as file:
        assert file.getframerate() == SOUND["rate"]
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def test_classes_come_in_turn_on_both_sides(tmp_path):
    made, held_out = generator(), Set(Spec("sound", (1, 16, 16), 3, SOUND))
    found = {path.stem: read(path) for path in pictures.play(made, held_out, tmp_path)}
    for i in range(10):
        stored = made.sample(np.array([FIRST_SEED + i]), np.array([i % 3]))
        assert np.array_equal(found[f"generated-{i}"], sound.shown(stored, SOUND)[0])
    heard = {i: held_out.x[np.flatnonzero(held_out.y == i % 3)[i // 3]] for i in (0, 1, 2, 3, 4, 6, 7, 9)}
    for i, stored in heard.items():  # the third class has one sample: numbers 5 and 8 have no real one
        assert np.array_equal(found[f"real-{i}"], sound.shown(stored[None], SOUND)[0])
    assert {name for name in found if name.startswith("real")} == {f"real-{i}" for i in heard}


def test_without_classes_they_come_as_they_are(tmp_path):
    held_out = Set(Spec("sound", (1, 16, 16), 0, SOUND))
    found = {path.stem: read(path) for path in pictures.play(generator(classes=0), held_out, tmp_path)}
    assert sum(name.startswith("real") for name in found) == 9
    assert np.array_equal(found["real-8"], sound.shown(held_out.x[8:], SOUND)[0])


def test_waves_are_heard_as_they_are(tmp_path):
    """There is no vocoder between what is stored and what is heard."""
    facts = {"rate": SOUND["rate"], "samples": 128}
    description = Description("wavegan", {"width": 4}, 8, 3, CLASSES, (1, 128), 0.0, "f", kind="wave", facts=facts)
    made, held_out = Generator(generator_network(description), description), Set(Spec("wave", (1, 128), 3, facts))
    held_out.x = held_out.x.astype(np.int16) * 100
    found = {path.stem: read(path) for path in pictures.play(made, held_out, tmp_path)}
    assert np.array_equal(found["generated-4"], made.sample(np.array([FIRST_SEED + 4]), np.array([1]))[0, 0])
    assert np.array_equal(found["real-4"], held_out.x[np.flatnonzero(held_out.y == 1)[1], 0])


def test_images_give_no_files(tmp_path):
    assert pictures.play(generator("image"), Set(Spec("image", (1, 16, 16), 3)), tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_films_are_watched_beside_real_ones(tmp_path):
    facts = {"fps": 8.0}
    description = Description("mlp", {"width": 4}, 8, 3, CLASSES, (1, 3, 8, 8), 0.0, "f", kind="video", facts=facts)
    made, held_out = Generator(generator_network(description), description), Set(Spec("video", (1, 3, 8, 8), 3, facts))
    paths = pictures.play(made, held_out, tmp_path)
    assert {path.suffix for path in paths} == {".webp"}
    assert len(paths) == 18
    with Image.open(tmp_path / "real-0.webp") as film:
        film.seek(2)
        assert np.array_equal(np.asarray(film.convert("L")), held_out.x[0, 0, 2])
    (tmp_path / "samples.png").write_bytes(b"strips")
    (tmp_path / "samples.webp").write_bytes(b"moving")
    (tmp_path / "by_class.svg").write_bytes(b"rows")
    shown, played = pictures.found(tmp_path)
    assert {name: path.name for name, path in shown.items()} == {"samples": "samples.webp", "by_class": "by_class.svg"}
    assert played == sorted(paths)


@pytest.mark.parametrize(("names", "words"), [(CLASSES, ["one", "two", "three", "two"]), ((), ["", "", "", ""])])
def test_files_are_put_together_by_number_with_the_name_of_the_class(names, words):
    stems = ("real-0", "generated-0", "generated-1", "generated-2", "real-2", "generated-10")
    rows = reporting._played([Path(f"{stem}.wav") for stem in stems], names)
    assert [name for name, _ in rows] == words
    assert [sorted(sides) for _, sides in rows] == [["generated", "real"], ["generated"], ["generated", "real"],
                                                   ["generated"]]  # fmt: skip
