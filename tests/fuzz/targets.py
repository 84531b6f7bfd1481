"""The doors through which foreign bytes come in, each with a strategy for what may stand before it.

A target is made in a folder of its own, and yields cases and a check. A check returns, or raises one of `REFUSALS`: the
sentence that a user gets. Everything else is a finding.
"""

import asyncio
import contextlib
import gzip
import hashlib
import io
import json
import shutil
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import reels
import sounds
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from PIL import Image

from ganops.core.errors import UserError
from ganops.data.decode import decode_all
from ganops.data.image_decoder import ImageDecoder
from ganops.data.sound_decoder import SoundDecoder
from ganops.data.sources import read_source
from ganops.data.sources.item import ItemError
from ganops.data.text_decoder import TextDecoder
from ganops.data.video_decoder import VideoDecoder
from ganops.registry.model import Model

REFUSALS = (UserError, ItemError)
MOST_ITEMS = 200
"""Of a source that are looked at."""


@dataclass(frozen=True)
class Target:
    """A door: what comes, and what takes it in."""

    cases: SearchStrategy[Any]
    check: Callable[[Any], None]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["a/0.png", "../up.png", "/tmp/absolute.png", "", ".", "..", "a\\b.png", "a/", "c\0d.png", "\udc80.png", "ä.png",
     "a" * 300 + ".png", "a/" * 200 + "x.png", "~/x.png", "C:\\x.png", "[/red].png", "con", "x.zip"]
) | st.text(max_size=20)  # fmt: skip
EDGES = [
    b"\0",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\0\0\0\0",
    b"\xff" * 8,
    b"../",
    b"PK\x05\x06",
    b"\n",
]


@st.composite
def mutated(draw: Any, originals: list[bytes]) -> bytes:
    """One of the originals with a few bytes changed, cut out, inserted or doubled."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        kind = draw(st.integers(0, 5))
        if kind == 0 and data:
            data[at] = draw(st.integers(0, 255))
        elif kind == 1:
            edge = draw(st.sampled_from(EDGES))
            data[at : at + len(edge)] = edge
        elif kind == 2:
            data[at:at] = draw(st.binary(max_size=16) | st.sampled_from(EDGES))
        elif kind == 3:
            del data[at : at + draw(st.integers(1, 64))]
        elif kind == 4:
            data[at:at] = data[at : at + draw(st.integers(1, 256))]
        else:
            del data[at:]
    return bytes(data)


def pictures() -> list[bytes]:
    """Small valid images of all modes and formats."""
    rng, found = np.random.default_rng(0), []
    for mode, formats in {
        "L": ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"), "RGB": ("PNG", "JPEG", "BMP", "TIFF", "WEBP"),
        "RGBA": ("PNG", "WEBP", "TIFF"), "P": ("PNG", "GIF", "BMP"), "1": ("PNG", "BMP", "TIFF"), "LA": ("PNG",),
        "I;16": ("PNG", "TIFF"), "CMYK": ("JPEG", "TIFF"), "F": ("TIFF",),
    }.items():  # fmt: skip
        pixels = Image.fromarray(rng.integers(0, 256, (9, 7, 3), np.uint8))
        image = Image.fromarray(rng.integers(0, 60000, (9, 7), np.uint16)) if mode == "I;16" else pixels.convert(mode)
        for name in formats:
            image.save(file := io.BytesIO(), name)
            found.append(file.getvalue())
    frames = [Image.new("L", (8, 8), value) for value in (0, 128, 255)]
    frames[0].save(file := io.BytesIO(), "GIF", save_all=True, append_images=frames[1:])
    return [*found, file.getvalue()]


def png() -> bytes:
    """One of them."""
    Image.new("L", (8, 8), 99).save(file := io.BytesIO(), "PNG")
    return file.getvalue()


def walk(path: Path) -> None:
    """What `prepare` does with a source: each item is decoded; one that cannot be used is passed over."""
    items = [item.content for item in islice(read_source(path).items, MOST_ITEMS)]
    decode_all(items, ImageDecoder(16))


def images(_: Path) -> Target:
    """Decoding of one image."""

    def header(size: tuple[int, int, int, int]) -> bytes:
        """A PNG that says what it likes of its size, depth and colours."""
        width, height, depth, colour = size

        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(5000), 9)) + chunk(b"IEND", b"")

    sizes = st.integers(0, 64) | st.sampled_from([2**16, 2**20, 80_000_000, 2**31 - 1, 2**32 - 1])
    lying = st.tuples(sizes, sizes, st.sampled_from([0, 1, 2, 4, 8, 16, 32]), st.integers(0, 7)).map(header)
    recipes = st.builds(
        ImageDecoder,
        st.sampled_from([1, 16, 33]),
        st.sampled_from(["auto", 1, 3]),
        st.sampled_from(["white", "#102030"]),
        st.sampled_from(["crop", "pad", "stretch"]),
    )

    def check(case: tuple[bytes, ImageDecoder]) -> None:
        data, recipe = case
        (found,) = decode_all([data], recipe)
        if isinstance(found, ItemError):
            raise found
        assert found[0].shape[1:] == (recipe.resolution, recipe.resolution)
        assert found[0].dtype == np.uint8

    return Target(st.tuples(mutated(pictures()) | lying | st.binary(max_size=64), recipes), check)


def clips(_: Path) -> Target:
    """Decoding of one file of sound."""

    def lying(header: tuple[int, int, int, int, int]) -> bytes:
        tag, channels, rate, bits, size = header
        return sounds.riff(bytes(range(256)) * 8, tag=tag, channels=channels, rate=rate, bits=bits, size=size)

    words = st.integers(0, 9) | st.sampled_from([16, 24, 32, 64, 0xFFFE, 0xFFFF]) | st.integers(0, 2**16 - 1)
    wide = st.sampled_from([0, 1, 8000, 44100, 384_000, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)
    headers = st.tuples(words, words, wide, words, wide).map(lying)
    files = [sounds.encoded(sounds.noise(0, 6000), form, 8000 if form == "wav" else 48000) for form in sounds.FORMATS]
    decoders = st.builds(SoundDecoder, st.sampled_from([8000, 16000]), st.sampled_from([256, 8192]), st.just(16))

    def check(case: tuple[bytes, SoundDecoder]) -> None:
        data, decoder = case
        (found,) = decode_all([data], decoder)
        if isinstance(found, ItemError):
            raise found
        assert found[0].shape == (decoder.samples,)
        assert found[0].dtype == np.int16
        assert np.abs(found[0].astype(int)).max() == 32767

    return Target(st.tuples(mutated(files) | headers | st.binary(max_size=64), decoders), check)


def films(_: Path) -> Target:
    """Decoding of one film: a container, an animation, or numbered images."""
    files = [reels.contained(reels.moving(4), form) for form in reels.CONTAINERS]
    files += [reels.animated(reels.noise(0), form) for form in reels.ANIMATED]
    stills = reels.stills(reels.noise(1))
    decoders = st.builds(
        VideoDecoder,
        st.sampled_from([2, 8]),
        st.sampled_from([1, 3]),
        st.sampled_from(["auto", 0.5, 24.0]),
        st.sampled_from([1, 16]),
        st.sampled_from(["auto", 1, 3]),
        st.sampled_from(["crop", "pad", "stretch"]),
    )
    frames = st.lists(mutated(stills) | st.sampled_from(stills), min_size=1, max_size=4).map(tuple)

    def check(case: tuple[bytes | tuple[bytes, ...], VideoDecoder]) -> None:
        data, decoder = case
        (found,) = decode_all([data], decoder)
        if isinstance(found, ItemError):
            raise found
        assert found[0].shape[1:] == (decoder.frames, decoder.resolution, decoder.resolution)
        assert found[0].dtype == np.uint8

    return Target(st.tuples(mutated(files) | frames | st.binary(max_size=64), decoders), check)


def lines(folder: Path) -> Target:
    """Files with a text a line."""
    files = [b"noun\ta dog\n\n verb\tto bark, \xc4\x8daj\n", '{"text": "šaty", "label": 1}\n{"text": ""}'.encode(),
             "a\ndva\r\n\u0301\u200d👍🏽\n".encode("utf-16"), b"\xef\xbb\xbfx" * 9]  # fmt: skip
    contents = mutated(files) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass"))
    names = st.sampled_from(["x.txt", "x.tsv", "x.jsonl"])
    decoders = st.builds(TextDecoder, st.sampled_from(["words", "characters"]), st.integers(1, 9))

    def check(case: tuple[str, bytes, TextDecoder]) -> None:
        name, content, decoder = case
        (folder / name).write_bytes(content)
        items = list(islice(read_source(folder / name, decoder.wanted).items, MOST_ITEMS))
        for found in decode_all([item.content for item in items], decoder):
            if isinstance(found, ItemError):
                continue
            text = found[0].tobytes().decode()
            again, notes = decoder.decode(text)
            assert decoder.by == "characters" or (again.tobytes(), notes) == (text.encode(), ()) or not text
            assert len(text.split(" ") if decoder.by == "words" else text) <= decoder.length

    return Target(st.tuples(names, contents, decoders), check)


def archives(folder: Path) -> Target:
    """Zip and tar files, whole and damaged, with names of all kinds."""
    picture = png()
    entries = st.lists(st.tuples(NAMES, st.sampled_from([picture, b"", b"text", picture * 3])), max_size=5)
    packings = st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
    links = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE, tarfile.DIRTYPE)

    @st.composite
    def zipped(draw: Any) -> tuple[str, bytes]:
        with warnings.catch_warnings(), zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
            warnings.simplefilter("ignore")
            for name, content in draw(entries):
                info = zipfile.ZipInfo()
                info.filename = name.encode("utf-8", "replace").decode()
                info.compress_type = draw(packings)
                archive.writestr(info, content)
        return ".zip", file.getvalue()

    @st.composite
    def tarred(draw: Any) -> tuple[str, bytes]:
        ending, mode = draw(st.sampled_from([(".tar", "w"), (".tar.gz", "w:gz"), (".tar.xz", "w:xz")]))
        with tarfile.open(fileobj=(file := io.BytesIO()), mode=mode) as tar:
            for name, content in draw(entries):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                member.type = draw(st.just(tarfile.REGTYPE) | st.sampled_from(links))
                member.linkname = draw(st.sampled_from(["", "../x", "/etc/passwd", name, "a/0.png"]))
                tar.addfile(member, io.BytesIO(content))
        return ending, file.getvalue()

    originals = [_zip(picture), _zip(picture, zipfile.ZIP_STORED), _tar(picture, "w"), _tar(picture, "w:gz")]
    damaged = st.tuples(st.sampled_from([".zip", ".tar", ".tar.gz"]), mutated(originals))
    bombs = st.integers(1, 4000).map(lambda mib: (".zip", _bomb(mib)))

    def check(case: tuple[str, bytes]) -> None:
        path = folder / f"set{case[0]}"
        path.write_bytes(case[1])
        walk(path)

    return Target(zipped() | tarred() | damaged | bombs, check)


def _zip(picture: bytes, kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    with zipfile.ZipFile(file := io.BytesIO(), "w", kind) as archive:
        for name in ("a/0.png", "a/1.png", "b/2.png"):
            archive.writestr(name, picture)
    return file.getvalue()


def _tar(picture: bytes, mode: Any) -> bytes:
    with tarfile.open(fileobj=(file := io.BytesIO()), mode=mode) as tar:
        for name in ("a/0.png", "b/1.png"):
            member = tarfile.TarInfo(name)
            member.size = len(picture)
            tar.addfile(member, io.BytesIO(picture))
    return file.getvalue()


def _bomb(mib: int) -> bytes:
    """A zip file whose only entry says that it holds 10 bytes and holds so many MiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)  # it may stand there as often as one likes
    body = block * mib + packer.flush()
    name, sizes = b"a/x.png", (0, len(body), 10)
    local = struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 8, 0, 0, *sizes, 7, 0) + name + body
    central = struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 8, 0, 0, *sizes, 7, 0, 0, 0, 0, 0, 0) + name
    return local + central + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 1, 1, len(central), len(local), 0)


def parquet(folder: Path) -> Target:
    """Parquet files of images, of other columns, and damaged ones."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    picture = png()
    columns = st.sampled_from(
        [
            pa.array([{"bytes": picture, "path": "x.png"}] * 3),
            pa.array([{"bytes": "text", "path": 3}] * 3),
            pa.array([{"bytes": 7}, {"bytes": 8}, None]),
            pa.array([picture] * 3),
            pa.array([picture, None, b""]),
            pa.array([b"x" * 10, b"", None]),
            pa.array(["a", "b", None]),
            pa.array([0, 1, -5]),
            pa.array([0.5, float("nan"), None]),
            pa.array([[1, 2], [], None]),
            pa.array([True, False, None]),
            pa.array([None, None, None]),
            pa.array(["a", "b", "a"]).dictionary_encode(),
        ]
    )
    names = st.sampled_from(["image", "img", "label", "labels", "class", "", "image.bytes", "ä"])
    features = st.fixed_dictionaries({"info": st.fixed_dictionaries({"features": JSON})}) | JSON
    typed = st.fixed_dictionaries({"names": JSON, "_type": st.just("ClassLabel")}).map(
        lambda label: {"info": {"features": {"label": label}}}
    )

    def write(case: tuple[list[tuple[str, Any]], Any]) -> bytes:
        pairs, metadata = case
        table = pa.Table.from_arrays([column for _, column in pairs], names=[name for name, _ in pairs])
        if metadata is not None:
            text = metadata if isinstance(metadata, str) else json.dumps(metadata)
            table = table.replace_schema_metadata({"huggingface": text.encode("utf-8", "replace")})
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink)
        return bytes(sink.getvalue())

    pairs = st.lists(st.tuples(names, columns), min_size=1, max_size=4)
    made = st.tuples(pairs, st.none() | features | typed | st.text(max_size=9)).map(write)
    whole = pa.table({"image": [{"bytes": picture, "path": "x"}] * 3, "label": [0, 1, 0]})
    pq.write_table(whole, sink := pa.BufferOutputStream())

    def check(data: bytes) -> None:
        path = folder / "set.parquet"
        path.write_bytes(data)
        walk(path)

    return Target(made | mutated([bytes(sink.getvalue())]), check)


def idx(folder: Path) -> Target:
    """Pairs of idx files whose headers say what they like."""
    sizes = st.integers(0, 5) | st.sampled_from([2**16, 2**31, 2**32 - 1])

    @st.composite
    def made(draw: Any) -> tuple[bytes, bytes | None, bool]:
        magic, *shape = draw(st.tuples(st.sampled_from([0x803] * 4 + [0x801, 0x8FF, 0]), sizes, sizes, sizes))
        count, held = shape[0], min(1000, shape[0] * shape[1] * shape[2])
        body = bytes(held) if draw(st.booleans()) else draw(st.binary(max_size=200))
        labels = struct.pack(">II", 0x801, draw(st.just(count) | sizes)) + draw(
            st.just(bytes(min(count, 9))) | st.binary()
        )
        pictures = struct.pack(">4I", magic, *shape) + body
        return pictures, draw(st.none() | st.just(labels) | st.binary(max_size=12)), draw(st.booleans())

    def check(case: tuple[bytes, bytes | None, bool]) -> None:
        pictures, labels, packed = case
        end, pack = (".gz", gzip.compress) if packed else ("", bytes)
        for name, content in (("images-idx3", pictures), ("labels-idx1", labels)):
            for old in folder.glob(f"train-{name}*"):
                old.unlink()
            if content is not None:
                (folder / f"train-{name}-ubyte{end}").write_bytes(pack(content))
        walk(folder)

    return Target(made(), check)


def descriptions(folder: Path) -> Target:
    """`source.json` and `about.json` of a folder that somebody else has made."""
    from ganops.data.about import About

    content = png()
    right = hashlib.sha256(content).hexdigest()
    hashes = st.sampled_from([right, "0" * 64, "", "x"]) | JSON
    urls = st.sampled_from(
        ["http://127.0.0.1:9/", "https://127.0.0.1:9/", "file:///etc/", "ftp://127.0.0.1/", "", "x", "http://[::1",
         "https://me:secret@127.0.0.1:9/", "javascript:1"]
    )  # fmt: skip
    known = st.fixed_dictionaries({"files": st.dictionaries(NAMES, hashes, max_size=3), "url": urls | JSON})
    source = known | JSON | st.fixed_dictionaries({"files": JSON, "url": urls})
    about = JSON | st.fixed_dictionaries({"name": JSON, "licence": JSON})

    def check(case: tuple[Any, Any, bool]) -> None:
        shutil.rmtree(folder / "set", ignore_errors=True)
        (folder / "set").mkdir()
        (folder / "set" / "a.png").write_bytes(content)
        for name, value in (("source.json", case[0]), ("about.json", case[1])):
            text = json.dumps(value)
            (folder / "set" / name).write_text(text[: len(text) // 2] if case[2] else text)
        with contextlib.suppress(UserError):
            About.of_source(folder / "set")
        walk(folder / "set")

    return Target(st.tuples(source, about, st.integers(0, 5).map(lambda n: n == 0)), check)


def params(folder: Path) -> Target:
    """`params.yaml` with values of all kinds in all places, and broken text."""
    from ruamel.yaml import YAML

    from ganops import config
    from ganops.experiment import checks, identity

    text = (Path(__file__).parents[2] / "params.yaml").read_bytes()
    whole = config.parse({}).content()
    sections = ("tune.space", "tune.limits", "register.gate", "model.options", "loss")
    places = [*sorted(identity.flatten(whole)), *sections]
    values = JSON | st.sampled_from(
        [True, False, 0, -1, 1e308, 1e-308, float("nan"), float("inf"), 10**30, 2**63, 1000000, "1e3", [], {}, [[]],
         [1, 10**9], [2, 1], "auto", "none", "s3://b/x", "abfss://c@account.dfs.core.windows.net/x", "s3://", "\0"]
    )  # fmt: skip
    known = ("dcgan", "r3gan", "sngan", "stylegan2", "mlp", "infogan", "began", "diffaugment", "relativistic", "hinge")

    def check(case: bytes | dict[str, Any]) -> None:
        path = folder / "params.yaml"
        if isinstance(case, bytes):
            path.write_bytes(case)
        else:
            content: dict[str, Any] = {}
            for place, value in case.items():
                *above, last = place.split(".")
                inner = content
                for key in above:
                    inner = inner[key] if isinstance(inner.get(key), dict) else inner.setdefault(key, {})
                    if not isinstance(inner, dict):
                        break
                if isinstance(inner, dict):
                    inner[last] = value
            with path.open("w", encoding="utf-8", errors="replace") as file:
                YAML(typ="safe", pure=True).dump(content, file)
        checks.check(config.load(path))

    named = st.dictionaries(st.sampled_from(places), values | st.sampled_from(known), max_size=4)
    whole_files = st.sampled_from(
        [b"[]", b"false", b"0", b"", b"null", b"- a", b"a: &x [*x]", b"\xff\xfe", b"!!python/x 1"]
    )
    return Target(named | mutated([text]) | whole_files, check)


def requests(_: Path) -> Target:
    """Bodies of requests to `ganops serve`."""
    import httpx

    from ganops.serving.app import Answer, Front, State

    class Backend:
        async def draw(self, order: Any) -> Answer:
            return Answer(200, "text/plain", b"pictures", "3")

        async def states(self) -> list[State]:
            return [State("faces", "champion", "3", (8, 8, 3), 3, ("a", "b", "c"), "2026-11-25T12:00:00+00:00", None)]

    front = Front(Backend(), lambda _: None)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(front.look())
    keys = st.sampled_from(["seeds", "labels", "truncation", "format", "x", ""])
    orders = st.dictionaries(keys, JSON | st.lists(st.integers(-2, 2**70), max_size=5), max_size=4)
    bodies = orders.map(lambda x: json.dumps(x).encode()) | JSON.map(lambda x: json.dumps(x).encode())
    paths = st.sampled_from(["/generate"] * 6 + ["/health", "/model", "/metrics", "/", "/../x", "/generate/"])
    headers = st.dictionaries(
        st.sampled_from(["content-type", "content-length", "transfer-encoding", "x-request-id"]),
        st.sampled_from(["application/json", "-1", "99999999999", "chunked", "a" * 300]), max_size=2,
    )  # fmt: skip

    async def ask(path: str, body: bytes, given: dict[str, str]) -> httpx.Response:
        transport = httpx.ASGITransport(front.app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.post(path, content=body, headers=given)

    def check(case: tuple[str, bytes, dict[str, str]]) -> None:
        try:
            answer = loop.run_until_complete(ask(*case))
        except httpx.HTTPError:
            return
        assert answer.status_code < 500, answer.text
        assert len(answer.content) < 100_000
        if answer.status_code >= 400:
            raise UserError(answer.text)

    return Target(st.tuples(paths, bodies | mutated([b'{"seeds": [0, 1], "labels": [2]}']), headers), check)


def checkpoints(folder: Path) -> Target:
    """Checkpoints with bytes changed, cut off or gone: continued to the bit, or refused."""
    import torch
    from test_run import run  # the smallest training

    training = run()
    list(training.play(until=3))
    training.save(folder / "whole")
    names = sorted(
        path.relative_to(folder / "whole").as_posix() for path in (folder / "whole").rglob("*") if path.is_file()
    )
    kept = {name: (folder / "whole" / name).read_bytes() for name in names}

    @st.composite
    def made(draw: Any) -> tuple[str, bytes | None]:
        name = draw(st.sampled_from(names))
        return name, draw(st.none() | mutated([kept[name]]))

    def check(case: tuple[str, bytes | None]) -> None:
        name, content = case
        damaged = folder / "damaged"
        for each, before in kept.items():
            path = damaged / each
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(before)
        if content is None:
            (damaged / name).unlink()
        else:
            (damaged / name).write_bytes(content)
        other = run()
        other.load(damaged)
        for key, tensor in training.state.tensors().items():
            assert torch.equal(other.state.tensors()[key], tensor), f"{key} is not what was saved"
        assert other.history == training.history

    return Target(made(), check)


def tags(_: Path) -> Target:
    """Tags of a registered model in MLflow that others may write."""
    from rich.console import Console

    from ganops.registry import champions, moves, precedents

    move = {"at": "2026-11-28", "kind": "gate", "to": 1, "over": None, "by": "me", "why": "[/x]"}
    console = Console(file=io.StringIO(), width=200)
    keys = st.sampled_from(["1.ab", "2.ab", "x", "", "-1.ab", "9" * 30 + ".ab", "1"]) | st.text(max_size=8)
    changed = st.fixed_dictionaries({key: st.just(value) | JSON for key, value in move.items()})
    values = (changed | JSON).map(json.dumps) | st.text(max_size=20) | st.just("[" * 3000)

    def check(case: tuple[dict[str, str], str]) -> None:
        found, gate = case
        version = SimpleNamespace(version="1", tags={precedents.DATA: "cats", precedents.GATE: gate})
        for limits in precedents._precedent(version).gate.values():
            assert all(isinstance(limit, float) for limit in limits.values())
        model = SimpleNamespace(tags={f"{champions.HISTORY}{key}": value for key, value in found.items()}, aliases={})
        champions._pass_over.cache_clear()
        client: Any = SimpleNamespace(get_registered_model=lambda name: model)
        console.print(moves.table("faces", champions.history(Model(client, "faces"))))
        console.file.truncate(0)

    gates = (JSON | st.just({"fd_domain": {"at_most": 5.0}})).map(json.dumps) | st.text(max_size=9)
    return Target(st.tuples(st.dictionaries(keys, values, max_size=4), gates), check)


TARGETS: dict[str, Callable[[Path], Target]] = {
    each.__name__: each
    for each in (images, clips, films, lines, archives, parquet, idx, descriptions, params, requests, checkpoints, tags)
}
