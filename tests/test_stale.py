"""A result is stale when what decides it has changed: each stage's source files, held against `dvc.yaml`."""

import ast
import json
import shutil
from functools import cache
from pathlib import Path

import pytest
import yaml

from ganops.experiment import identity

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "ganops"
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]

SHOWS = "shows results to a person while it works; nothing of it is written"
DRAWS = "draws what was found: a changed colour must not repeat the work"
PLACES = "says where and how safely the work runs; laws 1 and 2 say that this changes no bit, and their tests hold it"
PREPARES = "made data/prepared, which is a dependency itself"
CHECKS = "refuses parameters before the work begins; of what it lets pass it changes nothing"
JUDGES = "judged the extractor in the stage features, whose output is a dependency itself"
NAMES = "names the commit of the code; the version of the mathematics in identity.py says what it computes"
GAMES = "trains; the bound of an autoencoder is all that is evaluated by an objective"
FETCHES = "fetches the generator of train.start, whose weights are in the fingerprint"
RECORDS = "copies trials to MLflow once they are found, or curves while they are made"

EXEMPT: dict[str, dict[str, str]] = {
    "*": {
        "distributed/__init__.py": PLACES,
        "registry/__init__.py": "keeps MLflow from reporting home",
        "distributed/node_copy.py": PLACES,
        "core/node_folder.py": PLACES,
        "core/retry.py": PLACES,
        "data/cache.py": PLACES,
        "distributed/decoding.py": PLACES,
        "distributed/placement.py": PLACES,
        "distributed/runtime.py": PLACES,
        "distributed/storage.py": PLACES,
        "distributed/failures.py": PLACES,
        "distributed/board.py": PLACES,
        "distributed/cadence.py": PLACES,
        "distributed/finished.py": PLACES,
        "core/signals.py": PLACES,
        "__init__.py": "names one class, which no stage uses",
        "core/errors.py": "words of refusals",
        "core/layout.py": "paths that stand in dvc.yaml, too",
        "core/project.py": "refuses to run where DVC watches another package",
        "core/redaction.py": "hides passwords in what is shown of servers",
        "core/terminal.py": SHOWS,
    },
    "prepare": {"registry/precedents.py": SHOWS, "experiment/checks.py": CHECKS, "core/cores.py": PLACES},
    "features": {
        "core/patterns.py": CHECKS,
        "core/storage.py": PLACES,
        "experiment/checks.py": CHECKS,
        "experiment/machine.py": PLACES,
        "data/prepare.py": PREPARES,
    },
    "tune": {
        "core/patterns.py": CHECKS,
        "core/storage.py": PLACES,
        "registry/notes.py": RECORDS,
        "registry/searches.py": RECORDS,
        "data/prepare.py": PREPARES,
        "core/git.py": NAMES,
        "metrics/catalogue.py": CHECKS,
        "metrics/ladder.py": JUDGES,
        "metrics/sight.py": JUDGES,
        "core/pictures.py": DRAWS,
        "reports/plots.py": DRAWS,
        "reports/search_page.py": DRAWS,
        "search/table.py": SHOWS,
        "registry/ancestor.py": FETCHES,
    },
    "train": {
        "registry/ancestor.py": FETCHES,
        "core/patterns.py": CHECKS,
        "core/storage.py": PLACES,
        "registry/live.py": RECORDS,
        "data/prepare.py": PREPARES,
        "core/git.py": NAMES,
        "metrics/catalogue.py": CHECKS,
        "metrics/ladder.py": JUDGES,
        "metrics/sight.py": JUDGES,
        "core/pictures.py": DRAWS,
        "search/population.py": CHECKS,
        "search/space.py": CHECKS,
    },
    "evaluate": {
        "core/patterns.py": CHECKS,
        "losses/adversarial.py": GAMES,
        "losses/penalties.py": GAMES,
        "experiment/checks.py": CHECKS,
        "experiment/identity.py": CHECKS,
        "experiment/machine.py": PLACES,
        "data/prepare.py": PREPARES,
        "data/sources/__init__.py": PREPARES,
        "metrics/ladder.py": JUDGES,
    },
    "register": {
        "core/patterns.py": CHECKS,
        "experiment/checks.py": CHECKS,
        "experiment/identity.py": CHECKS,
        "experiment/machine.py": PLACES,
        "data/prepare.py": PREPARES,
        "data/sources/__init__.py": PREPARES,
        "metrics/ladder.py": JUDGES,
    },
}
"""Stage (all: *) -> file -> why its changes leave the stage's outputs true; what it alone imports is not reached."""


@cache
def imported(path: Path) -> frozenset[Path]:
    """Files of the package that a file imports, at its top or inside a function, or names, to copy or to run them.

    What is imported for types alone does not count.
    """
    names, beside = set(), set()
    for node in walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(".py"):
            beside.add(path.parent / node.value)
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(file for name in names for file in files_of(name)) | {file for file in beside if file.is_file()}


def walk(node: ast.AST):
    """`ast.walk` that leaves out the body of `if TYPE_CHECKING:`."""
    yield node
    skipped = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    for child in node.orelse if skipped else ast.iter_child_nodes(node):
        yield from walk(child)


def files_of(module: str) -> list[Path]:
    """The files that importing a module runs: its own, and that of each package above it."""
    parts = module.split(".")
    if parts[0] != "ganops":
        return []
    found = []
    for depth in range(len(parts)):
        place = PACKAGE.joinpath(*parts[1 : depth + 1])
        found += [file for file in (place / "__init__.py", place.with_suffix(".py")) if file.is_file()]
    return found


def passes_on(file: Path) -> bool:
    """Whether a file holds nothing but imports of others, and so decides nothing itself."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return all(
        isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
        for node in body
    )


def reached(stage: str, exempt: dict[str, str]) -> set[str]:
    """The files that decide a stage: all that it runs, without the exempt ones and what only they import.

    Every stage reads params.yaml, and config.py fills in what is left out there.
    """
    seen, todo = set(exempt), [PACKAGE / "config.py", ROOT / "pipeline" / f"{stage}.py"]
    found = {"config.py"}
    while todo:
        for file in imported(todo.pop()):
            name = file.relative_to(PACKAGE).as_posix()
            if name not in seen:
                seen.add(name)
                todo.append(file)
                if not passes_on(file):
                    found.add(name)
    return found


def exempt_of(stage: str) -> dict[str, str]:
    return EXEMPT["*"] | EXEMPT[stage]


def listed(stage: str) -> list[str]:
    """The stage's dependencies below src/ganops, relative to it."""
    entries = (str(entry).removeprefix("../") for entry in STAGES[stage]["deps"])
    return [entry.removeprefix("src/ganops/") for entry in entries if entry.startswith("src/ganops/")]


def covers(entry: str, file: str) -> bool:
    return file == entry or file.startswith(f"{entry}/")


@pytest.mark.parametrize("stage", STAGES)
def test_each_file_that_a_stage_runs_is_listed_or_exempt(stage):
    missing = [
        file
        for file in sorted(reached(stage, exempt_of(stage)))
        if not any(covers(entry, file) for entry in listed(stage))
    ]
    assert not missing, f"dvc.yaml, {stage}: a change of these would go unseen: {', '.join(missing)}"


@pytest.mark.parametrize("stage", STAGES)
def test_nothing_is_listed_that_the_stage_does_not_run(stage):
    run = reached(stage, exempt_of(stage))
    idle = [
        entry
        for entry in listed(stage)
        if entry != "reports/templates" and not any(covers(entry, file) for file in run)
    ]
    assert not idle, f"dvc.yaml, {stage}: changes of these would repeat it for nothing: {', '.join(idle)}"


@pytest.mark.parametrize("stage", STAGES)
def test_templates_are_listed_where_pages_are_written(stage):
    assert ("reports/templates" in listed(stage)) == ("reports/page.py" in reached(stage, exempt_of(stage)))


LAUNCHERS = ("judge_apart", "on_ray", "opening", "train")
"""Files of `distributed` that the stage train depends on."""


def test_the_fingerprint_of_a_training_covers_what_its_stage_depends_on():
    beside = {
        **dict.fromkeys((f"distributed/{name}.py" for name in LAUNCHERS), "says where it runs"),
        "config.py": "its values are in the fingerprint themselves",
        "core/files.py": "writes and names what was computed",
        "search/trials.py": "hands on parameters, which are in the fingerprint themselves",
    }
    assert {*identity.DECISIVE, *beside} == set(listed("train"))
    assert set(listed("train")) - set(listed("tune")) == {"distributed/train.py"}, "trials have a launcher of their own"


def test_each_exemption_is_needed():
    """An exemption of a file that no stage reaches would hide one that comes under that name."""
    for stage, exempt in EXEMPT.items():
        stages = STAGES if stage == "*" else [stage]
        used = {file for each in stages for file in reached(each, {})}
        assert set(exempt) <= used, f"{stage}: {set(exempt) - used} is not reached"


def test_the_law_would_notice():
    assert "core/latents.py" in reached("train", exempt_of("train"))
    assert "losses/adversarial.py" in reached("tune", exempt_of("tune"))
    assert not covers("search", "searches.py")


SABOTAGES = {
    "core/latents.py": ("return table[", "return 2 * table[", {"features", "tune", "train", "evaluate", "register"}),
    "evaluation/gate.py": ("value <= limit", "value >= limit", {"register"}),
    "generator/artefact.py": ("labels = in_turn(", "labels = 0 * in_turn(", {"tune", "train", "evaluate", "register"}),
    "losses/adversarial.py": ("F.relu(1 - real)", "F.relu(2 - real)", {"tune", "train", "register"}),
    "training/ema.py": ("0.05 * seen", "0.5 * seen", {"tune", "train"}),
    "core/randomness.py": ('"little"', '"big"', {"features", "tune", "train", "evaluate", "register"}),
    "metrics/frechet.py": ("- 2 * fidelity", "- fidelity", {"features", "tune", "train", "evaluate", "register"}),
    "models/dcgan.py": ("class Generator", "class  Generator", {"tune", "train", "evaluate", "register"}),
    "data/decode.py": ("import ", "import  ", {"prepare"}),
    "search/space.py": ("import ", "import  ", {"tune"}),
    "kinds/image.py": ("127.5).round()", "128).round()", set(STAGES)),
    "evaluation/verdict.py": ("FIRST_SEED = 10**6", "FIRST_SEED = 0", {"evaluate", "register"}),
    "registry/served_model.py": ("import ", "import  ", {"register"}),
    "config.py": ("import ", "import  ", set(STAGES)),
    "reports/plots.py": ("import ", "import  ", {"evaluate", "register"}),
    "cli/serving.py": ("import ", "import  ", set()),
}
"""File -> a line of it, the same line changed, and the stages whose outputs are not true any more."""


@pytest.mark.ray
def test_dvc_names_the_stages_of_a_change(finished):
    """All changes at once: DVC tells the file, or its folder, under each stage that depends on it."""
    for name, (line, other, _) in SABOTAGES.items():
        path = finished.folder / "src" / "ganops" / name
        text = path.read_text()
        assert line in text, name
        path.write_text(text.replace(line, other, 1))
    try:
        said = finished.run("dvc", "status", "--json")
    finally:
        shutil.rmtree(finished.folder / "src")
        finished.run("git", "checkout", "--", "src")
    changed = {
        stage: [file.partition("src/ganops/")[2] for part in parts for file in dict(part).get("changed deps", {})]
        for stage, parts in json.loads(said[said.index("{") :]).items()
    }
    for name, (*_, stages) in SABOTAGES.items():
        named = {stage for stage, entries in changed.items() if any(entry and covers(entry, name) for entry in entries)}
        assert named == stages, name
