"""The command line, and what a stage says to its user."""

import os
import re
import subprocess
import sys
import wave
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from packages import FILM, LENGTH, SOUND, TEXT
from PIL import Image
from typer.testing import CliRunner

from ganops.cli import app, report
from ganops.cli.sampling import numbered
from ganops.core.errors import UserError
from ganops.core.terminal import stage
from ganops.data.image_decoder import ImageDecoder
from ganops.data.pictures import read
from ganops.generator import Description, Generator, generator_network, walks
from ganops.generator.encoder import Encoder, decoder, encoder_network
from ganops.generator.inversion import Inversion


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_check_names_the_sections_without_which_dvc_runs_no_stage(here):
    (here / "dvc.yaml").write_bytes((Path(__file__).parents[1] / "dvc.yaml").read_bytes())
    (here / "params.yaml").write_text("data: {source: faces}\nmodel: {}\nloss: {}\ntrain: {}\ntune: {}\nregister: {}\n")
    told = CliRunner().invoke(app, ["check", "--quick"])
    assert told.exit_code == 1
    words = "dvc.yaml names sections that are not there; for the defaults write `evaluate: {}`, `features: {}`"
    assert f"{words}, `seed: 0`" in " ".join(str(told.exception).split())


def test_check_names_a_source_that_is_not_there(here):
    (here / "params.yaml").write_text("data: {source: nowhere}")
    result = CliRunner().invoke(app, ["check"])
    assert isinstance(result.exception, UserError)
    assert "data/nowhere does not exist" in str(result.exception)


def test_quick_check_reads_keys_and_the_full_one_looks_names_up(here):
    (here / "data" / "some").mkdir(parents=True)
    (here / "params.yaml").write_text("{data: {source: some}, loss: {name: hinged}}")
    assert CliRunner().invoke(app, ["check", "--quick"]).exit_code == 0
    assert "unknown 'hinged'" in str(CliRunner().invoke(app, ["check"]).exception)


def test_sample_draws_a_grid(here):
    description = Description("dcgan", {"width": 4}, 8, 3, ("a", "b", "c"), (1, 16, 16), 0.0, "f")
    Generator(generator_network(description), description).save(here / "artifacts/generator")
    assert CliRunner().invoke(app, ["sample", "out.png", "--count", "6"]).exit_code == 0
    with Image.open("out.png") as picture:
        assert picture.size == ((3 * 17 - 1) * 4, (2 * 17 - 1) * 4)


def test_sample_draws_a_class_by_its_name_or_number(here):
    description = Description("dcgan", {"width": 4}, 8, 3, ("boot", "bag", "0"), (1, 16, 16), 0.0, "f")
    Generator(generator_network(description), description).save(here / "artifacts/generator")

    def drawn(label):
        done = CliRunner().invoke(app, ["sample", "out.png", "--count", "6", "--label", label])
        assert done.exit_code == 0, done.exception
        return Path("out.png").read_bytes()

    assert drawn("bag") == drawn("1") != drawn("boot")
    assert drawn("0") == drawn("2"), "a name goes before a number"
    for seed in ("99999999999999999999", str(2**63 - 1)):
        assert "Invalid value for '--seed'" in CliRunner().invoke(app, ["sample", "--seed", seed]).output
    assert "Invalid value for '--seed'" in CliRunner().invoke(app, ["compare", "a", "--seed", "-1"]).output
    for unknown in ("7", "hat", "-1"):
        told = str(CliRunner().invoke(app, ["sample", "--label", unknown]).exception)
        assert told == f"--label: expected 0 to 2, or one of boot, bag, 0; got {unknown}"
    assert numbered("2", 3, ("0", "1", "2")) == 2
    with pytest.raises(UserError, match=r"^--label: expected 0 to 2; got hat$"):
        numbered("hat", 3, ("0", "1", "2"))
    with pytest.raises(UserError, match=r"^--label: no classes here, got 1$"):
        numbered("1", 0, ())


def test_sample_writes_a_jpeg_where_the_name_says_so_and_refuses_other_names(here):
    description = Description("dcgan", {"width": 4}, 8, 3, ("a", "b", "c"), (1, 16, 16), 0.0, "f")
    Generator(generator_network(description), description).save(here / "artifacts/generator")
    for name, kind in (("out.jpg", "JPEG"), ("out.JPEG", "JPEG"), ("out.png", "PNG")):
        assert CliRunner().invoke(app, ["sample", name, "--count", "6"]).exit_code == 0
        with Image.open(name) as picture:
            assert (picture.format, picture.size) == (kind, ((3 * 17 - 1) * 4, (2 * 17 - 1) * 4))
    for name, got in (("out.bmp", ".bmp"), ("out", "none")):
        error = CliRunner().invoke(app, ["sample", name]).exception
        assert str(error) == f"{name}: expected a name that ends in .png or .jpg, got {got}"
        assert not Path(name).exists()


def test_the_version_is_that_of_the_package():
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output.strip()) == (0, f"ganops {version('ganops')}")


def test_the_help_groups_all_commands():
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120", "TERMINAL_WIDTH": "120"}).output
    groups = re.split(r"╭─ (.+?) ─+╮", shown)[1:]
    found = dict(zip(groups[::2], groups[1::2], strict=True))
    names = ["Begin", "Draw and measure", "Registry", "Serve", "On a cluster"]
    assert [name for name in found if name != "Options"] == names, "and no group without a name"
    for command, group in (("init", "Begin"), ("compare", "Draw and measure"), ("rollback", "Registry"),
                           ("registry", "Registry"), ("playground", "Serve"), ("submit", "On a cluster")):  # fmt: skip
        assert re.search(rf"│ {command} ", found[group]), command
    assert "--install-completion" in found["Options"]


def test_a_shell_is_told_how_commands_go_on():
    told = CliRunner().invoke(app, [], env=COMPLETION, prog_name="ganops").output
    assert told.split() == ["playground"]


LIGHT = """
import sys
from ganops.cli import app
try:
    app(["--help"], prog_name="ganops")
finally:
    slow = {"torch", "ray", "mlflow", "dvc", "scipy", "pandas", "matplotlib", "PIL", "ganops.data"}
    slow |= {"numpy", "ganops.config"}
    print(slow & {*sys.modules}, file=sys.stderr)
"""
COMPLETION = {"_GANOPS_COMPLETE": "complete_bash", "COMP_WORDS": "ganops pl", "COMP_CWORD": "1"}


@pytest.mark.parametrize("asked", [{}, COMPLETION], ids=["help", "completion"])
def test_help_and_completion_import_nothing_that_takes_seconds(asked):
    command = [sys.executable, "-W", "ignore", "-c", LIGHT]
    done = subprocess.run(command, env={**os.environ, **asked}, capture_output=True, text=True, check=False)
    assert "playground" in done.stdout
    assert done.stderr.split() == ["set()"]


QUICK = {"report": "opens a file", "schema": "writes a file"}
"""Commands that take less than two seconds."""


def test_every_command_shows_on_a_terminal_that_it_works_or_is_quick():
    commands = [*app.registered_commands, *(each for group in app.registered_groups
                                             for each in group.typer_instance.registered_commands)]  # fmt: skip
    silent = {each.callback.__name__ for each in commands
              if not {"looking", "working"} & {*each.callback.__code__.co_names}}  # fmt: skip
    assert silent == set(QUICK)


def test_report_opens_the_newest_one(here, monkeypatch):
    opened = []
    monkeypatch.setattr(report.webbrowser, "open", lambda address: opened.append(address) or len(opened) < 3)
    assert "expected a report, got none" in str(CliRunner().invoke(app, ["report"]).exception)
    for age, name in enumerate(("evaluation", "tune", "studies/small")):
        (here / "reports" / name).mkdir(parents=True)
        (here / "reports" / name / "report.html").write_text(name)
        os.utime(here / "reports" / name / "report.html", (1e9 - age, 1e9 - age))
    assert "reports/evaluation/report.html" in CliRunner().invoke(app, ["report"]).output
    assert "reports/studies/small/report.html" in CliRunner().invoke(app, ["report", "studies/small"]).output
    assert opened == [(here / "reports" / name / "report.html").as_uri() for name in ("evaluation", "studies/small")]
    assert "no browser could be opened here" in CliRunner().invoke(app, ["report"]).output
    CliRunner().invoke(app, ["report", "--no-open"])
    assert len(opened) == 3
    error = CliRunner().invoke(app, ["report", "tuna"]).exception
    assert str(error) == "tuna: expected one of evaluation, studies/small, tune"


def test_sample_walks_and_draws_one_by_one(here):
    description = Description("dcgan", {"width": 4}, 8, 3, ("a", "b", "c"), (1, 16, 16), 0.0, "f")
    generator = Generator(generator_network(description), description)
    generator.save(here / "artifacts/generator")

    def sample(*options):
        return CliRunner().invoke(app, ["sample", *options])

    assert sample("walk.gif", "--walk", "--count", "3", "--frames", "5", "--seed", "7", "--label", "1").exit_code == 0
    with Image.open("walk.gif") as film:
        assert film.n_frames == 15
        for stop, seed in enumerate((7, 8, 9)):
            film.seek(5 * stop)
            shown = np.asarray(film.convert("L"))[8::16, 8::16].astype(int)  # magnified sixteenfold
            assert np.abs(shown - generator.sample(np.array([seed]), np.array([1]))[0, 0]).max() <= 2
    assert sample("walk.mp4", "--walk", "--count", "2", "--frames", "3").exit_code == 0
    assert "ends in .gif, .mp4 or .webp" in str(sample("walk.png", "--walk").exception)
    assert sample("--separate", "each", "--count", "2", "--seed", "4").exit_code == 0
    for seed in (4, 5):
        with Image.open(f"each/{seed}.png") as picture:
            assert np.array_equal(np.asarray(picture), generator.sample(np.array([seed]))[0, 0])
    assert sorted(path.name for path in (here / "each").iterdir()) == ["4.png", "5.png"]
    assert not (here / "samples.png").exists()


def autoencoder(folder):
    """An untrained autoencoder in a folder, and its encoder."""
    description = Description(
        "mlp", {"width": 16}, 6, 3, ("boot", "2", "bag"), (1, 16, 16), 0.0, "f", code=6, moments=2
    )
    generator = Generator(generator_network(description), description)
    generator.save(folder)
    encoder = Encoder(encoder_network(description), decoder(generator.network), description, 0.1)
    encoder.save(folder)
    return generator, encoder


def test_encode_finds_codes_and_sample_draws_them(here):
    generator, encoder = autoencoder(here / "artifacts/generator")
    (here / "params.yaml").write_text("data: {fit: stretch, background: white}")
    (here / "some").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (3, 20, 40), np.uint8)
    for i in range(3):
        Image.fromarray(pixels[i]).save(here / f"some/{i}.png")

    def encode(*options):
        return CliRunner().invoke(app, ["encode", "some", *options])

    told = encode("--picture", "out.png", "--label", "bag")
    assert told.exit_code == 0
    assert "3 pictures by its encoder: distance" in told.output
    _, images = read([here / "some"], ImageDecoder(16, channels=1, fit="stretch"))
    found = Inversion.load(Path("latents.npz"))
    assert (found.kind, found.labels.tolist(), found.names) == (
        "code",
        [2, 2, 2],
        ("some/0.png", "some/1.png", "some/2.png"),
    )
    np.testing.assert_array_equal(found.latents, encoder.encode(images, found.labels))
    for name, distance in zip(found.names, found.distances, strict=True):
        assert any(name in line and f"{distance:.1f}" in line and "bag" in line for line in told.output.splitlines())
    with Image.open("out.png") as picture:
        shown = np.asarray(picture)[2::4, 2::4]
        assert np.array_equal(shown[:16, :16], images[0, 0])
        assert np.array_equal(shown[17:, 17:33], found.draw(generator)[1, 0])
    assert CliRunner().invoke(app, ["sample", "--latents", "latents.npz", "--separate", "each"]).exit_code == 0
    assert CliRunner().invoke(app, ["sample", "drawn.png", "--latents", "latents.npz"]).exit_code == 0
    for i in range(3):
        with Image.open(f"each/{i}.png") as picture:
            assert np.array_equal(np.asarray(picture), encoder.decode(found.latents, found.labels)[i, 0])
    assert "beside it" in str(CliRunner().invoke(app, ["sample", "--latents", "latents.npz", "--seed", "1"]).exception)
    assert encode("--label", "2").exit_code == 0  # a name goes before a number
    assert Inversion.load(Path("latents.npz")).labels.tolist() == [1, 1, 1]
    assert "expected auto, 0 to 2, or one of boot, 2, bag; got hat" in str(encode("--label", "hat").exception)


def test_encode_seeks_latents_where_there_is_no_encoder(here):
    generator, _ = autoencoder(here / "artifacts/generator")
    np.save("drawn.npy", generator.sample(np.array([10**6]), np.array([2])).transpose(0, 2, 3, 1))

    def encode(*options):
        return CliRunner().invoke(app, ["encode", "drawn.npy", "--steps", "40", *options])

    told = encode("--by", "optimisation", "--out", "z.npz")
    assert "1 pictures by optimisation, 40 steps: distance" in told.output
    found = Inversion.load(Path("z.npz"))
    assert (found.kind, found.labels.tolist(), found.names) == ("z", [2], ("drawn.npy[0]",))
    assert found.distances[0] < 3
    (here / "artifacts/generator/encoder.safetensors").unlink()
    assert "by optimisation, 40 steps" in encode("--out", "again.npz").output
    np.testing.assert_array_equal(Inversion.load(Path("again.npz")).latents, found.latents)
    assert "has no encoder" in str(encode("--by", "encoder").exception)
    assert "no reference features in nowhere" in str(encode("--features", "nowhere").exception)
    assert "nowhere.png does not exist" in str(CliRunner().invoke(app, ["encode", "nowhere.png"]).exception)


def test_sample_without_a_generator_says_what_is_missing(here):
    assert "holds no generator" in str(CliRunner().invoke(app, ["sample"]).exception)


def test_a_stage_tells_what_can_be_mended_without_a_traceback(here, capsys):
    with pytest.raises(SystemExit) as exit_, stage(str(here / "pipeline" / "train.py")):
        raise UserError("expected this, got that")
    assert exit_.value.code == 1
    out = capsys.readouterr().out
    assert "train" in out
    assert "expected this, got that" in out
    assert "Traceback" not in out


def test_one_picture_for_one_seed_in_any_batch():
    description = Description("r3gan", {"widths": 8, "groups": 2}, 8, 3, ("a", "b", "c"), (3, 16, 16), 0.0, "f")
    generator = Generator(generator_network(description), description)
    seeds = np.array([5, 0, 17, 2**40])
    together = generator.sample(seeds)
    alone = np.concatenate([generator.sample(seeds[i : i + 1]) for i in range(4)])
    assert np.abs(together.astype(int) - alone).max() <= 1
    assert generator.sample(np.array([], np.int64)).shape == (0, 3, 16, 16)


@pytest.fixture
def speaking(here):
    """An untrained generator of sounds in `artifacts/generator`."""
    description = Description("dcgan", {"width": 4}, 8, 3, ("a", "b", "c"), (1, 16, 16), 0.0, "f", kind="sound",
                              facts=SOUND)  # fmt: skip
    generator = Generator(generator_network(description), description)
    generator.save(here / "artifacts/generator")
    return generator


def heard(path):
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def together(clips):
    gap = np.zeros(800, np.int16)
    return np.concatenate([part for clip in clips for part in (gap, clip)][1:])


def test_sample_writes_sounds_as_the_name_says(speaking, here):
    def sample(*options):
        return CliRunner().invoke(app, ["sample", *options])

    clips = speaking.shown(speaking.sample(np.array([5, 6, 7])))
    assert sample("out.wav", "--seed", "5", "--count", "3").exit_code == 0
    assert np.array_equal(heard("out.wav"), together(clips))
    assert sample("--separate", "each", "--seed", "5", "--count", "3").exit_code == 0
    assert sorted(path.name for path in (here / "each").iterdir()) == ["5.wav", "6.wav", "7.wav"]
    assert np.array_equal(heard("each/6.wav"), clips[1])
    assert sample("out.png", "--count", "3").exit_code == 0
    with Image.open("out.png") as picture:
        assert picture.size == ((3 * 17 - 1) * 4, 16 * 4)
    error = str(sample("out.mp3").exception)
    assert error == "out.mp3: expected a name that ends in .png, .jpg or .wav, got .mp3"
    assert not (here / "out.mp3").exists()


def test_a_walk_of_sounds_is_one_file_that_walks(speaking, here):
    def walk(*options):
        return CliRunner().invoke(app, ["sample", *options, "--walk"])

    assert walk("walk.wav", "--count", "2", "--seed", "3", "--label", "1").exit_code == 0  # four clips a leg
    stored = np.concatenate([*walks.through(speaking, np.array([3, 4]), np.array([1, 1]), 1.0, 4)])
    assert len(stored) == 8
    assert np.array_equal(heard("walk.wav"), together(speaking.shown(stored)))
    assert walk("walk.gif", "--count", "2", "--frames", "3").exit_code == 0
    with Image.open("walk.gif") as film:
        assert film.n_frames == 6


def test_images_are_not_heard(here):
    description = Description("dcgan", {"width": 4}, 8, 0, (), (1, 16, 16), 0.0, "f")
    Generator(generator_network(description), description).save(here / "artifacts/generator")
    for options, known in ((("out.wav",), ".png or .jpg"), (("out.wav", "--walk"), ".gif, .mp4 or .webp")):
        error = CliRunner().invoke(app, ["sample", *options]).exception
        assert isinstance(error, UserError)
        assert str(error) == f"out.wav: expected a name that ends in {known}: images cannot be heard"
    assert not (here / "out.wav").exists()


@pytest.fixture
def moving(here):
    """An untrained generator of films in `artifacts/generator`."""
    description = Description("mlp", {"width": 4}, 8, 3, ("a", "b", "c"), (1, 3, 8, 8), 0.0, "f", kind="video",
                              facts=FILM)  # fmt: skip
    torch.manual_seed(0)  # of some weights frames are equal, which a file holds as one
    generator = Generator(generator_network(description), description)
    generator.save(here / "artifacts/generator")
    return generator


def frames(path):
    """uint8 [T, H, W] of an animated picture."""
    with Image.open(path) as film:
        found = []
        for number in range(film.n_frames):
            film.seek(number)
            found.append(np.asarray(film.convert("L")))
        return np.stack(found)


def test_sample_writes_films_as_the_name_says(moving, here):
    def sample(*options):
        return CliRunner().invoke(app, ["sample", *options, "--seed", "5", "--count", "3"])

    films = moving.shown(moving.sample(np.array([5, 6, 7])))[..., 0]
    assert sample("out.webp").exit_code == 0
    for i, film in enumerate(films):
        assert np.array_equal(frames("out.webp")[:, ::8, 72 * i : 72 * i + 64 : 8], film)
    assert sample("--separate", "each").exit_code == 0
    assert sorted(path.name for path in (here / "each").iterdir()) == ["5.webp", "6.webp", "7.webp"]
    assert np.array_equal(frames("each/6.webp"), films[1])
    assert sample("out.png").exit_code == 0
    with Image.open("out.png") as strips:
        assert strips.size == (2 * (2 * 27 - 1), 2 * 17)
    assert sample("out.mp4").exit_code == 0
    with av.open("out.mp4") as film:
        (stream,) = film.streams
        assert (stream.frames, stream.average_rate) == (3, Fraction(25, 2))
    assert sample("out.gif").exit_code == 0
    assert len(frames("out.gif")) == 3
    error = str(sample("out.bmp").exception)
    assert error == "out.bmp: expected a name that ends in .png, .jpg, .gif, .mp4 or .webp, got .bmp"
    assert str(sample("out.wav").exception).endswith(".jpg, .gif, .mp4 or .webp: films cannot be heard")


@pytest.mark.parametrize("name", ["walk.webp", "walk.gif", "walk.mp4"])
def test_a_walk_of_films_is_one_film(moving, here, name):
    """Four films of three frames a leg, two legs."""
    done = CliRunner().invoke(app, ["sample", name, "--walk", "--count", "2", "--label", "1"])
    assert done.exit_code == 0, done.exception
    if name.endswith(".mp4"):
        with av.open(name) as film:
            assert film.streams.video[0].frames == 24
    else:
        assert len(frames(name)) == 24


def test_images_do_not_move_but_walk(here):
    description = Description("dcgan", {"width": 4}, 8, 0, (), (1, 16, 16), 0.0, "f")
    Generator(generator_network(description), description).save(here / "artifacts/generator")
    error = str(CliRunner().invoke(app, ["sample", "out.webp"]).exception)
    assert error == "out.webp: expected a name that ends in .png or .jpg: images do not move"
    assert CliRunner().invoke(app, ["sample", "out.webp", "--walk", "--count", "2", "--frames", "3"]).exit_code == 0
    assert len(frames("out.webp")) >= 1  # equal neighbours are one frame, shown longer


@pytest.fixture
def writing(here):
    """An untrained generator of texts in `artifacts/generator`."""
    description = Description("lstm", {"width": 4, "embedding": 3}, 2 * LENGTH, 3, ("a", "b", "c"), (LENGTH,), 0.0, "f",
                              kind="text", facts=TEXT)  # fmt: skip
    generator = Generator(generator_network(description), description)
    generator.save(here / "artifacts/generator")
    return generator


def lines(path):
    return Path(path).read_bytes().decode("utf-8").removesuffix("\n").split("\n")


def test_sample_writes_a_text_a_line_or_a_file_each(writing, here):
    def sample(*options):
        return CliRunner().invoke(app, ["sample", *options, "--seed", "5", "--count", "3", "--truncation", "0.7"])

    texts = writing.shown(writing.sample(np.array([5, 6, 7]), truncation=0.7)).tolist()
    assert sample("out.txt").exit_code == 0
    assert lines("out.txt") == texts
    assert sample("--separate", "each").exit_code == 0
    assert sorted(path.name for path in (here / "each").iterdir()) == ["5.txt", "6.txt", "7.txt"]
    assert lines("each/6.txt") == texts[1:2]
    assert sample("out.png").exit_code == 0
    with Image.open("out.png") as picture:
        height = writing.spec.look(writing.spec.empty(0)).shape[2]
        assert picture.size == (3 * 257 - 1, height)


def test_a_walk_of_texts_is_its_sentences_or_stills(writing, here):
    def walk(*options):
        return CliRunner().invoke(app, ["sample", *options, "--count", "2", "--walk"])

    assert walk("walk.txt", "--seed", "3", "--label", "1").exit_code == 0  # four texts a leg
    stored = np.concatenate([*walks.through(writing, np.array([3, 4]), np.array([1, 1]), 1.0, 4)])
    assert lines("walk.txt") == writing.shown(stored).tolist()
    assert len(stored) == 8
    assert walk("walk.gif", "--frames", "3").exit_code == 0
    with Image.open("walk.gif") as film:
        assert film.n_frames >= 1  # equal neighbours are one frame, shown longer
    assert walk("walk.mp4", "--frames", "3").exit_code == 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("out.wav",), "out.wav: expected a name that ends in .png, .jpg or .txt: texts cannot be heard"),
        (
            ("out.wav", "--walk"),
            "out.wav: expected a name that ends in .gif, .mp4, .webp or .txt: texts cannot be heard",
        ),
        (("out.md",), "out.md: expected a name that ends in .png, .jpg or .txt, got .md"),
    ],
)
def test_texts_are_not_written_as_what_they_are_not(writing, here, options, told):
    assert str(CliRunner().invoke(app, ["sample", *options]).exception) == told
    assert not (here / options[0]).exists()


def test_clips_and_images_are_no_texts(speaking, here):
    told = str(CliRunner().invoke(app, ["sample", "out.txt"]).exception)
    assert told == "out.txt: expected a name that ends in .png, .jpg or .wav: clips are no texts"
    description = Description("dcgan", {"width": 4}, 8, 0, (), (1, 16, 16), 0.0, "f")
    Generator(generator_network(description), description).save(here / "images")
    told = str(CliRunner().invoke(app, ["sample", "out.txt", "--model", "./images"]).exception)
    assert told == "out.txt: expected a name that ends in .png or .jpg: images are no texts"


def test_texts_have_no_latents_that_could_be_found(writing, here):
    told = CliRunner().invoke(app, ["encode", "sentences.txt"]).exception
    assert isinstance(told, UserError)
    assert str(told) == "latents of texts cannot be found: no gradient leads from word to word"
