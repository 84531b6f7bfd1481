"""The HTTP listener of our servers: names that they answer to, bounds of requests, number of connections.

Any page in a browser can send requests to this machine, and its owner can have a name of theirs point here (DNS
rebinding): then the browser takes the answers for theirs. Such requests carry that name, so that a server which answers
to its own names alone is out of reach.
"""

import asyncio
import base64
import contextlib
import hmac
import ipaddress
import math
import os
import re
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import h11
import uvicorn
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from ganops.core.errors import UserError

try:
    import fcntl
    import resource
    import termios
except ImportError:  # Windows, which has none of them
    fcntl = resource = None  # type: ignore[assignment]

BODY = 64 * 1024
"""Bytes of a request's body."""
HEADERS = 32 * 1024
"""Bytes of a request's first line and headers."""
SECONDS = 60
"""Seconds in which a request has to arrive: its headers, and then its body; and in which some of an answer has to be
taken."""
CONNECTIONS = 4096
"""Connections at once, or half the files that the process may open: beyond, the one that has waited longest without
having sent the headers of a request is closed, which may be the new one."""
TOKEN = "GANOPS_SERVE_TOKEN"
"""Variable with the token that requests must show; without it, nobody is asked."""
OPEN = ("/ping", "/v2/health/live", "/v2/health/ready")
"""Addresses of load balancers, which show no token."""
ANY = "*"
"""Origin that stands for all."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
"""Names of this machine for itself."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]


class Refused(Exception):  # noqa: N818  # an answer, not a defect
    """An answer that says why there is no other one."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Doorway:
    """An application behind a door: requests for other names are refused, and bodies are read up to `BODY` bytes.

    Args:
        app: Any ASGI application.
        host: The address that is listened at. One that stands for all of this machine's (0.0.0.0, ::) allows each
            address, which cannot be rebound, and the machine's own names.
        allowed: Further names, such as that of a proxy.
        body: Whether bodies are read here; else the application does, by `received`.
        origins: Foreign pages that may ask (see `with_origins`).
        token: What a request must show, as `Authorization: Bearer TOKEN` or as the password that a browser asks for;
            None: nothing.
    """

    def __init__(self, app: App, host: str, allowed: Sequence[str] = (), *, body: bool = True,
                 origins: Sequence[str] = (), token: str | None = None) -> None:  # fmt: skip
        self.app, self.body, self.origins, self.token = app, body, origins, token
        self.everywhere = host in ("0.0.0.0", "::")
        own = (socket.gethostname(), socket.getfqdn()) if self.everywhere else (host,)
        self.names = {name.lower().strip("[]") for name in (*LOOPBACK, *own, *allowed)}

    def allows(self, name: str | None) -> bool:
        """True where the server goes by this name, which is in lower case and without a port."""
        return name is not None and (name in self.names or (self.everywhere and _is_address(name)))

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer 421 to who asks for another name, 403 to foreign pages, 401 to who has no token, 431, 413 or 408."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            request = Request(scope, receive)
            self._examine(request)
            self._identify(request)
            inward = _again(await received(request, SECONDS), receive) if self.body else receive
        except Refused as error:
            asks = {"WWW-Authenticate": 'Basic realm="ganops", charset="UTF-8"'} if error.status == 401 else {}
            answer = JSONResponse({"error": str(error)}, error.status, {"Connection": "close", **asks})
            await answer(scope, receive, send)
        except ClientDisconnect:
            pass
        else:
            await self.app(scope, inward, send)

    def _examine(self, request: Request) -> None:
        known = f"expected one of {', '.join(sorted(self.names))}; --allowed-host adds a name"
        if (size := _size(request)) > HEADERS:
            raise Refused(431, f"expected at most {HEADERS} bytes of first line and headers, got {size}")
        hosts, origin = request.headers.getlist("host"), request.headers.get("origin")
        host = _name(f"//{hosts[0]}") if len(hosts) == 1 else None
        if not self.allows(host):
            raise Refused(421, f"this server does not answer to the host {shortened(', '.join(hosts))!r}: {known}")
        if origin is None or origin in self.origins or ANY in self.origins:
            return
        page = _name(origin)
        if page != host and page not in self.names:  # any address may be that of a foreign page
            raise Refused(403, f"this server does not answer to pages of {shortened(origin)!r}: {known}")

    def _identify(self, request: Request) -> None:
        """Refuses a request that does not show the token, but for those of load balancers."""
        if self.token is None or request.url.path in OPEN:
            return
        kind, _, shown = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                shown = base64.b64decode(shown, validate=True).decode().partition(":")[2]
            except ValueError:
                shown = ""
        if not hmac.compare_digest(shown.strip().encode(), self.token.encode()):
            raise Refused(401, f"expected the token of this server ({TOKEN}) as `Authorization: Bearer TOKEN`, or in a "
                               f"browser as the password; got {'another one' if shown else 'none'}")  # fmt: skip


def token() -> str | None:
    """Return the token that requests must show, from the environment; None: there is none.

    Raises:
        UserError: It is empty, or not printable ASCII, which no header could hold.
    """
    found = os.environ.get(TOKEN)
    if found is not None and not re.fullmatch(r"[!-~]+", found):
        raise UserError(f"{TOKEN}: expected one or more printable ASCII characters without spaces; unset it for none")
    return found


def with_origins(app: App, origins: Sequence[str]) -> App:
    """Return an application whose answers foreign pages of these origins may read (CORS); without any, as it is.

    Raises:
        UserError: One of them is no origin.
    """
    for origin in origins:
        if origin != ANY and not re.fullmatch(r"https?://[^/\s]+", origin):
            raise UserError(f"--allowed-origin: expected scheme and host, such as https://shop.example.com, or *; "
                            f"got {origin}")  # fmt: skip
    if not origins:
        return app
    headers = ["Authorization", "Content-Type"]
    return CORSMiddleware(app, origins, allow_methods=["GET", "POST"], allow_headers=headers,
                          expose_headers=["X-Model-Version", "Retry-After"])  # fmt: skip


async def received(request: Request, seconds: float) -> bytes:
    """The body of a request, if it is not too much: then it is refused before, or as soon as, the bound is passed.

    Raises:
        Refused: 413, it is larger than `BODY`; 408, it takes longer than `seconds`.
        ClientDisconnect: The client has left.
    """
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > BODY:
        raise Refused(413, f"expected at most {BODY} bytes, got {declared}")
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY:
                    raise Refused(413, f"expected at most {BODY} bytes, got more")
    except TimeoutError:
        raise Refused(408, f"the request did not arrive within {seconds:g} s") from None
    return bytes(body)


def _size(request: Request) -> int:
    """Bytes of the first line of a request and of its headers."""
    path = request.scope.get("raw_path") or request.scope["path"].encode()
    line = len(request.method) + len(path) + len(request.scope.get("query_string", b""))
    return line + sum(len(name) + len(value) for name, value in request.headers.raw)


def _name(address: str) -> str | None:
    """The host of an address in lower case; None: it has none, or is no address."""
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def shortened(text: str, most: int = 60) -> str:
    """The first characters of what a client sent."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _again(body: bytes, receive: Receive) -> Receive:
    """Hand on a body that was read, and then whatever comes."""
    kept: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return kept.pop() if kept else await receive()

    return again


class Guarded(H11Protocol):
    """A connection that is closed when its client does nothing for `SECONDS` where something is to be done.

    Either the headers of a request do not come, or of an answer nothing is taken. uvicorn by itself waits for both
    without end, and on any number of connections.
    """

    waits: asyncio.TimerHandle | None = None
    """The time by which the headers of a request have to be whole."""
    takes: asyncio.TimerHandle | None = None
    """The time by which the client has to have taken something."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait; where there are too many connections, close one."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(0)  # who sends waits as soon as the system takes no more
        self._wait()
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if resource else 2 * CONNECTIONS
        if len(self.connections) > min(CONNECTIONS, files // 2):
            waiting = {each.waits.when(): each for each in self.connections if isinstance(each, Guarded) and each.waits}
            waiting[min(waiting)].transport.abort()

    def data_received(self, data: bytes) -> None:
        """Wait as long as headers are not whole; the bodies that follow are the application's to wait for."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._whole()
        elif self.waits is None:
            self._wait()

    def pause_writing(self) -> None:
        """Look from now on whether the client takes anything."""
        super().pause_writing()
        self._look(math.inf)

    def resume_writing(self) -> None:
        """Look no longer: the system has taken all that was sent."""
        self._taken()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._whole()
        self._taken()
        super().connection_lost(exc)

    def _look(self, before: float) -> None:
        """Close the connection of a client that has taken nothing since there were so many bytes."""
        left = _untaken(self.transport)
        if left < before:
            self.takes = self.loop.call_later(SECONDS, self._look, left)
        else:
            self.transport.abort()

    def _taken(self) -> None:
        if self.takes is not None:
            self.takes.cancel()
            self.takes = None

    def _wait(self) -> None:
        self.waits = self.loop.call_later(SECONDS, self.transport.abort)

    def _whole(self) -> None:
        if self.waits is not None:
            self.waits.cancel()
            self.waits = None


def _untaken(transport: asyncio.Transport) -> int:
    """Bytes that were sent and that the other side has not got, as far as the system tells."""
    kept = 0
    if fcntl is not None:  # a slow client takes what the system holds long before the system takes more from here
        with contextlib.suppress(OSError):
            told = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
            kept = int.from_bytes(told, sys.byteorder)
    return transport.get_write_buffer_size() + kept


def server(app: App, **settings: Any) -> uvicorn.Server:
    """A server of `app` with bounded headers and connections; `settings` are uvicorn's own."""
    config = uvicorn.Config(app, http=Guarded, ws="none", h11_max_incomplete_event_size=HEADERS, **settings)
    return uvicorn.Server(config)


def serve(app: App, listener: socket.socket, tell: Callable[[str], None], **settings: Any) -> None:
    """Serve `app` until SIGINT or SIGTERM.

    Args:
        app: Any ASGI application.
        listener: A socket that is `bound`.
        tell: Is given the address, such as `http://127.0.0.1:8000`, as soon as it can be called.
        settings: Those of `uvicorn.Config`.
    """
    listener.listen(settings.setdefault("backlog", CONNECTIONS))
    host, port = listener.getsockname()[:2]
    tell(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    server(app, **settings).run(sockets=[listener])
