"""The model card: what a person must know before using a generator (Mitchell et al. 2019, "Model cards")."""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from ganops.adaptors.tracking import flatten, numbers


def model_card(
    name: str,
    description: Mapping[str, Any],
    params: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    fingerprint: str,
) -> str:
    """The card in Markdown.

    Args:
        name: Name of the registered model.
        description: Of the generator: architecture, options, latent, classes, class_names, channels, resolution.
        params: The parameters, nested as in `params.yaml`.
        evaluation: The metrics, and under `protocol` how they were measured.
        fingerprint: Of the training.
    """
    # a source may be a folder of the machine that trained: its name is enough here
    source = PurePath(str(params.get("data", {}).get("source", "unknown"))).name
    training = {section: params[section] for section in ("seed", "model", "loss", "train") if section in params}
    architecture = {key: value for key, value in description.items() if key != "class_names"}
    return f"""# {name}

A generator of {shape(description)} images, trained as a GAN on `{source}`.

![Samples of the seeds 0 to 63](samples.png)

## Use

```python
import mlflow, numpy as np
model = mlflow.pyfunc.load_model("models:/{name}@champion")
images = model.predict(np.arange(16), params={{"truncation": 0.8}})     # seeds -> uint8 [16, H, W, C]
```

The input is int64 seeds: one picture for one seed, the same in any batch and at any time. `truncation`, from 0 to 1
(default 1), trades variety for typicality.
{_labels(description)}

## Intended use

New images that resemble the training data: demonstrations, augmentation, research on generative models.

## Limits

* It draws {shape(description)} images and nothing else; what its data show rarely or wrongly, it draws so too.
* It invents its images: none of them is evidence of anything, and single ones may come close to training images.
* Metrics describe the distribution; they do not promise the quality of a single picture.

## Metrics

{_table("metric", flatten(numbers(evaluation)))}

They were measured under this protocol, and compare with other values under an equal one only.

{_table("protocol", flatten(evaluation["protocol"]))}

## Architecture

{_table("property", flatten(architecture))}

## Training

{_table("parameter", flatten(training))}

Fingerprint of the training: `{fingerprint}`

## Licence

The weights were learnt from `{source}`, whose terms may extend to them and to the pictures: check before you publish.
"""


def shape(description: Mapping[str, Any]) -> str:
    """The size of a picture in words: 32x32 grey, 64x64 colour."""
    size = description["resolution"]
    return f"{size}x{size} {'grey' if description['channels'] == 1 else 'colour'}"


def _labels(description: Mapping[str, Any]) -> str:
    classes, names = description["classes"], description["class_names"]
    if not classes:
        return "The model is unconditional: it takes no `labels`."
    listed = ", ".join(f"{i} {label}" for i, label in enumerate(names))
    return (
        "`labels` chooses the classes: none (default: the label of a seed is the seed modulo "
        f"{classes}), one for all, or one for each seed. Classes: {listed or f'0 to {classes - 1}'}."
    )


def _table(heading: str, rows: Mapping[str, str]) -> str:
    return "\n".join(
        [f"| {heading} | value |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows.items())]
    )
