"""Section `data` of params.yaml by kind: the keys of each, and the words about those that are none."""

import json
from pathlib import Path

import jsonschema
import pytest

from ganops import config
from ganops.core.errors import ConfigError
from ganops.data import decoders
from ganops.data.image_decoder import ImageDecoder
from ganops.data.sound_decoder import RATES, SoundDecoder
from ganops.experiment import checks

ROOT = Path(__file__).parents[1]
KINDS = "image, sound, text, video or wave"


def refused(data):
    with pytest.raises(ConfigError) as error:
        config.parse({"data": data})
    return str(error.value)


def test_the_kind_decides_the_section_and_the_default_is_the_image():
    assert isinstance(config.parse({}).data, config.ImageData)
    assert isinstance(config.parse({"data": {"kind": "image", "resolution": 16}}).data, config.ImageData)
    data = config.parse({"data": {"kind": "sound", "rate": 16000, "window": 512, "hop": 256}}).data
    assert isinstance(data, config.SoundData)
    assert (data.rate, data.samples, data.bands, data.window, data.hop) == (16000, 8192, 64, 512, 256)
    assert data.spec.shape == (1, 64, 32)
    assert config.parse(config.parse({"data": {"kind": "sound"}}).content()).data == config.SoundData(kind="sound")


def test_defaults_are_those_of_the_decoders():
    assert decoders.of(config.SoundData(kind="sound")) == SoundDecoder()
    assert isinstance(decoders.of(config.ImageData()), ImageDecoder)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"kind": "soud"}, f"params.data.kind: expected {KINDS}, got 'soud'; did you mean sound?"),
        ({"kind": "film"}, f"params.data.kind: expected {KINDS}, got 'film'"),
        ({"kind": 3}, f"params.data.kind: expected {KINDS}, got '3'"),
        ({"kind": ["sound"]}, f"params.data.kind: expected {KINDS}"),
        ({"kind": "sound", "windw": 256}, "params.data.windw: unknown; did you mean window?"),
        ({"kind": "sound", "sample": 8192}, "params.data.sample: unknown; did you mean samples?"),
        ({"kind": "sound", "smurf": 1}, "params.data.smurf: unknown; known: source, labels, group, validation, test, "),
        (
            {"kind": "sound", "resolution": 32},
            "params.data.resolution: unknown for data.kind: sound; it is a key of data.kind: image",
        ),
        ({"every": 2}, "params.data.every: unknown for data.kind: image; it is a key of data.kind: video"),
        ({"rate": 8000}, "params.data.rate: unknown for data.kind: image; it is a key of data.kind: sound"),
        ({"kind": "sound", "rate": 999}, "params.data.rate: expected greater than or equal to 1000, got 999"),
        ({"kind": "sound", "rate": 10**6}, "params.data.rate: expected less than or equal to 384000, got 1000000"),
        ({"kind": "sound", "rate": "8 kHz"}, "params.data.rate: expected integer"),
        ({"kind": "sound", "samples": 0}, "params.data.samples: expected greater than or equal to 1, got 0"),
        ({"kind": "sound", "samples": 8200}, "params.data: expected a clip of whole hops, got 8200 samples and hops"),
        ({"kind": "sound", "bands": 0}, "params.data.bands: expected greater than or equal to 1, got 0"),
        ({"kind": "sound", "bands": 129}, "params.data: 129 bands are too many for a window of 256 samples"),
        ({"kind": "sound", "rate": 16000}, "params.data: 64 bands are too many for a window of 256 samples"),
        ({"kind": "sound", "hop": 0}, "params.data.hop: expected greater than or equal to 1, got 0"),
        ({"kind": "sound", "hop": 512}, "params.data: expected a window of 2, 3, 4 ... hops, got 256 samples and hops"),
        ({"kind": "sound", "window": 300}, "params.data: expected a window of 2, 3, 4 ... hops, got 300 samples"),
        ({"kind": "sound", "window": 1.5}, "params.data.window: expected integer"),
        ({"kind": "sound", "labels": r"^\d_"}, "params.data.labels: expected auto, none, or a pattern with one group"),
        ({"labels": "folders"}, "params.data.labels: expected auto, none, or a pattern with one group, the part"),
        ({"labels": "(a"}, "no regular expression: missing ), unterminated subpattern at position 0"),
        ({"labels": 3}, "params.data.labels: expected string, got 3"),
        ({"group": "auto"}, "params.data.group: expected none, or a pattern with one group"),
        ({"kind": "sound", "group": "(a)(b)"}, "got '(a)(b)', with 2"),
        ({"kind": "sound", "validation": 0}, "must both be above 0"),
        ({"kind": "sound", "source": "s3://key:secret@bucket/x"}, "keys do not belong into an address"),
    ],
)
def test_refusals_name_the_key_and_what_was_expected(keys, words):
    assert words in refused(keys)


@pytest.mark.parametrize(
    ("architecture", "side", "words"),
    [
        ("dcgan", 48, "8 times a power of 2, got 48 x 48; the nearest: 32 or 64"),
        ("dcgan", 4, "got 4 x 4; the nearest: 8 "),
        ("began", 80, "got 80 x 80; the nearest: 64 or 128"),
        ("infogan", 30, "a multiple of 4, got 30 x 30; the nearest: 28 or 32"),
        ("r3gan", 48, "4 times a power of 2, got 48 x 48; the nearest: 32 or 64"),
        ("sngan", 8, "16 times a power of 2, got 8 x 8; the nearest: 16 "),
        ("sngan", 4, "got 4 x 4; the nearest: 16 "),
        ("stylegan2", 48, "4 times a power of 2, got 48 x 48; the nearest: 32 or 64"),
    ],
)
def test_squares_that_an_architecture_does_not_draw_are_refused_with_the_nearest_that_it_does(
    architecture, side, words
):
    """Such a square passed the check of its shape, and came to a crash in training."""
    loss = {"name": "began"} if architecture == "began" else {}
    data = {"kind": "sound", "bands": side, "samples": side * 128}
    with pytest.raises(ConfigError) as error:
        checks.check(config.parse({"data": data, "model": {"architecture": architecture}, "loss": loss}))
    assert str(error.value).startswith("params.model.options: draws squares whose side is ")
    assert words in str(error.value)
    assert "data.bands and data.samples / data.hop" in str(error.value)


def test_what_is_true_is_no_number():
    assert "params.data.rate" in refused({"kind": "sound", "rate": True})
    assert refused({"kind": "sound", "bands": True}) == "params.data.bands: expected a number, got true"


def test_bounds_are_those_of_the_decoder():
    field = config.SoundData.model_fields["rate"]
    assert tuple(getattr(bound, name) for bound, name in zip(field.metadata, ("ge", "le"), strict=True)) == RATES


def test_another_kind_takes_over_what_is_said_of_all():
    images = config.parse({"data": {"source": "x", "resolution": 64, "validation": 0.2, "labels": "none"}})
    data = images.override({"data.kind": "sound", "data.rate": 16000, "data.window": 512, "data.hop": 256}).data
    assert isinstance(data, config.SoundData)
    assert (data.source, data.validation, data.labels, data.rate) == ("x", 0.2, "none", 16000)
    assert images.override({"data.kind": "image"}).data == images.data


@pytest.mark.parametrize(
    ("data", "taken"),
    [
        ({"source": "x"}, True), ({}, True), ({"kind": "sound"}, True), ({"kind": "sound", "bands": 32}, True),
        ({"kind": "image", "mirror": True}, True), ({"kind": "sound", "resolution": 32}, False),
        ({"bands": 32}, False), ({"kind": "film"}, False),
    ],
)  # fmt: skip
def test_editors_take_what_ganops_takes(data, taken):
    schema = json.loads((ROOT / "params.schema.json").read_text())
    assert jsonschema.Draft202012Validator(schema).is_valid({"data": data}) == taken
