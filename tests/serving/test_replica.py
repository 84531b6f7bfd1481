"""Answers of a replica: in each format of the kind that is served, what the registered model gives."""

import asyncio
import base64
import copy
import io
import json
import threading
import wave

import httpx
import jsonschema
import numpy as np
import pytest
from packages import FILM, LENGTH, SOUND, TEXT, package
from PIL import Image

from ganops.core.pictures import grid
from ganops.registry import packing
from ganops.registry.model_version import Registered
from ganops.serving import app
from ganops.serving.app import Front
from ganops.serving.orders import FORMATS, Order
from ganops.serving.replica import Loaded, Replica, Target

RATE, SAMPLES = SOUND["rate"], SOUND["samples"]
SEEDS = [3, 4, 5]


def replica(folder, kind):
    """A replica that serves an untrained generator of a kind, without a registry."""
    packing.build(package(folder, kind=kind), "digits", folder / "model")
    found = Replica.__new__(Replica)
    found.target, found.trouble, found.turn = Target("", "digits", "champion", 1.0), None, threading.Lock()
    found.current = Loaded("7", Registered(folder / "model"), "now")
    return found


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A replica of each kind."""
    return {kind: replica(tmp_path_factory.mktemp(kind), kind) for kind in ("image", "sound", "text", "video", "wave")}


def draw(served, kind, format_, **order):
    (answer,) = served[kind].draw([Order(seeds=SEEDS, format=format_, **order)])
    return answer


def expected(served, kind, **params):
    return served[kind].current.drawer.model.predict(np.array(SEEDS), params=params)


def read(content):
    """Samples int16 [T] of a WAV."""
    with wave.open(io.BytesIO(content)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


@pytest.mark.parametrize("kind", ["image", "sound", "text", "video", "wave"])
def test_npy_is_what_predict_gives(served, kind):
    answer = draw(served, kind, "npy", truncation=0.5, labels=[2])
    got = np.load(io.BytesIO(answer.body), allow_pickle=False)
    wanted = expected(served, kind, truncation=0.5, labels=[2])
    assert (got.dtype, got.tobytes()) == (wanted.dtype, wanted.tobytes())


def called(served, names):
    """The replica of images, whose classes have these names."""
    found = Replica.__new__(Replica)
    found.target, found.trouble, found.turn = served["image"].target, None, threading.Lock()
    drawer = copy.copy(served["image"].current.drawer)
    drawer.class_names = names
    found.current = Loaded("8", drawer, "now")
    return found


def test_a_name_means_the_class_that_the_version_which_draws_calls_so(served):
    """Whatever the front has seen last: versions may have their classes in another order."""
    names = ("boot", "bag", "2")
    for label, number in (("bag", 1), ("boot", 0), ("2", 2), (2, 2), ("1", 1)):
        order = Order(seeds=SEEDS, labels=[label], format="npy")
        wanted = draw(served, "image", "npy", labels=[number]).body
        assert called(served, names).draw([order])[0].body == wanted, label
    order = Order(seeds=SEEDS, labels=["boot", "2", 0], format="npy")
    (answer,) = called(served, ("2", "bag", "boot")).draw([order])
    assert answer.body == draw(served, "image", "npy", labels=[2, 0, 0]).body


@pytest.mark.parametrize(
    ("names", "label", "told"),
    [
        (("a", "b", "c"), "d", 'labels.1: expected a whole number or one of a, b, c, got "d"'),
        (("a", "b", "c"), "-1", 'labels.1: expected a whole number or one of a, b, c, got "-1"'),
        ((), "\u0661", 'labels.1: expected a whole number, got "\\u0661"'),
        (("a", "b", "c"), "9" * 30, f"labels: expected whole numbers from 0 to 2, got {'9' * 30}"),
    ],
)
def test_a_name_that_no_class_has_is_told_what_there_is(served, names, label, told):
    (answer,) = called(served, names).draw([Order(seeds=SEEDS, labels=[0, label, 0])])
    assert (answer.status, json.loads(answer.body)["error"]) == (400, told)


@pytest.mark.parametrize("kind", ["sound", "wave"])
def test_json_of_sounds_has_a_wav_for_each_seed(served, kind):
    answer = draw(served, kind, "json")
    content = json.loads(answer.body)
    assert (answer.media, content["name"], content["version"], content["media"]) == (
        "application/json", "digits", 7, "audio/wav",
    )  # fmt: skip
    assert set(content) == {"name", "version", "media", "samples"}
    clips = np.stack([read(base64.b64decode(each)) for each in content["samples"]])
    assert clips.tobytes() == expected(served, kind).tobytes()


def test_json_of_images_is_as_it_was(served):
    content = json.loads(draw(served, "image", "json").body)
    assert set(content) == {"name", "version", "images"}
    images = np.stack([np.asarray(Image.open(io.BytesIO(base64.b64decode(each)))) for each in content["images"]])
    assert images.tobytes() == expected(served, "image").tobytes()


@pytest.mark.parametrize("kind", ["image", "sound", "text", "video", "wave"])
def test_png_is_the_grid_of_their_look(served, kind):
    answer = draw(served, kind, "png")
    drawer = served[kind].current.drawer
    stored = drawer.sample(np.array(SEEDS))
    assert answer.media == "image/png"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(answer.body))), np.asarray(grid(drawer.spec.look(stored))))


@pytest.mark.parametrize("kind", ["sound", "wave"])
def test_wav_is_the_clips_one_after_the_other(served, kind):
    answer = draw(served, kind, "wav")
    assert answer.media == "audio/wav"
    gap = np.zeros(round(0.1 * RATE), np.int16)
    a, b, c = expected(served, kind)
    assert read(answer.body).tobytes() == np.concatenate([a, gap, b, gap, c]).tobytes()


def test_json_of_texts_has_the_strings(served):
    content = json.loads(draw(served, "text", "json", truncation=0.7).body)
    assert content == {"name": "digits", "version": 7, "texts": expected(served, "text", truncation=0.7).tolist()}
    assert set(" ".join(content["texts"]).split()) <= set(TEXT["words"])


def test_txt_is_a_text_a_line(served):
    answer = draw(served, "text", "txt")
    assert answer.media == "text/plain; charset=utf-8"
    assert answer.body.decode("utf-8") == "".join(f"{text}\n" for text in expected(served, "text"))


@pytest.mark.parametrize(
    ("kind", "format_"),
    [("image", "wav"), ("text", "wav"), ("image", "txt"), ("sound", "txt"), ("image", "webp"), ("video", "wav")],
)
def test_an_order_finds_samples_of_another_kind_in_words(served, kind, format_):
    """The alias moved between the check of the order and its turn."""
    answer = draw(served, kind, format_)
    own = {"image": "", "sound": ", wav", "text": ", txt", "video": ", webp"}[kind]
    assert answer.status == 400
    assert json.loads(answer.body)["error"] == f"format: expected json, png, npy{own}"


def test_a_replica_tells_the_kind_the_rate_and_the_formats(served):
    state = served["sound"].state()
    assert (state.kind, state.rate, state.dtype, state.shape) == ("sound", RATE, "int16", (SAMPLES,))
    assert state.formats == (*FORMATS, "wav")
    state = served["wave"].state()
    assert (state.kind, state.rate, state.dtype, state.shape, state.formats) == (
        "wave", RATE, "int16", (128,), (*FORMATS, "wav"),
    )  # fmt: skip
    state = served["text"].state()
    assert (state.kind, state.rate, state.shape, state.formats) == ("text", None, (), (*FORMATS, "txt"))
    assert (state.length, state.vocabulary) == (LENGTH, len(TEXT["words"]))
    assert state.dtype == served["text"].current.drawer.model.predict(np.arange(2)).dtype.str == "<U27", "3 x (8 + 1)"
    state = served["image"].state()
    assert (state.kind, state.rate, state.dtype, state.formats) == ("image", None, "uint8", FORMATS)
    assert (state.length, state.vocabulary) == (None, None)


class Backend:
    """A replica in this process."""

    def __init__(self, found):
        self.found = found

    async def draw(self, order):
        (answer,) = self.found.draw([order])
        return answer

    async def states(self):
        return [self.found.state()]


def asked(found, *requests):
    """Answers of the whole front to requests (method, path, JSON), and its description of itself."""

    async def ask():
        front = Front(Backend(found), lambda line: None)
        await front.look()
        transport = httpx.ASGITransport(front.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            answers = [await client.request(method, path, json=body) for method, path, body in requests]
            return answers, (await client.get("/openapi.json")).json()

    return asyncio.run(ask())


def test_a_server_of_sounds_over_http(served):
    (model, heard, files, refused, many), api = asked(
        served["sound"],
        ("GET", "/model", None),
        ("POST", "/generate", {"seeds": SEEDS, "format": "wav"}),
        ("POST", "/generate", {"seeds": SEEDS}),
        ("POST", "/generate", {"seeds": SEEDS, "format": "gif"}),
        ("POST", "/generate", {"seeds": [0] * 257}),
    )
    told = model.json()
    assert (told["kind"], told["rate"], told["formats"]) == ("sound", RATE, ["json", "png", "npy", "wav"])
    assert told["limits"]["seeds"] == app.CLIPS == 256
    assert heard.headers["content-type"] == "audio/wav"
    assert len(read(heard.content)) == 3 * SAMPLES + 2 * round(0.1 * RATE)
    assert refused.json()["error"] == "format: expected 'json', 'png', 'npy' or 'wav', got \"gif\""
    assert many.json()["error"] == "seeds: expected 1 to 256 of them, got 257"
    jsonschema.validate(files.json(), {"$ref": "#/components/schemas/Played", "components": api["components"]})
    generate = api["paths"]["/generate"]["post"]
    assert "audio/wav" in generate["responses"]["200"]["content"]
    order = generate["requestBody"]["content"]["application/json"]["schema"]
    assert order["properties"]["format"]["enum"] == [*told["formats"], "txt", "webp"]


def frames(content):
    """uint8 [T, H, W, 3] of an animated WebP, and the milliseconds of each frame."""
    found, shown = [], []
    with Image.open(io.BytesIO(content)) as film:
        for number in range(film.n_frames):
            film.seek(number)
            found.append(np.asarray(film.convert("RGB")))
            shown.append(film.info["duration"])
    return np.stack(found), shown


def test_a_server_of_films_over_http(served):
    (model, together, files, refused), api = asked(
        served["video"],
        ("GET", "/model", None),
        ("POST", "/generate", {"seeds": SEEDS, "format": "webp"}),
        ("POST", "/generate", {"seeds": SEEDS}),
        ("POST", "/generate", {"seeds": SEEDS, "format": "mp4"}),
    )
    told, wanted = model.json(), expected(served, "video")
    assert (told["kind"], told["shape"], told["dtype"]) == ("video", [3, 8, 8, 3], "uint8")
    assert (told["fps"], told["rate"], told["formats"]) == (FILM["fps"], None, ["json", "png", "npy", "webp"])
    assert files.json()["media"] == together.headers["content-type"] == "image/webp"
    for content, film in zip(files.json()["samples"], wanted, strict=True):
        seen, shown = frames(base64.b64decode(content))
        assert seen.tobytes() == film.tobytes()
        assert shown == [80, 80, 80]
    seen, _ = frames(together.content)
    for i, film in enumerate(wanted):  # eight times as large, a pixel between two
        assert np.array_equal(seen[:, ::8, 72 * i : 72 * i + 64 : 8], film)
    assert refused.json()["error"] == "format: expected 'json', 'png', 'npy' or 'webp', got \"mp4\""
    jsonschema.validate(files.json(), {"$ref": "#/components/schemas/Played", "components": api["components"]})
    assert "image/webp" in api["paths"]["/generate"]["post"]["responses"]["200"]["content"]


def test_a_server_of_texts_over_http(served):
    (model, lines, texts, array, refused), api = asked(
        served["text"],
        ("GET", "/model", None),
        ("POST", "/generate", {"seeds": SEEDS, "format": "txt"}),
        ("POST", "/generate", {"seeds": SEEDS}),
        ("POST", "/generate", {"seeds": SEEDS, "format": "npy"}),
        ("POST", "/generate", {"seeds": SEEDS, "format": "wav"}),
    )
    told, wanted = model.json(), expected(served, "text").tolist()
    assert (told["kind"], told["shape"], told["dtype"], told["rate"]) == ("text", [], "<U27", None)
    assert (told["length"], told["vocabulary"]) == (LENGTH, len(TEXT["words"]))
    assert (told["formats"], told["limits"]["seeds"]) == (["json", "png", "npy", "txt"], 1024)
    assert lines.headers["content-type"] == "text/plain; charset=utf-8"
    assert lines.text.split("\n") == [*wanted, ""]
    assert texts.json()["texts"] == wanted == np.load(io.BytesIO(array.content), allow_pickle=False).tolist()
    assert refused.json()["error"] == "format: expected 'json', 'png', 'npy' or 'txt', got \"wav\""
    jsonschema.validate(texts.json(), {"$ref": "#/components/schemas/Written", "components": api["components"]})
    assert "text/plain" in api["paths"]["/generate"]["post"]["responses"]["200"]["content"]


def test_a_server_of_images_makes_no_sounds(served):
    (refused, model), _ = asked(
        served["image"], ("POST", "/generate", {"seeds": [1], "format": "wav"}), ("GET", "/model", None)
    )
    assert (refused.status_code, refused.json()) == (
        400, {"error": "format: expected 'json', 'png' or 'npy', got \"wav\""},
    )  # fmt: skip
    assert (model.json()["kind"], model.json()["rate"], model.json()["limits"]["seeds"]) == ("image", None, 1024)


def test_a_clip_weighs_its_bytes(served):
    front = Front(Backend(served["sound"]), lambda line: None)
    asyncio.run(front.look())
    assert front._weight() == 2 * SAMPLES
    assert front.noun == "clips"


def test_a_text_weighs_its_bytes_as_predict_gives_it(served):
    front = Front(Backend(served["text"]), lambda line: None)
    asyncio.run(front.look())
    assert front._weight() == expected(served, "text")[:1].nbytes == 4 * 27
    assert front.noun == "texts"
