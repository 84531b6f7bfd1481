"""Charts and sheets of images as SVG that suits a light and a dark page; the same input gives the same bytes.

matplotlib takes a second to import, so each function imports it when it draws.
"""

import io
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

from ganops.core.files import embedded
from ganops.core.pictures import Images, picture, to_bytes
from ganops.search.trials import COMPARABLE, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

INK, GRID, MARK = "#4a5260", "#c9ced6", "#c2264f"
SERIES = ("#2463a8", "#b4560f", "#2b7a57", "#6f4bb8")
DASHES = ("-", "--", ":")
"""Styles of lines that have the same colour."""
RAMP = ("#1d5fae", "#4f6a8f", "#6b6872", "#8a6248", "#b45610")
"""Colours from the best to the worst."""
# Every light colour and its dark twin; all but the grid keep a contrast of 4.5 with the page behind them.
DARK = {
    INK: "#b4bbc7",
    GRID: "#3a414d",
    MARK: "#ff7d9c",
    **dict(zip(SERIES, ("#7db4f0", "#f0a05e", "#6cc79f", "#b79df0"), strict=True)),
    **dict(zip(RAMP, ("#7db4f1", "#a0b4cf", "#b7b3bb", "#d3ab86", "#f0a05d"), strict=True)),
}
CSS_PIXELS_PER_INCH = 96
WIDTH = 380
"""Width of a chart in CSS pixels: a phone's column, so that its letters are never shrunk."""

LABELS = {
    "loss_g": "generator",
    "loss_d": "discriminator",
    "score_real": "real samples",
    "score_fake": "generated samples",
    "told_apart": "told apart",
}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ganops",
    "text.parse_math": False,  # class names hold dollar signs too
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.unicode_minus": False,
    **dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "axes.titlecolor"), INK),
    **dict.fromkeys(("text.color", "xtick.color", "ytick.color"), INK),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
}

MAX_POINTS = 200
MAX_NAMED_CLASSES = 40
"""Most points of a curve, and most classes of a chart that are named."""
BYTES_OF_SHEET = 75_000
"""Most bytes of a sheet of images."""


def curves(
    history: Sequence[Mapping[str, Any]], keys: Sequence[str], label: str = "", log: bool = False, best: str = ""
) -> bytes:
    """SVG of `keys` over kimg, one line a key; the lowest value of the key `best` carries a mark.

    A line skips the ticks that lack its key or hold a value that is not finite. `log` asks for a logarithmic
    axis, which is given where every value is positive and the largest is five times the smallest.
    """
    with styled():
        figure, axes = panel(230)
        for key, colour in zip(keys, cycle(SERIES), strict=False):
            points = _points(history, key)
            shown = points[evenly(len(points), MAX_POINTS)]
            axes.plot(shown[:, 0], shown[:, 1], color=colour, linewidth=1.6, label=_name(key))
            if key == best and len(points):
                kimg, value = points[points[:, 1].argmin()].tolist()
                axes.plot(kimg, value, "o", color=MARK, markersize=6)
                axes.set_title(f"best {number(value)} at {number(kimg)} kimg", color=MARK)
        axes.yaxis.set_major_formatter(tick_text)
        if log:
            log_where_possible(axes.yaxis, (tick[key] for tick in history for key in keys if key in tick), ratio=5)
        axes.set(xlabel="kimg", ylabel=label)
        if len(keys) > 1:
            figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=min(len(keys), 3))
        return finished(figure)


def courses(
    lines: Mapping[str, np.ndarray[Any, Any]], across: str, label: str,
    bands: Mapping[str, np.ndarray[Any, Any]] | None = None, width: float = WIDTH,
) -> bytes:  # fmt: skip
    """SVG of one line for each name, float [N, 2] of x and y, on a logarithmic axis of y where that is possible.

    Args:
        lines: Colours repeat where there are many, with other dashes.
        across: Label of x.
        label: Label of y.
        bands: Lowest and highest y of some of them, float [N, 2].
        width: In CSS pixels.
    """
    colours = (*SERIES, MARK)
    with styled():
        figure = canvas(height=230 + 9 * len(lines), width=width)
        axes = figure.subplots()
        for i, (name, line) in enumerate(lines.items()):
            colour, dashes = colours[i % len(colours)], DASHES[i // len(colours) % len(DASHES)]
            (drawn,) = axes.plot(*line.T, "o", color=colour, linestyle=dashes, label=shortened(name, 30))
            drawn.set(markersize=2.5, linewidth=1.4)
            if bands and name in bands:
                axes.fill_between(line[:, 0], *bands[name].T, color=colour, alpha=0.15, linewidth=0)
        axes.yaxis.set_major_formatter(tick_text)
        log_where_possible(axes.yaxis, [y for line in lines.values() for y in line[:, 1].tolist()], ratio=5)
        axes.set(xlabel=across, ylabel=label)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3 if width > WIDTH else 2)
        return finished(figure)


def trade_off(lines: Mapping[str, Sequence[tuple[float | None, float, float]]], across: str, label: str) -> bytes:
    """SVG of y over x of each line's points (truncation, x, y), every point labelled with its truncation.

    A line has a mark of its own besides its colour, and a point without a truncation, of real samples, stands alone.
    """
    with styled():
        figure, axes = panel(300)
        for (name, points), colour, mark in zip(lines.items(), cycle((*SERIES, MARK)), cycle("os^D"), strict=False):
            axes.plot(
                [x for _, x, _ in points],
                [y for _, _, y in points],
                mark,
                linestyle="-",
                color=colour,
                linewidth=1.2,
                markersize=5,
                label=name,
            )
            for truncation, x, y in points:
                if truncation is not None:
                    axes.annotate(
                        number(truncation), (x, y), xytext=(5, 4), textcoords="offset points", color=colour, fontsize=7
                    )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(tick_text)
        axes.margins(0.12)
        axes.set(xlabel=across, ylabel=label)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return finished(figure)


def classes_bar(counts: Mapping[str, int]) -> bytes:
    """SVG of the number of samples of each class; with many classes the bars stay without names, largest first."""
    named = len(counts) <= MAX_NAMED_CLASSES
    with styled():
        figure, axes = panel(40 + 19 * len(counts) if named else 200)
        if named:
            bars = axes.barh(range(len(counts)), list(counts.values()), color=SERIES[0], height=0.72)
            axes.bar_label(bars, labels=[f"{count:,}" for count in counts.values()], padding=3)
            named_rows(axes, [*map(shortened, counts)])
            axes.margins(x=0.14, y=0.01)
            _only_names(axes)
        else:
            axes.fill_between(range(len(counts)), sorted(counts.values(), reverse=True), color=SERIES[0], step="mid")
            axes.set(xlabel="classes, largest first", ylabel="samples", ylim=(0, None))
        return finished(figure)


def ladder_bar(rungs: Mapping[str, float], value: float | None = None, label: str = "") -> bytes:
    """SVG of the distance of each rung (a known damage to real samples), and a line where the model's `value` lies."""
    with styled():
        figure, axes = panel(64 + 20 * len(rungs))
        positions, distances = range(len(rungs)), list(rungs.values())
        axes.hlines(positions, min(*distances, 0), distances, color=GRID, linewidth=1)
        axes.plot(distances, positions, "o", color=SERIES[0], markersize=5)
        beside: dict[str, Any] = {"xytext": (6, 0), "textcoords": "offset points", "va": "center"}
        for place in zip(distances, positions, strict=True):
            axes.annotate(number(place[0]), place, **beside)
        if value is not None:
            axes.axvline(value, color=MARK, linewidth=1.4)
            axes.set_title(f"this model {number(value)}", color=MARK)
        named_rows(axes, [*map(shortened, rungs)])
        axes.margins(x=0.16)
        axes.set_xlabel(label)
        log_where_possible(axes.xaxis, distances)
        axes.tick_params(axis="y", length=0)
        return finished(figure)


def distances(sets: Mapping[str, np.ndarray[Any, Any]], unit: str = "image", bins: int = 40) -> bytes:
    """SVG of the distribution of distances float64 [N] for each set, on a logarithmic axis; `unit` is its noun.

    Shares of each set's samples, in equal steps of the logarithm; a distance of 0 stands in the first step.
    """
    values = np.concatenate(list(sets.values()))
    positive = values[values > 0] if values.any() else np.ones(1)
    edges = np.geomspace(positive.min() / 1.05, positive.max() * 1.05, bins + 1)
    with styled():
        figure, axes = panel(210)
        for (name, found), colour in zip(sets.items(), cycle(SERIES), strict=False):
            counts, _ = np.histogram(found.clip(edges[0]), edges)
            axes.stairs(counts / len(found), edges, color=colour, linewidth=1.6, label=name)
        log_where_possible(axes.xaxis, edges.tolist(), ratio=3)
        axes.set(xlabel=f"distance to the nearest training {unit}", ylabel="share", ylim=(0, None))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
        return finished(figure)


def trials_plot(trials: Sequence[Mapping[str, Any]]) -> bytes:
    """SVG of score against each parameter, one small panel a parameter; the best trial carries a mark.

    A trial is `{"number", "parameters": {name: number or text}, "score", "rung", "status"}`. One that came less far
    than others is hollow; one whose score does not count is not drawn. Empty where no score counts.
    """
    scored = [trial for trial in sorted(trials, key=standing, reverse=True) if not standing(trial)[0]]
    if not scored:
        return b""
    names = list(dict.fromkeys(name for trial in scored for name in trial.get("parameters", {})))
    with styled():
        columns = min(2, len(names) + 1)
        rows = -(-(len(names) + 1) // columns)
        figure = canvas(height=40 + 150 * rows)
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
        _scatter(panels[0], [trial["number"] for trial in scored], scored, "trial", log=False)
        for panel, name in zip(panels[1:], names, strict=False):
            _scatter(panel, [shown(trial.get("parameters", {}), name) for trial in scored], scored, last_words(name))
        for panel in panels[len(names) + 1 :]:
            panel.set_visible(False)
        log_where_possible(panels[0].yaxis, [trial["score"] for trial in scored])
        figure.supylabel("score, lower is better", fontsize=8, color=INK)
        return finished(figure)


def slopes(left: Mapping[str, float], right: Mapping[str, float], left_label: str, right_label: str) -> bytes:
    """SVG of two rankings of the same names, the smallest value on top, each name joined with itself by a line."""
    order = [sorted(side, key=lambda name, side=side: (side[name], name)) for side in (left, right)]  # type: ignore[misc]
    with styled():
        figure, axes = panel(60 + 26 * len(left))
        for name in order[0]:
            places = [side.index(name) for side in order]
            axes.plot((0, 1), places, "o-", color=SERIES[0], linewidth=1.4, markersize=5)
            for x, side, text in ((0, left, "{name}  {value}"), (1, right, "{value}  {name}")):
                axes.annotate(
                    text.format(name=shortened(name), value=number(side[name])), (x, places[x]), va="center",
                    xytext=(9 if x else -9, 0), textcoords="offset points", ha="left" if x else "right",
                )  # fmt: skip
        axes.set(xlim=(-0.9, 1.9), ylim=(len(left) - 0.5, -0.5))
        axes.set_xticks((0, 1), (left_label, right_label))
        axes.xaxis.tick_top()
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.yaxis.set_visible(False)
        return finished(figure)


def standing(trial: Mapping[str, Any]) -> tuple[bool, int, float, float]:
    """Sorts trials as `trials.ranked` does, best first; those whose score does not count follow, by number."""
    if trial.get("status", "finished") not in COMPARABLE or not is_finite(trial.get("score")):
        return True, 0, 0.0, float(trial["number"])
    return False, -int(trial.get("rung", 0)), float(trial["score"]), float(trial["number"])


def sheet(rows: Sequence[Images], labels: Sequence[str], lead: int = 0) -> bytes:
    """SVG of rows of images with a line of text under each row, such as the distance to the nearest neighbours.

    A row is uint8 [N, C, H, W]; `lead` images at its start stand apart from the rest. All images together take about
    BYTES_OF_SHEET at most: large ones become thumbnails.
    """
    columns = max(len(row) for row in rows)
    height, width = rows[0].shape[2:]
    gap, apart, line = 2, 8 if lead else 0, 16
    cell = (WIDTH - apart + gap) / columns - gap
    step = cell * height / width + line
    crisp = "pixelated" if min(height, width) <= 64 else "auto"
    limit = BYTES_OF_SHEET // sum(map(len, rows))
    parts = []
    for i, (row, label) in enumerate(zip(rows, labels, strict=True)):
        for j, image in enumerate(row):
            x = j * (cell + gap) + (apart if j >= lead else 0)
            parts.append(
                f'<image x="{x:.2f}" y="{i * step:.2f}" width="{cell:.2f}" height="{step - line:.2f}" '
                f'style="image-rendering: {crisp}" href="{data_uri(_thumbnail(image), limit)}"/>'
            )
        text = escape(_printable(label))
        parts.append(f'<text x="0" y="{(i + 1) * step - 5:.2f}" style="fill: {INK}">{text}</text>')
    content = "\n".join(parts)
    size = f'viewBox="0 0 {WIDTH} {len(rows) * step:.2f}" width="{WIDTH}" height="{len(rows) * step:.2f}"'
    style = f"<style>text{{font-size:10px}}{_adaptive_css()}</style>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{style}\n{content}\n</svg>\n'.encode()


def data_uri(picture: Image.Image, limit: int) -> str:
    """The picture as a `data:` URI: PNG, or, if that takes more than `limit` bytes, WebP made smaller until it fits."""
    content = to_bytes(picture, "PNG")
    if len(content) <= limit:
        return embedded("image/png", content)
    picture = picture.convert("RGB")
    while len(content := to_bytes(picture, "WEBP", quality=82)) > limit and min(picture.size) > 16:
        side = 0.95 * math.sqrt(limit / len(content))
        picture = picture.resize([max(1, int(size * side)) for size in picture.size], Image.Resampling.LANCZOS)
    return embedded("image/webp", content)


def smaller_film(path: Path, limit: int) -> bytes:
    """An animated WebP as it is, or, where it takes more than `limit` bytes, its frames made smaller until it fits."""
    content = path.read_bytes()
    if len(content) <= limit:
        return content
    with Image.open(io.BytesIO(content)) as film:
        frames, times = [], []
        for i in range(getattr(film, "n_frames", 1)):
            film.seek(i)
            frames.append(film.convert("RGB"))
            times.append(film.info.get("duration", 0))
    while len(content) > limit and min(frames[0].size) > 16:
        buffer = io.BytesIO()
        frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:], duration=times, loop=0, quality=70)
        content = buffer.getvalue()
        side = min(0.95, 0.95 * math.sqrt(limit / len(content)))
        frames = [each.resize([max(1, int(size * side)) for size in each.size]) for each in frames]
    return content


def number(value: float, digits: int = 3) -> str:
    """A number as a person reads it: `digits` significant digits, thousands separated, integers whole."""
    if not math.isfinite(value):
        return str(float(value))
    if isinstance(value, int) or abs(value) >= 999.5:
        return f"{value:,.0f}"
    if value and abs(value) < 1e-3:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return f"{value:.{digits}g}"


def is_finite(value: Any) -> bool:
    """Return True where `value` is a number that can be drawn."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@contextmanager
def styled() -> Iterator[None]:
    """Everything that is drawn inside has the look of the project's pages."""
    from matplotlib import style

    # what a person's matplotlibrc says must not change the bytes
    with style.context(["default", STYLE]), warnings.catch_warnings():
        # the reader's browser chooses the letters, so what our measuring font lacks does not matter
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def canvas(height: float, width: float = WIDTH) -> "Figure":
    """An empty figure of that size in CSS pixels."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / CSS_PIXELS_PER_INCH, height / CSS_PIXELS_PER_INCH), layout="constrained")


def panel(height: float) -> "tuple[Figure, Axes]":
    """An empty figure of that height in CSS pixels, and its axes."""
    figure = canvas(height)
    return figure, figure.subplots()


def named_rows(axes: "Axes", names: Sequence[str]) -> None:
    """Name the rows of a chart, the first on top."""
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()


def finished(figure: "Figure", rules: str = "") -> bytes:
    """The figure as SVG, with its colours for a dark page; `rules` is more CSS for it."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return buffer.getvalue().replace("</style>", _adaptive_css() + rules + "</style>", 1).encode()


def _adaptive_css() -> str:
    """Rules that swap each colour for its dark twin where the reader prefers dark; printers see light."""
    swaps = "".join(
        f'[style*="{paint}: {light}"]{{{paint}:{dark}!important}}'
        for light, dark in DARK.items()
        for paint in ("fill", "stroke")
    )
    return f"text{{font-family:system-ui,sans-serif!important}}@media screen and (prefers-color-scheme:dark){{{swaps}}}"


def _points(history: Sequence[Mapping[str, Any]], key: str) -> np.ndarray[Any, Any]:
    """(kimg, value) of the ticks where the value is finite: float64 [N, 2]."""
    pairs = [(tick["kimg"], tick[key]) for tick in history if is_finite(tick.get(key))]
    return np.asarray(pairs, np.float64).reshape(-1, 2)


def evenly(count: int, most: int) -> np.ndarray[Any, Any]:
    """Return at most `most` indices of `count`, evenly spread, first and last included."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def log_where_possible(axis: "Axis", values: Iterable[Any], ratio: float = 20) -> None:
    """A logarithmic axis where every value is positive and the largest is `ratio` times the smallest."""
    from matplotlib.ticker import LogLocator, NullLocator

    finite = [value for value in values if is_finite(value)]
    if not finite or min(finite) <= 0 or max(finite) < ratio * min(finite):
        return
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})  # type: ignore[attr-defined]
    narrow = max(finite) < 300 * min(finite)
    axis.set_major_locator(LogLocator(subs=(1.0, 3.0) if narrow else (1.0,)))
    axis.set_major_formatter(tick_text)
    axis.set_minor_locator(NullLocator())


def _scatter(
    panel: "Axes", values: Sequence[Any], trials: Sequence[Mapping[str, Any]], label: str, log: bool = True
) -> None:
    """Scores over one parameter, worst first so that the best, the last, lies on top; without trials that lack it."""
    places = {i: value for i, value in enumerate(values) if value is not None}
    if all(is_finite(value) for value in places.values()):
        panel.locator_params(axis="x", nbins=3)
        panel.xaxis.set_major_formatter(tick_text)
        if log:
            log_where_possible(panel.xaxis, places.values(), ratio=8)
    else:
        names = sorted({str(value) for value in places.values()})
        panel.set_xticks(range(len(names)), [shortened(name, 12) for name in names])
        places = {i: names.index(str(value)) for i, value in places.items()}
        panel.margins(x=0.2)
    furthest = [trial.get("rung") == trials[-1].get("rung") for trial in trials]
    for whole, fill in ((False, "none"), (True, "full")):
        chosen = [i for i in places if furthest[i] == whole]
        scores = [trials[i]["score"] for i in chosen]
        panel.plot([places[i] for i in chosen], scores, "o", color=SERIES[0], markersize=4, fillstyle=fill)
    if len(trials) - 1 in places:
        panel.plot(places[len(trials) - 1], trials[-1]["score"], "o", color=MARK, markersize=6)
    panel.set_xlabel(label)


def _only_names(axes: "Axes") -> None:
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.xaxis.set_visible(False)


def tick_text(value: float, _: float) -> str:
    """A number beside an axis."""
    return number(float(value), digits=6)


def _name(key: str) -> str:
    return LABELS.get(key, key)


def last_words(name: str, count: int = 2) -> str:
    """The end of a dotted path, for a narrow place."""
    return _printable(".".join(name.split(".")[-count:]))


def shortened(name: str, most: int = 22) -> str:
    """A name of `most` letters at most, without what XML cannot hold."""
    name = _printable(name)
    return name if len(name) <= most else name[: most - 1] + "…"


def _printable(text: str) -> str:
    """The text with what XML cannot hold replaced."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in str(text))


def _thumbnail(image: np.ndarray[Any, Any]) -> Image.Image:
    """uint8 [C, H, W] as a picture of at most 128 pixels a side; a film strip of at most 512 in all."""
    small = picture(image)
    small.thumbnail((512 if small.width >= 4 * small.height else 128, 128), Image.Resampling.LANCZOS)
    return small
