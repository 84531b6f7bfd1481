"""A replica of `ganops serve`: it draws what the alias points to, and follows the alias by itself.

It loads and warms a new version beside the one that serves, and then exchanges them by one assignment: no request
waits for it, none is lost, and none is answered by two. A version that cannot be loaded changes nothing. This file
imports no torch, which would cost every replica seconds and memory.
"""

import base64
import io
import json
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganops.core.labels import in_turn
from ganops.core.pictures import grid, picture, to_bytes
from ganops.core.redaction import reason
from ganops.kinds import Spec
from ganops.registry import tracking
from ganops.registry.model import Model
from ganops.registry.model_version import Registered
from ganops.serving.app import Answer, Drawn, Played, State, Written
from ganops.serving.limits import shortened
from ganops.serving.orders import FORMATS, Order

RETRY_SECONDS = 30
"""Seconds after which a version that could not be loaded is tried again."""
log = logging.getLogger("ray.serve")


@dataclass(frozen=True)
class Loaded:
    """A version that draws."""

    version: str
    drawer: Registered
    at: str


@dataclass(frozen=True)
class Target:
    """The place of what is to be served."""

    root: str
    """Folder of the project, for the embedded store; MLFLOW_TRACKING_URI goes before it."""
    name: str
    alias: str
    poll: float
    """Seconds between two looks at the alias."""


class Replica:
    """Draws what the alias points to.

    Args:
        target: What to serve.
        first: The version that was served first: what a replica falls back on that is started later, when the alias
            points to one that cannot be loaded.
    """

    def __init__(self, target: Target, first: str) -> None:
        self.target = target
        self.trouble: str | None = None
        self.failed = ("", float("-inf"))
        """The version that could not be loaded, and when."""
        self.turn = threading.Lock()
        wanted = self._wanted()
        try:
            self.current = self._load(wanted)
        except Exception as error:
            if wanted == first:
                raise
            self.current = self._load(first)
            self._note(wanted, error)
        threading.Thread(target=self._follow, daemon=True).start()

    def _model(self) -> Model:
        return Model(tracking.connect(Path(self.target.root)), self.target.name)

    def _wanted(self) -> str:
        return str(self._model().resolve(self.target.alias).version)

    def _load(self, version: str) -> Loaded:
        """A version in memory, warm; its files are not needed afterwards."""
        with Registered.opened(self._model().resolve(version), Path(self.target.root)) as drawer:
            for count in (1, 64):
                drawer.model.predict(np.arange(count))
        return Loaded(version, drawer, datetime.now(UTC).isoformat(timespec="seconds"))

    def _follow(self) -> None:
        while True:
            time.sleep(self.target.poll)
            self.follow()

    def follow(self) -> None:
        """Look at the alias once, and serve what it points to."""
        try:
            wanted = self._wanted()
        except Exception as error:  # the store is away, the alias was deleted: what is served goes on
            self.trouble = f"the alias {self.target.alias} cannot be followed: {reason(error)}"
            return
        if wanted == self.current.version:
            self.trouble = None
            return
        version, at = self.failed
        if wanted == version and time.monotonic() - at < RETRY_SECONDS:
            return
        try:
            self.current = self._load(wanted)
        except Exception as error:  # whatever is wrong with it
            self._note(wanted, error)
            return
        self.trouble = None
        log.info("version %s of %s is served", wanted, self.target.name)

    def _note(self, wanted: str, error: Exception) -> None:
        self.failed = (wanted, time.monotonic())
        self.trouble = f"v{wanted} cannot be served, v{self.current.version} goes on: {reason(error)}"
        log.warning(self.trouble)

    def state(self) -> State:
        """Return the state of what is served now."""
        current = self.current
        drawer = current.drawer
        return State(
            self.target.name, self.target.alias, current.version, drawer.shape, drawer.classes, drawer.class_names,
            current.at, self.trouble, drawer.spec.kind, str(drawer.dtype), formats=formats(drawer.spec),
            replica=f"{socket.gethostname()}:{os.getpid()}", **_measures(drawer.spec),
        )  # fmt: skip

    def draw(self, orders: list[Order]) -> list[Answer]:
        """An answer to each order."""
        # while one call draws, the former one encodes in its own thread
        with self.turn:
            drawn, current = self._draw(orders)
        return [self._answer(order, stored, current) for order, stored in zip(orders, drawn, strict=True)]

    def _answer(self, order: Order, stored: Any, current: Loaded) -> Answer:
        if isinstance(stored, str):
            return Answer(400, "application/json", json.dumps({"error": stored}).encode(), current.version)
        return encode(order.format, stored, self.target.name, current)

    def _draw(self, orders: list[Order]) -> tuple[list[Any], Loaded]:
        """Return stored samples [N, *shape] for each order, or what is wrong with it, and the version that says so."""
        current = self.current  # looked up when it is their turn: what waits meanwhile is the new version's
        labels = [_labels(order, current.drawer.classes, current.drawer.class_names) for order in orders]
        found: list[Any] = list(labels)
        for truncation in {order.truncation for order in orders}:
            equal = [i for i, order in enumerate(orders) if order.truncation == truncation]
            if not (alike := [i for i in equal if not isinstance(labels[i], str)]):
                continue
            classes = np.concatenate([labels[i] for i in alike]) if current.drawer.classes else None
            seeds = [np.array(orders[i].seeds, np.int64) for i in alike]
            stored = current.drawer.sample(np.concatenate(seeds), classes, truncation)
            ends = np.cumsum([len(each) for each in seeds])
            for i, part in zip(alike, np.split(stored, ends[:-1]), strict=True):
                found[i] = part
        return found, current


def _labels(order: Order, classes: int, names: Sequence[str]) -> NDArray[np.int64] | str:
    """One label for each seed, or what is wrong with those that were asked for."""
    seeds = np.array(order.seeds, np.int64)
    if not order.labels:
        return in_turn(seeds, classes)
    if not classes:
        return "labels: expected null, this model is unconditional"
    numbers = [_class(label, names) for label in order.labels]
    for i, (label, number) in enumerate(zip(order.labels, numbers, strict=True)):
        if number is None:
            known = f"expected a whole number{' or one of ' * bool(names)}{', '.join(names)}"
            return f"{shortened(f'labels.{i}: {known}', 300)}, got {shortened(json.dumps(label))}"
    unknown = [number for number in numbers if number is not None and number >= classes]
    if unknown:
        return f"labels: expected whole numbers from 0 to {classes - 1}, got {unknown[0]}"
    return np.broadcast_to(np.array(numbers, np.int64), seeds.shape)


def _class(label: int | str, names: Sequence[str]) -> int | None:
    """Return the number of a class; digits name the class that is called so, where there is one. None: no class."""
    if isinstance(label, int):
        return label
    if label in names:
        return names.index(label)
    return int(label) if re.fullmatch(r"[+]?[0-9]{1,30}", label) else None


def formats(spec: Spec) -> tuple[str, ...]:
    """Return the formats in which samples are answered with."""
    return (*FORMATS, spec.joined_format) if spec.joined_format else FORMATS


def _measures(spec: Spec) -> dict[str, Any]:
    """Return what a client has to know of clips, films or texts, beside their shape."""
    if spec.kind == "text":
        return {"length": spec.shape[0], "vocabulary": len(spec.facts["words"])}
    return {name: spec.facts[name] for name in ("rate", "fps") if name in spec.facts}


def encode(format_: str, stored: NDArray[Any], name: str, current: Loaded) -> Answer:
    """Stored samples [N, *shape] of a version, as a client asked for them."""
    spec, version = current.drawer.spec, current.version
    if format_ == "png":
        return Answer(200, "image/png", to_bytes(grid(spec.look(stored)), compress_level=1), version)
    shown = current.drawer.shown(stored)
    if format_ == "npy":
        buffer = io.BytesIO()
        np.save(buffer, shown, allow_pickle=False)
        return Answer(200, "application/octet-stream", buffer.getvalue(), version)
    if format_ == spec.joined_format and (joined := spec.joined(shown)):
        return Answer(200, joined[1], joined[2], version)
    if format_ != "json":  # the alias has moved to samples of another kind since the order was checked
        known = ", ".join(formats(spec))
        return Answer(400, "application/json", json.dumps({"error": f"format: expected {known}"}).encode(), version)
    return Answer(200, "application/json", _content(stored, shown, spec, name, version).encode(), version)


def _content(stored: NDArray[Any], shown: NDArray[Any], spec: Spec, name: str, version: str) -> str:
    """Return samples as JSON: texts as they are, of others a file in base64 for each."""
    if spec.kind == "text":
        return Written(name=name, version=int(version), texts=shown.tolist()).model_dump_json()
    if spec.kind == "image":  # packed loosely: quicker than the files that `spec.file` gives
        files = [to_bytes(picture(image), compress_level=1) for image in stored]
        encoded = [base64.b64encode(file).decode() for file in files]
        return Drawn(name=name, version=int(version), images=encoded).model_dump_json()
    media, encoded = "", []
    for one in shown:
        _, media, content = spec.file(one)
        encoded.append(base64.b64encode(content).decode())
    return Played(name=name, version=int(version), media=media, samples=encoded).model_dump_json()
