"""The Fréchet distance between two folders of images under pytorch-fid's protocol, and pytorch-fid itself beside it."""

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image

from ganops.core.cores import side_by_side
from ganops.core.errors import DataError, FeatureError, UserError
from ganops.core.terminal import progress
from ganops.metrics.extractors.extractor import Extractor, Features, Images
from ganops.metrics.extractors.inception import FILE, Inception, find_weights
from ganops.metrics.extractors.inception_bf16 import InceptionBF16
from ganops.metrics.frechet import frechet_between
from ganops.metrics.protocol import names

T = TypeVar("T")

TYPES = ("bmp", "jpg", "jpeg", "pgm", "png", "ppm", "tif", "tiff", "webp")
"""Endings of the files that pytorch-fid reads; in small letters, and not in folders below."""


@dataclass(frozen=True)
class Folder:
    """The images of a folder in the order of their names, and whether all have one size."""

    path: Path
    files: tuple[Path, ...]
    even: bool

    @classmethod
    def open(cls, path: Path) -> "Folder":
        """Looks into the folder.

        Raises:
            DataError: It is missing, has fewer than two images, or a file that is none.
        """
        if not path.is_dir():
            raise DataError(f"{path}: expected a folder of images, got {'a file' if path.exists() else 'nothing'}")
        files = tuple(sorted(file for ending in TYPES for file in path.glob(f"*.{ending}")))
        if len(files) < 2:
            raise DataError(
                f"{path}: a distance needs at least 2 images, got {len(files) or 'none'}; files named "
                f"*.{', *.'.join(TYPES)} are read, and no folders below"
            )
        return cls(path, files, len({_read(file, lambda image: image.size) for file in files}) == 1)


def distance(
    a: Folder, b: Folder, *, weights: Path | None = None, reduced: bool = False, device: str = "cpu",
    show: bool = True, since: float | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The Fréchet distance between the Inception features of two folders: FID, if the weights are the published ones.

    Args:
        a: images, as RGB, of any sizes: where they differ, they pass one by one.
        b: the images to compare with.
        weights: the file of the weights; None: where torch keeps them, else from where they are published.
        reduced: convolutions in bfloat16: quicker, and no FID.
        device: where the network runs.
        show: whether a bar shows the progress.
        since: the start of the clock, in seconds of the epoch; None: now.

    Returns:
        `metric`, `value`, `images` of both sides, `singular` (a side has no more images than there are features),
        `one_by_one` (a side has images of several sizes), `weights` (their hash) and `seconds`.

    Raises:
        DataError: A file cannot be read.
        FeatureError: The weights are missing, or others than Inception's.
    """
    since = time.time() if since is None else since
    extractor = (InceptionBF16 if reduced else Inception).of_file(find_weights(weights), device)
    with progress("evaluate", len(a.files) + len(b.files), "images") if show else nullcontext(_ignore) as advance:
        one, two = (_features(folder, extractor, advance) for folder in (a, b))
    return {
        "metric": names(extractor.name, extractor.published)[0],
        "value": frechet_between(one, two),
        "images": [len(one), len(two)],
        "singular": min(len(one), len(two)) <= extractor.dimensions,
        "one_by_one": not (a.even and b.even),
        "weights": extractor.hash,
        "seconds": time.time() - since,
    }


def pytorch_fid(a: Folder, b: Folder, *, weights: Path | None = None, device: str = "cpu") -> dict[str, Any]:
    """The same by the command pytorch-fid, in a process of its own: `value`, `seconds` of the whole command.

    It stacks 50 images into a batch, and fails where they differ in size: then it is asked to take one at a time.

    Raises:
        UserError: The command failed, or gave no finite number.
        FeatureError: The weights are missing.
    """
    with tempfile.TemporaryDirectory() as home:
        cache = Path(home) / "hub" / "checkpoints"  # where it looks for weights
        cache.mkdir(parents=True)
        (cache / FILE).symlink_to(find_weights(weights).resolve())
        command = [sys.executable, "-m", "pytorch_fid", str(a.path.resolve()), str(b.path.resolve())]
        command += ["--device", device, *([] if a.even and b.even else ["--batch-size", "1"])]
        started = time.time()
        done = subprocess.run(command, env={**os.environ, "TORCH_HOME": home}, capture_output=True, text=True)
        seconds = time.time() - started
    value = done.stdout.rpartition("FID:")[2]
    if done.returncode or not value or not math.isfinite(float(value)):
        reason = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise UserError(f"pytorch-fid failed on these folders: {reason}")
    return {"value": float(value), "seconds": seconds}


def compared(found: dict[str, Any], peer: dict[str, Any]) -> dict[str, Any]:
    """Return the results of `distance` and `pytorch_fid` in one, with their `relative_difference`."""
    difference = abs(found["value"] - peer["value"]) / abs(peer["value"]) if peer["value"] else None
    return {**found, "pytorch_fid": peer, "relative_difference": difference}


def summary(found: dict[str, Any]) -> list[str]:
    """Return the result of `distance` in lines for a person."""
    one, two = found["images"]
    lines = [f"{found['metric']} {found['value']:.6g}  ({one:,} and {two:,} images, {found['seconds']:.1f} s)"]
    if found["metric"] != "fid":
        lines.append("not FID, which is the name of the published weights in float32 alone")
    if found["one_by_one"]:
        lines.append("images of several sizes pass one by one; pytorch-fid fails on them unless its batch is 1")
    if found["singular"]:
        lines.append(f"no more images than the {Inception.dimensions:,} features: the distance is mostly bias")
    return lines


def peer_in_words(found: dict[str, Any]) -> str:
    """Return the figures that `compared` adds, in a line for a person."""
    peer, difference = found["pytorch_fid"], found["relative_difference"]
    off = "" if difference is None else f"; relative difference {difference:.1e}"
    return f"pytorch-fid {peer['value']:.6g}  ({peer['seconds']:.1f} s){off}"


def _features(folder: Folder, extractor: Extractor, advance: Callable[[int], None]) -> Features:
    """The features of all images of a folder."""
    features = []
    batches = _batches(folder.files, extractor.batch if folder.even else 1)
    for part in side_by_side(
        lambda images: extractor.features(images)[0], batches, torch.device(extractor.device).type
    ):
        features.append(part)
        advance(len(part))
    found = np.concatenate(features)
    if not np.isfinite(found).all():
        raise FeatureError(f"{folder.path}: features that are not finite; these weights cannot be right")
    return found


def _batches(files: tuple[Path, ...], size: int) -> Iterator[Images]:
    """Images uint8 [N, 3, H, W]; a batch is decoded while the network is busy with the one before."""
    waiting: Future[Images] | None = None
    with ThreadPoolExecutor(1) as reader:
        for start in range(0, len(files), size):
            ahead = reader.submit(_decode, files[start : start + size])
            if waiting:
                yield waiting.result()
            waiting = ahead
        if waiting:
            yield waiting.result()


def _decode(files: tuple[Path, ...]) -> Images:
    """Decode files like pytorch-fid: Pillow's RGB, nothing resized, turned or laid on a background."""
    pixels = [_read(file, lambda image: np.asarray(image.convert("RGB"))) for file in files]
    return np.stack(pixels).transpose(0, 3, 1, 2)


def _read(file: Path, take: Callable[[Image.Image], T]) -> T:
    """Return `take` of a picture; DataError where the file is none."""
    try:
        with Image.open(file) as image:
            return take(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{file}: no readable image ({error}); pytorch-fid would fail too, so remove it") from error


def _ignore(_: int) -> None:
    """Progress that nobody looks at."""
