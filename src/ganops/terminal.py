"""What a person sees while it works: one live bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

console = Console(stderr=False, highlight=False, soft_wrap=True)


def say(stage: str, text: str) -> None:
    """One line of a stage: its name in a column, then what there is to say."""
    console.print(f"[bold]{stage:<10}[/bold] ", end="")
    console.print(text, markup=False)


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
