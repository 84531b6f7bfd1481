"""The HTTP side of `ganops serve` on its own: what is refused, how much is let in, what is told; without replicas."""

import asyncio
import inspect
import json
import re
from dataclasses import replace

import httpx
import jsonschema
import pytest

from ganops.serving import app
from ganops.serving.app import Answer, Front, State

STATE = State("faces", "champion", "3", (8, 8, 3), 3, ("a", "b", "c"), "2026-11-25T12:00:00+00:00", None)


class Backend:
    """Draws at once, or when it may."""

    def __init__(self):
        self.orders, self.taken_back = [], 0
        self.may = asyncio.Event()
        self.may.set()
        self.found = [STATE]

    async def draw(self, order):
        self.orders.append(order)
        try:
            await self.may.wait()
        except asyncio.CancelledError:
            self.taken_back += 1
            raise
        return Answer(200, "text/plain", b"pictures", "3")

    async def states(self):
        if not self.found:
            raise ConnectionError("nobody there")
        return self.found


def served(test):
    """Runs a test that takes (front, client) in a loop of its own."""

    def run(*arguments, **named):
        async def inside():
            front = Front(Backend(), told.append)
            await front.look()
            transport = httpx.ASGITransport(front.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                await test(front, client, *arguments, **named)

        told = []
        asyncio.run(inside())

    given = inspect.signature(test)
    run.__signature__ = given.replace(parameters=list(given.parameters.values())[2:])  # what pytest hands over
    return run


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


SOUND = [
    b'{"seeds": [0]}',
    b'{"seeds": [-1, 9223372036854775807, -9223372036854775808], "labels": null}',
    b'{"seeds": [1, 1], "labels": [2], "truncation": 0, "format": "png"}',
    b'{"seeds": [1, 1], "labels": [2, 0], "truncation": 0.5, "format": "npy"}',
    json.dumps({"seeds": [-(2**63)] * 1024, "labels": [10**6] * 1024}).encode(),
]

BAD = {
    b"": "body: expected JSON",
    b"hello": "body: expected JSON",
    b'{"seeds": [0]': "body: expected JSON",
    b"\xff\xfe": "body: expected JSON",
    b"[" * 60_000: "body: expected JSON",
    b"[1]": "body: expected an object",
    b"{}": "seeds: expected a list of whole numbers, got none",
    b'{"seeds": []}': "seeds: expected at least one, got none",
    b'{"seeds": 5}': "seeds: expected a list of whole numbers, got 5",
    b'{"seeds": null}': "seeds: expected a list of whole numbers, got null",
    b'{"seeds": "text"}': 'seeds: expected a list of whole numbers, got "text"',
    b'{"seeds": ["1"]}': 'seeds.0: expected a whole number, got "1"',
    b'{"seeds": [0, 1.5]}': "seeds.1: expected a whole number, got 1.5",
    b'{"seeds": [1.0]}': "seeds.0: expected a whole number, got 1.0",
    b'{"seeds": [true]}': "seeds.0: expected a whole number, got true",
    b'{"seeds": [null]}': "seeds.0: expected a whole number, got null",
    b'{"seeds": [[0, 1]]}': "seeds.0: expected a whole number",
    b'{"seeds": [NaN]}': "seeds.0: expected a",
    b'{"seeds": [9223372036854775808]}': "seeds.0: expected at most 9223372036854775807",
    b'{"seeds": [' + b"9" * 50_000 + b"]}": "body: expected JSON",
    json.dumps({"seeds": [0] * 1025}).encode(): "seeds: expected 1 to 1024 of them, got 1025",
    b'{"seeds": [0], "number": 1}': "number: unknown; known: seeds, labels, truncation, format",
    b'{"count": 1000000000}': "count: unknown; known: seeds, labels, truncation, format",
    b'{"seeds": [0], "labels": [-1]}': "labels.0: expected at least 0, got -1",
    b'{"seeds": [0], "labels": [1.5]}': "labels.0: expected a whole number, got 1.5",
    b'{"seeds": [0], "labels": [true]}': "labels.0: expected a whole number, got true",
    b'{"seeds": [0], "labels": 2}': "labels: expected a list of whole numbers, got 2",
    b'{"seeds": [0], "labels": []}': "labels: expected null, one, or one for each of the 1 seeds, got 0",
    b'{"seeds": [0, 1, 2], "labels": [1, 2]}': "one for each of the 3 seeds, got 2",
    b'{"seeds": [0], "truncation": NaN}': "truncation: expected a finite number, got NaN",
    b'{"seeds": [0], "truncation": 1.01}': "truncation: expected at most 1, got 1.01",
    b'{"seeds": [0], "truncation": -0.1}': "truncation: expected at least 0, got -0.1",
    b'{"seeds": [0], "truncation": true}': "truncation: expected a number, got true",
    b'{"seeds": [0], "truncation": "1"}': 'truncation: expected a number, got "1"',
    b'{"seeds": [0], "truncation": null}': "truncation: expected a number, got null",
    b'{"seeds": [0], "format": "gif"}': "format: expected 'json', 'png' or 'npy', got \"gif\"",
}


@pytest.mark.parametrize("body", SOUND, ids=lambda body: body[:40].decode())
@served
async def test_sound_orders_are_drawn(front, client, body):
    response = await client.post("/generate", content=body)
    assert (response.status_code, response.text, response.headers["X-Model-Version"]) == (200, "pictures", "3")
    (order,) = front.backend.orders
    assert order.model_dump() == {"labels": None, "truncation": 1.0, "format": "json", **json.loads(body)}


@pytest.mark.parametrize("body", BAD, ids=lambda body: repr(body[:40]))
@served
async def test_bad_orders_are_told_what_was_expected(front, client, body):
    response = await client.post("/generate", content=body)
    assert response.status_code == 400
    assert BAD[body] in response.json()["error"]
    assert len(response.content) < 500
    assert (front.backend.orders, front.requests, front.pixels) == ([], 0, 0)


ADDRESSES = {
    "": {"seeds": [0]},
    "seed=7&label=b&format=png": {"seeds": [7], "labels": ["b"], "format": "png"},
    "seed=7&seed=-9&label=2&label=a&truncation=0.5": {"seeds": [7, -9], "labels": ["2", "a"], "truncation": 0.5},
    "seed=5&count=3&truncation=1": {"seeds": [5, 6, 7]},
    "truncation=1e-3": {"seeds": [0], "truncation": 0.001},
    "truncation=2.5E-1": {"seeds": [0], "truncation": 0.25},
}
BAD_ADDRESSES = {
    "seed=1.5": "seeds.0: expected a whole number, got 1.5",
    "seed=x": 'seeds.0: expected a whole number, got "x"',
    "seeds=7": "seeds: unknown; known: seed, count, label, truncation, format",
    "count=0": "count: expected 1 to 1024, and one seed, the first; got count=0 with 1 seeds",
    "count=1025": "count: expected 1 to 1024",
    "seed=1&seed=2&count=2": "with 2 seeds",
    "label=a&label=b": "one for each of the 1 seeds, got 2",
    "truncation=3": "truncation: expected at most 1, got 3",
    "truncation=1e3": "truncation: expected at most 1, got 1000.0",
    "truncation=1e999": "truncation: expected a finite number, got Infinity",
    "truncation=e3": 'truncation: expected a number, got "e3"',
    "seed=1e3": "seeds.0: expected a whole number, got 1000.0",
    "format=gif": "format: expected 'json', 'png' or 'npy', got \"gif\"",
    "seed=" + "9" * 20: "seeds.0: expected at most 9223372036854775807",
}


@pytest.mark.parametrize("address", ADDRESSES)
@served
async def test_an_address_asks_for_what_a_body_asks_for(front, client, address):
    response = await client.get(f"/generate?{address}")
    assert (response.status_code, response.headers["X-Model-Version"]) == (200, "3"), response.text
    (order,) = front.backend.orders
    assert order.model_dump() == {"labels": None, "truncation": 1.0, "format": "json", **ADDRESSES[address]}


@pytest.mark.parametrize("address", BAD_ADDRESSES)
@served
async def test_bad_addresses_are_told_what_was_expected(front, client, address):
    response = await client.get(f"/generate?{address}")
    assert response.status_code == 400
    assert BAD_ADDRESSES[address] in response.json()["error"]
    assert front.backend.orders == []


@served
async def test_the_name_of_a_class_is_left_to_the_model_that_draws(front, client):
    """The front may not know yet that the classes have another order, or other names."""
    assert (await client.post("/generate", json={"seeds": [0, 1], "labels": ["new", 0]})).status_code == 200
    assert (await client.get("/generate?seed=0&label=new")).status_code == 200
    assert [order.labels for order in front.backend.orders] == [["new", 0], ["new"]]


IMG = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "format_"),
    [
        (None, "json"),
        ("*/*", "json"),
        (IMG, "png"),
        ("application/octet-stream", "npy"),
        ("application/json;q=0.1, image/png", "png"),
        ("image/png;q=0, */*", "json"),
        ("text/html, application/*;q=0.5", "json"),
    ],
)
@served
async def test_a_format_that_is_not_stated_is_what_accept_prefers(front, client, accept, format_):
    headers = {} if accept is None else {"Accept": accept}
    for ask in (client.get("/generate?seed=1", headers=headers),
                client.post("/generate", json={"seeds": [1]}, headers=headers)):  # fmt: skip
        response = await ask
        assert (response.status_code, response.headers["Vary"]) == (200, "Accept")
        assert front.backend.orders.pop().format == format_


@served
async def test_what_nobody_can_give_is_refused_and_a_stated_format_goes_before(front, client):
    refused = await client.get("/generate", headers={"Accept": "text/html"})
    assert (refused.status_code, "Accept: expected one of application/json, image/png" in refused.json()["error"]) == (
        406, True,
    )  # fmt: skip
    assert (await client.get("/generate?format=png", headers={"Accept": "text/html"})).status_code == 200


@served
async def test_load_balancers_and_kserve_are_told_whether_it_is_ready(front, client):
    assert (await client.get("/v2/health/live")).json() == {"live": True}
    for path in ("/ping", "/v2/health/ready", "/v2/models/faces/ready"):
        response = await client.get(path)
        assert (response.status_code, response.json()) == (200, {"name": "faces", "ready": True}), path
    assert (await client.get("/v2/models/others/ready")).status_code == 404
    front.seen -= 60
    for path in ("/ping", "/v2/health/ready", "/v2/models/faces/ready"):
        response = await client.get(path)
        assert (response.status_code, response.json()["ready"]) == (503, False), path
    assert (await client.get("/v2/health/live")).status_code == 200


@served
async def test_a_picture_that_is_large_is_asked_for_in_smaller_numbers(front, client):
    front.backend.found = [replace(STATE, shape=(1024, 1024, 3))]
    await front.look()
    assert (await client.get("/model")).json()["limits"]["seeds"] == 10
    response = await client.post("/generate", json={"seeds": [0] * 11})
    assert "expected 1 to 10 of them, got 11" in response.json()["error"]


async def ask(front, headers, receive):
    """One request as the server would hand it over: the status of the answer."""
    scope = {
        "type": "http", "method": "POST", "path": "/generate", "raw_path": b"/generate", "query_string": b"",
        "headers": headers, "server": ("here", 80), "scheme": "http", "http_version": "1.1", "root_path": "",
    }  # fmt: skip
    sent = []

    async def send(message):
        sent.append(message)

    await front.app(scope, receive, send)
    return sent[0]["status"]


@served
async def test_a_body_that_says_it_is_too_large_is_not_read(front, client):
    async def receive():
        raise AssertionError("read")

    assert await ask(front, [(b"content-length", b"100000000")], receive) == 413


@served
async def test_a_body_is_read_no_further_than_its_bound(front, client):
    taken = []

    async def receive():
        taken.append(10_000)
        return {"type": "http.request", "body": b"0" * 10_000, "more_body": True}

    assert await ask(front, [(b"transfer-encoding", b"chunked")], receive) == 413
    assert sum(taken) <= app.BODY + 10_000


def test_a_body_that_does_not_arrive_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(app, "SECONDS", 0.01)

    @served
    async def run(front, client):
        assert await ask(front, [], asyncio.Event().wait) == 408
        assert front.requests == 0

    run()


def test_pictures_that_are_not_drawn_are_not_waited_for(monkeypatch):
    @served
    async def run(front, client):
        front.backend.may.clear()
        monkeypatch.setattr(app, "SECONDS", 0.01)
        response = await client.post("/generate", json={"seeds": [0]})
        assert response.status_code == 504
        await until(lambda: front.backend.taken_back == 1)
        assert (front.requests, front.pixels) == (0, 0)

    run()


@served
async def test_who_leaves_takes_the_order_back(front, client):
    front.backend.may.clear()
    body = iter([{"type": "http.request", "body": b'{"seeds": [0]}', "more_body": False}, {"type": "http.disconnect"}])

    async def receive():
        return next(body)

    assert await ask(front, [], receive) == 499
    assert front.backend.taken_back == 1
    assert (front.requests, front.pixels) == (0, 0)
    assert answers(await client.get("/metrics")) == {}, "nobody was answered"


def test_requests_beyond_the_bound_are_told_to_come_again(monkeypatch):
    monkeypatch.setattr(app, "REQUESTS", 4)

    @served
    async def run(front, client):
        front.backend.may.clear()
        asked = [asyncio.create_task(client.post("/generate", json={"seeds": [i]})) for i in range(4)]
        await until(lambda: len(front.backend.orders) == 4)
        refused = await client.post("/generate", json={"seeds": [5]})
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert "4 requests are being served" in refused.json()["error"]
        assert (await client.get("/health")).status_code == 200  # who looks after the server is let in
        front.backend.may.set()
        assert [response.status_code for response in await asyncio.gather(*asked)] == [200] * 4
        assert (await client.post("/generate", json={"seeds": [5]})).status_code == 200
        counted = (await client.get("/metrics")).text
        for line in ('requests_total{status="200"} 5.0', 'requests_total{status="503"} 1.0', "in_flight 0.0"):
            assert line in counted
        assert 'images_total{version="3"} 5.0' in counted

    run()


def test_pictures_beyond_the_bound_are_told_to_come_again(monkeypatch):
    monkeypatch.setattr(app, "PIXELS", 8 * 8 * 3 * 80)  # ten for a request, eighty at once

    @served
    async def run(front, client):
        front.backend.may.clear()
        asked = [asyncio.create_task(client.post("/generate", json={"seeds": [0] * 10})) for _ in range(8)]
        await until(lambda: len(front.backend.orders) == 8)
        refused = await client.post("/generate", json={"seeds": [0]})
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        front.backend.may.set()
        assert {response.status_code for response in await asyncio.gather(*asked)} == {200}
        assert front.pixels == 0

    run()


def test_health_and_what_is_told():
    told = []

    async def run():
        front = Front(Backend(), told.append, poll=0.01)
        transport = httpx.ASGITransport(front.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:

            async def health():
                await front.look()
                response = await client.get("/health")
                return response.status_code, response.json()["status"], response.json()["trouble"]

            assert (await client.get("/health")).status_code == 503
            assert (await client.get("/model")).status_code == 503
            assert await health() == (200, "ok", None)
            front.backend.found = [replace(STATE, trouble="v4 is broken")]
            assert await health() == (200, "degraded", "v4 is broken")
            assert await health() == (200, "degraded", "v4 is broken")
            front.backend.found = [replace(STATE, version="5")] * 2
            assert await health() == (200, "ok", None)
            assert (await client.get("/health")).json() == {
                "status": "ok", "trouble": None, "versions": [5], "replicas": 2,
            }  # fmt: skip
            front.backend.found = []
            await front.look()
            assert (await client.get("/health")).status_code == 200  # one look may fail
            front.seen -= 60
            for path in ("/health", "/model"):
                assert (await client.get(path)).status_code == 503, path

    asyncio.run(run())
    assert told == [
        "faces v3 is served",
        "v4 is broken",
        "faces v5 is served in the place of v3",
        "the trouble is over",
        "the replicas do not answer: ConnectionError: nobody there",
    ]


@served
async def test_what_is_not_there_is_told_what_is(front, client):
    response = await client.put("/generate")
    assert response.status_code == 405
    assert response.json()["error"].endswith("got PUT /generate")
    for method, path, allowed in (
        ("PUT", "/generate", "GET, HEAD, POST"),
        ("POST", "/health", "GET, HEAD"),
        ("DELETE", "/v2/models/faces/ready", "GET, HEAD"),
    ):
        response = await client.request(method, path)
        assert (response.status_code, response.headers["Allow"]) == (405, allowed), path
    response = await client.post("/invocations")
    assert response.status_code == 404
    assert response.json()["error"].startswith("expected GET or POST /generate, GET /health")


def answers(metrics):
    """How many answers of each status `/metrics` tells."""
    return {status: int(count) for status, count in re.findall(r'requests_total{status="(\d+)"} (\d+)', metrics.text)}


@served
async def test_a_defect_is_no_silence(front, client):
    async def draw(order):
        raise KeyError(order)

    front.backend.draw = draw
    response = await client.post("/generate", json={"seeds": [0]})
    assert (response.status_code, response.json()) == (500, {"error": "a defect of the server: KeyError"})
    assert (front.requests, front.pixels) == (0, 0)
    assert answers(await client.get("/metrics")) == {"500": 1}


def described(content, name):
    """Return the description of an answer, as a JSON schema of its own."""
    return {"$ref": f"#/components/schemas/{name}", "components": content["components"]}


@served
async def test_openapi_describes_the_requests_that_are_taken(front, client):
    content = (await client.get("/openapi.json")).json()
    order = content["paths"]["/generate"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    for body in SOUND:
        jsonschema.validate(json.loads(body), order)
    for example in order["examples"]:
        assert (await client.post("/generate", json=example)).status_code == 200
    told = (
        "seeds: expected",
        "seeds.0: expected a whole",
        "labels.0: expected at",
        "count: unknown",
        "truncation: expected at",
        "labels: expected null, one, or one for each of the 1 seeds, got 0",
    )
    refused = [body for body, words in BAD.items() if words.startswith(told) and b"1.0" not in body and len(body) < 999]
    assert len(refused) > 10
    for body in refused:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(json.loads(body), order)


@served
async def test_openapi_describes_the_answers_that_are_given(front, client):
    content = (await client.get("/openapi.json")).json()
    probes = {"/ping", "/v2/health/live", "/v2/health/ready", "/v2/models/{name}/ready"}
    assert set(content["paths"]) == {"/generate", "/health", "/model", "/metrics", *probes}
    told = {"200", "400", "401", "403", "406", "408", "413", "421", "431", "503", "504"}
    assert set(content["paths"]["/generate"]["post"]["responses"]) == told
    bad = await client.post("/generate", content=b"")
    answers = {"Health": await client.get("/health"), "Model": await client.get("/model"), "Problem": bad}
    for name, answer in answers.items():
        jsonschema.validate(answer.json(), described(content, name))
        assert set(answer.json()) == set(content["components"]["schemas"][name]["properties"])
    front.seen -= 60
    jsonschema.validate((await client.get("/health")).json(), described(content, "Health"))


@served
async def test_the_page_of_the_interface_loads_nothing(front, client):
    page = await client.get("/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in page.text
    assert "<script" not in page.text
    assert re.findall(r'(?:src|href)="([^"]*)"', page.text) == ["openapi.json"]
    assert "array of integer or string or null" in " ".join(page.text.split())
    for words in (
        "POST /generate",
        "GET /generate",
        "label",
        "GET /health",
        "truncation",
        "413",
        "X-Model-Version",
        "int64",
    ):
        assert words in page.text


@served
async def test_who_asks_for_the_head_alone_gets_it(front, client):
    for path in ("/ping", "/v2/health/live", "/health", "/model", "/metrics", "/docs", "/openapi.json"):
        assert (await client.head(path)).status_code == 200, path
    for query, status in (("?seed=7&format=png", 200), ("?seed=x", 400), ("?seeds=7", 400)):
        whole, head = await client.get(f"/generate{query}"), await client.head(f"/generate{query}")
        assert (head.status_code, head.content) == (status, b"")
        assert head.headers == whole.headers


def test_replicas_are_looked_after_as_long_as_the_application_lives():
    async def run():
        backend, asked = Backend(), []

        async def states():
            asked.append(len(asked))
            return [STATE]

        backend.states = states
        front = Front(backend, lambda line: None, poll=0.01)
        async with front.app.router.lifespan_context(front.app):
            assert asked
            await until(lambda: len(asked) > 3)
        seen = len(asked)
        await asyncio.sleep(0.1)
        assert len(asked) <= seen + 1

    asyncio.run(run())
