"""The storage of the checkpoints of unfinished runs: a folder, or an address that pyarrow knows; seen by every node."""

import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ganops.config import Compute
from ganops.core.errors import TrainingError, UserError
from ganops.core.files import atomic, atomic_folder, locked, recover
from ganops.core.node_folder import scratched
from ganops.core.retry import insist
from ganops.core.storage import Store, away, scheme
from ganops.core.terminal import say
from ganops.distributed import runtime

ANSWER = 30.0
"""Seconds within which a node must have read and written a file there."""
WHOLE = ".whole"
"""Added to the name of a folder on an object store: a folder beside it that is there once all files are."""


@dataclass(frozen=True)
class Storage:
    """The place that `compute.storage` names."""

    address: str
    """An absolute path or a URI, as Ray wants it."""

    @classmethod
    def of(cls, compute: Compute) -> "Storage":
        """Relative paths are the project's. An address of a folder (file://) is that folder, with its locks."""
        address = compute.storage
        if scheme(address) == "file":
            address = unquote(urlsplit(address).path)
        return cls(address if "://" in address else str(Path(address).resolve()))

    def folder(self, name: str) -> Path:
        """A folder of it, where it is one itself."""
        return Path(self.address) / name

    def place(self, name: str) -> Store:
        """Return a file or a folder of it, to be read and written."""
        return Store.of(self.address) / name

    def below(self, name: str) -> str:
        """The address of a folder of it, as Ray wants it."""
        if "://" not in self.address:
            return str(self.folder(name))
        address, mark, options = self.address.partition("?")
        return f"{address.rstrip('/')}/{name}{mark}{options}"

    def remove(self, name: str, seconds: float = 0.0) -> None:
        """Removes a folder or file of it, if there is one. It is waited for as long as told if it is away.

        Raises:
            TrainingError: It cannot be removed.
        """
        try:
            insist(
                lambda: self.place(name).remove(), away=away, seconds=seconds, tell=lambda text: say("storage", text)
            )
        except OSError as error:
            raise TrainingError(f"compute.storage: {name} in {self.address} cannot be removed: {error}") from error

    @contextmanager
    def keep(self, name: str, seconds: float = 0.0) -> Iterator[Path]:
        """Yields an empty folder; when the block succeeds, what it holds is kept here, whole, in place of what was.

        Raises:
            OSError: It cannot be kept.
        """
        if "://" not in self.address:
            with atomic_folder(self.folder(name), lasting=True) as draft:
                yield draft
            return
        with scratched("keep") as scratch:
            yield scratch

            def act() -> None:
                # object stores cannot rename a folder: the mark says that it is whole, so it comes last and goes first
                self.drop(name, seconds)
                self.place(name).send(scratch)
                self.write(f"{name}{WHOLE}/mark", b"", seconds)

            insist(act, away=away, seconds=seconds)

    def kept(self, folder: str, seconds: float = 0.0) -> list[str]:
        """Names, in a folder of it, of the folders that `keep` has kept whole."""
        if "://" not in self.address:
            recover(self.folder(folder))
            return self.names(folder)
        names = self.names(folder, seconds)
        return [name.removesuffix(WHOLE) for name in names if name.endswith(WHOLE)]

    def drop(self, name: str, seconds: float = 0.0) -> None:
        """Removes a folder that `keep` has kept. TrainingError where that fails."""
        if "://" in self.address:
            self.remove(f"{name}{WHOLE}", seconds)
        self.remove(name, seconds)

    @contextmanager
    def opened(self, name: str, seconds: float = 0.0) -> Iterator[Path]:
        """A folder of it as one of this node, for the block.

        Raises:
            OSError: There is none, or it cannot be read.
        """
        if "://" not in self.address:
            yield self.folder(name)
            return
        with scratched("opened") as scratch:
            insist(lambda: self.place(name).fetch(scratch), away=away, seconds=seconds)
            yield scratch

    @contextmanager
    def held(self, name: str, work: str) -> Iterator[None]:
        """Keeps other processes away from a folder of it for the block; on an object store nobody can.

        Raises:
            OSError: It cannot be made.
            TrainingError: One is at that work.
        """
        if "://" in self.address:
            yield
            return
        (folder := self.folder(name)).mkdir(parents=True, exist_ok=True)
        (lock := folder / ".lock").touch()
        with locked(lock, wait=False) as held:
            if held is False:  # a file system without locks is like an object store
                problem = f"another process is at this very {work} ({folder}): wait for it, or end it and try again"
                raise TrainingError(problem)
            yield

    def write(self, name: str, content: bytes, seconds: float = 0.0) -> None:
        """Keeps a file, whole or not at all. OSError where that fails."""
        if "://" not in self.address:
            with atomic(self.folder(name)) as draft:
                draft.write_bytes(content)
            return
        insist(lambda: self.place(name).write(content), away=away, seconds=seconds)

    def add(
        self, folder: Path, name: str, seconds: float = 0.0, tell: Callable[[str], None] = lambda text: None
    ) -> None:
        """Keeps the files of a folder of this node beside those of a folder of it, each whole or not at all.

        Raises:
            OSError: One cannot be kept.
        """
        for path in sorted(folder.glob("*")):
            content = path.read_bytes()
            if "://" not in self.address:
                with atomic(self.folder(name) / path.name, lasting=True) as draft:
                    draft.write_bytes(content)
            else:
                place = self.place(f"{name}/{path.name}")
                insist(partial(place.write, content), away=away, seconds=seconds, tell=tell)

    def read(self, name: str, seconds: float = 0.0) -> bytes:
        """The content of a file. OSError where there is none."""
        return insist(lambda: self.place(name).read(), away=away, seconds=seconds)

    def names(self, folder: str, seconds: float = 0.0) -> list[str]:
        """Return the names of the files and folders in a folder of it, sorted; none where there is no such folder."""
        found = insist(lambda: self.place(folder).listed(), away=away, seconds=seconds)
        return sorted(info.base_name for info in found if not info.base_name.startswith("."))

    def check(self) -> None:
        """Makes sure that every node reads and writes there. One node and a folder need no check.

        Raises:
            TrainingError: A node does not; all such nodes are named.
        """
        nodes = runtime.nodes()
        if len(nodes) == 1 and "://" not in self.address:
            return
        name = f".ganops-probe-{secrets.token_hex(8)}"
        self._leave(name, "driver")
        try:
            failures = self._ask(nodes, name)
        finally:
            self.remove(name)
        if failures:
            raise TrainingError(
                "\n".join(f"compute.storage: {failure}" for failure in failures)
                + "\nname a folder on a mount that all nodes share, or an address such as s3://bucket/runs"
            )

    def _leave(self, name: str, word: str) -> None:
        try:
            self.place(f"{name}/{word}").write(word.encode())
        except (OSError, ValueError) as error:  # pyarrow raises ValueError for an address that it cannot read
            raise TrainingError(f"compute.storage: {self.address} cannot be written: {error}") from error

    def _ask(self, nodes: list[dict[str, Any]], name: str) -> list[str]:
        """Return what each node that fails says."""
        tasks = {}
        for node in nodes:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], False)
            probe = ray.remote(_probe).options(num_cpus=0, max_retries=0, scheduling_strategy=there)
            task = probe.remote(self.address, name, node["NodeID"])
            tasks[task] = f"node {node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        answered, silent = ray.wait(list(tasks), num_returns=len(tasks), timeout=ANSWER)
        failures = [f"{tasks[task]} did not answer within {ANSWER:.0f} s" for task in silent]
        for task in answered:
            try:
                trouble = ray.get(task)
            except ray.exceptions.RayError as error:
                trouble = f"was lost: {str(error).splitlines()[0]}"
            if trouble:
                failures.append(f"{tasks[task]} {trouble}")
        return failures


def _probe(address: str, name: str, node: str) -> str:
    """Runs on a node: reads what the driver left and writes beside it; what is wrong, or nothing."""
    place = Storage(address).place(name)
    try:
        (place / "driver").read()
    except FileNotFoundError:
        return f"does not see {address}"
    except OSError as error:
        return f"cannot read {address}: {error}"
    try:
        (place / node).write(b"")
    except OSError as error:
        return f"cannot write {address}: {error}"
    return ""


def main(address: str) -> None:
    """Asks the nodes of the cluster, as a job of its own: `python -m ganops.distributed.storage ADDRESS`."""
    with runtime.cluster():
        Storage(address).check()


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except UserError as error:
        sys.exit(str(error))
