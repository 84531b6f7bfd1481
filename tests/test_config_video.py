"""Section `data` of params.yaml for films: its keys, and the words about impossible ones."""

import json
from pathlib import Path

import jsonschema
import pytest

from ganops import config
from ganops.core.errors import ConfigError
from ganops.data import decoders
from ganops.data.video_decoder import VideoDecoder

ROOT = Path(__file__).parents[1]


def refused(data):
    with pytest.raises(ConfigError) as error:
        config.parse({"data": {"kind": "video", **data}})
    return str(error.value)


def test_the_section_of_films():
    data = config.parse({"data": {"kind": "video", "frames": 16, "every": 2, "fps": 12.5, "resolution": 64}}).data
    assert isinstance(data, config.VideoData)
    assert data.spec.shape == (1, 16, 64, 64)
    assert config.parse(config.parse({"data": {"kind": "video"}}).content()).data == config.VideoData(kind="video")
    assert config.parse({"data": {"kind": "video", "channels": 3}}).data.spec.shape == (3, 8, 32, 32)


def test_defaults_are_those_of_the_decoder():
    assert decoders.of(config.VideoData(kind="video")) == VideoDecoder()
    data = config.VideoData(kind="video", frames=4, every=3, fps=10, channels=1, fit="crop", background="white")
    assert decoders.of(data) == VideoDecoder(4, 3, 10.0, 32, 1, "crop", "white")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"frames": 1}, "params.data.frames: expected greater than or equal to 2, got 1"),
        ({"frames": 257}, "params.data.frames: expected less than or equal to 256, got 257"),
        ({"frames": True}, "params.data.frames: expected greater than or equal to 2, got True"),
        ({"every": 0}, "params.data.every: expected greater than or equal to 1, got 0"),
        ({"fps": 0}, "params.data.fps: expected 'auto', got 0 or expected greater than 0, got 0"),
        ({"fps": "film"}, "params.data.fps: expected 'auto'"),
        ({"resolution": 48}, "params.data.resolution: expected 16, 32, 64, 128 or 256, got 48"),
        ({"frame": 8}, "params.data.frame: unknown; did you mean frames?"),
        ({"mirror": True}, "params.data.mirror: unknown for data.kind: video; it is a key of data.kind: image"),
        ({"bands": 8}, "params.data.bands: unknown for data.kind: video; it is a key of data.kind: sound"),
    ],
)
def test_refusals_name_the_key_and_what_was_expected(keys, words):
    assert words in refused(keys)


@pytest.mark.parametrize(
    ("data", "taken"),
    [
        ({}, True), ({"fps": "auto"}, True), ({"fps": 12.5, "frames": 16, "every": 2}, True), ({"fps": 0}, False),
        ({"rate": 8000}, False), ({"frames": 1}, False),
    ],
)  # fmt: skip
def test_editors_take_what_ganops_takes(data, taken):
    schema = json.loads((ROOT / "params.schema.json").read_text())
    assert jsonschema.Draft202012Validator(schema).is_valid({"data": {"kind": "video", **data}}) == taken
