"""`ganops serve`: the champion behind HTTP; Ray Serve keeps the replicas that draw, in `replica.py`."""

import asyncio
import contextlib
import logging
import secrets
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import DeploymentUnavailableError

from ganops.core.errors import ClusterError, UserError
from ganops.core.listening import bound
from ganops.distributed import runtime
from ganops.registry import tracking
from ganops.registry.model import Model
from ganops.serving import limits
from ganops.serving.app import SECONDS, Answer, Front, State
from ganops.serving.limits import Refused
from ganops.serving.orders import Order
from ganops.serving.replica import Replica, Target

BATCH = 256
"""Pictures of one call of a replica, of as many requests as it takes; a larger request goes alone."""
MAX_TRIES = 3
"""Replicas that an order is given to, one after the other, when they die of it or meanwhile."""
STATE_SECONDS = 2.0
"""Seconds in which a replica has to tell its state."""

Waiting = tuple[Order, "asyncio.Future[Answer]"]
"""An order, and who waits for the answer."""


class Replicas:
    """All replicas, as the backend of `app.Front`.

    A call of a replica costs Ray more than a picture costs the replica. So each has two calls at a time, one that
    draws and one that is ready, and what comes meanwhile goes together in the next: batches grow with the load, and
    nobody waits for one to fill. (`serve.batch` gathers in the replica, after the cost of the call. And it closes a
    batch before it waits for the former one, so that without a waiting time its batches do not grow.)
    """

    def __init__(self, handle: Any, count: int) -> None:
        self.handle = handle
        self.most = 2 * count
        """Calls at once."""
        self.waiting: list[Waiting] = []
        self.calls: set[asyncio.Task[None]] = set()

    async def draw(self, order: Order) -> Answer:
        """The answer to an order; whoever stops waiting for it takes it back, if it has not been handed out."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.waiting.append((order, future))
        self._hand_out()
        return await future

    def _hand_out(self) -> None:
        while len(self.calls) < self.most and (batch := self._take()):
            call = asyncio.create_task(self._call(batch))
            self.calls.add(call)
            call.add_done_callback(self._over)

    def _over(self, call: asyncio.Task[None]) -> None:
        self.calls.discard(call)
        self._hand_out()

    def _take(self) -> list[Waiting]:
        """The next orders, in their turn, as many as make a batch."""
        self.waiting = [each for each in self.waiting if not each[1].done()]
        count = taken = 0
        for order, _ in self.waiting:
            count += len(order.seeds)
            if taken and count > BATCH:
                break
            taken += 1
        batch, self.waiting = self.waiting[:taken], self.waiting[taken:]
        return batch

    async def _call(self, batch: list[Waiting]) -> None:
        try:
            answers = await self._drawn([order for order, _ in batch])
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    async def _drawn(self, orders: list[Order]) -> list[Answer]:
        """Hands orders to a replica; when it dies, to another one: the same seeds are the same pictures."""
        for _ in range(MAX_TRIES):
            with contextlib.suppress(RayActorError, DeploymentUnavailableError):
                answers: list[Answer] = await self.handle.draw.remote(orders)
                return answers
        raise Refused(503, "no replica lives long enough to draw this")

    async def states(self) -> list[State]:
        """Return the state of each replica that tells it in time; where none does, raises what keeps one from it."""
        try:
            response = self.handle.broadcast("state")
            told = await response.results_async(timeout_s=STATE_SECONDS, return_exceptions=True)
        except TimeoutError:  # one hangs, and Ray keeps back what the others have told
            told = await self._told_singly()
        found = [each for each in told if isinstance(each, State)]
        if not found:
            raise told[0] if told else TimeoutError(f"no replica has told its state within {STATE_SECONDS:g} s")
        return found

    async def _told_singly(self) -> list[Any]:
        """Return a state, or an error, for each replica that answers, asked so often that each has had its turn."""
        calls = [asyncio.create_task(self._state()) for _ in range(2 * self.most)]
        done, late = await asyncio.wait(calls, timeout=STATE_SECONDS)
        for call in late:
            call.cancel()
        told = [call.exception() or call.result() for call in done]
        states = {each.replica: each for each in told if isinstance(each, State)}
        return [*states.values()] or told

    async def _state(self) -> State:
        state: State = await self.handle.state.remote()
        return state


def run(
    target: Target, *, host: str, port: int, replicas: int, tell: Callable[[str], None], logs: bool = False,
    allowed: Sequence[str] = (), origins: Sequence[str] = (),
) -> None:  # fmt: skip
    """Serves until SIGINT or SIGTERM; requests that are being served then are finished.

    Args:
        target: What to serve.
        host: Address to listen at.
        port: 0: a free one, which `tell` hears.
        replicas: How many; each needs a core.
        tell: Hears one line whenever something changes.
        logs: Whether Ray Serve may log what it does.
        allowed: Names by which clients may call it, beside those of this machine and `host` (see `limits.Doorway`).
        origins: Foreign pages that may ask; none: no page of another origin.

    Raises:
        RegistryError: The store cannot be reached, or has no such version.
        ClusterError: The cluster has no room for the replicas, or none of them can load the version.
        UserError: Nobody can listen there.
    """
    token = limits.token()
    if target.alias.startswith("models:"):
        raise UserError(f"--alias: expected an alias or a version; --name chooses the model, got {target.alias}")
    first = Model(tracking.connect(Path(target.root)), target.name).resolve(target.alias)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(bound(host, port))
        stack.enter_context(contextlib.suppress(KeyboardInterrupt))
        stack.enter_context(_interrupted_by_sigterm())
        tell(f"starting {target.name} v{first.version}")
        ours = stack.enter_context(runtime.cluster())
        handle = stack.enter_context(_deployed(target, str(first.version), replicas, logs, stays=not ours))
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # Ray has put its own in the place
        front = Front(Replicas(handle, replicas), tell, target.poll)
        door = limits.Doorway(front.app, host, allowed, body=False, origins=origins, token=token)
        asked = f" asks for {limits.TOKEN};" if token else ""
        limits.serve(
            limits.with_origins(door, origins),
            listener,
            lambda address: tell(f"{address}/generate;{asked} Ctrl-C ends it"),
            log_config=None, access_log=False, timeout_keep_alive=75, timeout_graceful_shutdown=SECONDS,
        )  # fmt: skip


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    former = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


@contextlib.contextmanager
def _deployed(target: Target, first: str, replicas: int, logs: bool, *, stays: bool) -> Iterator[Any]:
    """Yields the replicas, loaded and warm; they end with the block, or with Ray if that does not stay."""
    cores = int(sum(node["Resources"].get("CPU", 0) for node in runtime.nodes()))
    if replicas > cores:
        raise ClusterError(f"--replicas: {replicas} replicas need a core each, the cluster has {cores}")
    level = {"log_level": "INFO" if logs else "ERROR", "enable_access_log": logs}
    if not logs:
        logging.getLogger("ray.serve").setLevel(logging.ERROR)
    deployment = serve.deployment(
        Replica,
        name="generator",
        num_replicas=replicas,
        max_ongoing_requests=8,  # more than `Replicas` has: what waits in Serve's router is only now and then looked at
        max_constructor_retry_count=1,
        logging_config=level,
        graceful_shutdown_timeout_s=10,
    )
    # several may serve on one cluster, of other aliases or of the same one: Serve replaces an application of equal name
    name = f"ganops-{target.name}-{target.alias}-{secrets.token_hex(3)}"
    serve.start(proxy_location="Disabled", logging_config=level)
    try:
        try:
            handle = serve.run(deployment.bind(target, first), name=name, route_prefix=None, logging_config=level)
        except RuntimeError as error:
            raise ClusterError(f"{target.name} v{first} cannot be served: {_cause(name) or error}") from None
        yield handle
    finally:
        if stays:
            serve.delete(name)


def _cause(name: str) -> str:
    """The last line of what kept an application from starting."""
    application = serve.status().applications.get(name)
    messages = [each.message for each in application.deployments.values()] if application else []
    lines = [line.strip() for message in messages for line in message.splitlines() if line.strip()]
    return lines[-1] if lines else ""
