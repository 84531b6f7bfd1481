"""Origins of results: the commit of git with what differs from it, and DVC's hashes of what stages read and wrote.

No hash is written down that the files of the project contradict (`proven`), and what the pipeline makes itself is no
change of its code.
"""

import base64
import binascii
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ganops.core.errors import LineageError
from ganops.core.files import read_yaml

COMMIT, DIRTY, JOB, CHANGES = "GANOPS_COMMIT", "GANOPS_DIRTY", "GANOPS_JOB", "GANOPS_CHANGES"
"""Variables by which a job, whose tree has no git, knows its commit, whether files differ, its own name, the patch."""
MAX_PATCH_BYTES = 8 * 2**20
"""Bytes of the files of a patch: of larger changes it is said that there are some, and no more."""
LARGEST_VARIABLE = 100_000
"""Bytes of a patch in a variable, packed: Linux takes 128 KiB for one."""


def git(root: Path, *arguments: str) -> str | None:
    """Return git's output in `root`, without the end of its last line, or None without git or a repository."""
    said = _git(root, *arguments)
    return None if said is None else os.fsdecode(said).removesuffix("\n")  # names may begin and end with spaces


def _git(root: Path, *arguments: str, given: bytes = b"", variables: Mapping[str, str] | None = None) -> bytes | None:
    # who only looks does not refresh git's index: nothing is written, and no lock is in another's way
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", **(variables or {})}
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, input=given, capture_output=True, check=True, env=environment)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout


@dataclass(frozen=True)
class Revision:
    """A state of the code of a project: a commit and what differs from it, without what the pipeline makes."""

    commit: str
    changed: bool
    """Files differ from the commit."""
    patch: bytes = b""
    """The differences as `git apply` takes them; empty: there are none, or they are not at hand."""

    @property
    def name(self) -> str:
        """File name of the patch: another patch is another file, so that none is taken for another one's."""
        return f"changes-{hashlib.sha256(self.patch).hexdigest()[:8]}.patch"

    def save(self, folder: Path) -> Path | None:
        """Writes the patch into a folder, where there is one."""
        if not self.patch:
            return None
        path = folder / self.name
        path.write_bytes(self.patch)
        return path


def commit(root: Path) -> tuple[str, bool] | None:
    """The commit of the tree in `root`, and whether files differ from it; None where neither git nor a job knows.

    Outputs of the pipeline are no differences.
    """
    found, changes = git(root, "rev-parse", "HEAD"), git(root, "status", "--porcelain", "--", *_sources(root))
    if found is not None and changes is not None:
        return found, bool(changes)
    if COMMIT in os.environ:
        return os.environ[COMMIT], os.environ.get(DIRTY) == "true"
    return None


def revision(root: Path) -> Revision | None:
    """The state of the code in `root` with its patch; None where neither git nor a job knows."""
    known = commit(root)
    if known is None:
        return None
    if git(root, "rev-parse", "HEAD") is None:
        return Revision(*known, _unpacked(os.environ.get(CHANGES, "")))
    return Revision(*known, _patch(root) if known[1] else b"")


def packed(patch: bytes) -> str:
    """A patch as a variable for a job; empty where it is larger than a variable may be."""
    text = base64.b64encode(zlib.compress(patch, 9)).decode() if patch else ""
    return text if len(text) <= LARGEST_VARIABLE else ""


def _unpacked(text: str) -> bytes:
    try:
        return zlib.decompress(base64.b64decode(text)) if text else b""
    except (binascii.Error, zlib.error):
        return b""


def _sources(root: Path) -> list[str]:
    """Paths for git: the project without what its pipeline makes."""
    return [".", *(f":(exclude,literal){path}" for path in ["dvc.lock", *sorted(outputs(root))])]


def _patch(root: Path) -> bytes:
    """Return the patch of tracked files and of those that git would add; empty where it would be too large.

    Git's plumbing, so that nobody's settings change the format, over a copy of the index, so that this one stays.
    """
    new = _git(root, "ls-files", "-zo", "--exclude-standard", "--", *_sources(root))
    changed = _git(root, "diff-index", "-z", "--name-only", "--relative", "HEAD", "--", *_sources(root))
    index = git(root, "rev-parse", "--git-path", "index")
    if new is None or changed is None or index is None:
        return b""
    names = [Path(os.fsdecode(name)) for name in (new + changed).split(b"\0") if name]
    if sum((root / name).stat().st_size for name in names if (root / name).is_file()) > MAX_PATCH_BYTES:
        return b""
    with tempfile.TemporaryDirectory() as scratch:
        draft = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        shutil.copyfile(root / index, draft["GIT_INDEX_FILE"])
        if new:
            listed = ("--pathspec-from-file=-", "--pathspec-file-nul")
            _git(root, "add", "-N", *listed, given=new, variables=draft | {"GIT_LITERAL_PATHSPECS": "1"})
        _git(root, "update-index", "-q", "--refresh", variables=draft)
        wanted = ("--patch", "--binary", "--full-index", "HEAD", "--", *_sources(root))
        found = _git(root, "diff-index", *wanted, variables=draft)
    return found or b""


def lock_hashes(lock: Path, before: str | None = None) -> dict[str, str]:
    """The paths of a `dvc.lock`, relative to its folder, and their content's hashes, sorted; {} where there is none.

    A path that a stage makes has the hash that this stage gave it: the others' may be those of an earlier run. A path
    that no stage hashed is left out.

    Args:
        lock: The file; `dvc.yaml` stands beside it.
        before: The stage that runs, whose own entry, and those of the stages after it, are of an earlier run: only what
            it depends on counts, directly or through others.
    """
    entries = sorted(_entries(lock, before), key=lambda entry: (entry.made, entry.path))
    return dict(sorted({entry.path: entry.md5 for entry in entries}.items()))


def proven(lock: Path, before: str | None = None) -> dict[str, str]:
    """`lock_hashes`, each held against the files of the project, as far as they are here.

    Raises:
        LineageError: A file is no longer the one that a stage read or wrote: what came of it would be described by
            files that did not make it.
    """
    ignored = _ignored(lock.parent)
    found: dict[str, str] = {}
    for entry in _entries(lock, before):
        if entry.path not in found and (path := lock.parent / entry.path).exists():
            found[entry.path] = md5(path, ignored)
        if found.get(entry.path, entry.md5) != entry.md5:
            raise LineageError(
                f"{entry.path}: the stage {entry.stage} {'made' if entry.made else 'ran with'} {entry.md5} "
                f"({lock.name}), found {found[entry.path]}: results would be told to come from files that they do not "
                "come from. `dvc repro` brings all stages up to date."
            )
    return lock_hashes(lock, before)


def md5(path: Path, ignored: tuple[str, ...] = ()) -> str:
    """The hash that DVC 3 gives a file or a folder.

    A folder's is that of the list of its files as JSON, sorted by path, and ends with `.dir`.

    Args:
        path: A file or folder.
        ignored: Names, or patterns of names, of the files and folders below it that do not count.
    """
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    files = (each.relative_to(path) for each in path.rglob("*") if each.is_file())
    counted = (each for each in files if not any(fnmatchcase(part, name) for part in each.parts for name in ignored))
    listed = [{"md5": md5(path / each), "relpath": each.as_posix()} for each in counted]
    listed.sort(key=lambda entry: entry["relpath"])
    return hashlib.md5(json.dumps(listed).encode(), usedforsecurity=False).hexdigest() + ".dir"


def _ignored(root: Path) -> tuple[str, ...]:
    """The names in `.dvcignore`."""
    path = root / ".dvcignore"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return tuple(line.strip().strip("/") for line in lines if line.strip() and not line.startswith("#"))


@dataclass(frozen=True)
class _Entry:
    """A path that a stage read or made."""

    stage: str
    path: str
    md5: str
    made: bool


def _entries(lock: Path, before: str | None) -> Iterator[_Entry]:
    known = stages(lock.parent)
    counted = _upstream(known, before) if before in known else None
    for name, stage in _stages(lock).items():
        if name == before or (counted is not None and name not in counted):
            continue
        # dvc.lock notes paths as the stage sees them; where it stands is in dvc.yaml alone
        folder = known.get(name, {}).get("wdir", ".")
        for kind in ("deps", "outs"):
            for entry in stage.get(kind, ()):
                if "md5" in entry:
                    yield _Entry(name, _joined(folder, entry["path"]), entry["md5"], kind == "outs")


def _upstream(known: dict[str, Any], stage: str) -> set[str]:
    """The stages whose outputs a stage depends on, directly or through others."""
    found: set[str] = set()
    todo = [stage]
    while todo:
        reader = known[todo.pop()]
        read = [Path(path) for path in needed(reader)]
        for name, writer in known.items():
            made = [Path(path) for path in written(writer)]
            if name not in found and any(a.is_relative_to(b) or b.is_relative_to(a) for a in read for b in made):
                found.add(name)
                todo.append(name)
    return found


def _joined(folder: str, path: str) -> str:
    return os.path.normpath(os.path.join(folder, path))


def stages(root: Path) -> dict[str, Any]:
    """The stages of the `dvc.yaml` in `root`, in its order; {} where there is none."""
    return _stages(root / "dvc.yaml")


def needed(stage: dict[str, Any]) -> list[str]:
    """Return the paths that a stage of `dvc.yaml` depends on, relative to the project's folder."""
    return [_joined(stage.get("wdir", "."), path) for path in stage.get("deps", ())]


def written(stage: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the outputs of a stage of `dvc.yaml`: paths relative to the project's folder -> DVC's options of each."""
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, ())]
    options = [entry if isinstance(entry, dict) else {entry: None} for entry in entries]
    return {_joined(stage.get("wdir", "."), path): of or {} for each in options for path, of in each.items()}


def outputs(root: Path) -> set[str]:
    """Return the outputs of the pipeline in `root`: paths relative to it."""
    return {path for stage in stages(root).values() for path in written(stage)}


def _stages(path: Path) -> dict[str, Any]:
    return dict((read_yaml(path) or {}).get("stages", {})) if path.is_file() else {}
