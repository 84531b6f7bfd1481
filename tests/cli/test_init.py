"""`ganops init`: a project of its own from the installed package."""

import filecmp
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from ganops import config
from ganops.cli import app, init
from ganops.core.errors import UserError
from ganops.core.project import INSTALLED
from ganops.data import Prepared, decoders, prepare, toys
from ganops.data.about import About
from ganops.experiment import checks

ROOT = Path(__file__).parents[2]


def invoke(*arguments):
    return CliRunner().invoke(app, ["init", *map(str, arguments)])


def refusal(*arguments):
    error = invoke(*arguments).exception
    assert isinstance(error, UserError)
    return str(error)


@pytest.fixture
def few(monkeypatch):
    """Examples with data that are made at once."""
    monkeypatch.setitem(init.EXAMPLES, "sound", ("sounds.zip", lambda path: toys.sounds(path, 20)))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The example as it is, and what was said of it."""
    folder = tmp_path_factory.mktemp("init") / "toy project"
    done = invoke("--example", "sound", folder)
    assert done.exit_code == 0, done.exception
    return folder, done.output


def test_the_help_names_every_kind():
    assert list(config.SECTIONS) == init.KINDS


def test_a_project_has_all_that_a_checkout_has_for_its_stages(written):
    folder, _ = written
    for name in ("dvc.yaml", ".dvcignore", ".dvc/config", ".dvc/plots/losses.json"):
        assert (folder / name).read_bytes() == (ROOT / name).read_bytes(), name
    stages = sorted(path.name for path in (ROOT / "pipeline").glob("*.py"))
    assert sorted(path.name for path in (folder / "pipeline").iterdir()) == stages
    assert filecmp.cmpfiles(ROOT / "pipeline", folder / "pipeline", stages, shallow=False) == (stages, [], [])
    assert (folder / "params.schema.json").read_bytes() == (ROOT / "params.schema.json").read_bytes()
    assert (folder / "src/ganops").resolve() == INSTALLED
    assert (folder / "README.md").read_text().startswith("# ")
    assert not list(folder.rglob("*.draft-*"))


def test_its_data_are_those_that_the_seed_makes(written, tmp_path):
    folder, _ = written
    toys.sounds(tmp_path / "again.zip")
    one, other = (hashlib.sha256(path.read_bytes()) for path in (folder / "data/sounds.zip", tmp_path / "again.zip"))
    assert one.digest() == other.digest()
    data = yaml.safe_load((folder / "params.yaml").read_text())["data"]
    assert (data["source"], data["rate"], data["samples"]) == ("sounds.zip", toys.RATE, toys.SAMPLES)


def test_it_says_what_was_written_and_the_next_command(written):
    folder, said = written
    assert f"{folder}: README.md, params.yaml, dvc.yaml, pipeline/, data/sounds.zip (22 MB)" in said.replace("\n", " ")
    assert said.replace("\n", " ").rstrip().endswith(f"next: cd '{folder}' && ganops check && dvc repro")


def test_git_keeps_all_but_what_a_machine_or_the_pipeline_makes(written):
    folder, _ = written
    command = ["git", "-C", folder, "ls-files", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert {"params.yaml", "dvc.yaml", "data/sounds.zip", ".dvc/config", "pipeline/train.py"} <= set(listed)
    assert not [name for name in listed if name.startswith("src")]


def test_its_parameters_are_sound(written, monkeypatch):
    folder, _ = written
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, ["check"])
    assert done.exit_code == 0, done.exception
    assert "params.yaml and data/sounds.zip are fine" in done.output


def test_the_example_of_waves_has_the_same_sounds(few, tmp_path, monkeypatch):
    monkeypatch.setitem(init.EXAMPLES, "wave", init.EXAMPLES["sound"])
    for kind in ("sound", "wave"):
        assert invoke("--example", kind, tmp_path / kind).exit_code == 0
    own, other = (yaml.safe_load((tmp_path / kind / "params.yaml").read_text())["data"] for kind in ("wave", "sound"))
    shared = {key: value for key, value in other.items() if key not in ("bands", "window", "hop")}
    assert own == shared | {"kind": "wave"}
    assert (tmp_path / "wave/data/sounds.zip").read_bytes() == (tmp_path / "sound/data/sounds.zip").read_bytes()
    monkeypatch.chdir(tmp_path / "wave")
    done = CliRunner().invoke(app, ["check"])
    assert done.exit_code == 0, done.exception


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    """The example of texts, as it is."""
    folder = tmp_path_factory.mktemp("init") / "sentences"
    done = invoke("--example", "text", folder)
    assert done.exit_code == 0, done.exception
    assert "data/glosses (1 MB)" in done.output.replace("\n", " ")
    return folder


def test_the_sentences_are_ten_thousand_with_their_licence(sentences, tmp_path):
    """None is rejected, a vocabulary of 2,500 covers train, and the shares of the splits are those of a fair draw."""
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in (sentences / "data/glosses/LICENSE").read_text()
    about = About.of_source(sentences / "data/glosses")
    assert (about.name, about.licence) == (
        "Glosses of WordNet 3.0 (10,000 short ones)", "WordNet 3.0 (Princeton University)",
    )  # fmt: skip
    data = config.SECTIONS["text"](**yaml.safe_load((sentences / "params.yaml").read_text())["data"])
    manifest = prepare(sentences / "data/glosses", tmp_path / "set", tmp_path / "preview.png", decoders.of(data))
    assert manifest["classes"] == ["adjective", "adverb", "noun", "verb"]
    assert (manifest["rejected"], manifest["conversions"], manifest["duplicates"]) == ([], {}, 0)
    counts = {split: part["samples"] for split, part in manifest["splits"].items()}
    assert sum(counts.values()) == 10_000
    assert all(abs(counts[split] - 1000) < 4 * 30 for split in ("validation", "test"))  # sqrt(10,000 x 0.1 x 0.9)
    unknown = (Prepared.open(tmp_path / "set").samples("test") == 1).sum()
    assert unknown < 0.002 * 8 * counts["test"]


def test_parameters_of_the_sentences_are_sound(sentences, monkeypatch):
    monkeypatch.chdir(sentences)
    done = CliRunner().invoke(app, ["check"])
    assert done.exit_code == 0, done.exception
    assert "params.yaml and data/glosses are fine" in done.output


@pytest.fixture(scope="module")
def garments(tmp_path_factory):
    """The example of films, with few of them."""
    folder = tmp_path_factory.mktemp("init") / "garments"
    with pytest.MonkeyPatch.context() as patch:
        name, make = init.EXAMPLES["video"]
        patch.setitem(init.EXAMPLES, "video", (name, partial(make, count=60)))
        done = invoke("--example", "video", folder)
    assert done.exit_code == 0, done.exception
    assert "data/films.zip (1 MB)" in done.output.replace("\n", " ")
    return folder


def test_the_films_become_a_set_as_their_parameters_say(garments, tmp_path):
    experiment = config.load(garments / "params.yaml")
    data = experiment.data
    assert (data.source, data.frames, data.resolution) == ("films.zip", toys.FRAMES, toys.SIDE)
    assert experiment.model.latent == 48 + 8 * toys.FRAMES
    manifest = prepare(garments / "data/films.zip", tmp_path / "set", tmp_path / "preview.png", decoders.of(data))
    assert manifest["classes"] == sorted(toys.GARMENTS)
    assert (manifest["rejected"], manifest["duplicates"], manifest["ignored"]) == ([], 0, ["LICENSE"])
    assert manifest["sample"] == {"kind": "video", "shape": [1, 8, 32, 32], "dtype": "uint8", "facts": {"fps": 8.0}}
    assert sum(part["samples"] for part in manifest["splits"].values()) == 60


def test_parameters_of_the_films_are_sound(garments, monkeypatch):
    monkeypatch.chdir(garments)
    done = CliRunner().invoke(app, ["check"])
    assert done.exit_code == 0, done.exception
    assert "params.yaml and data/films.zip are fine" in done.output


def test_dvc_watches_the_package_that_runs(few, tmp_path):
    """Without sources in the project, what is edited in the package makes stale what depends on it, and no more."""
    package = shutil.copytree(INSTALLED, tmp_path / "site" / "ganops", ignore=shutil.ignore_patterns("__pycache__"))
    project = tmp_path / "project"
    assert invoke("--example", "sound", project).exit_code == 0
    (project / "src/ganops").unlink()
    (project / "src/ganops").symlink_to(package)
    stages = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]
    watched = {name: [path for path in stages[name]["deps"] if "src/" in path] for name in ("train", "evaluate")}
    idle = {name: {"cmd": f"echo > {name}", "deps": deps, "outs": [name]} for name, deps in watched.items()}
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": idle}))

    def dvc(*arguments):
        command = [sys.executable, "-m", "dvc", *arguments]
        return subprocess.run(command, cwd=project, capture_output=True, text=True, check=True).stdout

    def changed():
        found = json.loads(dvc("status", "--json"))
        return {
            stage: {path for part in parts for path in part.get("changed deps", {})} for stage, parts in found.items()
        }

    dvc("repro", "--quiet")
    assert changed() == {}
    (package / "losses" / "penalties.py").write_text("changed")
    (package / "losses" / "__pycache__").mkdir()
    (package / "losses" / "__pycache__" / "penalties.pyc").write_text("compiled")
    (package / "cli" / "study.py").write_text("changed")
    assert changed() == {"train": {"src/ganops/losses"}}


def test_a_stage_refuses_to_run_where_dvc_watches_another_package(few, tmp_path, monkeypatch):
    assert invoke("--example", "sound", tmp_path / "project").exit_code == 0
    monkeypatch.chdir(tmp_path / "project")
    checks.load()
    Path("src/ganops").unlink()
    Path("src/ganops").symlink_to(tmp_path)
    with pytest.raises(UserError, match="expected a link to the ganops that runs"):
        checks.load()
    done = CliRunner().invoke(app, ["check", "--quick"])
    assert done.exit_code == 0
    assert f"src/ganops leads to {INSTALLED} now" in done.output.replace("\n", " ")
    checks.load()
    assert "leads to" not in CliRunner().invoke(app, ["check", "--quick"]).output


def test_files_of_another_version_are_named(few, tmp_path, monkeypatch):
    assert invoke("--example", "sound", tmp_path / "project").exit_code == 0
    monkeypatch.chdir(tmp_path / "project")
    Path("params.yaml").write_text("data: {source: sounds.zip}")
    assert "not as this ganops has them" not in CliRunner().invoke(app, ["check", "--quick"]).output
    Path("dvc.yaml").write_text("stages: {}")
    Path("pipeline/tune.py").unlink()
    said = CliRunner().invoke(app, ["check", "--quick"]).output.replace("\n", " ")
    assert f"dvc.yaml, pipeline/tune.py: not as this ganops has them in {ROOT}; take those" in said


def test_the_folder_where_one_stands_is_filled_and_stays_the_same_folder(few, tmp_path, monkeypatch):
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    monkeypatch.chdir(tmp_path)
    before = tmp_path.stat().st_ino
    done = invoke("--example", "sound")
    assert done.exit_code == 0, done.exception
    assert done.output.rstrip().endswith("next: ganops check && dvc repro")
    assert Path("data/sounds.zip").stat().st_size
    assert tmp_path.stat().st_ino == Path().stat().st_ino == before
    assert not [path.name for path in tmp_path.iterdir() if "draft" in path.name]


def test_a_folder_within_a_repository_becomes_part_of_it(few, tmp_path):
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    assert invoke("--example", "sound", tmp_path / "deep" / "er").exit_code == 0
    assert not (tmp_path / "deep" / "er" / ".git").exists()


def test_what_cannot_become_a_project_is_refused_in_words(few, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    assert "expected a new or an empty folder, got one with mine.txt; name another" in refusal(
        "--example", "sound", tmp_path / "full"
    )
    assert "expected a new or an empty folder, got a file" in refusal("--example", "sound", tmp_path / "file")
    known = "sound, text, video or wave"
    assert f"--example: expected {known}, got sounds" in refusal("--example", "sounds", tmp_path / "new")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git: expected it to be installed" in refusal("--example", "sound", tmp_path / "new")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full", "mine.txt"]


@pytest.mark.parametrize("there", [False, True])
def test_an_interruption_leaves_nothing_half_written(tmp_path, there):
    folder = tmp_path / "project"
    if there:
        folder.mkdir()
    # a shell has what runs in its background ignore interruptions, and these tests may run there
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    run = f"{heed}; from ganops.cli import main; main()"
    command = [sys.executable, "-c", run, "init", "--example", "sound", str(folder)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(tmp_path.rglob("new/data")) and running.poll() is None:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    assert running.wait(30)
    assert [path.name for path in tmp_path.iterdir()] == ["project"] * there
    assert not there or not list(folder.iterdir())
