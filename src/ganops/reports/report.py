"""The report of a training: one HTML file that needs nothing else, for a person to read.

Python chooses what is said; `templates/report.html.j2` says how it looks. What is absent leaves no trace in the page.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from ganops.core.files import atomic, embedded
from ganops.core.terminal import duration
from ganops.metrics import catalogue
from ganops.reports import figures, media, page, plots
from ganops.reports.content import Report
from ganops.search.trials import shown

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
BYTES_OF_FRAME = 12_000
"""Most bytes of a frame of the filmstrip."""
BYTES_OF_PLAYER = 500
"""Bytes of the HTML about a sample that is heard or watched."""
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
    played = "watch" if report.unit == "film" else "listen"
    sections = {
        "sentences": _sentences(report),
        "decision": _decision(report),
        "data": _data(report),
        "training": _training(report),
        "pictures": _pictures(report),
        played: {},
        "reconstructions": figures.reconstructions(report),
        "numbers": figures.numbers(report),
        "curve": figures.curve(report),
        "memorisation": figures.memorisation(report),
        "search": _search(report),
        "reproduce": _reproduce(report),
    }
    head = {
        "title": report.title,
        "about": _about(report),
        "decided": _decided(report),
        "summary": page.present(report.summary),
        "beside": _beside(report),
        "crisp": max(report.shape[1:], default=0) <= 64,
        "unit": report.unit,
        "hero": media.picture(report.pictures.get("samples"), 2 * media.BYTES_OF_PICTURE),
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
    source, count = report.manifest.get("source", {}).get("name"), report.samples
    data = [source, count and f"{count:,} {report.unit}s"]
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
    figure = figures.by_name(report).get(name, {})
    return page.present(
        {"95 %": page.brackets(figure.get("interval")), "floor": figure.get("floor"), "noise": figure.get("noise")}
    )


def _sentences(report: Report) -> dict[str, Any]:
    return {"groups": [(title, list(texts)) for title, texts in report.sentences.items() if texts]}


def _decision(report: Report) -> dict[str, Any]:
    if not report.decision:
        return {"verdict": ""}
    rows = [
        (each["metric"], each["value"], f"{kind.replace('_', ' ')} {page.readable(limit)}", each["passed"])
        for each in report.decision["checks"]
        for kind, limit in each["bound"].items()
    ]
    decided = {"verdict": _decided(report), "checks": rows, "improvement": report.decision["improvement"]}
    return {**decided, "standing": report.decision.get("standing", "")}


def _data(report: Report) -> dict[str, Any]:
    manifest = report.manifest
    splits, rejected = manifest.get("splits", {}), manifest.get("rejected", [])
    classes: Counter[str] = Counter()
    for split in splits.values():
        classes.update(split.get("classes", {}))
    facts = {
        "source": manifest.get("source", {}).get("name"),
        "licence": manifest.get("source", {}).get("licence"),
        "samples": report.samples,
        "shape": " × ".join(map(str, report.shape)),
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
        "preview": media.picture(report.pictures.get("preview"), media.BYTES_OF_PICTURE),
        "rejected": rejected[:MAX_REJECTED],
        "unlisted": max(0, len(rejected) - MAX_REJECTED),
    }


def _training(report: Report) -> dict[str, Any]:
    history = report.history
    speeds = [tick["images_per_second"] for tick in history if plots.is_finite(tick.get("images_per_second"))]
    facts = {
        "kimg": max((tick["kimg"] for tick in history), default=None),
        "time of the steps": duration(report.seconds) if report.seconds else None,
        f"{report.unit}s per second": median(speeds) if speeds else None,
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
            title = report.worded(title)
            last = ", ".join(f"{key} {page.readable(_last(history, key))}" for key in keys)
            panels.append(
                {"title": title, "sentence": sentence, "uri": page.svg_uri(chart), "alt": f"{title}; last: {last}"}
            )
    return panels


def _frames(filmstrip: Sequence[tuple[float, Path]]) -> list[dict[str, Any]]:
    frames = sorted(filmstrip)
    chosen = [frames[i] for i in plots.evenly(len(frames), MAX_FRAMES)]
    return [{"kimg": kimg, "uri": media.picture(path, BYTES_OF_FRAME)} for kimg, path in chosen]


def _pictures(report: Report) -> dict[str, Any]:
    names = [*PICTURES, *(name for name in report.pictures if name not in (*PICTURES, *ELSEWHERE))]
    shown = []
    for name in names:
        if name in report.pictures:
            title, sentence = PICTURES.get(name, (name.replace("_", " ").capitalize(), ""))
            uri = media.picture(report.pictures[name], media.BYTES_OF_PICTURE)
            shown.append({"title": report.worded(title), "sentence": report.worded(sentence), "uri": uri})
    return {"shown": shown}


def _played(report: Report, room: int) -> dict[str, Any]:
    """Return the samples that are heard or watched, each a `data:` URI: as many as the page has room for."""
    shown: list[tuple[str, dict[str, str]]] = []
    for name, sides in report.played:
        uris = {side: media.played(path) for side, path in sides.items()}
        room -= sum(map(len, uris.values())) + BYTES_OF_PLAYER * len(uris)
        if room < 0:
            break
        shown.append((name, uris))
    folder = next(iter(report.played[0][1].values())).parent.name
    return {"samples": shown, "unshown": len(report.played) - len(shown), "folder": folder,
            "vocoder": report.kind == "sound"}  # fmt: skip


def _search(report: Report) -> dict[str, Any]:
    trials = sorted(report.trials, key=plots.standing)
    names = list(dict.fromkeys(name for trial in trials for name in trial.get("parameters", {})))
    rows = [
        {
            "number": trial.get("number"),
            "values": [shown(trial.get("parameters", {}), name) for name in names],
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


def _last(history: Sequence[Mapping[str, Any]], key: str) -> float:
    return next(float(tick[key]) for tick in reversed(history) if plots.is_finite(tick.get(key)))
