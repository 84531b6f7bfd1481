"""Projects for own samples: their parameters as the samples are found, and what `dvc repro` will do with them."""

import re
import statistics
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from string import Template
from typing import Any

from ruamel.yaml import YAML

from ganops import config
from ganops.cli.app import TEMPLATES
from ganops.core.errors import DataError, UserError
from ganops.core.storage import scheme
from ganops.core.terminal import duration, working
from ganops.data import decoders, survey
from ganops.data.arrange import order_classes
from ganops.data.survey import Survey

GUESSED = ("image", "sound", "video", "text")
"""Kinds in the order in which files are tried; `wave` has the files of `sound`, and is somebody's choice."""
SIDES = (64, 32, 16)
"""Resolutions that are written without being asked for: larger ones are a matter of a GPU, or of patience."""
FEW = 20_000
"""Images below which D is shown them changed."""
LONGEST = 32
"""Words of a text that are written without being asked for, at most."""
NAMED = 4
"""Classes that are named, at most."""
MIN_HELD_OUT = 60
"""Samples that validation and test get at least: more than an interval needs, as chance deals them."""
MIN_SAMPLES = 3 * MIN_HELD_OUT
"""Fewer samples are no set that could be split."""
STILL = "several frames: the first taken"
"""Conversion of a file that moves to an image."""


def folder(source: str, name: str | None) -> Path:
    """Return the folder of the project of a source, whose last part is the name of its model.

    Raises:
        UserError: There can be no model of that name.
    """
    last = source.rstrip("/").rpartition("/")[2] if scheme(source) else Path(source).resolve().name
    stem = re.sub(r"(\.tar)?\.[A-Za-z0-9]{1,8}$", "", last)
    given = Path(name or re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("._-") + "-gan")
    try:
        config.Register(name=given.resolve().name)
    except ValueError:
        expected = "expected letters, digits, dots, dashes and underscores, as MLflow takes them for a model"
        raise UserError(f"--name: {expected}; got {given.name}") from None
    return given


@dataclass(frozen=True)
class Plan:
    """The project of some samples."""

    survey: Survey
    experiment: config.Experiment
    params: str
    """The content of params.yaml."""

    def write(self, draft: Path) -> None:
        """Write params.yaml and README.md into a folder."""
        experiment = self.experiment
        words = {"name": experiment.register_.name, "unit": _unit(self.survey), "source": experiment.data.source}
        (draft / "params.yaml").write_text(self.params, encoding="utf-8")
        text = Template((TEMPLATES / "own.md").read_text(encoding="utf-8")).substitute(words)
        (draft / "README.md").write_text(text, encoding="utf-8")

    def lines(self) -> Iterator[str]:
        """Say what was found, what becomes of it, and how long it will take here; the last takes seconds to tell."""
        found, data = self.survey, self.experiment.data
        yield f"{data.source}: {found.count:,} {_unit(found)}s{_measured(found)}, {_classes(found)}"
        notes, rejected, shapes = found.results(decoders.of(data))
        looked = len(found.looked_at)
        changed = {**notes, **_odd(found, data), **{f"cannot be used, {why}": n for why, n in rejected.items()}}
        unread = sum(rejected.values())
        if unread > data.max_rejected * looked:
            share = f"more than the {100 * data.max_rejected:g} % of data.max_rejected"
            yield f"`prepare` will refuse it: {unread:,} of the {looked:,} looked at cannot be used, {share}"
        told = "; ".join(f"{count:,} {note}" for note, count in sorted(changed.items(), key=lambda each: -each[1]))
        yield f"{_become(data, shapes)}; of {looked:,} looked at: {told or 'all are taken as they are'}"
        train = self.experiment.train
        learnt = round(found.count * (1 - data.validation - data.test))
        yield (f"{train.kimg:g} kimg are {train.kimg * 1000 / max(learnt, 1):,.0f} epochs of the {learnt:,} "
               f"{_unit(found)}s that train; {_time(self.experiment, max(shapes, default=(1,))[0])}")  # fmt: skip


def plan(source: str, kind: str | None, name: str) -> Plan:
    """Look at own samples and make parameters for them.

    Args:
        source: A path, or an address of object storage.
        kind: Of the samples; None: as their files end.
        name: Of the model.

    Raises:
        UserError: There is no such kind.
        DataError: The source cannot be used, or has too few samples, or its folders are splits.
    """
    if kind is not None and kind not in config.SECTIONS:
        *others, last = config.SECTIONS
        raise UserError(f"--kind: expected {', '.join(others)} or {last}, got {kind}")
    source = source if scheme(source) else str(Path(source).expanduser().absolute())
    found = _found(source, kind)
    if found.count < MIN_SAMPLES and kind is None:  # a cover among clips
        found = max((_found(source, each) for each in _present(source)), key=lambda each: each.count, default=found)
    if found.count < MIN_SAMPLES:
        why = f"of fewer than {MIN_HELD_OUT} that no training has seen no figure would be worth its error bar"
        raise DataError(f"{source}: expected at least {MIN_SAMPLES} {_unit(found)}s, got {found.count}: {why}")
    order_classes(found.classes, ())  # folders that are splits are refused now, and not by the first stage
    params = _params(found, source, name)
    experiment = config.parse(YAML(typ="safe").load(params))
    from ganops.experiment import checks  # torch takes seconds to import

    checks.check(experiment)
    return Plan(found, experiment, params)


def _found(source: str, kind: str | None) -> Survey:
    """Look at a source; files that move are films where nobody says otherwise."""
    usual = {each: decoders.of(config.parse({"data": {"kind": each}}).data) for each in config.SECTIONS}
    found = survey.survey(source, [usual[each] for each in ([kind] if kind else GUESSED)])
    notes, _, shapes = found.results(found.decoder)
    moves = kind is None and 0 < len(shapes) < 2 * notes[STILL]
    return survey.survey(source, [usual["video"]]) if moves else found


def _present(source: str) -> Iterator[str]:
    """Kinds of which a source has samples."""
    for kind in GUESSED:
        with suppress(DataError):
            _found(source, kind)
            yield kind


def _params(found: Survey, source: str, name: str) -> str:
    """Return params.yaml of a kind with what was found, its comments in their places."""
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 200, True
    content = yaml.load((TEMPLATES / f"{found.decoder.kind}.yaml").read_text(encoding="utf-8"))
    data = content["data"]
    data.pop("name", None)  # those of an example's own data
    if "licence" in data:
        data["licence"] = "auto"
    data["source"], data["labels"] = source, "auto" if found.classes else "none"
    for split in ("validation", "test"):
        data[split] = max(data[split], round(MIN_HELD_OUT / found.count, 2))
    content["register"]["name"], content["register"]["gate"] = name, {}
    content["register"].ca.items.pop("gate", None)  # a comment on an example's limits
    if found.classes:  # twice as often right as by chance: of many classes, or of few samples of each, less is learnt
        content["features"].insert(0, "minimum_accuracy", round(min(0.5, 2 / len(found.classes)), 3))
    if adjust := FINDINGS.get(found.decoder.kind):
        adjust(found, content)
    text = StringIO()
    yaml.dump(content, text)
    return text.getvalue()


def _image(found: Survey, content: Any) -> None:
    """Set resolution and background as the images have them."""
    data, largest = content["data"], [max(size) for size in survey.sizes(found.looked_at)]
    if largest:
        median = statistics.median_low(largest)
        data["resolution"] = next((side for side in SIDES if side <= median), SIDES[-1])
    data["background"] = survey.background(found.looked_at) or data["background"]
    if found.count >= FEW:
        content["train"]["augment"]["transforms"] = "none"


def _text(found: Survey, content: Any) -> None:
    """Set the length that nineteen of twenty texts have at most; the latent has two numbers for each word."""
    lengths = sorted(len(text.split()) for text in found.looked_at if isinstance(text, str))
    if lengths:
        length = min(LONGEST, max(4, lengths[int(0.95 * (len(lengths) - 1))]))
        content["data"]["length"], content["model"]["latent"] = length, 2 * length


def _video(found: Survey, content: Any) -> None:
    """Leave the channels to the source."""
    content["data"]["channels"] = "auto"


FINDINGS = {"image": _image, "text": _text, "video": _video}
"""Kind -> what sets its parameters as its samples were found."""


def _unit(found: Survey) -> str:
    return found.decoder.wanted.unit


def _measured(found: Survey) -> str:
    """Return the sizes of images in words."""
    sizes = survey.sizes(found.looked_at) if found.decoder.kind == "image" else []
    if not sizes:
        return ""
    (width, height), count = statistics.multimode(sizes)[0], len(set(sizes))
    return f" of {width} x {height} pixels" + (f" (and {count - 1:,} other sizes)" if count > 1 else "")


def _classes(found: Survey) -> str:
    if not found.classes:
        return "no labels"
    ordered = found.classes.most_common()
    shown = [f"{name} {count:,}" for name, count in ordered[: NAMED - 1]]
    more = ["..."] * (len(ordered) > NAMED) + [f"{name} {count:,}" for name, count in ordered[NAMED - 1 :][-1:]]
    return f"{len(ordered):,} classes ({', '.join([*shown, *more])})"


def _odd(found: Survey, data: Any) -> Mapping[str, int]:
    """Return what becomes of images of other forms, and of how many."""
    if not isinstance(data, config.ImageData):
        return {}
    sizes = survey.sizes(found.looked_at)
    wide, small = sum(w != h for w, h in sizes), sum(max(size) < data.resolution for size in sizes)
    odd = {f"not square, as data.fit: {data.fit} makes them": wide, "smaller, not enlarged": small}
    return {words: count for words, count in odd.items() if count}


def _become(data: Any, shapes: list[tuple[int, ...]]) -> str:
    """Return the form of prepared samples, in words."""
    if isinstance(data, config.ImageData | config.VideoData):
        colours = "in colour" if max(shapes, default=(1,))[0] == 3 else "gray"
        frames = f"{data.frames} frames of " if isinstance(data, config.VideoData) else ""
        ground = f", on {data.background}" if isinstance(data, config.ImageData) else ""
        return f"they become {frames}{data.resolution} x {data.resolution} pixels {colours}{ground}"
    if isinstance(data, config.TextData):
        return f"they become texts of at most {data.length} {data.by}"
    return f"they become {data.samples:,} samples at {data.rate:,} Hz"


def _time(experiment: config.Experiment, channels: int) -> str:
    """Return the time that a training takes here, in words."""
    from ganops.experiment import machine, pace

    if isinstance(experiment.data, config.ImageData | config.VideoData):
        experiment = experiment.override({"data.channels": channels})
    device = machine.choose_device(experiment.compute.device)
    place = f"{machine.hardware(device)}, {machine.precision(experiment, device)}"
    with working("init", "times a few steps of the training"):
        seconds = pace.seconds(experiment, device)
    return f"the training takes about {duration(seconds, rough=True)} on {place}"
