"""The page that shows a search: why its best trial is the best, and what can be learnt from the others.

Python chooses what is said; `templates/search.html.j2` says how it looks.
"""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import yaml
from PIL import Image, UnidentifiedImageError

from ganops.core.files import atomic, atomic_folder
from ganops.core.terminal import duration
from ganops.reports import page, plots, search_charts
from ganops.search import trials
from ganops.search.analysis import MIN_TRIALS, Importance, best_so_far, counted, ended, importance, is_population, names
from ganops.search.trials import Search, Status, Trial, ranked, short, shown, why

SHOWN_TRIALS = 5
"""Trials whose samples are shown."""
BYTES_OF_PICTURE = 150_000
"""Most bytes of a trial's picture."""
CRISP_PIXELS = 600
"""Grids of at most so many pixels a side are of small images, whose pixels stay crisp."""


def publish(search: Search | None, *, best_params: Path, report: Path) -> None:
    """Write the report of a search, and the parameters it hands on (none where there was no search: None).

    Raises:
        TrainingError: No trial has a distance that counts; the report is there all the same.
    """
    with atomic_folder(report) as draft:
        trials.save(search, draft)
        if search and search.trials:
            (draft / "trials.svg").write_bytes(plots.trials_plot([asdict(trial) for trial in search.trials]))
        if search:
            save(search, draft)
    trials.hand_on(search, best_params)


def write(search: Search, path: Path) -> None:
    """Writes the page: one HTML file that needs nothing else, the same bytes for the same search."""
    found = importance(search.trials)
    _write(path, _render(search, _drawings(search, found), found))


def save(search: Search, folder: Path) -> None:
    """Writes `report.html`, and beside it its charts as SVG and the samples of the best as `samples/NNNN.png`."""
    found = importance(search.trials)
    drawings = _drawings(search, found)
    for name, content in drawings.items():
        (folder / f"{name}.svg").write_bytes(content)
    for trial, content in _pictures(search):
        (folder / "samples").mkdir(exist_ok=True)
        (folder / "samples" / f"{trial.number:04}.png").write_bytes(content)
    _write(folder / "report.html", _render(search, drawings, found))


def _write(path: Path, content: str) -> None:
    with atomic(path) as draft:
        draft.write_text(content, encoding="utf-8")


def _drawings(search: Search, found: Importance | None) -> dict[str, bytes]:
    """Name of a chart -> SVG, for those that there is something to draw for."""
    trials, objective = search.trials, search.objective
    if is_population(trials):
        budget = search_charts.population_curve(trials, objective)
    else:
        kimg = sum(trial.kimg for trial in ended(trials))
        budget = search_charts.budget_curve(best_so_far(trials), kimg, objective)
    drawn = {
        "curves": search_charts.distance_curves(trials, objective),
        "parallel": search_charts.parallel(trials, objective) if names(trials) else b"",
        "importance": search_charts.importance_bar(found) if found else b"",
        "budget": budget,
        "lineage": search_charts.lineage(trials),
    }
    return {name: content for name, content in drawn.items() if content}


def _render(search: Search, drawings: Mapping[str, bytes], found: Importance | None) -> str:
    charts = {name: page.svg_uri(content) for name, content in drawings.items()}
    pictures = [_shown(search, trial, content) for trial, content in _pictures(search)]
    sections = {
        "decision": _decision(search),
        "trials": _trials(search),
        "distance": {"picture": charts.get("curves")},
        "parameters": _parameters(search, charts),
        "importance": _importance(search, found, charts),
        "budget": _budget(search, charts),
        "samples": {"shown": [picture for picture in pictures if picture["uri"]]},
        "lineage": _lineage(search, charts),
    }
    order = ranked(search.trials)
    after = {"next": order[1].score} if order[1:] and order[1].rung == order[0].rung else {}
    counts = Counter(trial.status for trial in search.trials)
    verdict = {search.objective: order[0].score, "best trial": order[0].number} if order else {}
    return page.fill(
        "search.html.j2",
        title="Search",
        about=_about(search),
        decided=_decided(search),
        beside=after,
        summary=verdict | {"trials": len(search.trials)} | {name: counts[name] for name in get_args(Status)
                                                            if counts[name]},
        crisp=all(picture["crisp"] for picture in pictures),
        hero=None,
        objective=search.objective,
        rungs=search.rungs,
        sections={name: content for name, content in sections.items() if any(content.values())},
    )  # fmt: skip


def _about(search: Search) -> dict[str, Any]:
    """Return the facts of the head: which search of which day, with which code and where."""
    known = {"search": search.name, "finished": search.finished[:10], "commit": (search.commit or "")[:8]}
    return page.present({**known, "hardware": search.hardware})


def _decided(search: Search) -> str:
    if not ranked(search.trials):
        return "No trial ended with a distance that counts."
    reason = why(search)
    return f"{reason[0].upper()}{reason[1:]}."


def _decision(search: Search) -> dict[str, Any]:
    order = ranked(search.trials)
    kimg, seconds = (sum(getattr(trial, what) for trial in search.trials) for what in ("kimg", "seconds"))
    cost = {
        "time": duration(search.seconds) if search.seconds else None,
        "time of all trials": duration(seconds) if seconds else None,
        "kimg of all trials": kimg,
    }
    rules = yaml.safe_dump(dict(search.rules), sort_keys=False, allow_unicode=True) if search.rules else None
    return {
        "why": _decided(search),
        "parameters": order[0].parameters if order else {},
        "cost": page.present(cost),
        "protocol": page.present(search.protocol),
        "rules": rules,
    }


def _trials(search: Search) -> dict[str, Any]:
    order = ranked(search.trials)
    columns = names(search.trials)
    rest = [trial for trial in search.trials if trial not in order]
    rows = [
        {
            "rank": rank if trial in order else None,
            "trial": trial,
            "values": [shown(trial.parameters, name) for name in columns],
            "seconds": duration(trial.seconds),
        }
        for rank, trial in enumerate([*order, *rest], 1)
    ]
    return {"names": columns, "rows": rows}


def _parameters(search: Search, charts: Mapping[str, str]) -> dict[str, Any]:
    scatter = plots.trials_plot([asdict(trial) for trial in search.trials]) if names(search.trials) else b""
    return {"scatter": page.svg_uri(scatter) if scatter else None, "parallel": charts.get("parallel")}


def _importance(search: Search, found: Importance | None, charts: Mapping[str, str]) -> dict[str, Any]:
    return {"picture": charts.get("importance"), "found": found, "reason": "" if found else _unknown(search)}


def _unknown(search: Search) -> str:
    """Return the reason why there are no numbers; empty where nobody would ask."""
    scored = len(ranked(search.trials))
    if not names(search.trials) or not scored:
        return ""
    if is_population(search.trials):
        return (
            "The members of a population change their parameters and take over one another's weights, so that no "
            "distance is due to one set of parameters: the importance is not computed."
        )
    if scored < MIN_TRIALS:
        return f"Trials with a distance that counts: {scored}. At least {MIN_TRIALS} are needed to tell."
    return "All trials had the same parameters."


def _budget(search: Search, charts: Mapping[str, str]) -> dict[str, Any]:
    if "budget" not in charts:
        return {}
    done, scores = ended(search.trials), counted(search.trials)
    return {
        "picture": charts["budget"],
        "population": is_population(search.trials),
        "early": sum(trial.rung < search.rungs for trial in ranked(search.trials)),
        "lost": len(done) - len(scores),
        "seconds": duration(sum(t.seconds for t in done) / len(done)),
    }


def _lineage(search: Search, charts: Mapping[str, str]) -> dict[str, Any]:
    takeovers = [(takeover, trial.number) for trial in search.trials for takeover in trial.takeovers]
    rows = [
        {"rung": takeover.rung, "member": number, "source": takeover.source, "parameters": short(takeover.parameters)}
        for takeover, number in sorted(takeovers, key=lambda pair: (pair[0].rung, pair[1]))
    ]
    return {"picture": charts.get("lineage"), "rows": rows}


def _pictures(search: Search) -> Sequence[tuple[Trial, bytes]]:
    """The best trials that have a grid of samples, best first."""
    best = ranked(search.trials)[:SHOWN_TRIALS]
    return [(trial, search.pictures[trial.number]) for trial in best if trial.number in search.pictures]


def _shown(search: Search, trial: Trial, content: bytes) -> dict[str, Any]:
    """A grid of samples for the page; without `uri` where it cannot be read, which must not cost the search."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            uri, crisp = plots.data_uri(picture, BYTES_OF_PICTURE), max(picture.size) <= CRISP_PIXELS
    except (UnidentifiedImageError, OSError):
        uri, crisp = None, True
    return {"trial": trial, "rank": ranked(search.trials).index(trial) + 1, "uri": uri, "crisp": crisp}
