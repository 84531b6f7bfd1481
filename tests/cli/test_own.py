"""`ganops init FOLDER`: a project for own samples, and what it says before hours are spent."""

import shutil
import subprocess

import numpy as np
import pytest
import sounds
import yaml
from PIL import Image
from typer.testing import CliRunner

from ganops import config
from ganops.cli import app
from ganops.core.errors import DataError, UserError
from ganops.data import toys
from ganops.experiment import pace


def invoke(*arguments):
    return CliRunner().invoke(app, ["init", *map(str, arguments)])


@pytest.fixture(autouse=True)
def _pace(monkeypatch):
    """A machine on which every training takes ten minutes."""
    monkeypatch.setattr(pace, "seconds", lambda *_: 600.0)


@pytest.fixture(scope="module")
def emoji(tmp_path_factory):
    """180 coloured discs of 72 x 72 on a transparent ground in two classes, one of them not square, one damaged."""
    folder, rng = tmp_path_factory.mktemp("own") / "emoji", np.random.default_rng(0)
    across = np.hypot(*np.mgrid[-36:36, -36:36])
    for i in range(180):
        place = folder / ("faces" if i < 120 else "flags") / f"{i:03}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.zeros((72, 72, 4), np.uint8)
        pixels[across < 30] = (*rng.integers(200, 256, 3), 255)
        Image.fromarray(pixels[:36] if i == 0 else pixels).save(place)
    (folder / "flags" / "bad.png").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def written(emoji, tmp_path_factory):
    """The project, and what was said of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "seconds", lambda *_: 600.0)
        folder = tmp_path_factory.mktemp("projects") / "emoji"
        done = invoke(emoji, "--name", folder)
    assert done.exit_code == 0, done.exception
    return folder, " ".join(done.output.split())


def test_parameters_are_those_of_the_samples(emoji, written):
    folder, _ = written
    content = yaml.safe_load((folder / "params.yaml").read_text())
    data = content["data"]
    assert (data["source"], data["resolution"], data["labels"]) == (str(emoji), 64, "auto")
    assert (data["background"], data["licence"]) == ("black", "auto")
    assert content["register"] == {"name": "emoji", "gate": {}}
    assert content["train"]["augment"] == {"transforms": "ada"}
    assert content["tune"] == {"trials": 0}
    assert (data["validation"], data["test"]) == (0.33, 0.33), "60 samples each, as few as there are"
    config.load(folder / "params.yaml")


def test_it_says_what_will_happen(emoji, written):
    folder, said = written
    assert f"{emoji}: 181 images of 72 x 72 pixels (and 1 other sizes), 2 classes (faces 120, flags 61)" in said
    assert (
        "they become 64 x 64 pixels in colour, on black; of 181 looked at: 180 transparency laid on the background"
        in said
    )
    assert "1 not square, as data.fit: pad makes them" in said
    assert "1 cannot be used, not a readable image" in said
    assert "120 kimg are 1,935 epochs of the 62 images that train; the training takes about 10 minutes on " in said
    assert said.endswith(f"next: cd {folder} && ganops check && dvc repro")


def test_no_word_of_the_embedded_set_is_in_the_project(written):
    folder, _ = written
    listed = subprocess.run(["git", "-C", folder, "ls-files", "--others", "--exclude-standard"],
                            check=True, capture_output=True, text=True).stdout.splitlines()  # fmt: skip
    assert {"params.yaml", "params.schema.json", "README.md", "dvc.yaml", ".gitignore", ".dvc/config"} <= set(listed)
    assert [name for name in listed if "fashion" in (folder / name).read_text().lower()] == []
    assert "ganops-generator" not in (folder / "params.yaml").read_text()


def test_check_finds_nothing_to_say(emoji, written, monkeypatch):
    folder, _ = written
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, ["check"])
    assert done.exit_code == 0, done.exception
    assert " ".join(done.output.split()) == f"check params.yaml and {emoji} are fine"


def test_a_project_does_not_lie_among_its_own_samples(emoji, tmp_path, monkeypatch):
    monkeypatch.chdir(emoji)
    for arguments in ((".",), (emoji, "--name", emoji / "inside")):
        assert "would lie among its own samples" in str(invoke(*arguments).exception)
    assert not [path for path in emoji.iterdir() if path.name.endswith(("-gan", "inside"))]


def test_a_cover_among_clips_is_none_of_the_samples(tmp_path, monkeypatch, emoji):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    for i in range(181):
        (tmp_path / "clips" / f"{i}.wav").write_bytes(sounds.wav(sounds.noise(i)))
    shutil.copy(next(emoji.rglob("*.png")), tmp_path / "clips/cover.png")
    done = invoke("clips")
    assert done.exit_code == 0, done.exception
    assert config.load(tmp_path / "clips-gan" / "params.yaml").data.kind == "sound"


def test_what_prepare_will_refuse_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken").mkdir()
    for i in range(190):
        (tmp_path / "broken" / f"{i}.png").write_bytes(b"no picture")
    said = " ".join(invoke("broken").output.split())
    assert "`prepare` will refuse it: 190 of the 190 looked at cannot be used, more than the 1 %" in said


def test_without_a_name_it_is_that_of_the_samples(emoji, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert invoke(emoji).exit_code == 0
    assert config.load(tmp_path / "emoji-gan" / "params.yaml").register_.name == "emoji-gan"


def test_kinds_are_found_by_the_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    toys.sounds(tmp_path / "clips.zip", 180)
    (tmp_path / "words.tsv").write_text("".join(f"{'ab'[i % 2]}\tone {i % 7} two {i % 5}\n" for i in range(200)))
    assert (invoke("clips.zip").exit_code, invoke("clips.zip", "--kind", "wave", "--name", "waves").exit_code) == (0, 0)
    assert invoke("words.tsv").exit_code == 0
    clips, waves, words = (config.load(tmp_path / name / "params.yaml") for name in ("clips-gan", "waves", "words-gan"))
    assert (clips.data.kind, waves.data.kind, words.data.kind) == ("sound", "wave", "text")
    assert (words.data.length, words.model.latent) == (4, 8)
    assert "toy" not in (tmp_path / "clips-gan/params.yaml").read_text().lower()


def test_files_that_move_are_films(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "films").mkdir()
    for i in range(180):
        first, *others = (Image.fromarray(rng.integers(0, 256, (16, 16), np.uint8)) for _ in range(8))
        first.save(tmp_path / "films" / f"{i}.gif", save_all=True, append_images=others)
    assert invoke("films").exit_code == 0
    assert config.load(tmp_path / "films-gan" / "params.yaml").data.kind == "video"
    assert invoke("films", "--kind", "image", "--name", "stills").exit_code == 0
    assert config.load(tmp_path / "stills" / "params.yaml").data.kind == "image"


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (["nowhere"], DataError, "nowhere does not exist"),
        ([], UserError, "expected a folder or an address of own samples, or --example"),
        (
            ["{emoji}", "--kind", "picture"],
            UserError,
            "--kind: expected image, sound, text, video or wave",
        ),
        (["{emoji}", "--kind", "sound"], DataError, "expected clips, as files that end in"),
        (["{emoji}", "--name", "my emoji"], UserError, "--name: expected letters, digits"),
        (["{emoji}", "--name", "{emoji}"], UserError, "expected a new or an empty folder, got one with faces, flags"),
        (
            ["{emoji}", "--example", "sound", "--kind", "sound"],
            UserError,
            "--example: expected no --name",
        ),
    ],
)
def test_what_cannot_become_a_project_is_refused_in_words(arguments, error, words, emoji, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = invoke(*(each.format(emoji=emoji) for each in arguments)).exception
    assert isinstance(found, error)
    assert words in str(found)
    assert not list(tmp_path.iterdir())


def test_too_few_samples_are_refused(tmp_path):
    (tmp_path / "few").mkdir()
    for i in range(3):
        Image.new("L", (16, 16), i).save(tmp_path / "few" / f"{i}.png")
    assert "expected at least 180 images, got 3: of fewer than 60 that no training has seen" in str(
        invoke(tmp_path / "few", "--name", tmp_path / "p").exception
    )


def test_folders_that_are_splits_are_refused_before_a_project_is_written(emoji, tmp_path):
    for name, former in (("train", "faces"), ("test", "flags")):
        (tmp_path / "sets" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "sets" / name).symlink_to(emoji / former)
    found = invoke(tmp_path / "sets", "--name", tmp_path / "p").exception
    assert "the classes would be test, train: name one of them as the source" in str(found)
    assert not (tmp_path / "p").exists()
