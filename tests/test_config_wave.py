"""Section `data` of waves: its keys, what contradicts itself, and the words about it."""

import pytest

from ganops import config
from ganops.core.errors import ConfigError
from ganops.data import decoders
from ganops.data.sound_decoder import RATES, WaveDecoder
from ganops.experiment import build, checks

WAVES = {"data": {"kind": "wave"}, "model": {"architecture": "wavegan"}}


def refused(**params):
    with pytest.raises(ConfigError) as error:
        checks.check(config.parse(WAVES).override(params))
    return str(error.value)


def test_the_section_is_that_of_the_decoder():
    data = config.parse({"data": {"kind": "wave", "rate": 16000, "samples": 16384}}).data
    assert isinstance(data, config.WaveData)
    assert (data.spec.shape, data.spec.facts) == ((1, 16384), {"rate": 16000, "samples": 16384})
    assert decoders.of(config.WaveData(kind="wave")) == WaveDecoder()
    field = config.WaveData.model_fields["rate"]
    assert tuple(getattr(bound, name) for bound, name in zip(field.metadata, ("ge", "le"), strict=True)) == RATES


@pytest.mark.parametrize("architecture", ["wavegan", "mlp"])
def test_waves_are_drawn_by(architecture):
    checks.check(config.parse(WAVES | {"model": {"architecture": architecture}}))


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"data.samples": 8000}, "params.model.options: draws clips of 8 to 31 times a power of 4 samples, got 8000; "
         "the nearest data.samples: 7936 or 8192"),
        ({"data.samples": 63}, "params.data.samples: expected greater than or equal to 64, got 63"),
        ({"data.rate": 999}, "params.data.rate: expected greater than or equal to 1000, got 999"),
        ({"data.bands": 64}, "params.data.bands: unknown for data.kind: wave; it is a key of data.kind: sound"),
        ({"data.sample": 64}, "params.data.sample: unknown; did you mean samples?"),
        ({"data.kind": "waves"}, "did you mean wave?"),
        ({"model.architecture": "dcgan"}, "params.model.options: draws squares [C, H, W], not samples of [1, 8192]"),
        ({"model.architecture": "lstm"}, "lstm writes texts, data.kind: text, of at least 2 words, data.length; got "
         "samples of 1 x 8192"),
        ({"data.kind": "image"}, "params.model.options: draws waves [1, T], not samples of [1, 32, 32]"),
        ({"model.options": {"kernel": 24}}, "params.model.options: kernel: expected an odd number from 5 on, got 24"),
        ({"model.options": {"widht": 24}}, "wavegan takes width, kernel"),
        ({"features.extractor": "inception"}, "params.features.extractor: expected domain where data.kind is wave"),
        ({"features.extractor": "pixels"}, "params.features.extractor: expected domain where data.kind is wave"),
        ({"train.augment.transforms": "ada"}, "would make something else of data.kind: wave; expected none, or names "
         "and factors of gain, time"),
        ({"train.augment.transforms": {"gap": 1}}, "gap would make something else of data.kind: wave"),
        ({"loss.name": "likelihood"}, "likelihood needs a G that knows the probabilities of its samples"),
    ],
)  # fmt: skip
def test_refusals_name_the_key_and_what_was_expected(params, words):
    assert words in refused(**params)


def test_another_kind_takes_over_what_is_said_of_all():
    sound = config.parse({"data": {"kind": "sound", "source": "x", "group": "(a)"}})
    data = sound.override({"data.kind": "wave", "data.samples": 4096}).data
    assert (data.source, data.samples, data.group) == ("x", 4096, "(a)")


def test_the_networks_are_built_from_the_section():
    G, D = build.networks(experiment := config.parse(WAVES), experiment.data.spec)
    assert (G.length, D.width) == (8, 256 * 8)
