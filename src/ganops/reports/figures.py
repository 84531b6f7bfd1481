"""The sections of a report that hold figures: metrics, memorisation, reconstructions, the curve of texts."""

import math
from collections.abc import Mapping
from typing import Any

from ganops.metrics import catalogue
from ganops.reports import media, page, plots
from ganops.reports.content import Report

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

CURVES = {"model": "this model", "baseline": "likelihood baseline", "real": "real samples"}
"""Names of the lines of the quality-diversity curve."""


def curve(report: Report) -> dict[str, Any]:
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


def reconstructions(report: Report) -> dict[str, Any]:
    """The figures of an autoencoder, apart from the metrics: a GAN has no such numbers."""
    error, bound = report.reconstruction, report.bound
    texts = report.unit == "text"
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
        "picture": media.picture(report.pictures.get("reconstructions"), 2 * media.BYTES_OF_PICTURE),
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


def by_name(report: Report) -> dict[str, dict[str, Any]]:
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


def numbers(report: Report) -> dict[str, Any]:
    """The table of the metrics, and the extractor behind them with its ladder."""
    card, distances, judged = report.card, _distances(report.card), _own(report.card)
    ladder = card.get("ladder", {})
    rows = [_row(name, figure) for name, figure in by_name(report).items()]
    value = next((row["value"] for row in rows if row["name"] == judged and plots.is_finite(row["value"])), None)
    names = {rung: report.worded(RUNGS.get(rung, rung.replace("_", " "))) for rung in distances}
    shown = {names[rung]: distance for rung, distance in distances.items()}
    return {
        "rows": rows,
        "champion": report.champion if rows else {},
        "covers": report.protocol.get("intervals"),
        "left_out": _left_out(report.protocol),
        "card": _card(card),
        "weights": card.get("hash", "")[:12],
        "ladder": [(names[rung], distance, ladder.get(f"{rung}_coverage")) for rung, distance in distances.items()],
        "ladder_nll": {names[rung]: ladder[f"{rung}_nll"] for rung in distances if f"{rung}_nll" in ladder},
        "ladder_picture": page.svg_uri(plots.ladder_bar(shown, value, judged)) if len(shown) > 1 else None,
    }


def _left_out(protocol: Mapping[str, Any]) -> dict[str, str]:
    """Figures that there are not, those of one reason together: names -> reason."""
    reasons: dict[str, list[str]] = {}
    for name, reason in (protocol.get("left_out") or {}).items():
        reasons.setdefault(reason, []).append(name)
    return {", ".join(names): reason for reason, names in reasons.items()}


def memorisation(report: Report) -> dict[str, Any]:
    """The verdict on copying, its signs, and the pictures that lie nearest to training samples."""
    content = report.memorisation
    verdict = {
        f"copying of training {report.unit}s": content.get("verdict"),
        "copied share": content.get("copied_share"),
    }
    return {
        "facts": page.present(verdict),
        "signs": [
            (name, report.worded(row.sentence) if (row := catalogue.of(name)) else "", sides)
            for name, sides in content.get("signs", {}).items()
        ],
        "picture": media.picture(report.pictures.get("memorisation"), media.BYTES_OF_PICTURE),
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
