"""Progress on the terminal: one live bar where a person watches, plain lines elsewhere."""

import os
import signal
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from rich import table
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress_bar import ProgressBar
from rich.table import Column
from rich.text import Text

from ganops.core.cell import Cell
from ganops.core.errors import UserError
from ganops.core.files import refusal
from ganops.core.redaction import reason, redacted

console = Console(stderr=False, highlight=False, soft_wrap=True, markup=False, emoji=False)

UNSEEN = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}
"""Characters that a terminal obeys, and what is shown in their place."""


def plain(text: str) -> Text:
    """Return text that means nothing to rich or to a terminal: people write [markup] and control codes."""
    return Text(text.translate(UNSEEN))


class Table(table.Table):
    """A table of rich whose title, caption and cells are plain text, whoever wrote them; it begins with `rows`."""

    def __init__(
        self, *headers: table.Column | str, title: str | None = None, caption: str | None = None,
        rows: Iterable[Any] = (), **settings: Any,
    ) -> None:  # fmt: skip
        super().__init__(*headers, title=None if title is None else plain(title), **settings)
        if caption:  # the console leaves long lines to the terminal, which breaks words
            self.caption = Text(caption, "table.caption", justify="left", no_wrap=False, overflow="fold")
        for row in rows:
            self.add_row(*row)

    def add_row(self, *cells: Any, **settings: Any) -> None:
        """Add a row; cells that are strings are `plain`."""
        super().add_row(*(plain(cell) if isinstance(cell, str) else cell for cell in cells), **settings)


def refuse(text: object, stage: str = "") -> None:
    """Say what a user can mend, behind the name of a stage where there is one."""
    console.print(Text.assemble((f"{stage:<10} " if stage else "", "bold red"), plain(str(text))), style="red")


def say(stage: str, text: str) -> None:
    """One line of a stage: its name in a column, then what there is to say."""
    # in one piece: a live bar below would be drawn between two
    console.print(Text.assemble((f"{stage:<10}", "bold"), " ", plain(redacted(text))))


@contextmanager
def progress(stage: str, total: int | None, unit: str = "") -> Iterator[Callable[[int], None]]:
    """Yields `advance(n)`; draws a bar on a terminal, and elsewhere a plain line every ten seconds.

    `total` is None where it is not known.
    """
    if console.is_terminal:
        name, what = TextColumn(f"{stage:<10}", markup=False), TextColumn(unit, markup=False)
        columns = (name, BarColumn(), MofNCompleteColumn(), what, TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task(stage, total=total)
            yield lambda n: bar.advance(task, n)
        return
    done, told = 0, time.monotonic()

    def advance(n: int) -> None:
        nonlocal done, told
        done += n
        if time.monotonic() - told > 10:
            told = time.monotonic()
            say(stage, f"{done:,} / {total:,} {unit}" if total is not None else f"{done:,} {unit}")
            sys.stdout.flush()

    yield advance


@contextmanager
def working(stage: str, text: str) -> Iterator[None]:
    """Show on a terminal that something is under way, and since when, while it is not known how far it is."""
    words = TextColumn(f"{stage:<10} {text.translate(UNSEEN)}", markup=False)
    live = console.is_terminal and not console.quiet
    bar = Progress(words, SpinnerColumn(), TimeElapsedColumn(), console=console, transient=True)
    with bar if live else nullcontext():
        if live:
            bar.add_task(stage, total=None)
        yield


ASKED = {"botocore", "mlflow", "requests", "sqlalchemy", "urllib3"}
"""Packages through which servers are asked: what they raise tells of a server, not of a defect here."""


EXTRAS = {"serve": "serve", "playground": "playground"}
"""Commands and the extra that installs what they need beyond the core; `pipeline` is that of all others."""


def lacking(error: Exception) -> str:
    """Return a sentence about a package that is not installed, with the extra that brings it; empty: it is not that."""
    package = (getattr(error, "name", None) or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or package in ("", "ganops") or find_spec(package):
        return ""
    command = sys.argv[1:2]
    extra = EXTRAS.get("".join(command), "pipeline")
    return f"{' '.join(['ganops', *command])} needs {package}: pip install 'ganops[{extra}]'"


def give_up(error: Exception, stage: str = "") -> NoReturn:
    """Ends the process with a sentence, behind the name of a stage; a defect is told by its traceback.

    A sentence has what the user can mend or has not installed, what a disk refuses, and what a server did not do.
    Nothing shows a secret. GANOPS_DEBUG=1 shows the traceback of a server's failure as well.
    """
    text = str(error) if isinstance(error, UserError) else redacted(refusal(error)) or lacking(error)
    if not text and type(error).__module__.partition(".")[0] in ASKED and "GANOPS_DEBUG" not in os.environ:
        text = f"a server did not do what it was asked for: {reason(error)}. GANOPS_DEBUG=1 shows who asked for what"
    if text:
        refuse(text, stage)
    else:
        sys.stderr.write(redacted("".join(traceback.format_exception(error))))
    sys.exit(1)


@contextmanager
def stage(file: str) -> Iterator[str]:
    """Runs a stage in the project's folder and yields its name; what its user can mend is told without a traceback."""
    path = Path(file).resolve()
    os.chdir(path.parents[1])
    try:
        yield path.stem
    except Exception as error:
        give_up(error, path.stem)
    except KeyboardInterrupt as error:
        say(path.stem, str(error) or "interrupted; the same command continues from the last checkpoint")
        sys.exit(128 + getattr(error, "signal", signal.SIGINT))


def clock(seconds: float) -> str:
    """Return a time as h:mm:ss, or m:ss below an hour; one that has passed as none."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours}:{left:02d}:{rest:02d}" if hours else f"{left}:{rest:02d}"


def duration(seconds: float, *, rough: bool = False) -> str:
    """Return a time in words: `1 h 5 min`, or roughly, as estimates are, `1.1 hours`."""
    if rough:
        for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
            if seconds >= 1.5 * size:
                return f"{seconds / size:.2g} {unit}" if seconds / size < 10 else f"{seconds / size:,.0f} {unit}"
        return f"{seconds:.0f} seconds"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{left} min {rest} s" if left else f"{rest} s"


SLOW, BACK = 0.5, 0.75
"""Shares of the median speed of a training: below the one it is told to be slow, above the other that is over."""


TOLD = {"loss_g": ("G", 2), "loss_d": ("D", 2), "error": ("error", 4), "bound": ("bound", 2),
        "divergence": ("divergence", 1), "code_error": ("error of codes", 3), "code_divergence": ("divergence", 1),
        "nll": ("nll", 3)}  # fmt: skip
"""Terms of a history that its line shows: their words and decimals; of a game, of autoencoders, of a likelihood."""


class _TrainingLine:
    """Puts a row of a training's history in words; remembers the best distance, the pace and the speeds.

    Pace and speeds are those of a phase, which its terms tell: the next one does other work.
    """

    def __init__(self, kimg: float, unit: str, warm_up: float = 0) -> None:
        self.kimg, self.warm_up = kimg, warm_up
        self.terms: set[str] = set()
        self.per_second = "img/s" if unit == "image" else f"{unit}s/s"
        self.start: tuple[float, float] | None = None
        self.distance = ""
        self.best = float("inf")
        self.speeds: list[float] = []
        self.slow = False

    def __call__(self, row: Mapping[str, float], judged: Sequence[Mapping[str, float]], room: int | None = None) -> str:
        """Return the words of a row, in so many characters: the losses, the best distance and the speed give way."""
        if (terms := {*TOLD} & {*row}) != self.terms:
            self.terms, self.start, self.speeds, self.slow = terms, None, [], False
        distances = ((name, each[name]) for each in judged for name in each if name.endswith("_validation"))
        for name, distance in distances:
            self.best = min(self.best, distance)
            self.distance = f"{name.removesuffix('_validation')} {distance:.1f}"
        told = [f"{label} {row[name]:.{digits}f}" for name, (label, digits) in TOLD.items() if name in row]
        speed, left = f"{row['images_per_second']:,.0f} {self.per_second}", self._left(row)
        best = [f"{self.distance} (best {self.best:.1f})"] if self.distance else []
        now = [self.distance] if self.distance else []
        shown = ([speed, *told, *best, left], [speed, *best, left], [speed, *now, left], [*now, left], [left])
        lines = ["  ".join(parts) for parts in shown]
        return next((each for each in lines if room is None or len(each) <= room), lines[-1])

    def trouble(self, row: Mapping[str, float]) -> list[str]:
        """An alarm where the training falls far below the speed that it had, until it is nearly back there."""
        now, had = row["images_per_second"], statistics.median(self.speeds or [0])
        if now > had * (BACK if self.slow else SLOW):
            self.speeds.append(now)
            self.slow = False
            return []
        self.slow = True
        shared = "Something else uses the cores; the result is the same"
        return [f"slow: {now:,.0f} {self.per_second} where it had {had:,.0f}. {shared}"]

    def _left(self, row: Mapping[str, float]) -> str:
        now = time.monotonic()
        self.start = self.start or (now, row["kimg"])
        done = row["kimg"] - self.start[1]
        # the first tick knows the speed of the loop only; later ones include validation and checkpoints
        pace = (now - self.start[0]) / done if done else 1000 / max(row["images_per_second"], 1e-9)
        if row["kimg"] <= self.warm_up:
            return f"{clock(pace * (self.warm_up - row['kimg']))} left of the warm-up"
        return f"{clock(pace * (self.kimg - row['kimg']))} left"


class _Alarms:
    """Puts the alarms of a training in words: each once, when it begins, and again when it is over."""

    def __init__(self) -> None:
        self.since: dict[str, float] = {}
        """The kimg at which each of those that last began, by the words before its colon: figures follow them."""

    def __call__(self, kimg: float, alarms: Sequence[str]) -> list[str]:
        """Return the lines of a tick with these alarms."""
        now = {alarm.partition(":")[0]: alarm for alarm in alarms}
        over = [f"alarm over: {name}, since kimg {began:.4g}" for name, began in self.since.items() if name not in now]
        new = [f"alarm: {alarm}" for name, alarm in now.items() if name not in self.since]
        self.since = {name: self.since.get(name, kimg) for name in now}
        return over + new


LEAST, USUAL = 10, 40
"""Characters of the bar of a training on a narrow and on a wide terminal."""
MOVES = 0.95
"""Share of the way to the next tick that the bar goes by itself."""


class _Moving(ProgressColumn):
    """The position of a training, which goes on between two ticks at the pace of the last ones."""

    def __init__(self) -> None:
        super().__init__()
        self.kimg = self.pace = self.way = 0.0
        self.at = time.monotonic()

    def tick(self, kimg: float) -> None:
        """Hear where the training is."""
        now = time.monotonic()
        self.way, self.pace = kimg - self.kimg, (kimg - self.kimg) / max(now - self.at, 1e-9)
        self.kimg, self.at = kimg, now

    @property
    def position(self) -> float:
        """Thousands of samples, as far as is known."""
        return self.kimg + min(self.pace * (time.monotonic() - self.at), MOVES * max(0.0, self.way))

    def render(self, task: Task) -> Text:
        """Return the position and the end."""
        total = task.total or 0
        return Text(f"{min(self.position, total):{'.0f' if total >= 10 else '.2g'}}/{total:g}")


class _Bar(BarColumn):
    """A bar that follows the position, as wide as the words beside it leave room for."""

    def __init__(self, moving: _Moving) -> None:
        super().__init__()
        self.moving = moving

    def render(self, task: Task) -> ProgressBar:
        """Return the bar at the present position."""
        bar = super().render(task)
        bar.completed = min(self.moving.position, task.total or 0)
        return bar


@contextmanager
def training_bar(stage: str, kimg: float, unit: str = "image", warm_up: float = 0) -> Iterator[Callable[..., None]]:
    """Yields `show(row, alarms, judged, picture, notes)` for a history: a live bar on a terminal, else lines.

    In a notebook the bar is in the cell, with `picture` below, the PNG of a tick. `unit` is the noun for a sample;
    `warm_up` are the kimg before a game, which have a pace of their own. The distances come from `judged`, the rows
    that are known to have one since the last tick. `alarms` are all of a tick, told when they begin and end; `notes`
    are told as they come.
    """
    line, alarmed = _TrainingLine(kimg, unit, warm_up), _Alarms()
    moving, one = _Moving(), Column(no_wrap=True)
    wide, name = _Bar(moving), TextColumn(f"{stage:<10} kimg", markup=False, table_column=one)
    columns = (name, moving, wide, TextColumn("{task.description}", markup=False, table_column=one))
    bar = Progress(*columns, console=console, transient=True)
    task, is_live = bar.add_task("starting", total=kimg), console.is_terminal
    cell = Cell(kimg) if console.is_jupyter else None
    beside = len(f"{stage:<10} kimg") + 2 * len(f"{kimg:g}") + 1 + 3  # the name, the position, and what is between

    def show(
        row: Mapping[str, float],
        alarms: Sequence[str] = (),
        judged: Sequence[Mapping[str, float]] = (),
        picture: bytes | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        if cell:
            cell.show(row["kimg"], line(row, judged), picture)
        elif is_live:
            moving.tick(row["kimg"])
            words = line(row, judged, console.width - beside - LEAST)
            wide.bar_width = max(LEAST, min(USUAL, console.width - beside - len(words)))
            bar.update(task, completed=row["kimg"], description=words)
        else:
            say(stage, f"kimg {row['kimg']:.4g}/{kimg:g}  {line(row, judged)}")
        told = [*(f"alarm: {note}" for note in notes), *alarmed(row["kimg"], (*alarms, *line.trouble(row)))]
        for text in told:
            say(stage, f"kimg {row['kimg']:.4g}: {text}" if is_live or cell else text)

    with bar if is_live else nullcontext():
        yield show
