"""Pages of the site that follow from files outside docs/ and from the code: MkDocs calls `on_files` first.

Nothing here is written twice: the commands tell themselves, as `ganops COMMAND --help` does, and the parameters are
those of params.schema.json.
"""

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from ganops.cli import app

ROOT = Path(__file__).parents[2]

BESIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "experiments/lucic2018/README.md": "lucic2018.md",
}
"""Page of each file that lies outside docs/."""

EXAMPLES = {
    f"docs/notebooks/{path.name}": f"example-{path.stem}.md"
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
}
"""Page of each example notebook."""

PYTHON = {
    "In a notebook": ("ganops.experiment.estimator.GAN", "ganops.experiment.player.Player"),
    "A trained generator": ("ganops.generator.artefact.Generator", "ganops.generator.artefact.Description"),
    "Its encoder": ("ganops.generator.encoder.Encoder",),
    "A set that was prepared": ("ganops.data.prepared.Prepared",),
    "The specification of samples": ("ganops.kinds.Spec",),
    "The game": ("ganops.training.step.Game", "ganops.training.step.play", "ganops.training.loop.train"),
}
"""Classes and functions that others may build on."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages."""
    pages = {page: _moved(ROOT / source) for source, page in BESIDE.items()}
    pages |= {page: _notebook(ROOT / source) for source, page in EXAMPLES.items()}
    pages |= {"commands.md": _commands(), "parameters.md": _parameters(), "python.md": _python()}
    pages["names.css"] = "td code { white-space: nowrap; word-break: normal }"  # of keys, which are looked up whole
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Returns a page of docs/ with links to the pages of files outside."""
    return _linked(markdown, ROOT / "docs")


def _moved(source: Path) -> str:
    """Return a file whose links are those of a page at the top of docs/."""
    return _linked(source.read_text(encoding="utf-8"), source.parent)


def _linked(text: str, folder: Path) -> str:
    """Return text from a folder with links between pages; what is no page is named without a link."""

    def there(link: re.Match[str]) -> str:
        words, target, anchor = link.groups(default="")
        if not target or re.match(r"\w+:", target):
            return link[0]
        path = (folder / target).resolve().relative_to(ROOT).as_posix()
        page = (BESIDE | EXAMPLES).get(path, path.removeprefix("docs/") if path.startswith("docs/") else "")
        return f"[{words}]({page}{anchor})" if page else words

    return re.sub(r"\[([^]]*)\]\(([^)#]*)(#[^)]*)?\)", there, text)


def _notebook(path: Path) -> str:
    """Return a notebook as a page: its words, its code, and what its cells showed when they were last run."""
    parts = []
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(_linked(text, path.parent) if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        parts += [_shown(output) for output in cell.get("outputs", ())]
    return "\n\n".join([*parts, f'The notebook itself: <a href="notebooks/{path.name}">{path.name}</a>.'])


def _shown(output: dict[str, Any]) -> str:
    """Return what a cell showed: a picture, HTML or text."""
    data = {media: "".join(content) for media, content in output.get("data", {}).items()}
    if "image/png" in data:
        return f"![the picture that the cell shows](data:image/png;base64,{data['image/png'].strip()})"
    plain = data.get("text/plain") or "".join(output.get("text", ""))
    return data.get("text/html") or f"```text\n{plain.rstrip()}\n```"


def _commands() -> str:
    """Return each command with what it takes."""
    parts = ["# Commands", "What `ganops COMMAND --help` says, on one page."]
    for name, command in _leaves(typer.main.get_command(app), "ganops"):
        parts += [f"## {name}", inspect.cleandoc(command.help or ""), f"```\n{_usage(name, command)}\n```"]
        if rows := [_option(each) for each in command.params if not each.hidden]:
            parts.append("\n".join(["| | | default |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)


def _leaves(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the commands that do something, with their names."""
    if not hasattr(command, "commands"):
        yield name, command
        return
    for part, each in command.commands.items():
        yield from _leaves(each, f"{name} {part}")


def _usage(name: str, command: Any) -> str:
    context = command.make_context("ganops", [], resilient_parsing=True)
    return " ".join([name, *command.collect_usage_pieces(context)])


def _option(each: Any) -> str:
    option = each.param_type_name == "option"
    names = ", ".join(f"`{opt}`" for opt in (*each.opts, *each.secondary_opts))
    shown = names if option else f"`{each.metavar or each.name}`"
    default = each.default() if callable(each.default) else each.default
    usual = "required" if each.required else "" if default in (None, False, ()) else f"`{default}`"
    return f"| {shown} | {_cell(each.help or '')} | {usual} |"


def _parameters() -> str:
    """Return each key of params.yaml with its sentence, and behind the sections what their keys may hold."""
    schema: dict[str, Any] = json.loads((ROOT / "params.schema.json").read_text(encoding="utf-8"))
    known, parts = schema["$defs"], ["# Parameters"]
    parts.append("Each key of `params.yaml`. Editors show the same sentences, from `params.schema.json`.")
    sections = {name: _refs(described) or [""] for name, described in schema["properties"].items()}
    for name, refs in sections.items():
        if refs == [""]:
            parts += [f"## {name}", _table({name: schema["properties"][name]})]
        for ref in filter(None, refs):
            kind = known[ref]["properties"].get("kind", {}).get("const")
            parts += _section(f"{name}, kind: {kind}" if kind else name, known[ref])
    for ref in sorted({*known} - {ref for refs in sections.values() for ref in refs}):
        parts += _section(ref, known[ref])
    return "\n\n".join(parts)


def _section(title: str, described: dict[str, Any]) -> list[str]:
    return [f"## {title}", described.get("description", ""), _table(described.get("properties", {}))]


def _table(keys: dict[str, Any]) -> str:
    rows = [_row(key, value) for key, value in keys.items()]
    return "\n".join(["| key | values | default | |", "|---|---|---|---|", *rows]) if rows else ""


def _row(key: str, value: dict[str, Any]) -> str:
    default = f"`{json.dumps(value['default'])}`" if "default" in value else "required"
    return f"| `{key}` | {_cell(_values(value))} | {_cell(default)} | {_cell(value.get('description', ''))} |"


def _values(value: dict[str, Any]) -> str:
    """Return the values that a key takes, in words."""
    if "const" in value or "enum" in value:
        return ", ".join(f"`{each}`" for each in value.get("enum", [value.get("const")]))
    if options := value.get("anyOf") or value.get("oneOf"):
        return " or ".join(dict.fromkeys(_values(each) for each in options))
    if "$ref" in value:
        name = str(value["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    bounds = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    said = [f"{word} {value[key]}" for key, word in bounds.items() if key in value]
    return " ".join([str(value.get("type", "any")), *said])


def _refs(value: dict[str, Any]) -> list[str]:
    """Return the names of the definitions that a key may have."""
    found = re.findall(r'"#/\$defs/(\w+)"', json.dumps(value))
    return list(dict.fromkeys(found))


def _python() -> str:
    """Return the classes for which mkdocstrings puts their docstrings."""
    parts = ["# Python", "What may be built on beside the commands, from the docstrings of the code."]
    for title, names in PYTHON.items():
        parts += [f"## {title}", *(f"::: {name}" for name in names)]
    return "\n\n".join(parts)


def _cell(text: str) -> str:
    """Return text as it may stand in a table."""
    return " ".join(text.split()).replace("|", "\\|")
