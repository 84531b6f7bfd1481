"""One training with all that people and a resume need: history, pictures, validation, the best weights."""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ganops.config import Experiment
from ganops.core.cores import count, threads, within
from ganops.core.devices import is_full, moved, repeatable
from ganops.core.errors import TrainingError
from ganops.core.files import atomic_folder
from ganops.core.pictures import grid, to_bytes
from ganops.data.batches import Batches
from ganops.data.shards import Column, class_counts
from ganops.experiment import build, checkpoint, identity, machine, selection
from ganops.experiment.candidate import Candidate
from ganops.experiment.log import LOG, Log, Read, is_kept, reader
from ganops.experiment.selection import Judge, Selection
from ganops.experiment.start import Start
from ganops.generator import Description, Generator
from ganops.generator.encoder import Encoder
from ganops.kinds import Spec
from ganops.models import coded
from ganops.training.loop import Tick, train
from ganops.training.objective import group
from ganops.training.state import State, first_layers

CODES = 4000
"""Training samples to whose codes a density is fitted, at each tick."""

PLACES = ("hardware", "precision", "torch")
"""Facts of the place of a training that are told in their order, where it went on elsewhere."""

NOT_IMPROVED = "the game has not improved on its warm-up"
"""Alarm at the end of a training whose best weights are those of its warm-up."""


class Samples(Protocol):
    """Prepared data as a run needs them."""

    @property
    def spec(self) -> Spec:
        """Kind, shape and classes."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name for each class."""

    @property
    def hash(self) -> str:
        """Hash of all samples and labels."""

    def samples(self, split: str) -> NDArray[Any] | Column:
        """Return the stored samples [N, *shape]."""

    def labels(self, split: str) -> NDArray[np.int64] | Column | None:
        """int64 [N], or None."""


@dataclass(frozen=True)
class Progress:
    """Progress that a listener hears: one line of the history."""

    step: int
    steps: int
    row: dict[str, float]
    """kimg, losses, scores, images_per_second, and the validation distance where it was measured and is known."""
    checkpoint: bool
    """True where it was validated: a good moment to save."""
    alarms: tuple[str, ...] = ()
    """Warnings about the training that a person should look at, at each tick for which they hold."""
    judged: tuple[dict[str, float], ...] = ()
    """The lines, this one or earlier ones, whose validation distance has become known since the last tick."""
    notes: tuple[str, ...] = ()
    """Remarks on how it computes, where that is not what one would expect, and what went wrong beside it; each once."""
    stopped: bool = False
    """True where it was stopped, perhaps between two ticks."""
    picture: bytes | None = None
    """PNG of the samples, where the film strip keeps one."""

    @property
    def partial(self) -> bool:
        """True between two ticks: there is no line."""
        return "images_per_second" not in self.row


class Run:
    """A training in one process of possibly many. Rank 0 alone draws, judges and keeps the journal."""

    def __init__(
        self,
        experiment: Experiment,
        samples: Samples,
        judge: Judge | None,
        device: torch.device,
        *,
        rank: int = 0,
        workers: int = 1,
        edits: str | None = None,
        cores: int | None = None,
        start: Start | None = None,
    ) -> None:
        self.experiment, self.judge, self.rank, self.workers = experiment, judge, rank, workers
        self.spec = build.shown(experiment, samples.spec)
        self.device = device
        self.recipe, self.family = build.recipe(experiment), build.family(experiment)
        *self.before, self.last = build.phases(experiment, device)
        self.border = build.warm_up_steps(experiment)
        """Steps of the warm-up before a game; 0: there is none."""
        G, D = build.networks(experiment, self.spec)
        self.start = start or Start.of(experiment)
        first_layers(D, experiment.train.freeze_D)  # refuses too many, before anything is computed
        self._notes: list[str] = []
        self._notes_of_start = self.start.fill(G, D, experiment, self.spec, samples.class_names) if self.start else []
        self.code = coded.code_of(G, experiment.model.latent) if self.family else 0
        self.cores = cores or count()
        self.operations = experiment.train.batch * build.operations(G, D, experiment.model.latent, self.spec.classes)
        """Multiplications of all workers for one forward pass of both players."""
        each = self.operations / workers if device.type == "cpu" else math.inf
        self.threads = machine.threads(experiment.compute, each, self.cores)
        self.latent = coded.latent(experiment.model.latent, self.family.prior if self.family else {})
        self.players = G, D
        self.batches = self._batches(samples)
        labels = self.batches.labels
        self.class_counts = () if labels is None else class_counts(labels, self.spec.classes)
        self.class_names = samples.class_names
        extractor = judge.hash if judge else "none"
        begun = self.start.ancestor["weights"] if self.start else ""
        self.meaning = identity.meaning(experiment, data=samples.hash, extractor=extractor, edits=edits, start=begun)
        self.fingerprint = identity.fingerprint(self.meaning)
        self.here: dict[str, Any] = {
            "hardware": machine.hardware(device),
            "precision": machine.precision(experiment, device),
            "workers": workers,
            "threads": self.threads,
            "torch": torch.__version__,
        }
        self.hardware = dict(self.here)
        """Machines, precisions and versions of the training in their order, this one once it has computed."""
        self.log = Log()
        self.selection = Selection(
            judge, build.warm_up_kimg(experiment), np.arange(experiment.train.validation_samples),
            device=device, notes=self._notes,
        )  # fmt: skip
        self.continues = ""
        """A line for a person where `load` has read what another commit wrote."""

    def _batches(self, samples: Samples) -> Batches:
        G, D = self.players
        stored = samples.samples("train")
        return Batches(
            samples=stored,
            labels=samples.labels("train") if self.spec.classes else None,
            size=self.experiment.train.batch,
            seed=self.experiment.seed,
            device=self.device,
            rank=self.rank,
            workers=self.workers,
            dtype=next(G.parameters()).dtype,
            streamed=machine.streams(self.experiment, stored.nbytes, self.device, sharded=isinstance(stored, Column)),
            group=group(D),
            spec=self.spec,
        )

    @cached_property
    def state(self) -> State:
        """State of the training: made when it is asked for, as optimisers take torch a second to import.

        So a driver, whose workers train, makes it while they end and not while they start.
        """
        memory = {name: value for phase in (*self.before, self.last) for name, value in phase.objective.memory.items()}
        G, D = (moved(player, self.device) for player in self.players)
        return State.fresh(G, D, memory, self.experiment.train.freeze_D)

    @property
    def history(self) -> list[dict[str, float]]:
        """All lines so far."""
        return self.log.rows

    def play(self, until: int | None = None, stop: Callable[[int], bool] = lambda step: False) -> Iterator[Progress]:
        """Plays on; yields at each tick, after the validation and the picture that are due, and where it is stopped.

        Args:
            until: Number of steps after which it ends; None: all of them.
            stop: Asked after each step, see `training.loop.train`.

        Raises:
            TrainingError: The game diverged, or the memory of the GPU does not hold it.
        """
        if not self.state.step:
            self._notes += self._notes_of_start
        end = min(until or self.recipe.steps, self.recipe.steps)
        ticks = train(
            self.state, self.batches, self.last.objective, self.last.recipe, seed=self.experiment.seed, until=end,
            before=self.before, stop=stop, graphs=self.experiment.compute.graphs == "auto",
        )  # fmt: skip
        try:
            yield from within(self._settings, self._listen(ticks, end))
        except RuntimeError as error:
            if not is_full(error):
                raise
            graphs = "compute.graphs: off, " if self.experiment.compute.graphs == "auto" else ""
            raise TrainingError(
                f"the memory of the GPU does not hold this training ({str(error).partition('. ')[0]}). Try {graphs}"
                "more workers (compute.workers), compute.data: stream, or another training, of a smaller train.batch"
            ) from error
        if end == self.recipe.steps:
            self.batches.close()

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """The settings of the process that decide the bits."""
        with threads(self.threads), repeatable(self.device):
            yield

    @property
    def every(self) -> int:
        """Ticks from one validation to the next."""
        return max(1, round(self.experiment.train.checkpoint_kimg / self.experiment.train.tick_kimg))

    def _listen(self, ticks: Iterator[Tick], end: int) -> Iterator[Progress]:
        self.hardware["threads"] = torch.get_num_threads()
        for tick in ticks:
            self.hardware |= {key: _then(self.hardware.get(key, ""), self.here[key]) for key in PLACES}
            if tick.stopped and not tick.metrics:
                yield Progress(tick.step, end, {"kimg": tick.kimg}, checkpoint=False, stopped=True)
                return
            row = {"kimg": tick.kimg, **tick.metrics}
            due = tick.step % (self.recipe.tick_steps * self.every) == 0 or tick.step in (self.border, end)
            judged: list[dict[str, float]] = []
            picture = None
            if self.rank == 0:
                self.history.append(row)
                generator = self.generator(tick.kimg) if due or self.is_drawn(tick.step) else None
                if generator and self.is_drawn(tick.step):
                    picture = self.log.pictures[f"{tick.kimg:09.3f}.png"] = self.picture(generator)
                judged = (
                    self._judge(generator, row, tick.step == end) if generator and due else self.selection.take_in()
                )
            last = tick.step == self.recipe.steps and self.selection.improved is False
            alarms = (*tick.alarms, NOT_IMPROVED) if last else tick.alarms
            notes = tuple(self._notes)
            self._notes.clear()
            yield Progress(tick.step, end, row, due, alarms, tuple(judged), notes, tick.stopped, picture)

    def is_drawn(self, step: int) -> bool:
        """True at the ticks of the film strip, at the ends of phases and of all, whatever was interrupted."""
        tick, rest = divmod(step, self.recipe.tick_steps)
        return bool(rest) or step == self.recipe.steps or is_kept(tick)

    def picture(self, generator: Generator) -> bytes:
        """PNG of fixed latents: a column for each class; of films a strip for each."""
        classes = min(self.spec.classes or 8, 10)
        count, columns = (classes, 1) if self.spec.strips else (classes * 4, classes)
        return to_bytes(grid(self.spec.look(generator.sample(np.arange(count))), columns))

    def _judge(self, generator: Generator, row: dict[str, float], last: bool) -> list[dict[str, float]]:
        judged = self.selection.make_room()  # before another copy is made
        return judged + self.selection.submit(self._candidate(row, generator), generator, last=last)

    def _candidate(self, row: dict[str, float], generator: Generator) -> Candidate:
        """A copy of a generator, and of the encoder where there is one."""
        state = self.state
        return Candidate.of(row, generator, state.D if self.family else None, state.memory.get("error"))

    def keep(self) -> None:
        """Keep the weights of the last tick, in a run without a judge that ends before its last step."""
        row = self.history[-1]
        self.selection.keep(self._candidate(row, self.generator(row["kimg"])))

    def generator(self, kimg: float) -> Generator:
        """The average of G as it is now, behind the density of its codes where one is fitted to them."""
        description = self._description(kimg)
        fitted = self.family is not None and self.family.fitted
        return Generator(self._fitted(description) if fitted else self.state.average, description)

    def _fitted(self, description: Description) -> nn.Module:
        """A density in front of the average, fitted to the codes of training samples as the encoder is now."""
        seed, images, chosen = self.experiment.seed, self.batches.samples, self.batches.order.some(CODES).numpy()
        labels = None if self.batches.labels is None else self.batches.labels[chosen]
        self.state.D.eval()
        encoder = Encoder(self.state.D, self.state.average, description)
        codes = torch.from_numpy(encoder.encode(images[chosen], labels))
        self.state.D.train()
        network = coded.with_prior(self.state.average, description.code, description.classes, description.prior)
        assert isinstance(network, coded.Fitted)
        network.density.fit(codes, None if labels is None else torch.from_numpy(labels), seed)
        return network.to(self.device, next(self.state.average.parameters()).dtype).eval()

    def best_generator(self) -> Generator:
        """The average of G with the smallest validation distance so far, or the last one where there is no judge.

        Raises:
            TrainingError: No weights have been kept yet.
        """
        return self._best().generator()

    def best_of_warm_up(self) -> Generator | None:
        """The average of G with the smallest validation distance within the warm-up; None: there is no warm-up."""
        found = self.selection.warm_up
        return found.generator() if found else None

    def _best(self) -> Candidate:
        if self.selection.best is None:
            raise TrainingError("this run has kept no weights yet: it was stopped before its first checkpoint")
        return self.selection.best

    def best_encoder(self) -> Encoder | None:
        """The encoder beside the best generator; None: a game has none.

        Raises:
            TrainingError: No weights have been kept yet.
        """
        return self._best().encoder()

    def _description(self, kimg: float) -> Description:
        model, family = self.experiment.model, self.family
        return Description(
            architecture=model.architecture,
            options=dict(model.options),
            latent=self.latent,
            classes=self.spec.classes,
            class_names=self.class_names if self.spec.classes else (),
            kind=self.spec.kind,
            shape=self.spec.shape,
            facts=self.spec.facts,
            kimg=kimg,
            fingerprint=self.fingerprint,
            params=identity.decisive(self.experiment),
            class_counts=self.class_counts,
            prior=family.prior if family else {},
            code=self.code,
            moments=family.moments if family else 1,
            ancestor=self.start.ancestor if self.start else {},
        )

    def save(self, folder: Path, *, former: Path | None = None, log: Path | None = None) -> None:
        """Writes all of it as a folder, atomically, and so that a loss of power takes none of it.

        Args:
            folder: The checkpoint.
            former: Where the checkpoint that it replaces is kept, beside it; None: nowhere.
            log: Takes what is new for the log, before the checkpoint is there; None: the log beside the checkpoint.

        Raises:
            TrainingError: It cannot be written; what was there before is as it was.
        """
        try:
            with atomic_folder(folder, former=former, lasting=True) as draft:
                self._write(draft, log or folder.parent / LOG)
        except OSError as error:
            raise TrainingError(
                f"the checkpoint {folder} cannot be written: {error.strerror or error}. Make room, or name another "
                "folder in compute.storage; the same command continues from the last whole checkpoint."
            ) from error

    def _write(self, folder: Path, log: Path) -> None:
        self.state.save(folder / checkpoint.STATE)
        selected = self.selection.write(folder)
        final = self._final_rows()
        code = identity.code()
        journal = {
            "meaning": self.meaning,
            "step": self.state.step,
            "commit": code.commit,
            "edited": list(code.edited),
            "log": self.log.write(log, final),
            "history": self.history[final:],
            **selected,
            "hardware": self.hardware,
        }
        checkpoint.seal(folder, journal)

    def _final_rows(self) -> int:
        """The number of lines that nobody changes any more: not the last one, and none that waits for its distance."""
        waiting = [id(row) for row in self.selection.waiting]
        open_rows = (n for n in range(self.log.written, len(self.history) - 1) if id(self.history[n]) in waiting)
        return next(open_rows, max(0, len(self.history) - 1))

    def load(self, folder: Path, *, log: Read | None = None, takeover: bool = False) -> None:
        """Continues from a folder that `save` wrote.

        Args:
            folder: The checkpoint.
            log: Reads its log; None: the log lies beside it.
            takeover: It may be of a training of the same networks with other parameters: this one goes on with its own.

        Raises:
            DamageError: Its files are not those that were written; this run is as it was.
            TrainingError: It belongs to another training; the keys that differ are named. Or another version of the
                mathematics wrote it, or edits that no commit holds.
        """
        with checkpoint.damage(folder):
            journal = checkpoint.journal_of(folder)
            self._check_meaning(folder, journal, takeover)
            checkpoint.verify(folder, journal)
            told = Log(log or reader(folder.parent / LOG), journal.get("log", ""), journal["history"])
            # checkpoints from before there was a log
            told.pictures = {path.name: path.read_bytes() for path in sorted(folder.glob(f"{checkpoint.PICTURES}/*"))}
            found = selection.read(folder, journal, told.rows, self._description)
            hardware = journal["hardware"]
            self.state.load(folder / checkpoint.STATE)
        self.continues = identity.continues(journal.get("commit"))
        self.log = told
        self._go_on_with(hardware)
        self.selection.go_on_with(found if self.rank == 0 else replace(found, waiting=()))

    def _check_meaning(self, folder: Path, journal: dict[str, Any], takeover: bool) -> None:
        differing = [key for key in self.meaning if self.meaning[key] != journal["meaning"].get(key)]
        if takeover:
            differing = [key for key in differing if not key.startswith(("loss.", "train."))]
        if others := [key for key in differing if key not in identity.CODE]:
            raise TrainingError(f"{folder} is a checkpoint of another training: {', '.join(others)} differ")
        if why := identity.difference(self.meaning, journal):
            raise TrainingError(f"{folder} is a checkpoint of other code: {why}, or remove it to begin anew")

    def resume(self, checkpoints: Iterable[Path], log: Read | None = None, *, takeover: bool = False) -> Path | None:
        """Continues from the first of a training's own checkpoints that is whole, and returns it; None: no one is.

        Those before it, the newest first, are noted: the next tick tells them. `log` and `takeover` are as in `load`.
        """
        passed = []
        for folder in checkpoints:
            try:
                self.load(folder, log=log, takeover=takeover)
            except TrainingError as error:  # of another training it can only be by damage: these are its own
                passed.append(str(error))
                continue
            self._notes += [f"{each}; it goes on from {folder}" for each in passed]
            return folder
        self._notes += [f"{each}; no other is whole: it begins anew" for each in passed]
        return None

    def _go_on_with(self, began: dict[str, Any]) -> None:
        """Computes with as many threads as the run began with: their number decides the last bits.

        What `compute.threads` asks for goes before, and other workers have other slices.
        """
        self.hardware, here = began, self.here
        had = began.get("precision", here["precision"])
        if _then(had, here["precision"]) != had:
            self._notes.append(
                f"precision: {here['precision']} on {here['hardware']} (train.precision: auto) where it had {had}: the "
                "weights are those of no training on one machine"
            )
        if began["workers"] != self.workers or began["threads"] == self.threads:
            return
        if self.experiment.compute.threads != "auto":
            self._notes.append(
                f"threads: {self.threads} (compute.threads) where it had {began['threads']}: equal up to rounding"
            )
            return
        self.threads = began["threads"]
        if self.threads > self.cores:
            self._notes.append(
                f"threads: {self.threads} as it began, on fewer cores ({self.cores}): the same bits, but slow"
            )


def _then(before: str, now: str) -> str:
    """Return the machines, precisions or versions of a training in their order, each once."""
    return before if now in before.split(", then ") else ", then ".join(filter(None, (before, now)))
