"""The report of a training: one HTML file that needs nothing else, for a person to read.

Python chooses what is said; `templates/report.html.j2` says how it looks. What is absent leaves no trace in the page.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from PIL import Image

from ganops.core.errors import UserError
from ganops.core.files import atomic, embedded
from ganops.core.terminal import duration
from ganops.kinds import KINDS
from ganops.metrics import catalogue
from ganops.reports import page, plots


@dataclass(frozen=True)
class Report:
    """The content of a report. Everything but the title may be left empty, and its section is left out."""

    title: str
    """Name of the model."""
    version: int | None = None
    """Version in the registry; None: it is not registered yet."""
    date: str = ""
    """Day on which the training ended: YYYY-MM-DD."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    """The verdict: name -> number or text, in the order of the headline; the first is the head number."""
    manifest: Mapping[str, Any] = field(default_factory=dict)
    """The prepared data: `source` {`name`}, `sample` {`kind`, `shape` [C, H, W]}, `splits` {name: {`samples`, `classes`
    {name: samples}}}, `duplicates`, `rejected` [{`name`, `reason`}], `sha256`."""
    history: Sequence[Mapping[str, Any]] = ()
    """One entry a tick: `kimg` and any of the keys in PANELS."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """name -> number, or {`value`, `interval` [low, high], `real`, `noise`, `floor`, `blind`}: the values that real
    samples and noise would get, that of training images in the place of generated ones, and what the metric does not
    tell from real samples, in words. `<name>_std` is shown beside <name>."""
    champion: Mapping[str, Any] = field(default_factory=dict)
    """The former champion: `version`, `samples`, `selected` (what its figures are worth), and `metrics` {name: {`one`
    (its value), `difference` (of this generator from it), `interval` [low, high], `other_is` (this generator: better,
    worse, ...)}}, or `reason`."""
    decision: Mapping[str, Any] = field(default_factory=dict)
    """Decision on the championship of this generator: `passed`, `reasons` against it in words, `checks` [{`metric`,
    `value`, `bound` {at_most or at_least: limit}, `passed`}], and `improvement` over the champion {`passed`, `reason`}
    or None."""
    memorisation: Mapping[str, Any] = field(default_factory=dict)
    """`verdict` in words, `copied_share`, and `signs` {name: {`generated`, `held_out`, `copied`: number}}."""
    protocol: Mapping[str, Any] = field(default_factory=dict)
    """Protocol of the metrics."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """The extractor's card: `extractor`, `published` (the weights of FID), `dimensions`, `hash`, `details` {`accuracy`,
    `chance`, `feature_error`}, `ladder` {rung: Fréchet distance, <rung>_coverage: coverage} with the rungs `real` and
    `noise`."""
    trials: Sequence[Mapping[str, Any]] = ()
    """One entry a trial, as in trials.json: `number`, `parameters` {dotted path: value}, `score` (lower is better) or
    None, `kimg`, `rung`, `status`."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """The content of params.yaml."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """`commands` [text] that give the same generator in a clone, `commit`, `changed` (files differed from it), `patch`
    {`name`, `content` (bytes)}, `search` {`search`, `trial`, `parameters`, `reason`} where one found the parameters,
    `hashes` {path: hash}, `versions` {software: version}, `hardware`, `precision`."""
    pictures: Mapping[str, Path] = field(default_factory=dict)
    """Name (see PICTURES, and `samples`, `preview`, `memorisation`) -> PNG, JPEG or SVG file, or WebP, which moves."""
    played: Sequence[tuple[str, Mapping[str, Path]]] = ()
    """Samples that are heard or watched: the class in words, and `generated` and `real` -> WAV, or animated WebP."""
    sentences: Mapping[str, Sequence[tuple[str, float]]] = field(default_factory=dict)
    """Generated texts to read: title -> texts, each with the nats of a word by the extractor."""
    curve: Mapping[str, Any] = field(default_factory=dict)
    """Quality-diversity curve: `model` and `baseline` [{`truncation`, figures by name, `intervals`}], `real` {figures},
    `domination` of the model by the baseline [{`truncation`, `by`: a truncation or None}], and what is `left_out`
    {figure: reason}."""
    filmstrip: Sequence[tuple[float, Path]] = ()
    """(kimg, picture) of the same latents while G learns."""
    parameters: Mapping[str, int] = field(default_factory=dict)
    """Numbers of parameters: of the `generator`, and of the `discriminator` or `encoder`."""
    seconds: float | None = None
    """Seconds of the training's steps."""
    improved: bool | None = None
    """True where the game improved on its warm-up, False where these are the warm-up's weights; None: it had none."""
    reconstruction: Mapping[str, Any] = field(default_factory=dict)
    """Reconstructions of held-out samples by an autoencoder: `error`, `interval`, `samples`, `split`, `what` was
    computed, in words; or `left_out`, the reason why there are none."""
    bound: Mapping[str, Any] = field(default_factory=dict)
    """The bound of their likelihood: `bits_per_dimension`, `interval`, `nats`, `what`. Of texts the interval is that of
    the `nats`, beside them is the `divergence`, and an `alarm` where the code says nothing."""
    again: Sequence[tuple[str, str]] = ()
    """Held-out texts and their reconstructions."""


RUNGS = {
    "real": "other real images",
    "noise": "nothing but noise",
    "half": "half of the classes",
    "half_control": "as many, all classes",
    "few": "few repeated images",
    "few_control": "as many, all different",
    "low_rank": "four principal components",
    "black": "black images",
    "spoken": "real clips as they are heard: the cost of the vocoder",
    "faint_low_pass": "high tones softer, from half of the range on",
    "strong_low_pass": "low tones alone, an eighth of the range",
    "clipped": "8 times louder than fits, clipped",
    "shuffled_pieces": "16 pieces in a random order",
    "faint_replaced": "5 % of the words replaced",
    "strong_replaced": "20 % of the words replaced",
    "shuffled_words": "words in a random order",
    "mixed_words": "words mixed across texts",
    "repeated": "one likely image, repeated",
}
"""Rungs of the ladder whose name does not say it."""

DISTANCES = tuple(f"{row.name}*" for row in catalogue.METRICS if row.distance)
PANELS = (
    ("Losses", ("loss_g", "loss_d"), ""),
    ("Likelihood", ("nll",), "Nats of a training text (-log p), of all its places: lower is better."),
    ("Loss", ("loss",), "Of a number of a sample; in a second stage of a number of its code."),
    (
        "Error of reconstructions",
        ("error",),
        "Mean square of a number's error, of training samples; numbers are between -1 and 1.",
    ),
    (
        "Bound of the likelihood",
        ("bound", "reconstruction"),
        "Nats of a training text: -log p is at most the bound, which is the reconstruction, what its words cost where "
        "the code is known, and the divergence. Words that the decoder is not shown cost both.",
    ),
    ("Divergence", ("divergence",), "Nats that a code says of its sample; near 0 it says nothing."),
    ("Weight of the divergence", ("beta",), "It rises from 0: at first the code may say all that it can."),
    ("Second stage: error of codes", ("code_error",), "Mean square of a code's error."),
    ("Second stage: divergence", ("code_divergence",), "Nats that a code's code says of it."),
    (
        "What D thinks",
        ("score_real", "score_fake"),
        "Mean score of real and generated samples; a widening gap: D wins.",
    ),
    ("Distance to validation data", DISTANCES, "Lower is better; this chooses the checkpoint."),
    (
        "Balance of the game",
        ("told_apart", "spread"),
        "Share of pairs that D tells apart (an alarm at 1), and G's variety over that of real samples (near 0).",
    ),
    ("Gradient penalties", ("r1", "r2", "penalty"), ""),
    (
        "Augmentation",
        ("strength", "r_t"),
        "The chance of each transform, and the mean sign of D's decision on real samples, to which it may adapt.",
    ),
    ("Learning rates", ("learning_rate*", "lr_*"), ""),
    ("Images per second", ("images_per_second",), ""),
)
"""Charts of the history: title, keys (a star stands for any text), one sentence."""

PICTURES = {
    "by_class": ("Class by class", "Each row is a class, each column a latent: what they share is style."),
    "truncation": ("Truncation", "Latents drawn closer to the mean: more typical, less varied."),
    "interpolation": (
        "Interpolation",
        "A walk between two latents in each row: smooth steps speak against memorised images.",
    ),
    "realism": (
        "Most and least real",
        "The samples that lie deepest among real ones and farthest from them, by the extractor: the worst say most.",
    ),
    "neighbours": (
        "Nearest training images",
        "Each row: a generated image, then the training images closest to it. Twins would mean that G copies.",
    ),
}
"""Pictures of the generated samples: title, one sentence."""

ELSEWHERE = ("samples", "preview", "memorisation", "reconstructions")
"""Pictures that stand in other sections."""

MAX_BYTES = 2_000_000
"""Most bytes of a page: it goes by mail, and opens on a phone."""
BYTES_OF_PICTURE, BYTES_OF_FRAME = 80_000, 12_000
"""Most bytes of a picture, and of a frame of the filmstrip."""
MAX_PATCH_BYTES = 100_000
"""Bytes of a patch that is part of the page; a larger one lies beside it."""
MAX_FRAMES, MAX_REJECTED, MAX_TRIALS = 10, 10, 50
"""Most frames, rejected files and trials that are shown."""


def write(report: Report, path: Path) -> None:
    """Renders the report into one file, atomically.

    Raises:
        UserError: As `render`.
    """
    content = render(report)
    with atomic(path) as draft:
        draft.write_text(content, encoding="utf-8")


def render(report: Report) -> str:
    """The report as HTML: no script, nothing to load, the same bytes for the same input.

    Raises:
        UserError: A picture is missing or not readable.
    """
    played = "watch" if _unit(report) == "film" else "listen"
    sections = {
        "sentences": _sentences(report),
        "decision": _decision(report),
        "data": _data(report),
        "training": _training(report),
        "pictures": _pictures(report),
        played: {},
        "reconstructions": _reconstructions(report),
        "numbers": _numbers(report),
        "curve": _curve(report),
        "memorisation": _memorisation(report),
        "search": _search(report),
        "reproduce": _reproduce(report),
    }
    head = {
        "title": report.title,
        "about": _about(report),
        "decided": _decided(report),
        "summary": page.present(report.summary),
        "beside": _beside(report),
        "crisp": max(_shape(report.manifest)[1:], default=0) <= 64,
        "unit": _unit(report),
        "hero": _picture(report.pictures.get("samples"), 2 * BYTES_OF_PICTURE),
    }
    if report.played:
        sections[played] = _played(report, MAX_BYTES - len(_filled(head, sections).encode()))
    return _filled(head, sections)


def _filled(head: Mapping[str, Any], sections: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the page of the sections that have something to say."""
    said = {name: content for name, content in sections.items() if any(content.values())}
    return page.fill("report.html.j2", **head, sections=said)


def _about(report: Report) -> dict[str, Any]:
    """Return the facts of the head: which version of which day, of which data."""
    source, count = report.manifest.get("source", {}).get("name"), _samples(report.manifest)
    data = [source, count and f"{count:,} {_unit(report)}s"]
    return page.present({"version": report.version, "trained": report.date, "data": ", ".join(filter(None, data))})


def _decided(report: Report) -> str:
    if not report.decision:
        return ""
    if report.decision["passed"]:
        return "It passed the gate."
    reasons = "; ".join(report.decision.get("reasons", ()))
    return f"It did not pass the gate{': ' if reasons else ''}{reasons}."


def _beside(report: Report) -> dict[str, Any]:
    """Return what the head number is read by: its interval, and what real samples and noise would get."""
    name = next(iter(report.summary), "")
    figure = _figures(report).get(name, {})
    return page.present(
        {"95 %": page.brackets(figure.get("interval")), "floor": figure.get("floor"), "noise": figure.get("noise")}
    )


def _kind(report: Report) -> str:
    """Return the kind of the samples, a name in `kinds.KINDS`."""
    return str(report.manifest.get("sample", {}).get("kind", "image"))


def _unit(report: Report) -> str:
    """Return the noun for a sample."""
    return KINDS[_kind(report)].UNIT


def _worded(text: str, report: Report) -> str:
    """Return a text of the tables above, which speak of images, in the words of the report's kind."""
    unit = _unit(report)
    return text.replace("image", unit).replace("Image", unit.capitalize())


def _sentences(report: Report) -> dict[str, Any]:
    return {"groups": [(title, list(texts)) for title, texts in report.sentences.items() if texts]}


CURVES = {"model": "this model", "baseline": "likelihood baseline", "real": "real samples"}
"""Names of the lines of the quality-diversity curve."""


def _curve(report: Report) -> dict[str, Any]:
    """The charts of the curve, each number over the distance, its table, and whether the model is dominated."""
    found = report.curve
    lines = {name: found[name] if name != "real" else [found[name]] for name in CURVES if found.get(name)}
    known = dict.fromkeys(key for points in lines.values() for point in points for key in point)
    names = [key for key in known if key not in ("truncation", "intervals")]
    distance = next((name for name in names if name.startswith(("fd_", "fid"))), None)
    if distance is None or not found.get("model"):
        return {"rows": []}
    charts = []
    for name in (name for name in names if name.startswith("nll_")):
        chart = {
            CURVES[line]: [(point.get("truncation"), point[distance], point[name]) for point in points if name in point]
            for line, points in lines.items()
        }
        title = "Nats of held-out texts" if name == "nll_test" else "Nats of generated texts"
        uri = page.svg_uri(plots.trade_off(chart, f"{distance}: variety, lower is better", f"{name}, nats a text"))
        charts.append((title, f"{name} over {distance} at each temperature; the table holds the numbers", uri))
    rows = [
        (
            CURVES[line],
            point.get("truncation"),
            [(point.get(name), point.get("intervals", {}).get(name)) for name in names],
        )
        for line, points in lines.items()
        for point in points
    ]
    left_out = list(found.get("left_out", {}).items())
    return {"rows": rows, "names": names, "charts": charts, "sentence": _dominated(report), "left_out": left_out}


def _dominated(report: Report) -> str:
    """Say whether the likelihood baseline dominates the model; nothing where there is no baseline."""
    judged = report.curve.get("domination", ())
    if judged and report.improved is False:
        return "The game has not improved on its warm-up, whose weights these are: the model is itself the baseline."
    if not judged:
        alone = report.params.get("loss", {}).get("name") == "likelihood"
        return "The model learnt by likelihood alone: it is itself the baseline." if alone else ""
    free = [f"{each['truncation']:g}" for each in judged if each["by"] is None]
    better = "better in both quality and variety, beyond chance (95 %)"
    if not free:
        return f"Dominated: at each of its temperatures the likelihood baseline has one that is {better}."
    if len(free) == len(judged):
        return f"Not dominated: at none of its temperatures has the likelihood baseline one that is {better}."
    return f"Not dominated: at temperature {', '.join(free)} the likelihood baseline has none that is {better}."


def _decision(report: Report) -> dict[str, Any]:
    if not report.decision:
        return {"verdict": ""}
    rows = [
        (each["metric"], each["value"], f"{kind.replace('_', ' ')} {page.readable(limit)}", each["passed"])
        for each in report.decision["checks"]
        for kind, limit in each["bound"].items()
    ]
    return {"verdict": _decided(report), "checks": rows, "improvement": report.decision["improvement"]}


def _data(report: Report) -> dict[str, Any]:
    manifest = report.manifest
    splits, rejected = manifest.get("splits", {}), manifest.get("rejected", [])
    classes: Counter[str] = Counter()
    for split in splits.values():
        classes.update(split.get("classes", {}))
    facts = {
        "source": manifest.get("source", {}).get("name"),
        "licence": manifest.get("source", {}).get("licence"),
        "samples": _samples(manifest),
        "shape": " × ".join(map(str, _shape(manifest))),
        "frames a second": manifest.get("sample", {}).get("facts", {}).get("fps"),
        "classes": len(classes) or None,
        "duplicates": manifest.get("duplicates"),
        "rejected files": len(rejected) if "rejected" in manifest else None,
    }
    return {
        "facts": page.present(facts),
        "hash": manifest.get("sha256", "")[:12],
        "splits": {name: split["samples"] for name, split in splits.items()},
        "classes": page.svg_uri(plots.classes_bar(classes)) if classes else None,
        "class_counts": dict(classes),
        "preview": _picture(report.pictures.get("preview"), BYTES_OF_PICTURE),
        "rejected": rejected[:MAX_REJECTED],
        "unlisted": max(0, len(rejected) - MAX_REJECTED),
    }


def _training(report: Report) -> dict[str, Any]:
    history = report.history
    speeds = [tick["images_per_second"] for tick in history if plots.is_finite(tick.get("images_per_second"))]
    facts = {
        "kimg": max((tick["kimg"] for tick in history), default=None),
        "time of the steps": duration(report.seconds) if report.seconds else None,
        f"{_unit(report)}s per second": median(speeds) if speeds else None,
        "alarm": "the game has not improved on its warm-up, whose weights these are"
        if report.improved is False
        else None,
        "hardware": report.provenance.get("hardware"),
        "precision": report.provenance.get("precision"),
        **{f"parameters of the {network}": count for network, count in report.parameters.items()},
    }
    return {"facts": page.present(facts), "panels": _panels(report), "frames": _frames(report.filmstrip)}


def _panels(report: Report) -> list[dict[str, Any]]:
    """The charts for which the history holds at least two ticks."""
    history = report.history
    known = list(dict.fromkeys(key for tick in history for key in tick))
    panels = []
    for title, patterns, sentence in PANELS:
        keys = [key for key in known if any(fnmatchcase(key, pattern) for pattern in patterns)]
        keys = [key for key in keys if sum(plots.is_finite(tick.get(key)) for tick in history) > 1]
        if keys:
            distance = patterns is DISTANCES
            chart = plots.curves(history, keys, log=distance, best=keys[0] if distance else "")
            title = _worded(title, report)
            last = ", ".join(f"{key} {page.readable(_last(history, key))}" for key in keys)
            panels.append(
                {"title": title, "sentence": sentence, "uri": page.svg_uri(chart), "alt": f"{title}; last: {last}"}
            )
    return panels


def _frames(filmstrip: Sequence[tuple[float, Path]]) -> list[dict[str, Any]]:
    frames = sorted(filmstrip)
    chosen = [frames[i] for i in plots.evenly(len(frames), MAX_FRAMES)]
    return [{"kimg": kimg, "uri": _picture(path, BYTES_OF_FRAME)} for kimg, path in chosen]


def _pictures(report: Report) -> dict[str, Any]:
    names = [*PICTURES, *(name for name in report.pictures if name not in (*PICTURES, *ELSEWHERE))]
    shown = []
    for name in names:
        if name in report.pictures:
            title, sentence = PICTURES.get(name, (name.replace("_", " ").capitalize(), ""))
            uri = _picture(report.pictures[name], BYTES_OF_PICTURE)
            shown.append({"title": _worded(title, report), "sentence": _worded(sentence, report), "uri": uri})
    return {"shown": shown}


def _played(report: Report, room: int) -> dict[str, Any]:
    """Return the samples that are heard or watched, each a `data:` URI: as many as the page has room for."""
    shown: list[tuple[str, dict[str, str]]] = []
    for name, sides in report.played:
        uris = {side: _file(path) for side, path in sides.items()}
        room -= sum(map(len, uris.values())) + BYTES_OF_PLAYER * len(uris)
        if room < 0:
            break
        shown.append((name, uris))
    folder = next(iter(report.played[0][1].values())).parent.name
    return {"samples": shown, "unshown": len(report.played) - len(shown), "folder": folder,
            "vocoder": _kind(report) == "sound"}  # fmt: skip


BYTES_OF_PLAYER = 500
"""Bytes of the HTML about a sample that is heard or watched."""
BYTES_OF_FILM = 40_000
"""Most bytes of a film: a larger one is shown smaller."""
MEDIA = {".wav": "audio/wav", ".webp": "image/webp"}
"""Suffix of a file that is played -> its media type."""


def _file(path: Path, limit: int = BYTES_OF_FILM) -> str:
    """Return a file that is played, a film of about `limit` bytes at most."""
    try:
        content = path.read_bytes() if path.suffix == ".wav" else plots.smaller_film(path, limit)
    except OSError as error:
        raise UserError(f"report: expected a sample at {path}: {error}. Run the stage that writes it again.") from None
    return embedded(MEDIA[path.suffix], content)


def _reconstructions(report: Report) -> dict[str, Any]:
    """The figures of an autoencoder, apart from the metrics: a GAN has no such numbers."""
    error, bound = report.reconstruction, report.bound
    texts = _unit(report) == "text"
    facts = {
        "words that differ, share" if texts else "error, grey levels of 255": _with_interval(error, "error"),
        "texts that come back whole, share": error.get("whole"),
        "bits per dimension, at most": _with_interval(bound, "bits_per_dimension"),
        "nats per sample, at most": _with_interval(bound, "nats") if texts else bound.get("nats"),
        "of them divergence, what the code says": bound.get("divergence"),
        "alarm": bound.get("alarm"),
        "samples of the " + error.get("split", "") + " split": error.get("samples"),
        "left out": error.get("left_out"),
    }
    return {
        "facts": page.present(facts),
        "sentences": [each["what"] for each in (error, bound) if "what" in each],
        "picture": _picture(report.pictures.get("reconstructions"), 2 * BYTES_OF_PICTURE),
        "texts": list(report.again),
    }


def _with_interval(figure: Mapping[str, Any], name: str) -> str | None:
    if name not in figure:
        return None
    return "{} [{}, {}]".format(*(plots.number(value, 4) for value in (figure[name], *figure["interval"])))


def _distances(card: Mapping[str, Any]) -> dict[str, float]:
    """Return the distance of each rung of the extractor's ladder."""
    ladder = {rung: value for rung, value in card.get("ladder", {}).items() if plots.is_finite(value)}
    return {rung: value for rung, value in ladder.items() if not rung.endswith(("_coverage", "_nll"))}


def _own(card: Mapping[str, Any]) -> str:
    """Return the name of the distance of which an extractor's ladder holds values."""
    return "fid" if card.get("published") else f"fd_{card.get('extractor')}"


def _figures(report: Report) -> dict[str, dict[str, Any]]:
    """Return all that is known of each metric, by its name: the value, and what it is read by."""
    metrics, rungs = page.present(report.metrics), _distances(report.card)
    references = {"real": rungs.get("real"), "noise": rungs.get("noise"), "rungs": list(rungs.values())}
    found = {}
    for name in (name for name in metrics if name.removesuffix("_std") not in {*metrics} - {name}):
        figure = metrics[name] if isinstance(metrics[name], Mapping) else {"value": metrics[name]}
        known = {"spread": metrics.get(f"{name}_std")} | (references if name == _own(report.card) else {})
        known["alone"] = bool(catalogue.partner(name, metrics))
        known["champion"] = report.champion.get("metrics", {}).get(name)
        found[name] = known | dict(figure)
    return found


def _numbers(report: Report) -> dict[str, Any]:
    card, distances, judged = report.card, _distances(report.card), _own(report.card)
    ladder = card.get("ladder", {})
    rows = [_row(name, figure) for name, figure in _figures(report).items()]
    value = next((row["value"] for row in rows if row["name"] == judged and plots.is_finite(row["value"])), None)
    names = {rung: _worded(RUNGS.get(rung, rung.replace("_", " ")), report) for rung in distances}
    shown = {names[rung]: distance for rung, distance in distances.items()}
    return {
        "rows": rows,
        "champion": report.champion if rows else {},
        "covers": report.protocol.get("intervals"),
        "left_out": report.protocol.get("left_out") or {},
        "card": _card(card),
        "weights": card.get("hash", "")[:12],
        "ladder": [(names[rung], distance, ladder.get(f"{rung}_coverage")) for rung, distance in distances.items()],
        "ladder_nll": {names[rung]: ladder[f"{rung}_nll"] for rung in distances if f"{rung}_nll" in ladder},
        "ladder_picture": page.svg_uri(plots.ladder_bar(shown, value, judged)) if len(shown) > 1 else None,
    }


def _memorisation(report: Report) -> dict[str, Any]:
    content = report.memorisation
    verdict = {
        f"copying of training {_unit(report)}s": content.get("verdict"),
        "copied share": content.get("copied_share"),
    }
    return {
        "facts": page.present(verdict),
        "signs": [
            (name, _worded(row.sentence, report) if (row := catalogue.of(name)) else "", sides)
            for name, sides in content.get("signs", {}).items()
        ],
        "picture": _picture(report.pictures.get("memorisation"), BYTES_OF_PICTURE),
    }


def _card(card: Mapping[str, Any]) -> dict[str, Any]:
    details = card.get("details", {})
    return page.present(
        {
            "extractor": card.get("extractor"),
            "accuracy": details.get("accuracy"),
            "accuracy by chance": details.get("chance"),
            "relative error of features against float32": details.get("feature_error"),
            "nats of a held-out text": details.get("nll"),
            "perplexity of its words": details.get("perplexity"),
            "dimensions": card.get("dimensions"),
        }
    )


def _row(name: str, figure: Mapping[str, Any]) -> dict[str, Any]:
    meaning = catalogue.of(name)
    noise, real = figure.get("noise"), figure.get("real")
    scale = None
    if plots.is_finite(noise) and plots.is_finite(real):
        scale = _scale(figure, ("noise", float(noise or 0)), ("real", float(real or 0)))
    elif meaning and meaning.range:
        scale = _scale(figure, ("", meaning.range[0]), ("", meaning.range[1]))
    shown = {key: figure.get(key) for key in ("value", "interval", "spread", "champion", "floor", "blind", "alone")}
    return {"name": name, "meaning": meaning, "scale": scale, **shown}


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
        "worst": f"{worst[0]} {page.readable(ends[0])}".strip(),
        "best": f"{best[0]} {page.readable(ends[1])}".strip(),
        "log": log,
    }


def _search(report: Report) -> dict[str, Any]:
    trials = sorted(report.trials, key=plots.standing)
    names = list(dict.fromkeys(name for trial in trials for name in trial.get("parameters", {})))
    rows = [
        {
            "number": trial.get("number"),
            "values": [trial.get("parameters", {}).get(name) for name in names],
            "score": trial.get("score"),
            "kimg": trial.get("kimg"),
            "status": trial.get("status"),
        }
        for trial in trials[:MAX_TRIALS]
    ]
    picture = plots.trials_plot(report.trials)
    return {
        "names": names,
        "rows": rows,
        "unlisted": max(0, len(trials) - MAX_TRIALS),
        "picture": page.svg_uri(picture) if picture else None,
    }


def _reproduce(report: Report) -> dict[str, Any]:
    provenance = report.provenance
    return {
        "commands": provenance.get("commands"),
        "commit": provenance.get("commit"),
        "changed": provenance.get("changed"),
        "patch": _patch(provenance.get("patch") or {}),
        "search": provenance.get("search") or {},
        "tables": {
            title: page.present(content)
            for title, content in {
                "Protocol of the metrics": report.protocol,
                "Software": provenance.get("versions") or {},
                "Data and artefacts (DVC)": provenance.get("hashes") or {},
            }.items()
            if content
        },
        "params": yaml.safe_dump(dict(report.params), sort_keys=False, allow_unicode=True) if report.params else None,
    }


def _patch(patch: Mapping[str, Any]) -> dict[str, str]:
    """The patch as a link, so that the page alone is enough; of a large one, its name."""
    if not patch:
        return {}
    small = len(patch["content"]) <= MAX_PATCH_BYTES
    return {"name": patch["name"], "uri": embedded("text/x-diff", patch["content"]) if small else ""}


def _picture(path: Path | None, limit: int) -> str | None:
    """The file as a `data:` URI of about `limit` bytes at most; SVG is embedded as it is."""
    if path is None:
        return None
    try:
        if path.suffix.lower() == ".svg":
            return page.svg_uri(path.read_bytes())
        if path.suffix.lower() == ".webp":  # it moves
            return _file(path, limit)
        with Image.open(path) as picture:
            return plots.data_uri(picture, limit)
    except OSError as error:
        raise UserError(f"report: expected a picture at {path}: {error}. Run the stage that writes it again.") from None


def _samples(manifest: Mapping[str, Any]) -> int | None:
    """Return the number of samples of all splits; None: it is not known."""
    return sum(split["samples"] for split in manifest.get("splits", {}).values()) or None


def _shape(manifest: Mapping[str, Any]) -> Sequence[int]:
    shape: Sequence[int] = manifest.get("sample", {}).get("shape", ())
    return shape


def _last(history: Sequence[Mapping[str, Any]], key: str) -> float:
    return next(float(tick[key]) for tick in reversed(history) if plots.is_finite(tick.get(key)))
