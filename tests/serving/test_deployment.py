"""`ganops serve` as it is used: a process of its own on a real store, asked over HTTP. And its parts on their own."""

import asyncio
import base64
import collections
import contextlib
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import httpx
import numpy as np
import psutil
import pytest
import ray
from packages import package
from PIL import Image
from ray import serve
from ray.exceptions import ActorDiedError

from ganops.core.errors import ClusterError, RegistryError, UserError
from ganops.evaluation.gate import Decision
from ganops.kinds import Spec
from ganops.registry import champions, registration, tracking
from ganops.registry.model import Model
from ganops.registry.model_version import Registered
from ganops.serving import deployment, replica
from ganops.serving.app import Answer, State
from ganops.serving.deployment import BATCH, MAX_TRIES, Replicas
from ganops.serving.limits import Refused
from ganops.serving.orders import Order
from ganops.serving.replica import Replica, Target

NAME = "faces"
DRAWER = SimpleNamespace(spec=Spec("image", (3, 8, 8)), shape=(8, 8, 3), dtype="uint8", classes=0, class_names=())
SEEDS = np.arange(8)
PATIENCE = 120
"""Seconds after which a condition will not come true any more, also on a machine that is busy."""


def until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen within {PATIENCE} s"
        time.sleep(0.05)
    return found


class Served:
    """`ganops serve` on a store with two versions, of which the first is the champion."""

    def __init__(self, root: Path, log: Path) -> None:
        self.root, self.log = root, log
        self.client = tracking.connect(root)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "RAY_ADDRESS"))}
        program = "from ganops.cli import main; main()"
        command = [sys.executable, "-W", "ignore", "-c", program, "serve", "--name", NAME, "--port", "0"]
        with log.open("w") as out:
            self.process = subprocess.Popen(
                [*command, "--poll", "0.2"],
                cwd=root, stdout=out, stderr=subprocess.STDOUT, env={**environment, "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
        self.url = until(self._address, "the start")

    def _address(self) -> str | None:
        assert self.process.poll() is None, self.text()
        found = re.search(r"(http://127\.0\.0\.1:\d+)/generate", self.text())
        return found and found.group(1)

    def text(self) -> str:
        return self.log.read_text()

    def get(self, path):
        return httpx.get(self.url + path, timeout=PATIENCE)

    def post(self, **order):
        return httpx.post(f"{self.url}/generate", json=order, timeout=PATIENCE)

    def versions(self):
        return self.get("/health").json()["versions"]

    def memory(self):
        """Bytes that the server and what belongs to it hold."""
        processes = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        total = 0
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total


@pytest.fixture(scope="module")
def store(empty_store, tmp_path_factory):
    """Two versions, the first of which is the champion."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(registration, "prove", lambda package, folder: 100.0)  # has tests of its own
        base = tmp_path_factory.mktemp("served")
        root = shutil.copytree(empty_store, base / "project")
        for seed in (0, 1):
            made = package(base / str(seed), seed=seed)
            registration.register(made, name=NAME, decision=Decision((), None, seed or None), root=root)
        champions.promote(Model(tracking.connect(root), NAME), "1")
        yield root


@pytest.fixture(scope="module")
def models(store):
    """What each version draws, asked for as a consumer does."""
    client, found = tracking.connect(store), {}
    for version in ("1", "2"):
        with Registered.opened(Model(client, NAME).resolve(version), store) as opened:
            found[version] = opened.model
    return found


@pytest.fixture(scope="module")
def server(store, tmp_path_factory):
    served = Served(store, tmp_path_factory.mktemp("log") / "serve.log")
    yield served
    if served.process.poll() is None:
        served.process.kill()
        served.process.wait()


def test_pictures_are_those_of_the_registered_model(server, models):
    params = {"truncation": 0.8, "labels": [2]}
    expected = models["1"].predict(SEEDS, params=params)
    response = server.post(seeds=SEEDS.tolist(), labels=[2], truncation=0.8, format="npy")
    assert response.headers["X-Model-Version"] == "1"
    images = np.load(io.BytesIO(response.content), allow_pickle=False)
    assert (images.dtype, images.tobytes()) == (np.uint8, expected.tobytes())
    content = server.post(seeds=SEEDS.tolist(), labels=[2], truncation=0.8).json()
    assert (content["name"], content["version"]) == (NAME, 1)
    decoded = [np.asarray(Image.open(io.BytesIO(base64.b64decode(each)))) for each in content["images"]]
    assert np.array_equal(decoded, expected)
    response = server.post(seeds=SEEDS.tolist(), format="png")
    assert response.headers["Content-Type"] == "image/png"
    with Image.open(io.BytesIO(response.content)) as grid:
        assert grid.size == ((8 * 9 - 1) * 8, 8 * 8)
    default = np.load(io.BytesIO(server.post(seeds=[5, -7], format="npy").content))
    assert np.array_equal(default, models["1"].predict(np.array([5, -7])))


def test_model_and_health_and_metrics(server):
    assert server.get("/health").json() == {"status": "ok", "trouble": None, "versions": [1], "replicas": 1}
    model = server.get("/model").json()
    assert (model["name"], model["version"], model["shape"], model["classes"]) == (NAME, 1, [8, 8, 3], 3)
    assert model["class_names"] == ["kind 0", "kind 1", "kind 2"]
    assert 'ganops_replicas{version="1"} 1.0' in server.get("/metrics").text


def test_bad_input_is_refused_and_memory_stays(server):
    assert server.post(seeds=[0]).status_code == 200
    before = server.memory()
    large = b"0" * 100_000_000

    def slices():
        yield from (large[:65536] for _ in range(1500))

    for content in (large, slices()):
        response = httpx.post(f"{server.url}/generate", content=content, timeout=PATIENCE)
        assert response.status_code == 413
        assert "expected at most 65536 bytes" in response.json()["error"]
    bad = {
        b'{"seeds": []}': "at least one",
        b'{"count": 1000000000}': "count: unknown",
        b'{"seeds": [0], "truncation": NaN}': "finite",
        b'{"seeds": [0], "labels": [3]}': "labels: expected whole numbers from 0 to 2, got 3",
        b"text": "expected JSON",
    }
    for content, told in bad.items():
        response = httpx.post(f"{server.url}/generate", content=content)
        assert response.status_code == 400
        assert told in response.json()["error"]
    assert server.post(seeds=[0]).status_code == 200
    assert server.memory() - before < 50_000_000


class Load:
    """Requests that are in flight all the time, and what became of them."""

    def __init__(self, server, models, clients):
        self.server, self.clients, self.over = server, clients, False
        self.expected = {version: model.predict(np.arange(64)) for version, model in models.items()}
        self.answers = collections.Counter()
        """(status, version) -> how many."""
        self.wrong = 0
        self.first = {}
        """When a version drew first since the last move."""
        self.seconds = []
        """From each move to the first answer of the new version."""

    async def client(self, session, number):
        asked = number
        while not self.over:
            seed = asked % 64
            async with session.post("/generate", json={"seeds": [seed], "format": "npy"}) as response:
                body, version = await response.read(), response.headers.get("X-Model-Version")
            self.answers[response.status, version] += 1
            self.first.setdefault(version, time.monotonic())
            if response.status == 200:
                images = np.load(io.BytesIO(body), allow_pickle=False)
                self.wrong += images.tobytes() != self.expected[version][seed : seed + 1].tobytes()
            asked += 1

    async def run(self, *moves):
        """Makes each (move, version), and waits until the version has drawn twice for each client."""
        connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(PATIENCE)
        async with aiohttp.ClientSession(self.server.url, connector=connector, timeout=timeout) as session:
            tasks = [asyncio.create_task(self.client(session, i)) for i in range(self.clients)]
            try:
                async with asyncio.timeout(PATIENCE):
                    for move, version in moves:
                        while not self.first:
                            await asyncio.sleep(0.05)
                        await asyncio.to_thread(move)
                        self.first, moved = {}, time.monotonic()
                        drawn = self.answers[200, version]
                        while self.answers[200, version] < drawn + 2 * self.clients:
                            await asyncio.sleep(0.05)
                        self.seconds.append(round(self.first[version] - moved, 1))
            finally:
                self.over = True
                done = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [error for error in done if error]


def test_alias_is_followed_under_load_and_no_request_is_lost(server, models):
    load = Load(server, models, clients=500)
    promote = (lambda: champions.promote(Model(server.client, NAME), "2"), "2")
    rollback = (lambda: champions.rollback(Model(server.client, NAME)), "1")
    asyncio.run(load.run(promote, rollback))
    print(dict(load.answers), "seconds from each move to the first answer:", load.seconds)
    assert set(load.answers) == {(200, "1"), (200, "2")}
    assert load.wrong == 0
    until(lambda: server.versions() == [1], "the rollback")
    assert server.text().count("faces v2 is served in the place of v1") == 1
    assert server.text().count("faces v1 is served in the place of v2") == 1


def test_version_that_cannot_be_loaded_leaves_the_old_one(server, store, models):
    client = server.client
    source = Path(client.get_model_version(NAME, "2").source.removeprefix("file://"))
    broken = shutil.copytree(source, store / "broken")
    (broken / "artifacts" / "generator.onnx").write_bytes(b"this is no graph")
    version = str(client.create_model_version(NAME, source=broken.as_uri()).version)
    client.set_registered_model_alias(NAME, "champion", version)
    until(lambda: server.get("/health").json()["status"] == "degraded", "the trouble")
    trouble = server.get("/health").json()["trouble"]
    assert f"v{version} cannot be served, v1 goes on" in trouble
    until(lambda: f"v{version} cannot be served, v1 goes on" in server.text(), "the line of the log")
    assert server.post(seeds=[3]).headers["X-Model-Version"] == "1"
    client.delete_registered_model_alias(NAME, "champion")
    until(lambda: "cannot be followed" in (server.get("/health").json()["trouble"] or ""), "the alias' absence")
    assert server.post(seeds=[3]).status_code == 200
    client.set_registered_model_alias(NAME, "champion", "2")
    until(lambda: server.get("/health").json()["status"] == "ok" and server.versions() == [2], "the end of it")


def test_sigterm_finishes_what_it_has_and_ends(server):
    async def run():
        async with aiohttp.ClientSession(server.url) as session:
            asked = [asyncio.create_task(session.post("/generate", json={"seeds": [0] * 1024})) for _ in range(4)]
            while not re.search(r"in_flight 4\.0", await (await session.get("/metrics")).text()):
                await asyncio.sleep(0)
            server.process.send_signal(signal.SIGTERM)
            answers = await asyncio.gather(*asked)
            assert [each.status for each in answers] == [200] * 4
            assert [len((await each.json())["images"]) for each in answers] == [1024] * 4

    asyncio.run(run())
    started = time.monotonic()
    assert server.process.wait(PATIENCE) == 0, server.text()
    assert time.monotonic() - started < 30
    assert "Traceback" not in server.text()
    assert server.text().rstrip().endswith("ended")


def test_what_is_not_there_is_told_before_anything_starts(store):
    def run(alias, port=0):
        target = Target(str(store), NAME, alias, poll=1.0)
        deployment.run(target, host="127.0.0.1", port=port, replicas=1, tell=lambda line: pytest.fail(line))

    with pytest.raises(RegistryError, match="the registry has no alias nobody of faces"):
        run("nobody")
    with pytest.raises(UserError, match="--name chooses the model, got models:/other@champion"):
        run("models:/other@champion")
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(UserError, match="in use; choose --host, --port"),
    ):
        run("1", taken.getsockname()[1])


# The parts on their own


@pytest.fixture
def followed(monkeypatch):
    """A replica of versions that are names, an alias that can be moved, and a clock."""
    world = SimpleNamespace(alias="1", broken=set(), loads=[], now=1000.0)

    def wanted(self):
        if world.alias is None:
            raise RegistryError("no alias")
        return world.alias

    def load(self, version):
        world.loads.append(version)
        if version in world.broken:
            raise ValueError(f"{version} is broken\nand more")
        return replica.Loaded(version, DRAWER, "now")

    monkeypatch.setattr(Replica, "_wanted", wanted)
    monkeypatch.setattr(Replica, "_load", load)
    monkeypatch.setattr(Replica, "_follow", lambda self: None)
    monkeypatch.setattr(replica.time, "monotonic", lambda: world.now)
    world.make = lambda first="1": Replica(Target("", NAME, "champion", 1.0), first)
    return world


def test_replica_follows(followed):
    found = followed.make()
    found.follow()
    followed.alias = "2"
    found.follow()
    assert (found.state().version, found.state().trouble, followed.loads) == ("2", None, ["1", "2"])


def test_replica_keeps_what_it_has_and_tries_again(followed):
    found = followed.make()
    followed.alias, followed.broken = "2", {"2"}
    for _ in range(3):
        found.follow()
        followed.now += 1
    assert (found.state().version, followed.loads) == ("1", ["1", "2"])
    assert found.state().trouble == "v2 cannot be served, v1 goes on: 2 is broken"
    followed.alias = None
    found.follow()
    assert found.state().trouble == "the alias champion cannot be followed: no alias"
    followed.alias, followed.broken, followed.now = "2", set(), followed.now + replica.RETRY_SECONDS
    found.follow()
    assert (found.state().version, found.state().trouble) == ("2", None)


def test_replica_that_starts_late_falls_back_on_the_first(followed):
    followed.alias, followed.broken = "2", {"2"}
    found = followed.make(first="1")
    assert (found.state().version, followed.loads) == ("1", ["2", "1"])
    assert "v2 cannot be served" in found.state().trouble
    with pytest.raises(ValueError, match="broken"):
        followed.make(first="2")


class Handle:
    """What Ray Serve gives: calls that end when they may, and replicas that can die."""

    def __init__(self, deaths=0):
        self.calls, self.deaths, self.draw = [], deaths, self
        self.may = asyncio.Event()

    async def _call(self, orders):
        self.calls.append([order.seeds[0] for order in orders])
        await self.may.wait()
        if self.deaths:
            self.deaths -= 1
            raise ActorDiedError
        return [Answer(200, "", bytes(order.seeds), "1") for order in orders]

    def remote(self, orders):
        return self._call(orders)


@pytest.fixture(scope="module")
def ray_here():
    """Ray in this process, with two cores."""
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    serve.shutdown()
    ray.shutdown()


def half(folder):
    """A deployment of two replicas, of which one does what `folder / "mood"` says when it is asked for its state."""

    class Half:
        def __init__(self):
            try:
                (folder / "moody").touch(exist_ok=False)
                self.name = "moody"
            except FileExistsError:
                self.name = "calm"

        async def state(self):
            mood = (folder / "mood").read_text() if self.name == "moody" else ""
            if mood == "hangs":
                time.sleep(8)
            if mood == "fails":
                raise OSError("its disk is away")
            return State(NAME, "champion", "1", (8, 8, 3), 0, (), "now", None, replica=self.name)

    options = {"num_replicas": 2, "max_ongoing_requests": 8, "ray_actor_options": {"num_cpus": 0.5}}
    return serve.deployment(Half, **options).bind()


@pytest.mark.usefixtures("ray_here")
def test_one_replica_that_cannot_tell_its_state_keeps_no_other_from_it(tmp_path):
    def told(mood):
        (tmp_path / "mood").write_text(mood)
        started = time.monotonic()
        found = asyncio.run(Replicas(handle, 2).states())
        assert time.monotonic() - started < 5, "the front waits no longer"
        return sorted(state.replica for state in found)

    serve.start(proxy_location="Disabled")
    handle = serve.run(half(tmp_path), name="half", route_prefix=None)
    try:
        assert told("") == ["calm", "moody"]
        assert told("fails") == ["calm"]
        assert told("hangs") == ["calm"]
        until(lambda: told("") == ["calm", "moody"], "the end of it")
    finally:
        serve.delete("half")


@pytest.mark.usefixtures("ray_here")
def test_two_servers_on_one_cluster_leave_each_other_alone(store, models):
    def deployed(version):
        return deployment._deployed(Target(str(store), NAME, version, 1.0), version, 1, False, stays=True)

    def drawn(handle):
        (answer,) = handle.draw.remote([Order(seeds=SEEDS.tolist(), format="npy")]).result(timeout_s=PATIENCE)
        return answer.version, np.load(io.BytesIO(answer.body)).tobytes()

    expected = {version: (version, model.predict(SEEDS).tobytes()) for version, model in models.items()}
    with deployed("1") as one:
        with deployed("2") as two:
            assert (drawn(one), drawn(two)) == (expected["1"], expected["2"])
            assert len(serve.status().applications) == 2
        assert drawn(one) == expected["1"]
        with pytest.raises(ClusterError, match="faces v9 cannot be served: "), deployed("9"):
            pytest.fail("there is none")
        assert len(serve.status().applications) == 1, "nor does what failed stay"
        assert drawn(one) == expected["1"]
    assert not serve.status().applications


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


def test_batches_grow_with_the_load():
    async def run():
        handle = Handle()
        replicas = Replicas(handle, count=1)
        asked = [asyncio.create_task(replicas.draw(Order(seeds=[i]))) for i in range(100)]
        await settle()
        asked[10].cancel()
        handle.may.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert handle.calls == [[0], [1], [*range(2, 10), *range(11, 100)]]
        assert [answer.body for answer in answers[11:]] == [bytes([i]) for i in range(11, 100)]

    asyncio.run(run())


def test_large_orders_go_alone():
    async def run():
        handle = Handle()
        replicas = Replicas(handle, count=1)
        handle.may.set()
        sizes = [1, 1, BATCH - 1, 1, 1, 2 * BATCH, 5]
        orders = [Order(seeds=[i] * size) for i, size in enumerate(sizes)]
        await asyncio.gather(*(replicas.draw(order) for order in orders))
        assert handle.calls == [[0], [1], [2, 3], [4], [5], [6]]

    asyncio.run(run())


def test_orders_of_a_replica_that_died_go_to_another():
    async def run(deaths):
        handle = Handle(deaths)
        handle.may.set()
        return (await Replicas(handle, count=1).draw(Order(seeds=[7]))).body

    assert asyncio.run(run(MAX_TRIES - 1)) == bytes([7])
    with pytest.raises(Refused, match="no replica lives long enough"):
        asyncio.run(run(MAX_TRIES))


def test_replica_draws_each_order_as_if_it_were_alone(store, models, followed):
    found = followed.make()
    with Registered.opened(Model(tracking.connect(store), NAME).resolve("2"), store) as drawer:
        found.current = replica.Loaded("2", drawer, "now")
    orders = [
        Order(seeds=[5, 6], format="npy"),
        Order(seeds=[7], labels=[9], format="npy"),
        Order(seeds=[7, 5], labels=[1], truncation=0.5, format="npy"),
        Order(seeds=[6, 8, 9], labels=[0, 2, 1], format="npy"),
    ]
    answers = found.draw(orders)
    assert [answer.status for answer in answers] == [200, 400, 200, 200]
    for order, answer in zip(orders, answers, strict=True):
        if answer.status == 200:
            params = {"truncation": order.truncation, "labels": order.labels or []}
            expected = models["2"].predict(np.array(order.seeds), params=params)
            assert np.load(io.BytesIO(answer.body)).tobytes() == expected.tobytes()
