"""What a person sees while it works: one live bar on a terminal, plain lines elsewhere."""

import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ganops.errors import UserError
from ganops.redaction import reason, redacted

console = Console(stderr=False, highlight=False, soft_wrap=True)


def say(stage: str, text: str) -> None:
    """One line of a stage: its name in a column, then what there is to say."""
    # in one piece: a live bar below would be drawn between two
    console.print(Text.assemble((f"{stage:<10}", "bold"), " ", redacted(text)))


@contextmanager
def progress(stage: str, total: int, unit: str = "") -> Iterator[Callable[[int], None]]:
    """Yields `advance(n)`; draws a bar on a terminal, and elsewhere a plain line every ten seconds."""
    if console.is_terminal:
        columns = (
            TextColumn(f"{stage:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(unit),
            TimeRemainingColumn(),
        )
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
            say(stage, f"{done:,} / {total:,} {unit}")
            sys.stdout.flush()

    yield advance


ASKED = {"botocore", "mlflow", "requests", "sqlalchemy", "urllib3"}
"""Packages through which servers are asked: what they raise tells of a server, not of a defect here."""


def give_up(error: Exception) -> NoReturn:
    """Ends the process with what nobody foresaw: a server's failure in a sentence, a defect by its traceback.

    Neither shows a secret. GANOPS_DEBUG=1 shows the traceback of both.
    """
    if type(error).__module__.partition(".")[0] in ASKED and "GANOPS_DEBUG" not in os.environ:
        text = f"a server did not do what it was asked for: {reason(error)}. GANOPS_DEBUG=1 shows who asked for what"
        console.print(text, markup=False, style="red")
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
    except UserError as error:
        console.print(f"[bold red]{path.stem:<10}[/bold red] ", end="")
        console.print(str(error), markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        say(path.stem, "interrupted; the same command continues from the last checkpoint")
        sys.exit(130)
    except Exception as error:
        give_up(error)


SLOW, BACK = 0.5, 0.75
"""Shares of the median speed of a training: below the one it is told to be slow, above the other that is over."""


class _TrainingLine:
    """Puts a row of a training's history in words; remembers the best distance, the pace and the speeds."""

    def __init__(self, kimg: float) -> None:
        self.kimg = kimg
        self.start: tuple[float, float] | None = None
        self.distance = ""
        self.best = float("inf")
        self.speeds: list[float] = []
        self.slow = False

    def __call__(self, row: Mapping[str, float], judged: Sequence[Mapping[str, float]]) -> str:
        distances = ((name, each[name]) for each in judged for name in each if name.endswith("_validation"))
        for name, distance in distances:
            self.best = min(self.best, distance)
            self.distance = f"{name.removesuffix('_validation')} {distance:.1f} (best {self.best:.1f})"
        parts = [f"{row['images_per_second']:,.0f} img/s", f"G {row['loss_g']:.2f}", f"D {row['loss_d']:.2f}"]
        return "  ".join([*parts, *filter(None, [self.distance]), self._left(row)])

    def trouble(self, row: Mapping[str, float]) -> list[str]:
        """A line where the training falls far below the speed that it had: once, until it is nearly back there."""
        now, had = row["images_per_second"], statistics.median(self.speeds or [0])
        if now > had * (BACK if self.slow else SLOW):
            self.speeds.append(now)
            self.slow = False
            return []
        told, self.slow = self.slow, True
        shared = (
            f"slow: {now:,.0f} img/s where it had {had:,.0f}. Something else uses the cores; the result is the same"
        )
        return [] if told else [shared]

    def _left(self, row: Mapping[str, float]) -> str:
        now = time.monotonic()
        self.start = self.start or (now, row["kimg"])
        done = row["kimg"] - self.start[1]
        # the first tick knows the speed of the loop only; later ones include validation and checkpoints
        pace = (now - self.start[0]) / done if done else 1000 / max(row["images_per_second"], 1e-9)
        minutes, seconds = divmod(round(pace * (self.kimg - row["kimg"])), 60)
        return f"{minutes}:{seconds:02d} left"


@contextmanager
def training_bar(stage: str, kimg: float) -> Iterator[Callable[..., None]]:
    """Yields `show(row, alarms, judged)` for a training's history: a live bar on a terminal, a line a tick elsewhere.

    The distances come from `judged`, the rows that are known to have one since the last tick.
    """
    line = _TrainingLine(kimg)
    if not console.is_terminal:

        def tell(
            row: Mapping[str, float], alarms: Sequence[str] = (), judged: Sequence[Mapping[str, float]] = ()
        ) -> None:
            say(stage, f"kimg {row['kimg']:.4g}/{kimg:g}  {line(row, judged)}")
            for alarm in (*alarms, *line.trouble(row)):
                say(stage, f"alarm: {alarm}")

        yield tell
        return
    columns = (
        TextColumn(f"{stage:<10} kimg"),
        MofNCompleteColumn(),
        BarColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=round(kimg))

        def show(
            row: Mapping[str, float], alarms: Sequence[str] = (), judged: Sequence[Mapping[str, float]] = ()
        ) -> None:
            bar.update(task, completed=round(row["kimg"]), description=line(row, judged))
            for alarm in (*alarms, *line.trouble(row)):
                say(stage, f"kimg {row['kimg']:.4g}: alarm: {alarm}")

        yield show
