"""Section `data` of params.yaml for texts."""

import json
from pathlib import Path

import jsonschema
import pytest

from ganops import config
from ganops.core.errors import ConfigError
from ganops.data import decoders
from ganops.data.text_decoder import TextDecoder
from ganops.experiment import checks

ROOT = Path(__file__).parents[1]
TEXT = {"kind": "text", "length": 4, "words": 50}


def refused(data):
    with pytest.raises(ConfigError) as error:
        config.parse({"data": data})
    return str(error.value)


def test_the_kind_decides_the_section_and_defaults_are_those_of_the_decoder():
    data = config.parse({"data": {"kind": "text", "by": "characters", "length": 64, "words": 100}}).data
    assert isinstance(data, config.TextData)
    assert (data.spec.shape, data.spec.inputs) == ((64,), (64, 100))
    assert decoders.of(data) == TextDecoder(by="characters", length=64, words=100)
    assert decoders.of(config.TextData(kind="text")) == TextDecoder()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"kind": "texts"}, "expected image, sound, text, video or wave, got 'texts'; did you mean text?"),
        ({"kind": "text", "length": 0}, "params.data.length: expected greater than or equal to 1, got 0"),
        ({"kind": "text", "length": 1025}, "params.data.length: expected less than or equal to 1024, got 1025"),
        ({"kind": "text", "length": "long"}, "params.data.length: expected integer"),
        ({"kind": "text", "words": 3}, "params.data.words: expected greater than or equal to 4, got 3"),
        ({"kind": "text", "words": 65537}, "params.data.words: expected less than or equal to 65536, got 65537"),
        ({"kind": "text", "by": "letters"}, "params.data.by: expected 'words' or 'characters', got 'letters'"),
        ({"kind": "text", "lower": "some"}, "params.data.lower: expected boolean"),
        ({"kind": "text", "lenght": 9}, "params.data.lenght: unknown; did you mean length?"),
        ({"kind": "text", "rate": 9}, "params.data.rate: unknown for data.kind: text; it is a key of data.kind: sound"),
        ({"length": 9}, "params.data.length: unknown for data.kind: image; it is a key of data.kind: text"),
    ],
)
def test_refusals_name_the_key_and_what_was_expected(keys, words):
    assert words in refused(keys)


@pytest.mark.parametrize(
    ("data", "taken"),
    [({"kind": "text"}, True), ({**TEXT, "by": "characters", "lower": True}, True), ({**TEXT, "by": "lines"}, False),
     ({**TEXT, "resolution": 32}, False), ({**TEXT, "length": 0}, False)],
)  # fmt: skip
def test_editors_take_what_ganops_takes(data, taken):
    schema = json.loads((ROOT / "params.schema.json").read_text())
    assert jsonschema.Draft202012Validator(schema).is_valid({"data": data}) == taken


@pytest.mark.parametrize("loss", ["non_saturating", "began", "vae", "autoencoder"])
@pytest.mark.parametrize("architecture", ["mlp", "wavegan"])
def test_an_architecture_that_writes_no_texts_is_refused(architecture, loss):
    """A text has the shape of a wave, and mlp makes samples of any: neither makes words."""
    options = {"critic": "autoencoder"} if (architecture, loss) == ("mlp", "began") else {}
    content = {
        "data": {"kind": "text", "length": 4, "words": 128},
        "features": {"extractor": "language"},
        "model": {"architecture": architecture, "latent": 8, "options": options},
        "loss": {"name": loss},
    }
    words = (
        f"params.model.architecture: {architecture} writes no texts, of which each place has one word; expected lstm"
    )
    with pytest.raises(ConfigError, match=words):
        checks.check(config.parse(content))


@pytest.mark.parametrize("transforms", ["ada", "diffaugment", {"xint": 1}, {"gain": 0.5}])
def test_texts_are_not_augmented(transforms):
    content = {"data": TEXT, "model": {"architecture": "lstm", "latent": 8}}
    content["train"] = {"augment": {"transforms": transforms}}
    with pytest.raises(
        ConfigError, match=r"params\.train\.augment\.transforms: texts are not augmented: expected none"
    ):
        checks._check_game(config.parse(content))
    content["train"]["augment"]["transforms"] = "none"
    checks._check_game(config.parse(content))
