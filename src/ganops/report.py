"""The report of a training: one HTML file that needs nothing else, for a person to read.

Python chooses what is said; `templates/report.html.j2` says how it looks. What is absent leaves no trace in the page.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import jinja2
import yaml
from markupsafe import Markup
from PIL import Image

from ganops import plots
from ganops.errors import UserError
from ganops.files import atomic


@dataclass(frozen=True)
class Report:
    """All that a report can show. Everything but the title may be left empty, and its section is left out."""

    title: str
    """Name of the model."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    """The verdict: name -> number or text, in the order of the headline."""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """The prepared data: `source`, `shape` [C, H, W], `splits` {name: samples}, `classes` {name: samples}, `rejected`
    [{`file`, `reason`}], `hash`."""
    history: Sequence[Mapping[str, Any]] = ()
    """One entry a tick: `kimg` and any of the keys in PANELS."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """name -> number, or {`value`, `interval` [low, high], `real`, `noise`}: the last two are the values that real
    samples and noise would get."""
    protocol: Mapping[str, Any] = field(default_factory=dict)
    """How the metrics were measured."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """The extractor's card: `extractor`, `accuracy`, `ladder` {rung: distance} with the rungs `real/real` and `noise`,
    in units of the metric `fd_<extractor>`; other entries are listed."""
    trials: Sequence[Mapping[str, Any]] = ()
    """One entry a trial: `number`, `parameters` {dotted path: value}, `score` (lower is better) or None, `status`."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The content of params.yaml."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """`commands` [text], `commit`, `hashes` {path: hash}, `versions` {software: version}, `hardware`, `precision`."""
    pictures: Mapping[str, Path] = field(default_factory=dict)
    """Name (see PICTURES, and `samples`, `preview`) -> PNG, JPEG, WebP or SVG file."""
    filmstrip: Sequence[tuple[float, Path]] = ()
    """(kimg, picture) of the same latents while G learns."""


@dataclass(frozen=True)
class Meaning:
    """What a metric says: its better direction, one plain sentence, and the worst and best value where it has both."""

    better: str
    sentence: str
    ends: tuple[float, float] | None = None


METRICS = {
    "fid": Meaning(
        "lower", "Fréchet distance between real and generated images in the published InceptionV3 features."
    ),
    "fd_": Meaning(
        "lower", "Fréchet distance: how far the crowd of generated samples lies from the crowd of real ones."
    ),
    "fd_infinity": Meaning("lower", "The Fréchet distance that endlessly many generated samples would have."),
    "kid": Meaning(
        "lower", "Kernel distance: compares the two crowds without assuming a shape; unbiased, near 0 if equal."
    ),
    "kd_": Meaning(
        "lower", "Kernel distance: compares the two crowds without assuming a shape; unbiased, near 0 if equal."
    ),
    "is": Meaning("higher", "Inception score: are the samples clearly of one class each, and all classes present?"),
    "is_": Meaning("higher", "Inception score: are the samples clearly of one class each, and all classes present?"),
    "precision": Meaning("higher", "Share of generated samples that lie among real ones: fidelity.", (0, 1)),
    "recall": Meaning("higher", "Share of real samples that lie among generated ones: variety.", (0, 1)),
    "density": Meaning(
        "higher", "How many real neighbourhoods hold a generated sample; 1 for real data: fidelity.", (0, 1)
    ),
    "coverage": Meaning(
        "higher", "Share of real samples with a generated one nearby: variety, robust to outliers.", (0, 1)
    ),
    "authenticity": Meaning("higher", "Share of generated samples that are no near copy of a training sample.", (0, 1)),
    "class_accuracy": Meaning(
        "higher", "Share of generated samples that a classifier puts in the requested class.", (0, 1)
    ),
    "class_kl": Meaning(
        "lower", "How far the classes of generated samples are from the classes of real ones; 0 if equal."
    ),
}
"""What is known of a metric, by its name, or by a beginning that ends in `_`; the longest match holds."""

PANELS = (
    ("Losses", ("loss_g", "loss_d"), ""),
    (
        "What D thinks",
        ("score_real", "score_fake"),
        "Mean score of real and generated samples; a widening gap: D wins.",
    ),
    ("Distance to validation data", ("fd_*", "fid*", "kid*", "kd_*"), "Lower is better; this chooses the checkpoint."),
    ("Gradient penalties", ("r1", "r2"), ""),
    ("Learning rates", ("learning_rate*", "lr_*"), ""),
    ("Images per second", ("images_per_second",), ""),
)
"""Charts of the history: title, keys (a star stands for any ending), one sentence."""

PICTURES = {
    "by_class": ("Class by class", "The same latents, asked for each class in turn."),
    "truncation": ("Truncation", "Latents drawn closer to the mean: more typical, less varied."),
    "interpolation": (
        "Interpolation",
        "A straight walk between two latents: smooth steps speak against memorised images.",
    ),
    "neighbours": (
        "Nearest training images",
        "Each row: a generated image, then the training images closest to it. Twins would mean that G copies.",
    ),
}
"""Pictures of the generated samples: title, one sentence."""

BYTES_OF_PICTURE, BYTES_OF_FRAME = 150_000, 40_000
MAX_FRAMES, MAX_REJECTED, MAX_TRIALS = 10, 10, 50


def write(report: Report, path: Path) -> None:
    """Renders the report into one file, atomically.

    Raises:
        UserError: As `render`.
    """
    page = render(report)
    with atomic(path) as draft:
        draft.write_text(page, encoding="utf-8")


def render(report: Report) -> str:
    """The report as HTML: no script, nothing to load, the same bytes for the same input.

    Raises:
        UserError: A picture is missing or not readable.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("ganops"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _text, "breakable": _breakable}
    sections = {
        "data": _data(report),
        "training": _training(report),
        "pictures": _pictures(report),
        "numbers": _numbers(report),
        "search": _search(report),
        "reproduce": _reproduce(report),
    }
    return environment.get_template("report.html.j2").render(
        title=report.title,
        summary=_present(report.summary),
        crisp=max(report.manifest.get("shape", [1])[1:], default=0) <= 64,
        hero=_picture(report.pictures.get("samples"), 2 * BYTES_OF_PICTURE),
        sections={name: content for name, content in sections.items() if any(content.values())},
    )


def _data(report: Report) -> dict[str, Any]:
    manifest = report.manifest
    splits, classes, rejected = (manifest.get(key) or {} for key in ("splits", "classes", "rejected"))
    shape = manifest.get("shape")
    facts = {
        "source": manifest.get("source"),
        "samples": sum(splits.values()) or None,
        "shape": shape and " × ".join(map(str, shape)),
        "classes": len(classes) or None,
        "rejected files": len(rejected) if "rejected" in manifest else None,
        "content hash": (manifest.get("hash") or "")[:12],
    }
    return {
        "facts": _present(facts),
        "splits": splits,
        "classes": _svg(plots.classes_bar(classes)) if classes else None,
        "class_counts": classes,
        "preview": _picture(report.pictures.get("preview"), BYTES_OF_PICTURE),
        "rejected": rejected[:MAX_REJECTED] if rejected else [],
        "unlisted": max(0, len(rejected) - MAX_REJECTED),
    }


def _training(report: Report) -> dict[str, Any]:
    history = report.history
    speeds = [tick["images_per_second"] for tick in history if plots.is_finite(tick.get("images_per_second"))]
    facts = {
        "kimg": max((tick["kimg"] for tick in history), default=None),
        "images per second": median(speeds) if speeds else None,
        "hardware": report.provenance.get("hardware"),
        "precision": report.provenance.get("precision"),
    }
    return {"facts": _present(facts), "panels": _panels(history), "frames": _frames(report.filmstrip)}


def _panels(history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The charts for which the history holds at least two ticks."""
    known = list(dict.fromkeys(key for tick in history for key in tick))
    panels = []
    for title, patterns, sentence in PANELS:
        keys = [key for key in known if any(_matches(key, pattern) for pattern in patterns)]
        keys = [key for key in keys if sum(plots.is_finite(tick.get(key)) for tick in history) > 1]
        if keys:
            distance = "fd_*" in patterns
            chart = plots.curves(history, keys, log=distance, best=keys[0] if distance else "")
            last = ", ".join(f"{key} {_text(_last(history, key))}" for key in keys)
            panels.append({"title": title, "sentence": sentence, "uri": _svg(chart), "alt": f"{title}; last: {last}"})
    return panels


def _frames(filmstrip: Sequence[tuple[float, Path]]) -> list[dict[str, Any]]:
    frames = sorted(filmstrip)
    chosen = [frames[i] for i in plots.evenly(len(frames), MAX_FRAMES)]
    return [{"kimg": kimg, "uri": _picture(path, BYTES_OF_FRAME)} for kimg, path in chosen]


def _pictures(report: Report) -> dict[str, Any]:
    names = [*PICTURES, *(name for name in report.pictures if name not in (*PICTURES, "samples", "preview"))]
    shown = []
    for name in names:
        if name in report.pictures:
            title, sentence = PICTURES.get(name, (name.replace("_", " ").capitalize(), ""))
            uri = _picture(report.pictures[name], BYTES_OF_PICTURE)
            shown.append({"title": title, "sentence": sentence, "uri": uri})
    return {"shown": shown}


def _numbers(report: Report) -> dict[str, Any]:
    ladder = {rung: value for rung, value in report.card.get("ladder", {}).items() if plots.is_finite(value)}
    judged = f"fd_{report.card.get('extractor')}"
    references = {"real": ladder.get("real/real"), "noise": ladder.get("noise")}
    rows = []
    for name, given in _present(report.metrics).items():
        figure = dict(given) if isinstance(given, Mapping) else {"value": given}
        if name == judged:
            figure = references | {"rungs": list(ladder.values())} | figure
        rows.append(_row(name, figure))
    value = next((row["value"] for row in rows if row["name"] == judged), None)
    value = value if plots.is_finite(value) else None
    card = {name: content for name, content in report.card.items() if name != "ladder"}
    return {
        "rows": rows,
        "card": _present(card),
        "ladder": ladder,
        "ladder_picture": _svg(plots.ladder_bar(ladder, value, judged)) if len(ladder) > 1 else None,
    }


def _row(name: str, figure: Mapping[str, Any]) -> dict[str, Any]:
    matches = [known for known in METRICS if name == known or (known.endswith("_") and name.startswith(known))]
    meaning = METRICS[max(matches, key=len)] if matches else None
    noise, real = figure.get("noise"), figure.get("real")
    scale = None
    if plots.is_finite(noise) and plots.is_finite(real):
        scale = _scale(figure, ("noise", float(noise or 0)), ("real", float(real or 0)))
    elif meaning and meaning.ends:
        scale = _scale(figure, ("", meaning.ends[0]), ("", meaning.ends[1]))
    value, interval = figure.get("value"), figure.get("interval")
    return {"name": name, "value": value, "interval": interval, "meaning": meaning, "scale": scale}


def _scale(figure: Mapping[str, Any], worst: tuple[str, float], best: tuple[str, float]) -> dict[str, Any] | None:
    """Places in percent on a line from the worst (left) to the best value (right), so that right is always better.

    The line is logarithmic where both ends are positive and a factor of 20 apart. What lies outside stands at an end.
    """
    value, ends = figure.get("value"), (worst[1], best[1])
    if not plots.is_finite(value) or ends[0] == ends[1]:
        return None
    log = min(ends) > 0 and max(ends) > 20 * min(ends)

    def place(x: float) -> float:
        if log:
            share = math.log(max(x, min(ends)) / ends[0]) / math.log(ends[1] / ends[0])
        else:
            share = (x - ends[0]) / (ends[1] - ends[0])
        return round(100 * min(1, max(0, share)), 2)

    interval = sorted(map(place, figure.get("interval") or ()))
    return {
        "dot": place(value or 0),
        "interval": interval,
        "rungs": [place(rung) for rung in figure.get("rungs", ())],
        "worst": f"{worst[0]} {_text(ends[0])}".strip(),
        "best": f"{best[0]} {_text(ends[1])}".strip(),
        "log": log,
    }


def _search(report: Report) -> dict[str, Any]:
    trials = sorted(report.trials, key=lambda t: t["score"] if plots.is_finite(t.get("score")) else math.inf)
    names = list(dict.fromkeys(name for trial in trials for name in trial.get("parameters", {})))
    rows = [
        {
            "number": trial.get("number"),
            "values": [trial.get("parameters", {}).get(name) for name in names],
            "score": trial.get("score"),
            "status": trial.get("status"),
        }
        for trial in trials[:MAX_TRIALS]
    ]
    picture = plots.trials_plot(report.trials)
    return {
        "names": names,
        "rows": rows,
        "unlisted": max(0, len(trials) - MAX_TRIALS),
        "picture": _svg(picture) if picture else None,
    }


def _reproduce(report: Report) -> dict[str, Any]:
    provenance = report.provenance
    return {
        "commands": provenance.get("commands"),
        "commit": provenance.get("commit"),
        "tables": {
            title: _present(content)
            for title, content in {
                "Protocol of the metrics": report.protocol,
                "Software": provenance.get("versions") or {},
                "Data and artefacts (DVC)": provenance.get("hashes") or {},
            }.items()
            if content
        },
        "params": yaml.safe_dump(dict(report.params), sort_keys=False, allow_unicode=True) if report.params else None,
    }


def _picture(path: Path | None, limit: int) -> str | None:
    """The file as a `data:` URI of about `limit` bytes at most; SVG is embedded as it is."""
    if path is None:
        return None
    try:
        if path.suffix.lower() == ".svg":
            return _svg(path.read_bytes())
        with Image.open(path) as picture:
            return plots.data_uri(picture, limit)
    except OSError as error:
        raise UserError(f"report: expected a picture at {path}: {error}. Run the stage that writes it again.") from None


def _svg(content: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(content).decode()}"


def _present(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if value is not None and value not in ("", [], {})}


def _matches(key: str, pattern: str) -> bool:
    return key.startswith(pattern[:-1]) if pattern.endswith("*") else key == pattern


def _last(history: Sequence[Mapping[str, Any]], key: str) -> float:
    return next(float(tick[key]) for tick in reversed(history) if plots.is_finite(tick.get(key)))


def _text(value: Any) -> str:
    """A value as a person reads it; what is absent is a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return plots.number(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_text, value))
    return str(value)


def _breakable(name: str) -> Markup:
    """A dotted or underscored name that may break into lines where its words end."""
    words = Markup.escape(name)
    for joint in (".", "_", "/"):
        words = words.replace(joint, Markup(f"{joint}<wbr>"))
    return words
