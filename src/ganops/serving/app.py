"""The HTTP side of `ganops serve`: requests that may be sent, how many at once, and answers that say what was wrong.

Ray Serve's own proxy reads whatever a client sends into an unbounded queue before the application sees it, and answers
overload in plain text. So requests are received here, and only orders that are sound and small reach the replicas.
FastAPI describes them at `/openapi.json`; `/docs` says the same in a page that loads nothing from other hosts.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from ganops.kinds import KINDS
from ganops.serving.limits import BODY as BODY  # room for the seeds and labels of the most samples
from ganops.serving.limits import HEADERS, Receive, Refused, Send, received, shortened
from ganops.serving.limits import SECONDS as SECONDS  # also those in which samples have to be drawn
from ganops.serving.orders import FORMATS, JOINED, Order, of_address, parse

REQUESTS = 1024
"""Requests that are received, wait or are drawn at once; those beyond are told to come again."""
SAMPLES = 1024
"""Samples of one request, where a sample is small."""
CLIPS = 256
"""Clips of one request: a vocoder takes 4 to 9 ms for each."""
PIXELS = 256 * 1024 * 1024
"""Bytes of the samples that are waited for at once, undecoded, and of the answers that are being sent; one request may
have an eighth of it."""
PIECE = 64 * 1024
"""Bytes of an answer that are handed over at once."""
RETRY = "1"
"""Seconds after which a client that was sent away may come again."""


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


class Live(BaseModel):
    """An answer of a process that runs."""

    live: bool


class Ready(BaseModel, use_attribute_docstrings=True):
    """Readiness to draw."""

    name: str | None
    """Name of the model; null: nothing has been served yet."""
    ready: bool


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
    replica: str = ""
    """The process that serves it, unlike any other."""

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
        add("/generate", self.generate, methods=["GET"], responses=_ANSWERS, openapi_extra={"parameters": _ADDRESS})
        add("/generate", self.generate, methods=["HEAD"], include_in_schema=False)
        silent = {503: {"model": Problem, "description": "No replica answers."}}
        reads: tuple[tuple[str, Callable[..., Any], dict[str, Any]], ...] = (
            ("/health", self.health, {"responses": {503: {"model": Health}}, "response_model_exclude_unset": True}),
            ("/model", self.model, {"responses": silent}),
            ("/metrics", self.expose, {"response_class": PlainTextResponse}),
            ("/ping", self.ping, {"responses": {503: {"model": Ready}}}),
            ("/v2/health/live", self.live, {}),
            ("/v2/health/ready", self.ping, {"responses": {503: {"model": Ready}}}),
            (
                "/v2/models/{name}/ready",
                self.model_ready,
                {
                    "responses": {503: {"model": Ready}, 404: {"model": Problem}},
                    "openapi_extra": {"parameters": [_NAME]},
                },
            ),
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

        `labels` and `truncation` are those of the registered model. What POST has in a body, GET has in its address, as
        an `<img>` needs it: `?seed=7&label=boot&format=png`.
        """
        return _Deferred(lambda send: self._answer(request, send))

    async def _answer(self, request: Request, send: Send) -> None:
        """Draw what a request asks for and send it: both are counted until the client has taken the last byte."""
        started = time.perf_counter()
        with self._admitted():
            with self._counted():
                order = await self._order(request)
                answer = await self._drawn(request, order)
            self.metrics.drawn(answer, len(order.seeds), time.perf_counter() - started)
            with self._held(len(answer.body)):
                await _send(answer, send)

    async def _drawn(self, request: Request, order: Order) -> Answer:
        weight = len(order.seeds) * self._weight()
        self._make_room(weight)
        with self._held(weight):
            return await _while_there(request, self.backend.draw(order), self.noun)

    async def _order(self, request: Request) -> Order:
        """Return what a request asks for, in its address or its body."""
        formats = self.states[0].formats if self.states else FORMATS
        accept = request.headers.get("accept") or "*/*"
        if request.method in ("GET", "HEAD"):
            return of_address(request.query_params, self.most, formats, accept=accept)
        return parse(await received(request, SECONDS), self.most, formats, accept=accept)

    @contextlib.contextmanager
    def _admitted(self) -> Iterator[None]:
        if self.requests >= REQUESTS:
            self.metrics.count(503)
            raise Refused(503, f"{REQUESTS} requests are being served; come again in {RETRY} s")
        self.requests += 1
        self.metrics.in_flight.set(self.requests)
        try:
            yield
        finally:
            self.requests -= 1
            self.metrics.in_flight.set(self.requests)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """Count requests that are refused or end in a defect, by the status of their answer; who leaves gets none."""
        try:
            yield
        except ClientDisconnect:
            raise
        except Exception as error:
            self.metrics.count(error.status if isinstance(error, Refused) else 500)
            raise

    def _make_room(self, weight: int) -> None:
        if self.pixels and self.pixels + weight > PIXELS:
            raise Refused(503, f"{PIXELS >> 20} MiB of {self.noun} are waited for; come again in {RETRY} s")

    @contextlib.contextmanager
    def _held(self, weight: int) -> Iterator[None]:
        self.pixels += weight
        try:
            yield
        finally:
            self.pixels -= weight

    async def health(self, response: Response) -> Health:
        """Tell whether samples are drawn, and by the version that should draw them.

        ok; degraded: the former version serves on, and `trouble` says why; down, with 503.
        """
        if self._silent():
            response.status_code, response.headers["Retry-After"] = 503, RETRY
            return Health(status="down", trouble="no replica answers")
        trouble = next((state.trouble for state in self.states if state.trouble), None)
        return Health(status="degraded" if trouble else "ok", trouble=trouble, **self._served())

    def _silent(self) -> bool:
        """True where the replicas have not answered for so long that nothing is known of them."""
        return time.monotonic() - self.seen > 10 + 3 * self.poll

    async def live(self) -> Live:
        """Tell that this process answers, as KServe's protocol v2 asks."""
        return Live(live=True)

    async def ping(self, response: Response) -> Ready:
        """Tell whether samples are drawn, for load balancers; nobody needs a token for it."""
        ready = (await self.health(response)).status != "down"
        return Ready(name=self.states[0].name if self.states else None, ready=ready)

    async def model_ready(self, request: Request, response: Response) -> Ready:
        """Tell whether samples of this model are drawn, as KServe's protocol v2 asks."""
        found, name = await self.ping(response), request.path_params["name"]
        if found.name not in (None, name):
            raise Refused(404, f"expected the model that is served, {found.name}; got {shortened(name)}")
        return found

    def _served(self) -> dict[str, Any]:
        return {"versions": sorted({int(state.version) for state in self.states}), "replicas": len(self.states)}

    async def model(self) -> Model:
        """Tell what is served."""
        if self._silent():
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


class _Deferred(Response):
    """An answer that is made while it is sent."""

    def __init__(self, make: Callable[[Send], Awaitable[None]]) -> None:
        super().__init__()
        self.make = make

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        await self.make(send)


async def _send(answer: Answer, send: Send) -> None:
    """Send an answer in pieces; each waits until the client has taken what was sent before, and so does the end."""
    headers = {"X-Model-Version": answer.version, "Vary": "Accept", "Content-Length": str(len(answer.body))}
    start = Response(None, answer.status, headers, answer.media)
    await send({"type": "http.response.start", "status": answer.status, "headers": start.raw_headers})
    for at in range(0, len(answer.body), PIECE):
        await send({"type": "http.response.body", "body": answer.body[at : at + PIECE], "more_body": True})
    await send({"type": "http.response.body", "body": b""})


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
            text, headers = str(error), _BESIDE.get(status)
        case HTTPException(status_code=status):
            headers = {"Allow": _allowed(request)} if status == 405 else error.headers
            known = "expected GET or POST /generate, GET /health, GET /model, GET /metrics or GET /docs"
            text = f"{known}, got {request.method} {request.url.path}"
        case ClientDisconnect():
            status, text = 499, "the client has left"  # nobody reads it
        case _:
            status, text = 500, f"a defect of the server: {type(error).__name__}"
    return JSONResponse({"error": text}, status, headers)


def _allowed(request: Request) -> str:
    """Return the methods that an address has, of whichever route."""
    fitting = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    return ", ".join(sorted({method for route in fitting for method in route.methods}))


_BESIDE = {503: {"Retry-After": RETRY}, 413: {"Connection": "close"}, 408: {"Connection": "close"}}
"""Headers of refusals; what is left of a body that was refused would be read for ever."""
_AT_THE_DOOR: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "The server has a token, and the request has not."},
    403: {"model": Problem, "description": "A page of a foreign origin asks."},
    421: {"model": Problem, "description": "The server does not go by the name in `Host`."},
    431: {"model": Problem, "description": f"First line and headers have more than {HEADERS} bytes."},
}
"""Answers of `limits.Doorway` to any request, for `/openapi.json`."""
_NAME = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
_ADDRESS = [
    {"name": name, "in": "query", "required": False, "description": words, "schema": schema}
    for name, words, schema in (
        ("seed", "A seed, 0 where there is none; may be given again.",
         {"type": "array", "items": {"type": "integer", "format": "int64"}}),
        ("count", "The seeds from `seed` on, in the place of several.", {"type": "integer", "minimum": 1}),
        ("label", "A class by name or number; may be given again.", {"type": "array", "items": {"type": "string"}}),
        ("truncation", "1: the distribution that was trained; less: more typical.",
         {"type": "number", "minimum": 0, "maximum": 1, "default": 1.0}),
        ("format", "As in the body of POST.", {"type": "string", "enum": [*FORMATS, *JOINED]}),
    )
]  # fmt: skip
"""Parameters in the address of GET /generate, for `/openapi.json`."""
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
    406: {"model": Problem, "description": "`Accept` names no format that there is."},
    408: {"model": Problem, "description": f"The body did not arrive within {SECONDS} s."},
    413: {"model": Problem, "description": f"The body has more than {BODY} bytes."},
    503: {"model": Problem, "description": "Too much is asked for at once, or nobody draws: see `Retry-After`."},
    504: {"model": Problem, "description": f"The samples were not drawn within {SECONDS} s."},
}
"""Answers to `/generate`, for `/openapi.json`."""
