"""The documentation: no link leads nowhere, and each command in it is one that the program takes."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from ganops.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = typer.main.get_command(app)


def commands():
    """Each `ganops ...` line of a block, and each one between backticks, with the name of its page."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = re.findall(r"^ *```(?:bash)?\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
        lines = [part for block in blocks for line in block.splitlines() for part in re.split(r"&&|\|", line)]
        spoken = re.findall(r"`(ganops [^`]*)`", text.replace("\n", " "))
        for line in (*lines, *spoken):
            words = line.strip().removeprefix("$ ").split("  #")[0]
            if re.match(r"(\w+=\S+ )*ganops [a-z]", words) and not re.search(r"[<>…{]|\.\.\.| [A-Z]+\b", words):
                yield pytest.param(re.sub(r"^(\w+=\S+ )*ganops ", "", words), id=f"{page.name}: {words}"[:90])


@pytest.mark.parametrize("words", dict.fromkeys(commands()))
def test_the_program_takes_what_is_written(words):
    command, rest = COMMAND, shlex.split(words, comments=True)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        assert rest[0] in command.commands
        command, rest = command.commands[rest[0]], rest[1:]
    known = {opt for each in command.params for opt in (*each.opts, *each.secondary_opts)} | {"--help"}
    assert {word.split("=")[0] for word in rest if word.startswith("--")} <= known


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The pages of the site, built as strictly as `make site` does."""
    folder = tmp_path_factory.mktemp("site")
    config = ROOT / "infra" / "site" / "mkdocs.yml"
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", config, "-d", folder],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    return {page.stem: page.read_text(encoding="utf-8") for page in folder.glob("*.html")}


def test_each_page_of_docs_is_in_the_site(site):
    beside = {"index", "contributing", "changelog", "lucic2018", "commands", "parameters", "python", "404"}
    examples = {f"example-{path.stem}" for path in (ROOT / "docs" / "notebooks").glob("*.ipynb")}
    assert set(site) == {page.stem for page in (ROOT / "docs").glob("*.md")} | beside | examples


def test_all_commands_and_parameters_are_told(site):
    for name in ("doctor", "registry verify", "sample", "init"):
        assert f"ganops {name}" in site["commands"]
    for key in ("kimg", "learning_rate", "max_rejected", "warm_up", "at_most", "storage"):
        assert f"<code>{key}</code>" in site["parameters"]
    for name in ("GAN", "Generator", "Prepared"):
        assert f"{name}(" in re.sub(r"<[^>]*>", "", site["python"])


def test_a_reader_asks_no_other_host_for_anything(site):
    for name, text in site.items():
        fetched = re.findall(r'<(?:link|script|img)[^>]*(?:src|href)="(https?:[^"]*)"', text)
        assert not fetched, name
