"""The HTTP side of `ganops serve`: requests that may be sent, how many at once, and answers that say what was wrong.

Ray Serve's own proxy reads whatever a client sends into an unbounded queue before the application sees it, and answers
overload in plain text. So requests are received here, and only orders that are sound and small reach the replicas.
FastAPI describes them at `/openapi.json`; `/docs` says the same in a page that loads nothing from other hosts.
"""

import asyncio
import contextlib
import json
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, Protocol

import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ganops.kinds import KINDS
from ganops.serving.limits import BODY as BODY  # room for the seeds and labels of the most samples
from ganops.serving.limits import HEADERS, received, shortened
from ganops.serving.limits import SECONDS as SECONDS  # also those in which samples have to be drawn
from ganops.serving.limits import Refused as Refused

REQUESTS = 1024
"""Requests that are received, wait or are drawn at once; those beyond are told to come again."""
SAMPLES = 1024
"""Samples of one request, where a sample is small."""
CLIPS = 256
"""Clips of one request: a vocoder takes 4 to 9 ms for each."""
FORMATS = ("json", "png", "npy")
"""Formats of all samples; those that can follow one another in a file have one more (`Spec.joined_format`)."""
JOINED = ("wav", "txt", "webp")
"""Formats of `Spec.joined_format`: wav of sounds, txt of texts, webp of films."""
PIXELS = 256 * 1024 * 1024
"""Bytes of the samples that are waited for at once, undecoded; one request may have an eighth of it."""
RETRY = "1"
"""Seconds after which a client that was sent away may come again."""

Seed = Annotated[int, Field(ge=-(2**63), le=2**63 - 1, json_schema_extra={"format": "int64"})]
Label = Annotated[int, Field(ge=0, le=2**63 - 1, json_schema_extra={"format": "int64"})]


class Order(BaseModel):
    """Samples that a client asks for."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"seeds": [0, 1], "labels": [3], "truncation": 0.8, "format": "png"}]},
    )  # fmt: skip

    seeds: Annotated[list[Seed], Field(min_length=1, fail_fast=True)]
    """One for each sample, at most `limits.seeds` of `/model`; the same seed is the same sample."""
    labels: Annotated[list[Label], Field(fail_fast=True)] | None = None
    """Classes: one for all, or one for each seed; null: the seed modulo the number of classes."""
    truncation: float = Field(1.0, ge=0, le=1, allow_inf_nan=False)
    """1: the distribution that was trained; less: more typical. Of texts, the temperature of their words."""
    format: str = Field("json", json_schema_extra={"enum": [*FORMATS, *JOINED]})
    """One of `formats` of `/model`.

    json: a PNG for each seed, of a sound a WAV, of a film an animated WebP, of a text the string itself. png: one
    picture, the grid; of sounds it shows spectrograms, of films strips. npy: for `numpy.load`, the quickest, of images
    uint8 [N, H, W, C], of films uint8 [N, T, H, W, C], of sounds int16 [N, T], of texts str [N]. wav, of sounds: all of
    them, one after the other. webp, of films: all of them, side by side. txt, of texts: a line each, in UTF-8.
    """


class Drawn(BaseModel, use_attribute_docstrings=True):
    """Pictures as JSON."""

    name: str
    version: int
    images: list[str]
    """A PNG in base64 for each seed."""


class Played(BaseModel, use_attribute_docstrings=True):
    """Sounds or films as JSON."""

    name: str
    version: int
    media: str = Field(examples=["audio/wav", "image/webp"])
    """Media type of each."""
    samples: list[str]
    """A file in base64 for each seed."""


class Written(BaseModel, use_attribute_docstrings=True):
    """Texts as JSON."""

    name: str
    version: int
    texts: list[str]
    """A text for each seed."""


class Problem(BaseModel):
    """The reason why there is no other answer."""

    error: str = Field(examples=["seeds.0: expected a whole number, got 1.5"])


class Health(BaseModel, use_attribute_docstrings=True):
    """A server's opinion of itself."""

    status: Literal["ok", "degraded", "down"]
    trouble: str | None
    """The reason why it does not serve what the alias points to."""
    versions: list[int] = []
    """One, but for the seconds in which replicas follow the alias."""
    replicas: int = 0


class Model(BaseModel, use_attribute_docstrings=True):
    """A registered model that is served."""

    name: str
    alias: str
    version: int
    kind: str
    """image, sound, text, video or wave."""
    shape: tuple[int, ...]
    """Shape of a sample in npy: height, width and channels of a picture, before them the frames of a film; the samples
    of a clip; of a text none."""
    dtype: str
    """Type of a sample in npy, as numpy writes it."""
    rate: int | None
    """Samples a second of a clip; null: it is none."""
    fps: float | None
    """Frames a second of a film; null: it is none."""
    length: int | None
    """Words, or characters, of a text at most; null: it is none."""
    vocabulary: int | None
    """Number of words, or characters, that a text is made of; null: it is none."""
    formats: tuple[str, ...]
    """Values of `format` that `/generate` takes."""
    classes: int
    class_names: tuple[str, ...]
    loaded: str
    """UTC, ISO 8601."""
    trouble: str | None
    versions: list[int]
    replicas: int
    limits: dict[str, int]


@dataclass(frozen=True)
class Answer:
    """The answer of a replica to an order."""

    status: int
    media: str
    body: bytes
    version: str
    """The version that drew."""


@dataclass(frozen=True)
class State:
    """The state of a replica: the version that it serves."""

    name: str
    alias: str
    version: str
    shape: tuple[int, ...]
    """Shape of a sample as `predict` gives it: height, width and channels of a picture; of a text it has no axes."""
    classes: int
    class_names: tuple[str, ...]
    loaded: str
    """UTC, ISO 8601."""
    trouble: str | None
    """The reason why it does not serve what the alias points to; None: it does."""
    kind: str = "image"
    """A name in `kinds.KINDS`."""
    dtype: str = "uint8"
    """Type of a sample as `predict` gives it."""
    rate: int | None = None
    """Samples a second of a clip."""
    fps: float | None = None
    """Frames a second of a film."""
    length: int | None = None
    """Words, or characters, of a text at most."""
    vocabulary: int | None = None
    """Number of words, or characters, that a text is made of."""
    formats: tuple[str, ...] = FORMATS
    """Formats in which it answers."""

    @property
    def noun(self) -> str:
        """Noun for several samples."""
        return "pictures" if self.kind == "image" else f"{KINDS[self.kind].UNIT}s"


class Backend(Protocol):
    """The replicas, or what stands for them."""

    async def draw(self, order: Order) -> Answer:
        """The answer to an order that is sound; raises `Refused` where nobody can draw now."""

    async def states(self) -> list[State]:
        """Return the state of each replica that answers."""


def parse(body: bytes, most: int, formats: Sequence[str] = FORMATS) -> Order:
    """Check a request of at most `most` samples, in one of these formats.

    Raises:
        Refused: 400, with what was expected and got.
    """
    try:
        order = Order.model_validate_json(body)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        told = "; ".join(dict.fromkeys(_explain(problem) for problem in problems[:3]))
        raise Refused(400, told + (f"; and {len(problems) - 3} more" if len(problems) > 3 else "")) from None
    if len(order.seeds) > most:
        raise Refused(400, f"seeds: expected 1 to {most} of them, got {len(order.seeds)}")
    if order.format not in formats:
        known = f"{', '.join(map(repr, formats[:-1]))} or {formats[-1]!r}"
        raise Refused(400, f"format: expected {known}, got {shortened(json.dumps(order.format))}")
    if order.labels is not None and len(order.labels) not in (1, len(order.seeds)):
        raise Refused(
            400, f"labels: expected null, one, or one for each of the {len(order.seeds)} seeds, got {len(order.labels)}"
        )
    return order


_PLAIN = {
    "valid integer": "whole number",
    "a valid array": "a list of whole numbers",
    "a valid number": "a number",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
}
"""Words of pydantic, and those that stand for them here."""


def _explain(problem: Any) -> str:
    where, got = ".".join(map(str, problem["loc"])) or "body", shortened(json.dumps(problem["input"], default=str))
    match problem["type"]:
        case "json_invalid":
            return f'body: expected JSON such as {{"seeds": [0, 1]}}, got what is none ({problem["ctx"]["error"]})'
        case "extra_forbidden":
            return f"{where}: unknown; known: {', '.join(Order.model_fields)}"
        case "missing":
            return f"{where}: expected a list of whole numbers, got none"
        case "too_short":
            return f"{where}: expected at least one, got none"
        case "model_type":
            return f'body: expected an object such as {{"seeds": [0, 1]}}, got {got}'
    message = problem["msg"].removeprefix("Input should be ")
    for term, plain in _PLAIN.items():
        message = message.replace(term, plain)
    return f"{where}: expected {message}, got {got}"


class Front:
    """The front: receives requests, and knows what the replicas serve.

    Args:
        backend: Who draws.
        tell: Hears one line whenever what is served changes.
        poll: Seconds between two looks at the replicas.
    """

    def __init__(self, backend: Backend, tell: Callable[[str], None], poll: float = 1.0) -> None:
        self.backend, self.tell, self.poll = backend, tell, poll
        self.states: list[State] = []
        self.seen = float("-inf")
        """Seconds on the monotonic clock at which the replicas answered last."""
        self.requests = self.pixels = 0
        self.metrics = _Metrics()
        self.app = FastAPI(
            title="ganops serve",
            version="1",
            docs_url=None,  # FastAPI's own page loads its scripts from another host
            redoc_url=None,
            lifespan=self.watched,
            responses=_AT_THE_DOOR,
            exception_handlers=dict.fromkeys((Refused, HTTPException, ClientDisconnect, 500), _refuse),
        )
        add = self.app.add_api_route
        body = {"required": True, "content": {"application/json": {"schema": Order.model_json_schema()}}}
        add("/generate", self.generate, methods=["POST"], responses=_ANSWERS, openapi_extra={"requestBody": body})
        silent = {503: {"model": Problem, "description": "No replica answers."}}
        reads: tuple[tuple[str, Callable[..., Any], dict[str, Any]], ...] = (
            ("/health", self.health, {"responses": {503: {"model": Health}}, "response_model_exclude_unset": True}),
            ("/model", self.model, {"responses": silent}),
            ("/metrics", self.expose, {"response_class": PlainTextResponse}),
            ("/docs", self.docs, {"include_in_schema": False}),
        )
        for path, endpoint, described in reads:
            add(path, endpoint, **described)
            add(path, endpoint, methods=["HEAD"], include_in_schema=False)

    @contextlib.asynccontextmanager
    async def watched(self, _: FastAPI) -> AsyncIterator[None]:
        """Look after the replicas as long as the application lives."""
        await self.look()
        watching = asyncio.create_task(self.watch())
        yield
        watching.cancel()

    async def watch(self) -> None:
        """Look after the replicas until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self.poll)

    async def look(self) -> None:
        """Ask the replicas once what they serve."""
        try:
            async with asyncio.timeout(max(5.0, self.poll)):
                found = await self.backend.states()
        except Exception as error:  # whatever keeps them from answering: health tells, the next look may find them
            found = []
            self.tell(f"the replicas do not answer: {type(error).__name__}: {error}")
        if not found:
            return
        for line in _changes(self.states, found):
            self.tell(line)
        self.states, self.seen = found, time.monotonic()
        self.metrics.serve(found)

    @property
    def most(self) -> int:
        """Samples that one request may ask for."""
        slow = self.states and self.states[0].rate is not None
        return max(1, min(CLIPS if slow else SAMPLES, PIXELS // 8 // self._weight()))

    @property
    def noun(self) -> str:
        """Noun for several samples of what is served."""
        return self.states[0].noun if self.states else "samples"

    def _weight(self) -> int:
        """Bytes of a sample as `predict` gives it."""
        return math.prod(self.states[0].shape) * np.dtype(self.states[0].dtype).itemsize if self.states else 1

    async def generate(self, request: Request) -> Response:
        """Draw a sample for each seed, the same one whenever the same version is asked for it.

        `labels` and `truncation` are those of the registered model.
        """
        started = time.perf_counter()
        with self._admitted():
            formats = self.states[0].formats if self.states else FORMATS
            order = parse(await received(request, SECONDS), self.most, formats)
            with self._room(order):
                answer = await _while_there(request, self.backend.draw(order), self.noun)
            self.metrics.drawn(answer, len(order.seeds), time.perf_counter() - started)
        headers = {"X-Model-Version": answer.version}
        return Response(answer.body, answer.status, headers, answer.media)

    @contextlib.contextmanager
    def _admitted(self) -> Iterator[None]:
        if self.requests >= REQUESTS:
            self.metrics.count(503)
            raise Refused(503, f"{REQUESTS} requests are being served; come again in {RETRY} s")
        self.requests += 1
        self.metrics.in_flight.set(self.requests)
        try:
            yield
        except Refused as error:
            self.metrics.count(error.status)
            raise
        finally:
            self.requests -= 1
            self.metrics.in_flight.set(self.requests)

    @contextlib.contextmanager
    def _room(self, order: Order) -> Iterator[None]:
        weight = len(order.seeds) * self._weight()
        if self.pixels and self.pixels + weight > PIXELS:
            raise Refused(503, f"{PIXELS >> 20} MiB of {self.noun} are waited for; come again in {RETRY} s")
        self.pixels += weight
        try:
            yield
        finally:
            self.pixels -= weight

    async def health(self, response: Response) -> Health:
        """Tell whether samples are drawn, and by the version that should draw them.

        ok; degraded: the former version serves on, and `trouble` says why; down, with 503.
        """
        if time.monotonic() - self.seen > 10 + 3 * self.poll:
            response.status_code, response.headers["Retry-After"] = 503, RETRY
            return Health(status="down", trouble="no replica answers")
        trouble = next((state.trouble for state in self.states if state.trouble), None)
        return Health(status="degraded" if trouble else "ok", trouble=trouble, **self._served())

    def _served(self) -> dict[str, Any]:
        return {"versions": sorted({int(state.version) for state in self.states}), "replicas": len(self.states)}

    async def model(self) -> Model:
        """Tell what is served."""
        if not self.states:
            raise Refused(503, "no replica answers")
        limits = {"seeds": self.most, "body_bytes": BODY, "requests_in_flight": REQUESTS}
        return Model(**asdict(self.states[0]), **self._served(), limits=limits)

    async def expose(self) -> Response:
        """Tell the counters, in the format of Prometheus."""
        return Response(generate_latest(self.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    def docs(self) -> HTMLResponse:
        """Show the interface in a page."""
        from ganops.reports.page import fill  # it imports torch, which replicas do without

        return HTMLResponse(fill("api.html.j2", **self.app.openapi()))


class _Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("ganops_requests", "Answers to /generate", ["status"], registry=self.registry)
        self.samples = Counter("ganops_images", "Samples drawn", ["version"], registry=self.registry)
        self.in_flight = Gauge("ganops_requests_in_flight", "Requests now", registry=self.registry)
        self.version = Gauge("ganops_replicas", "Replicas by version", ["version"], registry=self.registry)
        self.behind = Gauge("ganops_replicas_in_trouble", "Replicas that cannot follow", registry=self.registry)
        self.seconds = Histogram("ganops_request_seconds", "From arrival to answer", registry=self.registry)

    def count(self, status: int) -> None:
        self.requests.labels(status).inc()

    def drawn(self, answer: Answer, samples: int, seconds: float) -> None:
        self.count(answer.status)
        self.seconds.observe(seconds)
        if answer.status == 200:
            self.samples.labels(answer.version).inc(samples)

    def serve(self, states: Sequence[State]) -> None:
        self.version.clear()
        for state in states:
            self.version.labels(state.version).inc()
        self.behind.set(sum(bool(state.trouble) for state in states))


async def _while_there(request: Request, drawing: Coroutine[Any, Any, Answer], noun: str) -> Answer:
    """Wait for the samples while the client does; nobody draws for one who has left."""
    task, left = asyncio.ensure_future(drawing), asyncio.ensure_future(_leaving(request))
    try:
        await asyncio.wait({task, left}, timeout=SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if left.done():
            raise ClientDisconnect
        raise Refused(504, f"the {noun} were not drawn within {SECONDS} s; ask for fewer")
    finally:
        task.cancel()
        left.cancel()
        if not task.done():
            await asyncio.wait({task})


async def _leaving(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _changes(before: Sequence[State], now: Sequence[State]) -> list[str]:
    """Lines that a person should hear."""
    old = {state.version for state in before}
    lines = [
        f"{state.name} v{state.version} is served" + (f" in the place of v{', v'.join(sorted(old))}" if old else "")
        for state in {state.version: state for state in now}.values()
        if state.version not in old
    ]
    known = {state.trouble for state in before}
    lines += [trouble for trouble in {state.trouble for state in now} if trouble and trouble not in known]
    if known - {None} and not any(state.trouble for state in now):
        lines.append("the trouble is over")
    return lines


async def _refuse(request: Request, error: Any) -> Response:
    """The answer to a request that cannot have the one that it asked for."""
    headers: Any = None
    match error:
        case Refused(status=status):
            text, headers = str(error), {"Retry-After": RETRY} if status == 503 else None
        case HTTPException(status_code=status):
            headers = error.headers
            known = "expected POST /generate, GET /health, GET /model or GET /metrics"
            text = f"{known}, got {request.method} {request.url.path}"
        case ClientDisconnect():
            status, text = 499, "the client has left"  # nobody reads it
        case _:
            status, text = 500, f"a defect of the server: {type(error).__name__}"
    return JSONResponse({"error": text}, status, headers)


_AT_THE_DOOR: dict[int | str, dict[str, Any]] = {
    403: {"model": Problem, "description": "A page of a foreign origin asks."},
    421: {"model": Problem, "description": "The server does not go by the name in `Host`."},
    431: {"model": Problem, "description": f"The headers have more than {HEADERS} bytes."},
}
"""Answers of `limits.Doorway` to any request, for `/openapi.json`."""
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": Drawn | Played | Written,
        "description": "The samples, in the format that was asked for.",
        "content": {
            "image/png": {},
            "application/octet-stream": {},
            "audio/wav": {},
            "image/webp": {},
            "text/plain": {},
        },
        "headers": {"X-Model-Version": {"description": "The version that drew.", "schema": {"type": "string"}}},
    },
    400: {"model": Problem, "description": "The order is not sound: what was expected, and what was got."},
    408: {"model": Problem, "description": f"The body did not arrive within {SECONDS} s."},
    413: {"model": Problem, "description": f"The body has more than {BODY} bytes."},
    503: {"model": Problem, "description": "Too much is asked for at once, or nobody draws: see `Retry-After`."},
    504: {"model": Problem, "description": f"The samples were not drawn within {SECONDS} s."},
}
"""Answers to `/generate`, for `/openapi.json`."""
