"""Blocks of commands in the documentation: each runs here as it stands, or the line above it says why it does not."""

import re
import shutil
import subprocess
from dataclasses import dataclass

import numpy as np
import pytest
import servers
from PIL import Image
from projects import ROOT, Project

from ganops.experiment.estimator import GAN

PAGES = [
    ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "experiments").glob("*/README.md")),
]  # fmt: skip
MARK = r"<!-- (?:not run|slow): [^\n]+ -->"
"""What stands above a block: it is not run, for a reason; or it is run by the slow tests, since it takes long."""
FENCE = re.compile(rf"^(?: *({MARK})\n)?( *)```(\w*)\n(.*?)^\2```$", re.DOTALL | re.MULTILINE)
PROMPT = re.compile(r" *(?:\$ |(?:curl|docker|dvc|ganops|git|make|mlflow|pip|python|ray) )")
"""The beginning of a command."""
SHELL = """
set -euo pipefail
pip() { [ "$1" = install ]; }    # what the pages install is here, from the lock
curl() { command curl --silent --show-error --fail --retry 90 --retry-delay 1 --retry-connrefused "$@"; }
trap 'jobs -p | xargs --no-run-if-empty kill; wait' EXIT
"""
"""What comes before a block: a person looks whether a server is up, and ends it afterwards."""


@dataclass(frozen=True)
class Block:
    """A block of a page."""

    place: str
    mark: str
    language: str
    text: str


def blocks():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in FENCE.finditer(text):
            mark, _, language, content = found.groups()
            line = text[: found.start(3)].count("\n") + 1
            yield Block(f"{page.relative_to(ROOT)}:{line}", mark or "", language, content)


def commands(mark):
    """Parameters of a test: blocks of commands whose mark begins so; none where it is empty."""
    return [
        pytest.param(block, id=block.place)
        for block in blocks()
        if block.language in ("bash", "python") and (block.mark.startswith(mark) if mark else not block.mark)
    ]


def test_what_holds_commands_is_called_so_and_a_mark_stands_above_a_block():
    shown = [block for block in blocks() if block.language not in ("bash", "python")]
    assert [block.place for block in shown if any(map(PROMPT.match, block.text.splitlines()))] == []
    assert [block.place for block in shown if block.mark] == []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert text.count("```") == 2 * len(FENCE.findall(text)), page
        marks = [mark for mark, *_ in FENCE.findall(text) if mark]
        assert len(re.findall("^ *<!--", text, re.MULTILINE)) == len(marks), page


def pictures(folder, count, size, rng):
    """Discs and squares in colours, a class each: an extractor can tell them apart."""
    places = np.abs(np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j])
    across = {"boot": np.hypot(*places), "bag": places.max(0)}
    for i in range(count):
        name = ("boot", "bag")[i % 2]
        place = folder / name / f"{i:03}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        pixels = (across[name] < rng.uniform(0.4, 0.9))[..., None] * rng.integers(60, 256, 3)
        Image.fromarray(pixels.astype(np.uint8)).save(place)


@pytest.fixture(scope="module")
def ready(finished, tmp_path_factory):
    """The finished project, and beside it a home, with the files of which the pages speak."""
    folder, rng = tmp_path_factory.mktemp("blocks"), np.random.default_rng(0)
    project = Project(shutil.copytree(finished.folder, folder / "project", symlinks=True))
    pictures(folder / "home" / "pictures" / "emoji", 300, 16, rng)
    pictures(project.folder / "shoes", 3, 28, rng)
    shutil.copy(next((project.folder / "shoes").rglob("*.png")), project.folder / "boot.jpg")
    np.save(project.folder / "test.npy", rng.integers(0, 256, (2, 28, 28), np.uint8))
    shutil.copytree(project.folder / "artifacts/generator", project.folder / "runs/a/generator")
    for name in ("experiments", "data/fashion-mnist-10k"):
        shutil.copytree(ROOT / name, project.folder / name)
    project.run("dvc", "remote", "add", "--default", "home", str(folder / "remote"))
    return folder


@pytest.fixture
def place(ready, tmp_path):
    """A copy of it, to change at will."""
    return shutil.copytree(ready, tmp_path / "place", symlinks=True)


def run_in_shell(block, place):
    """Run a block as it stands: one that begins a project in an empty folder, others in the finished project."""
    project, port = Project(place / "project", {"HOME": str(place / "home")}), str(servers.free_port())
    words = {"ganops-generator": "tiny", "label=bag": "label=8", "localhost:8000": f"localhost:{port}",
             "ganops serve": f"ganops serve --port {port}", "5961": port}  # fmt: skip
    text = block.text
    for word, here in words.items():
        text = text.replace(word, here)
    folder = place / ("new" if "ganops init" in text else "project")
    folder.mkdir(exist_ok=True)
    running = subprocess.Popen(
        ["bash", "-c", SHELL + text], cwd=folder, env=project.environment(), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    told, _ = running.communicate(timeout=900)
    assert running.returncode == 0, told


NAMES = {
    "images": np.random.default_rng(0).integers(0, 256, (64, 16, 16, 1), np.uint8),
    "held_out": np.random.default_rng(1).integers(0, 256, (300, 16, 16, 3), np.uint8),
    "labels": ["boot", "bag"] * 150,
    "clips": np.random.default_rng(2).integers(-9000, 9000, (300, 8192), np.int16),
    "films": np.random.default_rng(3).integers(0, 256, (300, 8, 16, 16), np.uint8),
    "sentences": [f"a {colour} dog {does}" for colour in ("red", "blue") for does in ("runs", "sleeps")] * 40,
}
"""What a reader has where a block of Python begins."""


def run_in_python(block, place, monkeypatch):
    """Run a block as it stands, with less training."""
    monkeypatch.chdir(place / "home" / "pictures")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place}/project/mlflow/mlflow.db")
    monkeypatch.setitem(GAN.__init__.__kwdefaults__, "kimg", 0.2)
    text = block.text.replace("ganops-generator", "tiny").replace("kimg=50", "kimg=0.2")
    exec(compile(text, block.place, "exec"), dict(NAMES))


def run(block, place, monkeypatch):
    if block.language == "python":
        run_in_python(block, place, monkeypatch)
    else:
        run_in_shell(block, place)


@pytest.mark.filterwarnings("ignore")  # those of a reader's own code
@pytest.mark.parametrize("block", commands(""))
def test_a_block_runs_as_it_stands(block, place, monkeypatch):
    run(block, place, monkeypatch)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of a reader's own code
@pytest.mark.parametrize("block", commands("<!-- slow"))
def test_a_block_that_takes_long_runs_as_it_stands(block, place, monkeypatch):
    run(block, place, monkeypatch)
