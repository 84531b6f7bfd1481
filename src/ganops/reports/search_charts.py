"""Charts of a search, in the look of `plots`: SVG for a light and a dark page, the same bytes for the same input."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ganops.reports import plots
from ganops.reports.plots import INK, MARK, RAMP, SERIES, is_finite, number
from ganops.search.analysis import BestSoFar, Importance, is_logarithmic, is_number, names
from ganops.search.trials import Trial, ranked, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEFT, RIGHT, ABSENT = 0.0, 1.0, 1.13
"""Places on an axis of the parallel coordinates: its ends, and where a trial stands that lacks the value."""
HALO = (
    "text{paint-order:stroke;stroke:#fcfbf9;stroke-width:4px;stroke-linejoin:round}"
    "@media screen and (prefers-color-scheme:dark){text{stroke:#15171c}}"
)
"""Letters that stand on lines stay readable: a rim in the colour of the page."""
LETTERS = 13
"""Most letters of a value beside an axis."""
MOST_WORDS = 6
"""Names of values beside one axis; with more, every second or third is written."""


def distance_curves(trials: Sequence[Trial], objective: str) -> bytes:
    """SVG of the distance over kimg, a line a trial; the best is marked, and where one ended by its own fault a cross.

    Empty where no trial was judged.
    """
    order = ranked(trials)
    paths = {trial.number: _judged(trial) for trial in trials}
    if not any(map(len, paths.values())):
        return b""
    colours = _by_rank(order)
    with plots.styled():
        figure, axes = plots.panel(300)
        for trial in sorted(trials, key=lambda trial: trial in order[:1]):
            path, is_best = paths[trial.number], trial in order[:1]
            colour = MARK if is_best else colours.get(trial.number, INK)
            lost = trial.status in ("diverged", "pruned", "failed")
            style: dict[str, Any] = {"color": colour, "linewidth": 2.2 if is_best else _thin(len(trials))}
            axes.plot(path[:, 0], path[:, 1], linestyle=":" if lost else "-", **style)
            axes.plot(path[-1:, 0], path[-1:, 1], "x" if lost else "o", color=colour, markersize=6 if is_best else 3.5)
        if order:
            axes.set_title(f"best: trial {order[0].number}, {number(float(order[0].score or 0))}", color=MARK)
        axes.yaxis.set_major_formatter(plots.tick_text)
        plots.log_where_possible(axes.yaxis, [value for path in paths.values() for value in path[:, 1]], ratio=5)
        axes.set(xlabel="kimg", ylabel=plots.shortened(objective, 40))
        return plots.finished(figure)


def parallel(trials: Sequence[Trial], objective: str) -> bytes:
    """SVG of parallel coordinates: an axis a parameter, the score below them, a line a trial; the best is marked.

    The axes lie, so that a phone shows as many of them as there are. Far apart values stand on a logarithmic axis,
    names in equal steps; a trial without a value stands beyond the right end. Dotted: diverged or pruned. Empty where
    no trial has a score.
    """
    order = ranked(trials)
    if not order:
        return b""
    drawn = [*order, *(trial for trial in trials if trial.status in ("diverged", "pruned"))]
    colours = _by_rank(order)
    rows: dict[str, list[Any]] = {name: [shown(trial.parameters, name) for trial in drawn] for name in names(drawn)}
    scores = [trial.score if trial in order else None for trial in drawn]
    with plots.styled():
        figure, axes = plots.panel(30 + 60 * (len(rows) + 1))
        places = [_axis(axes, y, name, values) for y, (name, values) in enumerate(rows.items())]
        places.append(_axis(axes, len(rows), f"{objective}, lower is better", scores, missing="none"))
        for i in reversed(range(len(drawn))):
            is_best, is_lost = i == 0, i >= len(order)
            colour = MARK if is_best else INK if is_lost else colours[drawn[i].number]
            width = 2.4 if is_best else _thin(len(drawn))
            line = [place[i] for place in places]
            axes.plot(line, range(len(places)), color=colour, linewidth=width, linestyle=":" if is_lost else "-")
        axes.set(xlim=(-0.04, 1.2), ylim=(len(rows) + 0.45, -0.45))
        axes.grid(visible=False)
        axes.set_axis_off()
        return plots.finished(figure, HALO)


def importance_bar(found: Importance) -> bytes:
    """SVG of each parameter's share in the order of the trials, with its interval."""
    with plots.styled():
        figure, axes = plots.panel(56 + 24 * len(found.shares))
        for y, (share, low, high) in enumerate(found.shares.values()):
            axes.plot([max(low, 0), max(high, 0)], [y, y], color=SERIES[0], linewidth=4, alpha=0.35)
            axes.plot(max(share, 0), y, "o", color=SERIES[0], markersize=6)
        plots.named_rows(axes, [plots.shortened(_tail(name), 24) for name in found.shares])
        axes.tick_params(axis="y", length=0)
        axes.set(xlim=(-0.02, 1.02), xlabel="share of the order of the trials")
        axes.xaxis.set_major_formatter(plots.tick_text)
        return plots.finished(figure)


def budget_curve(found: BestSoFar, kimg: float, objective: str) -> bytes:
    """SVG of the best of k trials over k, with its band; above it, the kimg that so many trials took on average.

    `kimg` is what all trials took together. Where the band has no upper end it is open. Empty where no score counts.
    """
    n = len(found.mean)
    finite = np.isfinite(found.mean)
    if not finite.any():
        return b""
    ceiling = float(found.high[np.isfinite(found.high)].max(initial=float(found.mean[finite].max())))
    floor = float(found.low.min())
    top = ceiling + 0.08 * ((ceiling - floor) or abs(ceiling) or 1)
    k = np.arange(1, n + 1)
    with plots.styled():
        figure, axes = plots.panel(260)
        band = found.low.clip(max=top), found.high.clip(max=top)
        axes.fill_between(k, *band, color=SERIES[0], alpha=0.2, linewidth=0, label="95 % of draws")
        marker = "o" if n == 1 else ""
        axes.plot(k, found.mean, color=SERIES[0], linewidth=2, marker=marker, label="mean of draws")
        seen = np.isfinite(found.actual)
        axes.step(
            k[seen], found.actual[seen], color=MARK, linewidth=1.4, where="post", marker=marker, label="this search"
        )
        axes.set(xlabel="trials", ylabel=f"best {plots.shortened(objective, 34)}", xlim=(min(1, n - 0.5), n + 0.1))
        _log_between(axes, floor, top)
        _count(axes)
        axes.yaxis.set_major_formatter(plots.tick_text)
        _kimg_above(axes, kimg / n, "kimg")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return plots.finished(figure)


def population_curve(trials: Sequence[Trial], objective: str) -> bytes:
    """SVG of the best and the median distance of a population after each rung; above it, the kimg of all members.

    Empty where none was judged.
    """
    at_rung: dict[int, list[dict[str, float]]] = {}
    for trial in trials:
        for rung, row in _rungs(trial).items():
            at_rung.setdefault(rung, []).append(row)
    if not at_rung:
        return b""
    rungs = sorted(at_rung)
    best = np.minimum.accumulate([min(row["distance"] for row in at_rung[rung]) for rung in rungs])
    middle = [float(np.median([row["distance"] for row in at_rung[rung]])) for rung in rungs]
    with plots.styled():
        figure, axes = plots.panel(240)
        axes.plot(rungs, best, color=MARK, linewidth=2, marker="o", markersize=4, label="best so far")
        axes.plot(rungs, middle, color=SERIES[0], linewidth=1.4, marker="o", markersize=3, label="median member")
        axes.set(xlabel="rung", ylabel=plots.shortened(objective, 40))
        axes.yaxis.set_major_formatter(plots.tick_text)
        plots.log_where_possible(axes.yaxis, [*best, *middle], ratio=5)
        _count(axes)
        total = max(row["kimg"] for row in at_rung[rungs[-1]]) * len(trials) / rungs[-1]
        _kimg_above(axes, total, "kimg of all members")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return plots.finished(figure)


def lineage(trials: Sequence[Trial]) -> bytes:
    """SVG of a population: a row a member, from rung to rung; a line leads from the source of its weights to a member.

    The colour of a stretch is the distance at its end, of the five fifths at that rung. The best member is marked.
    Empty where none took over another one's weights.
    """
    if not any(trial.takeovers for trial in trials):
        return b""
    rows = {trial.number: y for y, trial in enumerate(trials)}
    last = max([trial.rung for trial in trials] + [takeover.rung for trial in trials for takeover in trial.takeovers])
    best = ranked(trials)[:1]
    with plots.styled():
        figure, axes = plots.panel(64 + 26 * len(trials))
        for rung in range(1, last + 1):
            reached = [(trial, _rungs(trial)[rung]["distance"]) for trial in trials if rung in _rungs(trial)]
            order = sorted(reached, key=lambda pair: pair[1])
            for place, (trial, _) in enumerate(order):
                y, colour = rows[trial.number], _shade(place, len(order))
                taken = any(takeover.rung == rung - 1 for takeover in trial.takeovers)
                axes.plot([rung - 1 + 0.3 * taken, rung], [y, y], color=colour, linewidth=3)
                axes.plot(rung, y, "o", color=colour, markersize=5)
        for trial in trials:
            for takeover in trial.takeovers:
                if takeover.source in rows:
                    ends = [rows[takeover.source], rows[trial.number]]
                    axes.plot([takeover.rung, takeover.rung + 0.3], ends, color=SERIES[3], linewidth=1.2)
                    axes.plot(takeover.rung + 0.3, ends[1], marker=">", color=SERIES[3], markersize=4)
        for trial in best:
            axes.plot(trial.rung, rows[trial.number], "o", color=MARK, markersize=8)
            axes.set_title(f"best: trial {trial.number}, {number(float(trial.score or 0))}", color=MARK)
        axes.set_yticks(range(len(trials)), [f"trial {trial.number}" for trial in trials])
        axes.set(xlabel="rung", xlim=(-0.1, last + 0.45), ylim=(len(trials) - 0.5, -0.5))
        _count(axes)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        return plots.finished(figure)


def _judged(trial: Trial) -> np.ndarray[Any, Any]:
    """(kimg, distance) of every judgement: float64 [N, 2]."""
    rows = [(row["kimg"], row["distance"]) for row in trial.history if is_finite(row.get("distance"))]
    return np.asarray(rows, np.float64).reshape(-1, 2)


def _rungs(trial: Trial) -> dict[int, dict[str, float]]:
    """Rung -> the row of the history where it was judged."""
    return {int(row["rung"]): row for row in trial.history if "rung" in row and is_finite(row.get("distance"))}


def _by_rank(order: Sequence[Trial]) -> dict[int, str]:
    """Number of a trial -> the colour of its fifth."""
    return {trial.number: _shade(place, len(order)) for place, trial in enumerate(order)}


def _shade(place: int, count: int) -> str:
    return RAMP[place * len(RAMP) // max(count, 1)]


def _thin(count: int) -> float:
    """Width of a line that is one of many."""
    return max(0.5, 1.3 - count / 150)


def _axis(axes: "Axes", y: float, name: str, values: Sequence[Any], missing: str = "not used") -> list[float]:
    """Draws one lying axis of the parallel coordinates and returns each trial's place on it."""
    place, ticks = _line(values)
    places = [ABSENT if value is None else place(value) for value in values]
    axes.plot([LEFT, RIGHT], [y, y], color=INK, linewidth=0.8)
    axes.text(LEFT, y - 0.13, plots.shortened(_tail(name, 3), 52), fontweight="bold", va="bottom")
    small: dict[str, Any] = {"fontsize": 7, "va": "top"}
    for at, text in ticks:
        axes.plot([at, at], [y - 0.04, y + 0.04], color=INK, linewidth=0.8)
        axes.text(at, y + 0.07, text, ha="left" if at == LEFT else "right" if at == RIGHT else "center", **small)
    if ABSENT in places:
        axes.plot(ABSENT, y, "|", color=INK, markersize=6)
        axes.text(ABSENT, y + 0.07, missing, ha="center", **small)
    return _side_by_side(places)


def _side_by_side(places: Sequence[float]) -> list[float]:
    """The places with those of several trials spread a little, so that each line is seen."""
    spread = []
    for i, place in enumerate(places):
        equal = places.count(place)
        spread.append(place + 0.05 * (places[:i].count(place) / (equal - 1) - 0.5) if equal > 1 else place)
    return spread


def _line(values: Sequence[Any]) -> tuple[Callable[[Any], float], list[tuple[float, str]]]:
    """Return a function from a value to its place between LEFT and RIGHT, and the ticks (place, text) of the axis."""
    known = [value for value in values if value is not None]
    if known and all(is_number(value) for value in known):
        return _number_line(known)
    words = sorted({str(value) for value in known})
    if len(words) < 2:
        return lambda _: 0.5, [(0.5, plots.shortened(word, 3 * LETTERS)) for word in words]
    width = RIGHT - LEFT
    where = {word: LEFT + width * i / (len(words) - 1) for i, word in enumerate(words)}
    every = -(-len(words) // MOST_WORDS)
    letters = max(5, 56 // min(len(words), MOST_WORDS))
    ticks = [(where[word], plots.shortened(word, letters)) for word in words[::every]]
    return lambda value: where[str(value)], ticks


def _number_line(known: Sequence[float]) -> tuple[Callable[[Any], float], list[tuple[float, str]]]:
    low, high = float(min(known)), float(max(known))
    if low == high:
        return lambda _: 0.5, [(0.5, number(known[0]))]
    log = is_logarithmic(known)
    ends = (math.log(low), math.log(high)) if log else (low, high)

    def place(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * ((math.log(value) if log else float(value)) - ends[0]) / (ends[1] - ends[0])

    middle = math.exp(sum(ends) / 2) if log else sum(ends) / 2
    words = [number(low), number(middle) + (" (log)" if log else ""), number(high)]
    return place, list(zip((LEFT, 0.5, RIGHT), words, strict=True))


def _log_between(axes: "Axes", floor: float, top: float) -> None:
    """A logarithmic axis where the best is far below what a few trials find."""
    axes.set_ylim(top=top)
    plots.log_where_possible(axes.yaxis, [floor, top], ratio=8)


def _count(axes: "Axes") -> None:
    """Whole numbers below the axis."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _kimg_above(axes: "Axes", each: float, label: str) -> None:
    """A second axis above: what lies below, times `each`."""
    if each > 0:
        above = axes.secondary_xaxis("top", functions=(lambda x: np.multiply(x, each), lambda x: np.divide(x, each)))
        above.set_xlabel(label)
        above.xaxis.set_major_formatter(plots.tick_text)


def _tail(name: str, words: int = 2) -> str:
    return plots.last_words(name.removeprefix("train."), words)
