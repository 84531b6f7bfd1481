"""Progress of a search: one live table on a terminal, a plain line for each event elsewhere."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ganops.core import terminal
from ganops.search.trials import Trial, ranked, short, summary

BEST, RUNNING = 5, 5
"""Rows of the table: the best that have ended, and those that run."""
WORTH_A_LINE = ("diverged", "failed")
"""Ends that are told above the live table, too, since their reasons would pass unseen."""


class _Standing:
    """The state of the trials, and its presentation."""

    def __init__(self, total: int, known: Sequence[Trial]) -> None:
        self.total = total
        self.trials = {trial.number: trial for trial in known}
        self.earlier = len(self.ended)
        self.start = time.monotonic()

    @property
    def ended(self) -> list[Trial]:
        return [trial for trial in self.trials.values() if trial.status != "running"]

    def take(self, trial: Trial) -> bool:
        """Note a trial, and return True where it is news: a first sight, another judgement, or an end."""
        before = self.trials.get(trial.number)
        # another dictionary, since the thread that draws may be walking through this one
        self.trials = {**self.trials, trial.number: trial}
        return before is None or (before.status, before.rung) != (trial.status, trial.rung)

    def lines(self, stage: str, objective: str) -> Text:
        """Return the state of the search and its best distance, above the counts of its ended trials."""
        order = ranked(list(self.trials.values()))
        best = f"best {objective} {order[0].score:.1f} (trial {order[0].number})" if order else "none ended yet"
        first = "   ".join([f"{len(self.ended)}/{self.total} trials", *self._times(), best])
        counts = Counter(trial.status for trial in self.ended)
        second = ", ".join(f"{count} {status}" for status, count in counts.items())
        lines = [f"{stage:<10} {first}", *([f"{'':<10} {second}"] if second else [])]
        return Text("\n".join(lines), no_wrap=True, overflow="ellipsis")

    def _times(self) -> list[str]:
        passed = time.monotonic() - self.start
        done, left = len(self.ended) - self.earlier, max(0, self.total - len(self.ended))
        # trials that ended before this start took none of its time
        rest = [f"about {terminal.clock(passed / done * left)} left"] if done and left else []
        return [terminal.clock(passed), *rest]

    def table(self) -> Table:
        """The best trials that ended and those that run."""
        table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
        for name in ("", "trial", "distance", "kimg", "rung"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("parameters", overflow="ellipsis", no_wrap=True, ratio=1)
        running = [trial for trial in self.trials.values() if trial.status == "running"]
        for rank, trial in enumerate(ranked(self.ended)[:BEST], 1):
            table.add_row(str(rank), *_cells(trial), style="bold" if rank == 1 else "")
        for trial in running[:RUNNING]:
            table.add_row("…", *_cells(trial), style="dim")
        if len(running) > RUNNING:
            table.add_row("…", "", "", "", "", f"{len(running) - RUNNING} more run", style="dim")
        return table


@contextmanager
def search_table(
    stage: str, total: int, objective: str, known: Sequence[Trial] = ()
) -> Iterator[Callable[[Trial], None]]:
    """Yields `show(trial)`, to be called whenever something has become of a trial.

    `total` is the number of trials of the whole search; `known` are those of earlier starts of it, whose ends do not
    count for the pace. The best trials, those that run, the counts, and the time left stand in a live table; where
    there is no terminal, each start is silent, and each judgement and each end is a line.
    """
    standing = _Standing(total, known)
    if standing.earlier:
        terminal.say(stage, f"{standing.earlier} of {total} trials are known from earlier starts of this search")
    if not terminal.console.is_terminal:

        def tell(trial: Trial) -> None:
            if standing.take(trial) and (trial.rung or trial.status != "running"):
                terminal.say(stage, f"{len(standing.ended)}/{total}  {summary(trial)}")

        yield tell
        return

    def view() -> Group:
        return Group(standing.lines(stage, objective), standing.table())

    with Live(get_renderable=view, console=terminal.console, transient=True, refresh_per_second=2) as live:

        def show(trial: Trial) -> None:
            if standing.take(trial):
                if trial.status in WORTH_A_LINE:
                    terminal.say(stage, summary(trial))
                live.refresh()

        yield show


def _cells(trial: Trial) -> list[Text]:
    score = "" if trial.score is None else f"{trial.score:.1f}"
    cells = (str(trial.number), score, f"{trial.kimg:.4g}", str(trial.rung), short(trial.parameters))
    return [Text(text) for text in cells]
