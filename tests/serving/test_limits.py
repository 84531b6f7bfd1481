"""The door of `ganops serve` and `ganops playground`: foreign names, bodies, headers, connections."""

import asyncio
import base64
import contextlib
import signal
import socket
import threading

import httpx
import pytest

from ganops.core.errors import UserError
from ganops.core.listening import bound
from ganops.serving import app, limits
from ganops.serving.app import PIECE, Answer, Front, State
from ganops.serving.limits import BODY, Doorway


async def echo(scope, receive, send):
    """Answers how many bytes it was sent."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


def ask(door, *, host="127.0.0.1:7860", method="POST", content=b"", **headers):
    async def run():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://127.0.0.1") as client:
            return await client.request(method, "/x", content=content, headers={"host": host, **headers})

    return asyncio.run(run())


OWN = ["localhost", "LocalHost:80", "127.0.0.1:7860", "[::1]:7860", "gan.example.com", "gan.example.com:443"]
FOREIGN = ["evil.example.com", "evil.example.com:7860", "127.0.0.1.evil.example.com", "localhost@evil.example.com",
           "evil.example.com#localhost", "10.0.0.1", "[::2]:7860", "", "[", "a b"]  # fmt: skip


def test_only_its_own_names_are_answered():
    door = Doorway(echo, "127.0.0.1", ["GAN.example.com"])
    assert {host: ask(door, host=host).status_code for host in OWN} == dict.fromkeys(OWN, 200)
    assert {host: ask(door, host=host).status_code for host in FOREIGN} == dict.fromkeys(FOREIGN, 421)
    said = ask(door, host=FOREIGN[0]).json()["error"]
    assert said.startswith(
        "this server does not answer to the host 'evil.example.com': expected one of 127.0.0.1, ::1,"
    )
    assert said.endswith("--allowed-host adds a name")
    assert len(ask(door, host="x" * 5000).content) < 500


def test_the_host_that_is_listened_at_is_a_name():
    assert ask(Doorway(echo, "gpu7"), host="gpu7:7860").status_code == 200
    assert ask(Doorway(echo, "gpu7"), host="gpu8:7860").status_code == 421


def test_who_listens_at_all_addresses_answers_to_each_address_and_to_no_foreign_name():
    for everywhere in ("0.0.0.0", "::"):
        door = Doorway(echo, everywhere)
        for host in ("10.1.2.3:80", "[fe80::1]:80", "localhost", socket.gethostname()):
            assert ask(door, host=host).status_code == 200, host
        assert ask(door, host="rebound.example.com").status_code == 421


def test_foreign_pages_change_nothing():
    door = Doorway(echo, "127.0.0.1")
    for origin in ("http://127.0.0.1:7860", "https://localhost"):
        assert ask(door, origin=origin).status_code == 200
    for origin in ("http://evil.example.com", "null", "file://", "http://["):
        refused = ask(door, origin=origin)
        assert (refused.status_code, "does not answer to pages of" in refused.json()["error"]) == (403, True), origin


def test_who_listens_at_all_addresses_answers_to_no_page_of_another_address():
    for everywhere in ("0.0.0.0", "::"):
        door = Doorway(echo, everywhere)
        own = (
            ("10.1.2.3:80", "http://10.1.2.3"),
            ("[fe80::1]:80", "http://[fe80::1]"),
            ("localhost", "http://127.0.0.1"),
        )
        for host, origin in own:
            assert ask(door, host=host, origin=origin).status_code == 200, origin
            assert ask(door, host=host, origin="http://203.0.113.9").status_code == 403, host
            assert ask(door, host=host, origin="http://[2001:db8::1]").status_code == 403, host


def test_a_picture_in_a_foreign_page_is_drawn_unless_there_is_a_token():
    """Browsers send no `Origin` for an `<img>`, and let no page read it."""
    asked = {"method": "GET", "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
    assert ask(Doorway(echo, "127.0.0.1"), **asked).status_code == 200
    assert ask(Doorway(echo, "127.0.0.1", token="secret"), **asked).status_code == 401


def test_pages_of_an_origin_that_is_allowed_may_ask_and_read():
    origin = "https://shop.example.com"
    door = limits.with_origins(Doorway(echo, "127.0.0.1", origins=[origin], token="secret"), [origin])
    asked = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    allowed = ask(door, method="OPTIONS", **asked)  # shows no token: browsers send none with it
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, origin)
    answer = ask(door, origin=origin, authorization="Bearer secret")
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin)
    refused = ask(door, origin="https://evil.example.com", authorization="Bearer secret")
    assert (refused.status_code, "access-control-allow-origin" in refused.headers) == (403, False)
    everybody = limits.with_origins(Doorway(echo, "127.0.0.1", origins=["*"]), ["*"])
    assert ask(everybody, origin="https://evil.example.com").headers["access-control-allow-origin"] == "*"


def test_without_origins_no_page_of_another_one_is_told_anything():
    assert limits.with_origins(echo, ()) is echo
    answer = ask(Doorway(echo, "127.0.0.1"), origin="http://localhost")
    assert not [name for name in answer.headers if name.startswith("access-control")]
    with pytest.raises(UserError, match="--allowed-origin: expected scheme and host"):
        limits.with_origins(echo, ["shop.example.com"])


def basic(password):
    return f"Basic {base64.b64encode(f'anybody:{password}'.encode()).decode()}"


def test_a_token_is_asked_for_where_there_is_one():
    door = Doorway(echo, "127.0.0.1", token="a:secret")
    for shown in ("Bearer a:secret", "bearer  a:secret ", basic("a:secret")):
        assert ask(door, authorization=shown).status_code == 200, shown
    for shown in ("", "Bearer", "Bearer secret", "Bearer a:secret2", basic("b"), "Basic %%%", "Basic w7w=", "a:secret"):
        refused = ask(door, authorization=shown)
        assert (refused.status_code, "GANOPS_SERVE_TOKEN" in refused.json()["error"]) == (401, True), shown
        assert refused.headers["www-authenticate"].startswith("Basic realm=")
        assert "a:secret" not in refused.text
    assert ask(Doorway(echo, "127.0.0.1")).status_code == 200


def test_load_balancers_need_no_token():
    async def run():
        door = Doorway(echo, "127.0.0.1", token="secret")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://127.0.0.1") as client:
            return [(await client.get(path)).status_code for path in (*limits.OPEN, "/ping/../model", "/model")]

    assert asyncio.run(run()) == [200, 200, 200, 401, 401]


def test_the_token_comes_from_the_environment(monkeypatch):
    monkeypatch.delenv(limits.TOKEN, raising=False)
    assert limits.token() is None
    monkeypatch.setenv(limits.TOKEN, "secret")
    assert limits.token() == "secret"
    for bad in ("", "two words", "schlüssel"):
        monkeypatch.setenv(limits.TOKEN, bad)
        with pytest.raises(UserError, match="expected one or more printable ASCII"):
            limits.token()


def test_bodies_are_read_up_to_the_bound():
    door = Doorway(echo, "127.0.0.1")
    assert ask(door, content=bytes(BODY)).text == str(BODY)
    assert ask(door, content=bytes(BODY + 1)).status_code == 413

    taken = []

    async def pieces():
        for _ in range(10**6):
            taken.append(10_000)
            yield bytes(10_000)

    assert ask(door, content=pieces()).status_code == 413
    assert sum(taken) <= BODY + 20_000


def test_bodies_that_do_not_arrive_are_not_waited_for(monkeypatch):
    monkeypatch.setattr(limits, "SECONDS", 0.05)
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"host", b"localhost")]}
    asyncio.run(Doorway(echo, "127.0.0.1")(scope, asyncio.Event().wait, send))
    assert sent[0]["status"] == 408


# The connections themselves


@contextlib.asynccontextmanager
async def listening(app=None):
    """A server, as a function that opens a connection to it, sends something and returns (reader, writer)."""
    writers = []

    async def send(data):
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writers.append(writer)
        writer.write(data)
        return reader, writer

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = limits.server(app or Doorway(echo, "127.0.0.1"), log_config=None, lifespan="off")
        send.connections = server.server_state.connections
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield send
        finally:
            for writer in writers:
                writer.close()
            await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
            server.should_exit = True
            await serving


REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n"


async def answer(reader, seconds=10):
    """What came until the other side closed the connection."""
    try:
        return await asyncio.wait_for(reader.read(), seconds)
    except ConnectionError:
        return b""


def test_headers_have_a_bound():
    async def run():
        async with listening() as send:
            for size, status in ((1000, b"200"), (limits.HEADERS, b"431")):
                reader, writer = await send(REQUEST + b"X: " + b"x" * size)
                writer.write(b"\r\nConnection: close\r\n\r\n")
                assert (await answer(reader)).split(b" ")[1] == status
            reader, writer = await send(REQUEST)
            with contextlib.suppress(ConnectionError):
                for number in range(10**5):  # a gigabyte that has no end
                    writer.write(b"X%d: " % number + b"x" * 10_000 + b"\r\n")
                    await asyncio.wait_for(writer.drain(), 10)
            assert number * 10_000 < 20 * 2**20, "what the kernel holds on its way, not what the server read"

    asyncio.run(run())


def test_the_address_counts_as_headers_do():
    async def run():
        async with listening() as send:
            for size, status in ((1000, b"200"), (60_000, b"431")):
                for where in (b"/?x=%s", b"/%s"):
                    line = b"GET " + where % (b"x" * size) + b" HTTP/1.1\r\n"
                    reader, _ = await send(line + b"Host: localhost\r\nConnection: close\r\n\r\n")
                    assert (await answer(reader)).split(b" ")[1] == status

    asyncio.run(run())


def test_half_a_request_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(limits, "SECONDS", 0.5)

    async def run():
        async with listening() as send:
            for half in (b"", b"GET", REQUEST):
                reader, _ = await send(half)
                assert await answer(reader) == b"", half
            # nor the second half of another request on the same connection
            reader, writer = await send(REQUEST + b"\r\n")
            assert b"200" in await reader.readline()
            await reader.readuntil(b"0\r\n\r\n")
            await asyncio.sleep(1)  # between two requests uvicorn's own time counts
            writer.write(REQUEST)
            assert await answer(reader, 3) == b""

    asyncio.run(run())


def test_of_too_many_half_requests_the_oldest_is_closed_and_others_are_served(monkeypatch):
    monkeypatch.setattr(limits, "CONNECTIONS", 8)

    async def run():
        async with listening() as send:
            halves = [await send(REQUEST) for _ in range(8)]
            await asyncio.sleep(0.1)
            reader, _ = await send(REQUEST + b"Connection: close\r\n\r\n")
            assert b" 200 " in await answer(reader)
            assert await answer(halves[0][0]) == b""
            with pytest.raises(TimeoutError):
                await answer(halves[1][0], 0.2)

    asyncio.run(run())


async def until(condition, seconds=20):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def unsent(connections):
    """Bytes of answers that the server's process holds for each connection."""
    return [each.transport.get_write_buffer_size() for each in connections]


class Large:
    """A backend whose answers are more than a system holds on their way."""

    async def draw(self, order):
        return Answer(200, "image/png", bytes(32 * 2**20), "3")

    async def states(self):
        return [State("faces", "champion", "3", (1024, 1024, 3), 0, (), "2026-11-25T12:00:00+00:00", None)]


DRAW = b"GET /generate?count=10 HTTP/1.1\r\nHost: localhost\r\n"


POST = b"POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"


def test_of_a_body_that_is_refused_no_more_is_taken(monkeypatch):
    monkeypatch.setattr(app, "SECONDS", 0.2)

    async def run():
        async with listening(Front(Large(), lambda line: None).app) as send:
            for length, status in ((10**8, b"413"), (100, b"408")):
                reader, _ = await send(POST % length)
                told = (await answer(reader)).lower()
                assert (told.split(b" ")[1], b"connection: close" in told) == (status, True)
            _, writer = await send(POST % 10**8)
            sent = 0
            with contextlib.suppress(ConnectionError):
                while sent < 10**8:
                    writer.write(bytes(10**6))
                    await asyncio.wait_for(writer.drain(), 10)
                    sent += 10**6
            assert sent < 20 * 10**6, "what the kernel holds on its way"

    asyncio.run(run())


def test_answers_are_counted_until_they_are_taken_and_who_takes_nothing_is_closed(monkeypatch):
    monkeypatch.setattr(limits, "SECONDS", 2)

    async def run():
        front = Front(Large(), lambda line: None)
        await front.look()
        async with listening(front.app) as send:
            readers = [(await send(DRAW + b"\r\n"))[0] for _ in range(12)]
            await until(lambda: front.pixels == 8 * 32 * 2**20)
            await asyncio.sleep(0.2)
            assert front.requests == 8, "those beyond have been told to come again"
            assert max(unsent(send.connections)) <= PIECE
            reader, _ = await send(DRAW + b"Connection: close\r\n\r\n")
            assert b" 503 " in await answer(reader)
            await until(lambda: front.requests == 0)
            assert front.pixels == 0
            statuses = sorted([(await reader.readline()).split(b" ")[1] for reader in readers])
            assert statuses == [b"200"] * 8 + [b"503"] * 4
            await until(lambda: len(send.connections) == 4)
            reader, _ = await send(DRAW + b"Connection: close\r\n\r\n")
            assert len((await answer(reader)).partition(b"\r\n\r\n")[2]) == 32 * 2**20

    asyncio.run(run())


def test_the_head_of_an_answer_comes_alone():
    async def run():
        front = Front(Large(), lambda line: None)
        await front.look()
        async with listening(front.app) as send:
            reader, _ = await send(DRAW.replace(b"GET", b"HEAD") + b"Connection: close\r\n\r\n")
            head, _, body = (await answer(reader)).partition(b"\r\n\r\n")
            assert (head.split(b" ")[1], b"content-length: 33554432" in head.lower(), body) == (b"200", True, b"")

    asyncio.run(run())


def test_an_answer_that_is_taken_slowly_is_sent_to_its_end(monkeypatch):
    monkeypatch.setattr(limits, "SECONDS", 0.4)

    async def run():
        front = Front(Large(), lambda line: None)
        await front.look()
        async with listening(front.app) as send:
            reader, _ = await send(DRAW + b"Connection: close\r\n\r\n")
            got, started = 0, asyncio.get_running_loop().time()
            while piece := await reader.read(2**19):
                got += len(piece)
                await asyncio.sleep(0.03)
            assert got > 32 * 2**20
            assert asyncio.get_running_loop().time() - started > 4 * limits.SECONDS

    asyncio.run(run())


def test_who_comes_before_the_start_is_refused_and_after_the_address_is_told_is_served():
    told = []

    def tell(address):
        told.append(address)
        threading.Thread(target=ask_and_end, args=(address,), daemon=True).start()

    def ask_and_end(address):
        try:
            told.append(httpx.post(f"{address}/x", content=b"four", timeout=10).text)
        finally:
            signal.raise_signal(signal.SIGINT)

    for host, shown in (("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")):
        told.clear()
        with contextlib.suppress(KeyboardInterrupt), bound(host, 0) as listener:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(listener.getsockname()[:2])
            limits.serve(Doorway(echo, host), listener, tell, log_config=None, lifespan="off")
        assert told == [f"http://{shown}:{told[0].rpartition(':')[2]}", "4"]
