"""The upload of a submission: exactly the files that git lists, copied into a folder of their own."""

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ganops.core.errors import ClusterError
from ganops.core.files import hash_file
from ganops.core.git import git

IGNORES = (".gitignore", ".rayignore")
"""Files by which Ray would leave out others."""
SECRET = ("config.local", ".env", ".netrc", ".pgpass", "id_rsa", "id_ed25519")
"""Names of files that hold keys."""


@dataclass(frozen=True)
class File:
    """A file that is sent."""

    name: str
    """Path in the tree, with slashes."""
    size: int
    """Bytes."""
    sha256: str

    @classmethod
    def of(cls, root: Path, name: str) -> "File":
        """The file of that name in `root`."""
        return cls(name, (root / name).stat().st_size, hash_file(root / name))


def listed(root: Path) -> list[str] | None:
    """Names of the files in `root` that git does not ignore, in order of their paths; None without a git repository.

    A link within the tree stands for the file, or the files of the folder, that it leads to. Files that git knows and
    that are gone are no files, and those of a repository inside this one are its own affair.

    Raises:
        ClusterError: A link leads out of the tree or to what git ignores, a name is not UTF-8, or a file holds keys.
    """
    said = git(root, "ls-files", "-co", "--exclude-standard", "-z")
    if said is None:
        return None
    home, names = root.resolve(), sorted({name.rstrip("/") for name in said.split("\0") if name})
    real = {name: _resolved(root / name) for name in names if os.path.lexists(root / name)}
    plain = {name for name, path in real.items() if path == home / name and path.is_file()}
    linked = {name: path for name, path in real.items() if path != home / name}
    found = plain | {each for name, path in linked.items() for each in _behind(name, path, home, plain)}
    for name in found:
        _expect_utf8(name)
        _expect_no_keys(name)
    return sorted(found, key=Path)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError):  # a circle of links
        raise ClusterError(f"{path}: expected a file or a link to one, got a circle of links; remove it") from None


def _behind(link: str, path: Path, home: Path, plain: set[str]) -> list[str]:
    """The names that a link stands for."""
    cure = "put data under DVC (`dvc add`), or let git ignore the link (.gitignore)"
    if not path.is_relative_to(home):
        raise ClusterError(f"{link} is a link that leads out of the tree, to {path}, and would be sent with it: {cure}")
    target = path.relative_to(home).as_posix()
    if target in plain:
        return [link]
    if path.is_file():
        raise ClusterError(f"{link} is a link to {target}, which git ignores, and would be sent with it: {cure}")
    start = "" if target == "." else f"{target}/"
    return [f"{link}/{name.removeprefix(start)}" for name in plain if path.is_dir() and name.startswith(start)]


def _expect_no_keys(name: str) -> None:
    if name.rpartition("/")[2] in SECRET:
        raise ClusterError(
            f"{name} may hold keys, and would be sent: let git ignore it (.gitignore), and `git rm --cached` it "
            "where it is committed"
        )


def _expect_utf8(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        text = f"{os.fsencode(name)!r}: expected a name in UTF-8; rename it, or let git ignore it"
        raise ClusterError(text) from None


def module(files: Sequence[File], package: str) -> list[str]:
    """Names of those files that go once more, as a module that comes before whatever the nodes have installed."""
    inside = [file.name for file in files if file.name.startswith(f"{package}/")]
    return [name for name in inside if name.rpartition("/")[2] not in IGNORES]


@contextmanager
def staged(root: Path, files: Sequence[File], package: str) -> Iterator[tuple[Path, Path]]:
    """A zip of exactly these files, whose bytes follow from theirs, and a folder with the module, for the block.

    A zip, since of a folder Ray leaves out what some file of ignored names, or a list of its own, tells it to.

    Raises:
        ClusterError: A file is no longer what it was when it was listed, or there is no room for the copies.
    """
    with tempfile.TemporaryDirectory(prefix="ganops-submit-") as scratch:
        archive, folder = Path(scratch) / "tree.zip", Path(scratch) / Path(package).name
        try:
            with zipfile.ZipFile(archive, "w") as whole:
                for file in files:
                    _add(whole, root, file)
            with zipfile.ZipFile(archive) as whole:
                for name in module(files, package):
                    copy = folder / Path(name).relative_to(package)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    copy.write_bytes(whole.read(name))
        except OSError as error:
            place = tempfile.gettempdir()
            raise ClusterError(
                f"the files to send cannot be copied to {place}: {error}. Make room there, or name another folder in "
                "TMPDIR"
            ) from error
        yield archive, folder


def _add(whole: zipfile.ZipFile, root: Path, file: File) -> None:
    path = root / file.name
    if not path.is_file() or hash_file(path) != file.sha256:
        raise ClusterError(f"{file.name} changed while it was about to be sent: submit again")
    entry = zipfile.ZipInfo(file.name)
    entry.external_attr = (0o755 if os.access(path, os.X_OK) else 0o644) << 16
    with path.open("rb") as content, whole.open(entry, "w", force_zip64=True) as copy:
        shutil.copyfileobj(content, copy)
