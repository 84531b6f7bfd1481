"""Projects of an installed ganops: what they have of a checkout, and the link by which DVC watches the code that runs.

`dvc.yaml` names the files of `src/ganops` that decide each stage. A checkout has them. A project of an installed ganops
has a link in that place, to the package wherever it is installed: so another version, or an edit of an editable
installation, makes stale exactly what it decides, and dvc.lock, which holds paths and contents, is the same on every
machine. Git ignores the link, since it is a machine's own.
"""

from pathlib import Path

from ganops.core import git
from ganops.core.errors import UserError
from ganops.core.files import read_yaml
from ganops.core.layout import PACKAGE

INSTALLED = Path(__file__).resolve().parents[1]
"""Folder of the package that runs."""
CARRIED = ("dvc.yaml", ".dvcignore", ".gitignore", ".dvc/.gitignore", ".dvc/config", ".dvc/plots", "pipeline")
"""Files and folders that every project has as a checkout has them; pyproject.toml puts them into the wheel."""


def home() -> Path:
    """Return the folder with `CARRIED`: in an installed package its own, else the checkout."""
    carried = INSTALLED / "project"
    return carried if carried.is_dir() else INSTALLED.parents[1]


def link(root: Path) -> bool:
    """Lets the project in `root` watch the package that runs, where it has a link in the place of sources, or nothing.

    Returns:
        The link was made or changed.

    Raises:
        UserError: The system makes no links.
    """
    place = root / PACKAGE
    if place.resolve() == INSTALLED or (place.exists() and not place.is_symlink()) or not _watching(root):
        return False
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    try:
        place.symlink_to(INSTALLED, target_is_directory=True)
    except OSError as error:
        why = f"{error.strerror}; Windows allows links in its developer mode"
        raise UserError(f"{place} cannot become a link to {INSTALLED}: {why}") from None
    return True


def expect_link(root: Path) -> None:
    """Refuses to run beside a link that leads to another package: DVC would take its files for those that ran.

    Raises:
        UserError: It does.
    """
    place = root / PACKAGE
    if place.is_symlink() and place.resolve() != INSTALLED:
        raise UserError(
            f"{PACKAGE}: expected a link to the ganops that runs, {INSTALLED}, got one to {place.resolve()}: "
            "`ganops check` links it anew, and `dvc repro` then runs what this changes"
        )


def linked(root: Path) -> list[str]:
    """Return the names in `root` of the files behind its link, as a job needs them; none where there is no link."""
    place = root / PACKAGE
    if not place.is_symlink():
        return []
    files = (path for path in place.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return sorted(path.relative_to(root).as_posix() for path in files)


def differing(root: Path) -> list[str]:
    """Return the names of stages' files that a project with a link has otherwise than the ganops that runs.

    They are those of the version that wrote the project: a later one may depend on other files, and call others.
    """
    if not (root / PACKAGE).is_symlink():
        return []
    names = ["dvc.yaml", *(f"pipeline/{path.name}" for path in sorted((home() / "pipeline").glob("*.py")))]
    return [name for name in names if _content(root / name) != _content(home() / name)]


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _watching(root: Path) -> bool:
    """Return True where a stage of the project depends on files of the package."""
    deps = (Path(dep) for stage in git.stages(root).values() for dep in git.needed(stage))
    return any(dep.is_relative_to(PACKAGE) for dep in deps)


def missing_sections(root: Path) -> tuple[str, ...]:
    """Return the sections of `params.yaml` that `dvc.yaml` names and that are not there: DVC runs no stage without."""
    if not (root / "dvc.yaml").is_file():
        return ()
    entries = [each for stage in read_yaml(root / "dvc.yaml")["stages"].values() for each in stage.get("params", [])]
    named = {each for each in entries if isinstance(each, str)}
    named |= {name for each in entries if isinstance(each, dict) for names in each.values() for name in names}
    return tuple(sorted(named - set(read_yaml(root / "params.yaml") or {})))
