"""The model card: what a person must know before using a generator (Mitchell et al. 2019, "Model cards")."""

import inspect
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from ganops.core.terminal import duration
from ganops.data.about import UNSTATED
from ganops.kinds import Spec
from ganops.kinds.text import END
from ganops.losses import ALONE, LESSONS, OBJECTIVES
from ganops.metrics.protocol import SELECTED
from ganops.metrics.sight import blindness
from ganops.registry.package import Package
from ganops.registry.tracking import flatten, numbers

CLIPS = 16
"""Samples in the file in which they are heard or watched."""


def model_card(name: str, package: Package, version: str = "VERSION") -> str:
    """The card of a version of a registered model, in Markdown.

    Args:
        name: Of the registered model.
        package: The generator and all that is known of it.
        version: Its number; VERSION: the card is one of its files, and was written before it had any.
    """
    description, params, evaluation = package.description, package.params, package.evaluation
    # a source may be a folder of the machine that trained: its name is enough here
    source = package.data_name or PurePath(str(params.get("data", {}).get("source", "unknown"))).name
    training = {section: params[section] for section in ("seed", "model", "loss", "train") if section in params}
    spec = package.spec
    elsewhere = ("class_names", "class_counts", "params", "facts", "ancestor")
    architecture = {key: value for key, value in description.items() if key not in elsewhere}
    if figures := {key: value for key, value in spec.facts.items() if not isinstance(value, list)}:
        architecture["facts"] = figures
    unit, one = spec.unit, spec.noun
    paragraph = f"{cost(package.training)}\n\n" if "seconds" in package.training else ""
    return f"""# {name}

A generator of {spec.described}, trained as {_family(params)} on `{source}`.

![Samples of the seeds 0 to 63](samples.png)
{_heard(spec)}
## Use

```python
import mlflow, numpy as np
model = mlflow.pyfunc.load_model("models:/{name}/{version}")
{unit}s = model.predict(np.arange(16), params={{"truncation": 0.8}})     # seeds -> {_shown(spec)}
```
{_which(name, version)}
{_stored(spec)}
The input is int64 seeds: one {one} for one seed, the same in any batch and at any time. `truncation`, from 0 to 1
(default 1), {_truncation(spec)}trades variety for typicality.
{_labels(description)}

## Intended use

New {unit}s that resemble the training data: demonstrations, augmentation, research on generative models.

## Limits

* It draws {spec.described} and nothing else; what its data show rarely or wrongly, it draws so too.
* It invents its {unit}s: none of them is evidence of anything, and single ones may come close to training {unit}s.
* Metrics describe the distribution; they do not promise the quality of a single {one}.

## Metrics

{_metrics(evaluation, unit)}

{_covers(evaluation)}They compare with other values under an equal protocol only.
{SELECTED}

## Protocol

{_table("protocol", flatten(evaluation["protocol"]))}
{_reconstructions(evaluation)}
## Architecture

{_sizes(package.parameters)}{_table("property", flatten(architecture))}

## Training

{_objective(params)}{paragraph}{_table("parameter", flatten(training))}

{_origin(package.origin)}{_ancestor(package.description.get("ancestor"))}
Fingerprint of the training: `{package.fingerprint}`

## Licence

{_licence(source, package.data_licence, unit, one)}
"""


def excerpt(card: str, room: int) -> str:
    """Return a card for a page that has no files beside it: without its title, its pictures and what does not fit.

    Args:
        card: As `model_card` gives it.
        room: Characters at most; sections that would take more are named in the end.
    """
    lead, *sections = card.split("\n## ")
    kept, left_out = lead.split("\n\n")[1], []
    for section in sections:
        whole = f"{kept}\n\n## {section.strip()}"
        if len(whole) + MAX_NAMES_CHARS <= room:
            kept = whole
        else:
            left_out.append(section.partition("\n")[0])
    return f"{kept}\n\nIn `MODEL_CARD.md` among the files of the model: {', '.join(left_out)}." if left_out else kept


MAX_NAMES_CHARS = 200
"""Characters of the sentence that names the sections of a card that do not fit."""


def shape(spec: Spec) -> str:
    """Return samples in words, without their noun where that comes last: 32x32 grey, 64x64 colour."""
    return spec.described.removesuffix(f" {spec.unit}s")


def _which(name: str, version: str) -> str:
    """Return the difference between this version and the champion, which may be another generator at any time."""
    own = f"That is version {version}" if version.isdigit() else f"`{version}` is the number of this very version"
    return f"{own}; `models:/{name}@champion` is the one that is the champion now, which may be another generator."


def _heard(spec: Spec) -> str:
    """Return a line about the file that holds some samples; empty where there is none."""
    form, order = spec.joined_format, ORDERS.get(spec.kind, "one after the other")
    return f"\n`samples.{form}` has the first {CLIPS} of them, {order}.\n" if form else ""


ORDERS = {"text": "a line each", "video": "side by side"}
"""Order of samples in that file, by kind."""


def _truncation(spec: Spec) -> str:
    """Return the meaning of truncation, where it is more than a scale."""
    return "is the temperature of each word's probabilities: it " if spec.kind == "text" else ""


def _shown(spec: Spec) -> str:
    """Return the type and the shape of what `predict` gives for 16 seeds."""
    one = spec.shown(spec.empty(0))
    if one.dtype.kind == "U":
        return "str [16]"
    return f"{one.dtype} [16, {AXES.get(spec.kind) or ', '.join(map(str, one.shape[1:]))}]"


AXES = {"image": "H, W, C", "video": "T, H, W, C"}
"""Axes of what `predict` gives for a seed, by kind; numbers elsewhere."""


def _stored(spec: Spec) -> str:
    """Return the difference between the graph's output and what `predict` gives, where that is more than an axis."""
    if spec.kind == "text":
        return _stored_texts(spec)
    if spec.kind == "video":
        return _stored_films(spec)
    if not spec.heard:
        return ""
    rate = spec.facts["rate"]
    return f"""
```python
import wave
with wave.open("0.wav", "wb") as file:
    file.setparams((1, 2, {rate}, 0, "NONE", ""))     # one channel, 16 bits, {rate:,} samples a second
    file.writeframes({spec.unit}s[0].astype("<i2").tobytes())
```
{_vocoder(spec) if spec.kind == "sound" else ""}"""


def _vocoder(spec: Spec) -> str:
    """Return what lies between the spectrograms of the graph and clips."""
    shape = ", ".join(map(str, spec.shape))
    return f"""
`generator.onnx` gives `{spec.unit}s`, {spec.empty(0).dtype} [N, {shape}]: log mel spectrograms of 8 bits, as the
training saw them. `predict` makes {spec.unit}s of them by the vocoder in `kind.py` (Griffin-Lim, numpy alone),
which has no random numbers. Who runs the graph alone finds in `config.json`, under `facts`, all that a vocoder needs.
"""


def _stored_films(spec: Spec) -> str:
    """Return how a film is written as a file, at its rate."""
    milliseconds = round(1000 / spec.facts["fps"])
    squeezed = "[..., 0]" if spec.shape[0] == 1 else ""
    return f"""
```python
from PIL import Image
frames = [Image.fromarray(frame) for frame in {spec.unit}s[0]{squeezed}]     # {spec.facts["fps"]:g} a second
frames[0].save("0.webp", save_all=True, append_images=frames[1:], duration={milliseconds}, lossless=True)
```
"""


def _stored_texts(spec: Spec) -> str:
    """Return the difference between numbers of words and texts."""
    by = spec.facts["by"]
    end = f" Number 0 ends a text: behind it are only zeros. {UNKNOWN}" if spec.facts["words"][0] == END else ""
    return f"""
`generator.onnx` gives `{spec.unit}s`, {spec.empty(0).dtype} [N, {spec.shape[0]}]: the numbers of their {by}. `predict`
makes strings of them by `kind.py` (numpy alone). Who runs the graph alone finds the {len(spec.facts["words"]):,} {by}
in `config.json`, under `facts.words`: the number of one is its place there.{end}
"""


UNKNOWN = "`<unk>` stands for all that are not in the vocabulary."
"""Sentence about the word for others."""


def _labels(description: Mapping[str, Any]) -> str:
    classes, names = description["classes"], description["class_names"]
    if not classes:
        return "The model is unconditional: it takes no `labels`."
    listed = ", ".join(f"{i} `{label}`" for i, label in enumerate(names))
    return (
        "`labels` chooses the classes: none (default: the label of a seed is the seed modulo "
        f"{classes}), one for all, or one for each seed. Classes: {listed or f'0 to {classes - 1}'}."
    )


def _family(params: Mapping[str, Any]) -> str:
    name = params.get("loss", {}).get("name")
    if name in ALONE:
        return f"a model of maximum likelihood (`{name}`)"
    return f"the decoder of an autoencoder (`{name}`)" if name in LESSONS else "a GAN"


def _objective(params: Mapping[str, Any]) -> str:
    """Return the objective as its function describes it, with the paper."""
    name = params.get("loss", {}).get("name")
    if name not in OBJECTIVES:
        return ""
    words = " ".join((inspect.getdoc(OBJECTIVES[name]) or "").partition("\nArgs:")[0].split())
    return f"The objective is `{name}`. {words}\n\n"


def cost(training: Mapping[str, Any]) -> str:
    """Return how long a training took, from the content of `metrics/train.json`; empty where that does not say it."""
    if "seconds" not in training:
        return ""
    return (
        f"{training['kimg']:g} thousand samples (kimg) were learnt from in {duration(training['seconds'])} of steps "
        f"({training['hardware']}); the weights are those of {training['best_kimg']:g} kimg."
    )


def _sizes(parameters: Mapping[str, int]) -> str:
    """Numbers of parameters, in words."""
    if not parameters:
        return ""
    (generator, own), (partner, others) = parameters.items()
    return f"Parameters: {own:,} of the {generator}; {others:,} of the {partner} that it learnt with.\n\n"


def _reconstructions(evaluation: Mapping[str, Any]) -> str:
    """Return the section of an autoencoder: apart from the metrics, since a GAN has no such number."""
    error, bound = evaluation.get("reconstruction", {}), evaluation.get("bound", {})
    lines = []
    if "error" in error:
        figures = "{:.4g} [{:.4g}, {:.4g}]".format(error["error"], *error["interval"])
        lines.append(f"* Error: {figures}. {error['what']}")
    if "divergence" in bound:
        figures = "{:.4g} [{:.4g}, {:.4g}]".format(bound["nats"], *bound["interval"])
        alarm = f" Alarm: {bound['alarm']}." if "alarm" in bound else ""
        lines.append(f"* Nats: at most {figures}, {bound['divergence']:.3g} of them divergence.{alarm} {bound['what']}")
    elif bound:
        figures = "{:.4g} [{:.4g}, {:.4g}]".format(bound["bits_per_dimension"], *bound["interval"])
        lines.append(f"* Bits per dimension: at most {figures} ({bound['nats']:,.0f} nats per sample). {bound['what']}")
    if not lines:
        return ""
    about = f"Of {error['samples']:,} samples of the {error['split']} split, with the 95 % interval over them. "
    return "\n".join(["", "## Reconstructions", "", about + "They compare with no number of a GAN.", "", *lines, ""])


def _metrics(evaluation: Mapping[str, Any], unit: str) -> str:
    intervals, floors, blind = (evaluation.get(key, {}) for key in ("intervals", "floors", "blind"))
    lines = ["| metric | value | 95 % interval | |", "| --- | --- | --- | --- |"]
    for name, value in numbers(evaluation).items():
        ends = "{:.4g} to {:.4g}".format(*intervals[name]) if name in intervals else ""
        notes = [f"floor {floors[name]:.4g}"] if name in floors else []
        notes += [blindness(blind[name], unit)] if name in blind else []
        lines.append(f"| {name} | {value:.4g} | {ends} | {'; '.join(notes)} |")
    return "\n".join(lines) + _floors(floors, evaluation, unit)


def _floors(floors: Mapping[str, float], evaluation: Mapping[str, Any], unit: str) -> str:
    """Say of which samples the floors are, as `measure.floors` takes them."""
    if not floors:
        return ""
    others = f"test {unit}s" if evaluation["protocol"].get("split") == "train" else f"training {unit}s"
    nats = f"; of nll_*: the nats of held-out {unit}s" if any(name.startswith("nll_") for name in floors) else ""
    return f"\n\nFloor: the distance that {others} have in the place of generated ones{nats}."


def _origin(origin: Mapping[str, Any]) -> str:
    if not origin:
        return ""
    found = ", ".join(f"`{path}` {value}" for path, value in origin["parameters"].items())
    return f"Trial {origin['trial']} of the search `{origin['search']}` found {found}: {origin['reason']}.\n"


def _ancestor(ancestor: Mapping[str, str] | None) -> str:
    if not ancestor:
        return ""
    return "It began with the weights of `{name}` (fingerprint of that training: `{fingerprint}`).\n".format(**ancestor)


def _covers(evaluation: Mapping[str, Any]) -> str:
    covers = evaluation["protocol"].get("intervals")
    return f"Intervals are {covers}. " if covers else ""


def _licence(source: str, licence: str | None, unit: str, one: str) -> str:
    if licence:
        return f"The training {unit}s, `{source}`: {licence}. Their terms may extend to the weights and to the {one}s."
    return (
        f"The licence of the training {unit}s, `{source}`, is {UNSTATED}. Their terms may extend to the weights and to "
        f"the {one}s: check before you publish. (`data.licence` in params.yaml states it.)"
    )


def _table(heading: str, rows: Mapping[str, str]) -> str:
    return "\n".join(
        [f"| {heading} | value |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows.items())]
    )
