"""`ganops serve` against `mlflow models serve`, the same registered model behind both: throughput and latency.

    python benchmarks/serve.py [--json] [--rounds N] [--seconds S]

A generator with the default architecture (dcgan, 32x32, width 64, 10 classes; the weights are random, which the speed
does not depend on) is registered in a store of its own, and both servers run on it with one process that draws. A round
asks each in turn, so both see the same machine; the order changes from round to round. A client sends its next request
when it has the answer to the last, over a connection that stays open, with seeds that nobody asked for before, and
reads the whole answer. It runs on the same cores as the servers, and does not decode what it gets.

`mlflow` answers JSON lists of numbers, the only thing it can. `ganops` is asked for the same pictures as npy (raw
bytes) and as json (PNG in base64). Latencies are over all rounds of a side; a ratio is that of one round.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

NAME = "benchmark"
CASES = {"1 seed × 1 client": (1, 1), "1 × 8": (1, 8), "16 × 4": (16, 4), "1 × 200": (1, 200)}
"""Seeds of a request, clients."""
PATIENCE = 300
"""Seconds that a server may take to start, or to answer."""


def register(root: Path) -> str:
    """An untrained generator as the champion of a new store; the store's address."""
    import torch
    from safetensors.torch import save_file

    from ganops.evaluation.gate import decide
    from ganops.generator import Description, generator_network
    from ganops.registry import registration, tracking
    from ganops.registry.package import Package

    torch.manual_seed(0)
    names = tuple(f"kind {i}" for i in range(10))
    description = Description("dcgan", {"width": 64}, 128, 10, names, (1, 32, 32), 0.0, "none")
    network = generator_network(description)
    weights = root / "generator.safetensors"
    save_file({key: value.contiguous() for key, value in network.state_dict().items()}, weights)
    package = Package(
        generator=network,
        description={**vars(description), "class_names": list(names)},
        weights=weights,
        evaluation={"fd_domain": 1.0, "protocol": {"samples": 0}},
        params={"seed": 0, "data": {"source": "none"}, "train": {"kimg": 0}},
        history=[], pictures=[], report=None, lock=None, fingerprint="0" * 64,
    )  # fmt: skip
    registration.register(package, name=NAME, decision=decide({}, package.metrics), root=root)
    return tracking.store_uri(root)


@dataclass
class Side:
    """One of the competitors."""

    path: str
    body: Callable[[list[int]], dict[str, Any]]
    url: str = ""
    rates: dict[str, list[float]] = field(default_factory=dict)
    """Case -> requests a second of each round."""
    latencies: dict[str, list[float]] = field(default_factory=dict)
    """Case -> seconds of each request."""
    failures: int = 0


SIDES = {
    "mlflow": Side("/invocations", lambda seeds: {"inputs": seeds}),
    "ganops json": Side("/generate", lambda seeds: {"seeds": seeds}),
    "ganops npy": Side("/generate", lambda seeds: {"seeds": seeds, "format": "npy"}),
}


def wait(condition: Callable[[], Any], process: subprocess.Popen[bytes], log: Path) -> Any:
    """What the condition gives when it holds."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"a server did not start:\n{log.read_text()}")
        time.sleep(0.1)
    return found


@contextlib.contextmanager
def running(command: list[str], root: Path, uri: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A server as a process of its own, with its log."""
    log = root / f"{command[0]}.log"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with log.open("w") as out:
        # a group of its own: mlflow's server is a child of a shell, and ends with the group
        process = subprocess.Popen(
            command, cwd=root, env=environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield process, log
    finally:
        process.terminate()
        process.wait(60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)


def start_both(stack: contextlib.ExitStack, root: Path, uri: str) -> dict[str, float]:
    """Starts the servers, notes their addresses, and returns the seconds that each took."""
    import socket
    import urllib.request

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    took, started = {}, time.monotonic()
    command = ["mlflow", "models", "serve", "-m", f"models:/{NAME}@champion", "--env-manager", "local"]
    process, log = stack.enter_context(running([*command, "-p", str(port)], root, uri))

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).status == 200
        return False

    wait(answers, process, log)
    SIDES["mlflow"].url = f"http://127.0.0.1:{port}"
    took["mlflow"], started = time.monotonic() - started, time.monotonic()
    process, log = stack.enter_context(running(["ganops", "serve", "--name", NAME, "--port", "0"], root, uri))
    found = wait(lambda: re.search(r"(http://\S+)/generate", log.read_text()), process, log)
    took["ganops"] = time.monotonic() - started
    SIDES["ganops json"].url = SIDES["ganops npy"].url = found.group(1)
    return took


async def ask(side: Side, case: str, seconds: float, fresh: Iterator[int]) -> None:
    """One turn of a side: its clients ask until the time is over."""
    seeds, clients = CASES[case]
    latencies: list[float] = []

    async def client(session: aiohttp.ClientSession, until: float) -> None:
        while time.perf_counter() < until:
            body = side.body(list(itertools.islice(fresh, seeds)))
            started = time.perf_counter()
            async with session.post(side.path, json=body) as response:
                await response.read()
            latencies.append(time.perf_counter() - started)
            side.failures += response.status != 200

    connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(PATIENCE)
    async with aiohttp.ClientSession(side.url, connector=connector, timeout=timeout) as session:
        started = time.perf_counter()
        await asyncio.gather(*(client(session, started + seconds) for _ in range(clients)))
        took = time.perf_counter() - started
    side.rates.setdefault(case, []).append(len(latencies) / took)
    side.latencies.setdefault(case, []).extend(latencies)


def compete(rounds: int, seconds: float, show: bool) -> None:
    """All cases, each in rounds in which the sides take turns."""
    fresh = itertools.count()
    for side in SIDES.values():
        asyncio.run(ask(side, next(iter(CASES)), 1, fresh))  # not counted: connections, first calls
        side.rates.clear()
        side.latencies.clear()
    for case in CASES:
        for i in range(rounds):
            order = list(SIDES)[i % 3 :] + list(SIDES)[: i % 3]
            for name in order:
                asyncio.run(ask(SIDES[name], case, seconds, fresh))
        if show:
            rates = {name: statistics.median(side.rates[case]) for name, side in SIDES.items()}
            print(f"{case}: " + ", ".join(f"{name} {rate:.1f}/s" for name, rate in rates.items()), flush=True)


def rows() -> list[dict[str, Any]]:
    """What was seen, one row for a case and a side."""
    found = []
    for case, (seeds, _) in CASES.items():
        for name, side in SIDES.items():
            pairs = zip(side.rates[case], SIDES["mlflow"].rates[case], strict=True)
            ratios = [ours / theirs for ours, theirs in pairs]
            cuts = statistics.quantiles(side.latencies[case], n=100)
            rate = statistics.median(side.rates[case])
            found.append({
                "case": case, "side": name, "requests_per_second": rate, "images_per_second": rate * seeds,
                "p50_ms": cuts[49] * 1000, "p99_ms": cuts[98] * 1000, "requests": len(side.latencies[case]),
                "ratio": statistics.median(ratios), "ratio_lowest": min(ratios), "ratio_highest": max(ratios),
            })  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of a turn")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        root = Path(scratch)
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        took = start_both(stack, root, register(root))
        compete(options.rounds, options.seconds, show=not options.json)
    failures, load = {name: side.failures for name, side in SIDES.items()}, os.getloadavg()[0]
    if options.json:
        told = {"cores": os.cpu_count(), "load": load, "start_seconds": took, "failures": failures, "rows": rows()}
        print(json.dumps(told))
        return
    starts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in took.items())
    print(f"\n{os.cpu_count()} cores, load {load:.1f}; ready after: {starts}; answers other than 200: {failures}\n")
    print("| case | side | requests/s | images/s | p50 ms | p99 ms | ratio [lowest, highest] |")
    print("|---|---|---|---|---|---|---|")
    for r in rows():
        ratio = f"{r['ratio']:.2f} [{r['ratio_lowest']:.2f}, {r['ratio_highest']:.2f}]"
        print(
            f"| {r['case']} | {r['side']} | {r['requests_per_second']:.1f} | {r['images_per_second']:.0f} "
            f"| {r['p50_ms']:.0f} | {r['p99_ms']:.0f} | {'' if r['side'] == 'mlflow' else ratio} |"
        )


if __name__ == "__main__":
    main()
