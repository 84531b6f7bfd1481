"""The findings of a search so far, in the storage: so a killed search goes on, and one more trial is one more.

search.json            seconds that it has run, and when and with which commit of the code it was written last
trials/0001.json       a trial: written whenever something is known of it
pictures/0001.png      its last samples
rounds/1.json          who took over whom (PBT)
checkpoints/0001-2/    the state after its second judgement, with its rows so far, as long as it may be needed
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from ganops.core.errors import TrainingError
from ganops.core.retry import retry_timeout
from ganops.distributed.storage import Storage
from ganops.experiment import identity
from ganops.search.trials import Takeover, Trial, trial_of


@dataclass(frozen=True)
class TrialStore:
    """The memory of one search. Trials read checkpoints and write them and pictures; the driver does all else."""

    storage: Storage
    name: str
    """Folder in the storage."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other searches of the same name away for the block; on an object store nobody can.

        Raises:
            TrainingError: One is under way.
        """
        with ExitStack() as stack:
            with self._telling("written"):
                stack.enter_context(self.storage.held(self.name, "search"))
            yield

    def trials(self) -> dict[int, Trial]:
        """The trials that are known, by number."""
        found = [self._read(f"trials/{name}") for name in self._names("trials")]
        return {content["number"]: trial_of(content) for content in found}

    def rounds(self) -> dict[int, dict[int, Takeover]]:
        """Judgement -> number of each member that was replaced after it, and by whom."""
        found = {}
        for name in self._names("rounds"):
            content = self._read(f"rounds/{name}")
            found[int(name.removesuffix(".json"))] = {int(key): Takeover(**value) for key, value in content.items()}
        return found

    def pictures(self) -> dict[int, bytes]:
        """PNG of the trials that have one, by number."""
        names, read = self._names("pictures"), self.storage.read
        return {int(name.removesuffix(".png")): read(f"{self.name}/pictures/{name}", retry_timeout()) for name in names}

    def about(self) -> dict[str, Any]:
        """Return `seconds` of running time, and when (UTC) and by which `commit` it was `written` last; or {}."""
        return dict(self._read("search.json")) if "search.json" in self._names("") else {}

    def write(self, trial: Trial) -> None:
        """Keeps what is known of a trial."""
        self._write(f"trials/{trial.number:04d}.json", asdict(trial))

    def write_round(self, rung: int, takeovers: Mapping[int, Takeover]) -> None:
        """Keeps who takes over whom after a judgement: all of it, or nothing."""
        self._write(f"rounds/{rung}.json", {key: asdict(value) for key, value in takeovers.items()})

    def write_about(self, seconds: float) -> None:
        """Keeps how long the search has run until now, and with which code."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._write("search.json", {"seconds": seconds, "written": now, "commit": identity.code().commit})

    def write_picture(self, number: int, picture: bytes) -> None:
        """Keeps a trial's last samples, PNG."""
        self.storage.write(f"{self.name}/pictures/{number:04d}.png", picture, retry_timeout())

    def checkpoint(self, number: int, rung: int) -> str:
        """Place in the storage of a trial's state after a validation."""
        return f"{self.name}/checkpoints/{number:04d}-{rung}"

    def checkpoints(self) -> list[tuple[int, int]]:
        """Trial and judgement of those that there are."""
        with self._telling("read"):
            names = self.storage.kept(f"{self.name}/checkpoints", retry_timeout())
        pairs = [name.split("-") for name in names]
        return [(int(number), int(rung)) for number, rung in pairs]

    def forget(self, number: int, rung: int) -> None:
        """Removes a checkpoint."""
        self.storage.drop(self.checkpoint(number, rung), retry_timeout())

    def forget_all(self, chosen: Callable[[int, int], bool]) -> None:
        """Removes the checkpoints whose trial and judgement are chosen."""
        for number, rung in self.checkpoints():
            if chosen(number, rung):
                self.forget(number, rung)

    def _names(self, folder: str) -> list[str]:
        with self._telling("read"):
            return self.storage.names(f"{self.name}/{folder}".rstrip("/"), retry_timeout())

    def _read(self, name: str) -> Any:
        with self._telling(f"read ({name})", (OSError, ValueError)):
            return json.loads(self.storage.read(f"{self.name}/{name}", retry_timeout()))

    def _write(self, name: str, content: Any) -> None:
        text = json.dumps(content, indent=1, allow_nan=False)
        with self._telling("written"):
            self.storage.write(f"{self.name}/{name}", text.encode(), retry_timeout())

    @contextmanager
    def _telling(self, done: str, troubles: tuple[type[Exception], ...] = (OSError,)) -> Iterator[None]:
        """Says for what the storage was wanted where it refuses, and that the search goes on."""
        try:
            yield
        except troubles as error:
            raise TrainingError(
                f"the results of the search in {self.storage.address}/{self.name} cannot be {done}: {error}. Make room "
                "or mend it; the same command goes on, and trials that have ended do not run again."
            ) from error
