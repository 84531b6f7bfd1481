"""What a run takes on N workers, and what it costs: a small model, and the tables of docs/scaling.md from it.

    python benchmarks/scaling.py [--price DOLLARS]

All it knows of this machine was measured by benchmarks/scaling_constants.py and lies in benchmarks/scaling.json. Of
GPUs nothing was measured: compute is that of a published table (StyleGAN2-ADA on V100), networks between hosts, jitter
and prices are assumed, each marked where it stands.
"""

import argparse
import json
import math
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganops.experiment.log import is_kept

MEASURED = Path(__file__).with_name("scaling.json")
DEFAULT = "dcgan 32 gray, the default"


@dataclass(frozen=True)
class Net:
    """Both players of a game, on one kind of worker."""

    fixed: float
    """Seconds of a step that do not depend on the images."""
    per_image: float
    """Seconds of each image of the worker."""
    gradients: float
    """Bytes of the parameters of G and D, which are summed once in a step."""
    syncs: float
    """Small sums over the workers in a step: the statistics of the batch."""
    image: float
    """Bytes of a sample."""
    floor: float = 0.0
    """Seconds below which a step does not fall: a GPU waits for what its processor launches."""
    state: float = 3.75
    """Bytes of a checkpoint for each byte of parameters."""
    group: int = 1
    """Samples that D compares with one another: a worker has whole groups."""


@dataclass(frozen=True)
class Place:
    """Where the workers are, and what lies between them."""

    slots: float
    """Workers that can compute at once: cores here, GPUs elsewhere."""
    latency: float
    """Seconds of one hop of a sum."""
    bandwidth: float
    """Bytes per second of a link."""
    crowding: float = 1.0
    """How much longer a step takes while all slots are busy."""
    jitter: float = 0.02
    """Deviation of a worker's step, as a share of it."""
    input: float = math.inf
    """Bytes of samples per second that a worker can read."""
    store: float = 1e9
    """Bytes per second of the storage of the checkpoints."""
    slice: float = 0.003
    """Seconds that a process computes before it lets another on the slot: Linux's own value, not measured."""
    price: float = 0.0
    """Dollars of a worker for an hour."""


@dataclass(frozen=True)
class Job:
    """One training."""

    kimg: float
    batch: int
    """Of all workers."""
    checkpoint_kimg: float = 200.0
    validation_samples: int = 2000
    validation_per_image: float = 0.0
    """Seconds to draw an image and look at it, in line on one worker while the others wait; 0: apart, or none."""
    start: float = 12.0
    """Seconds until the first step: benchmarks/launch.py, as in docs/benchmarks.md."""


def expected_maximum(count: int) -> float:
    """Of so many standard normal numbers (Blom 1958): how far the slowest of `count` workers is behind the mean."""
    return statistics.NormalDist().inv_cdf((count - 0.375) / (count + 0.25)) if count > 1 else 0.0


def ring(size: float, workers: int, place: Place) -> float:
    """Seconds of a sum of `size` bytes over a ring: 2 (N - 1) hops, and 2 (N - 1) / N of the bytes over each link."""
    return 2 * (workers - 1) * (place.latency + size / workers / place.bandwidth)


def tree(workers: int, place: Place) -> float:
    """Seconds of a sum of a few bytes, up a tree and down again."""
    return 2 * math.ceil(math.log2(workers)) * place.latency


def step(net: Net, place: Place, workers: int, batch: float) -> dict[str, float]:
    """Seconds of each part of a step, and of the whole; nothing of the exchange is hidden behind the computing."""
    images = net.group * math.ceil(batch / net.group / workers)  # of the largest share, for which the others wait
    turns = max(1.0, workers / place.slots)
    crowd = place.crowding if workers > 1 else 1.0
    compute = max(net.floor, net.fixed + net.per_image * images) * turns * crowd
    parts = {
        "compute": compute,
        # a step in S pieces of independent jitter is late S times by its share of it, which is 1 / sqrt(S)
        "stragglers": compute * place.jitter * expected_maximum(workers) * math.sqrt(net.syncs + 2),
        "gradients": 2 * ring(net.gradients / 2, workers, place),  # those of D, then those of G
        # where workers take turns, the one that is waited for must first have its turn
        "statistics": net.syncs * (tree(workers, place) + (turns - 1) * place.slice),
        "input": images * net.image / place.input,
    }
    # samples are read one turn ahead, so only what takes longer than all the rest is waited for
    parts["whole"] = max(sum(parts.values()) - parts["input"], parts["input"])
    return parts


def run(net: Net, place: Place, workers: int, job: Job) -> dict[str, float]:
    """Of a training: hours, dollars, images per second, and the share of an ideal speed-up that is reached."""
    one, many = (step(net, place, n, job.batch)["whole"] for n in (1, workers))
    checkpoints = job.kimg / job.checkpoint_kimg
    saving = net.state * net.gradients / place.store
    judging = job.validation_samples * job.validation_per_image
    seconds = job.start + 1000 * job.kimg / job.batch * many + checkpoints * (saving + judging)
    hours = seconds / 3600
    return {"hours": hours, "dollars": hours * workers * place.price, "speed": job.batch / many,
            "efficiency": one / many / workers}  # fmt: skip


def search(trials: int, hours: float, concurrency: int) -> float:
    """Hours of so many trials of equal length, of which so many run at once."""
    return math.ceil(trials / concurrency) * hours


V100 = {128: (32, 13.25), 256: (16, 22.9), 512: (8, 73.7), 1024: (4, 157.95)}
"""Resolution -> images of a GPU and milliseconds of an image: the rows of one GPU, middles of their ranges, of
"Expected training time" in the README of NVlabs/stylegan2-ada-pytorch (038b5bd); batch by its train.py, --cfg=auto."""
PUBLISHED = {
    128: {2: (64, 6.65), 4: (64, 4.35), 8: (64, 4.4)}, 256: {2: (32, 11.5), 4: (64, 5.75), 8: (64, 4.95)},
    512: {2: (16, 38.85), 4: (32, 18.9), 8: (64, 9.6)}, 1024: {2: (8, 83.4), 4: (16, 40.45), 8: (32, 20.4)},
}  # fmt: skip
"""Resolution -> GPUs -> batch and seconds per kimg of the same table."""
FLOOR = 0.28
"""Seconds: 8 images of 128 pixels take a V100 as long in that table as 16: there it waits for its processor."""
PARAMETERS = 47e6
"""Of G and D of src/ganops/models/stylegan2.py with that table's options: base 16384, maximum 512, 256 pixels."""
GROUP = 4
"""Samples that its D compares with one another, there and here."""
FID50K = 13 * 60
"""Seconds of one V100 for the FID of 50,000 images of 1,024 pixels: the same README; smaller ones take no longer."""
PIECE = 64 * 2**20
"""Bytes of an object of a copy (src/ganops/distributed/node_copy.py)."""
SHARD = 32 * 2**20
"""Bytes of a shard (src/ganops/data/writing.py)."""
WINDOW = 16
"""Shards that are shuffled together (src/ganops/data/shards.py)."""
LABEL = 8
"""Bytes of a label."""
MEASURED_SAMPLES = 50_000
"""Samples of a split of which figures are computed (src/ganops/data/prepared.py)."""
PER_GPU = 16
"""Images of a GPU in a step."""
HOST = 8
"""GPUs of a host, whose workers share a cache: assumed."""
FAST = 1000.0
"""Images of 64 pixels a second of a GPU of today: assumed."""
REQUEST = 0.05
"""Seconds from a request to the first byte of an object store: assumed."""
STREAM = 80e6
"""Bytes per second of one stream of an object store: assumed."""
FETCHES = 4
"""Streams of each worker (src/ganops/data/cache.py)."""
SERVER = Place(slots=math.inf, latency=10e-6, bandwidth=100e9, jitter=0.01)
"""One host with NVLink: assumed."""
CLUSTER = Place(slots=math.inf, latency=25e-6, bandwidth=12.5e9, jitter=0.03, input=1e9, price=2.0)
"""Hosts on 100 Gbit/s: assumed, as are the jitter and the price."""


def v100(resolution: int) -> Net:
    """StyleGAN2 on one V100, as published; no batch norm, so nothing but gradients is summed."""
    return Net(0.0, V100[resolution][1] / 1000, 4 * PARAMETERS, 0, 3 * resolution**2, floor=FLOOR, group=GROUP)


def net(found: dict[str, Any], workers: int) -> Net:
    """A network that was measured here; several workers sum the statistics of their batches, one does not."""
    own = found["team" if workers > 1 else "alone"]
    return Net(own["fixed"], own["per_image"], found["bytes_G"] + found["bytes_D"], found["syncs"], found["image"])


def here(constants: dict[str, Any]) -> Place:
    """The machine of the constants."""
    wire = constants["wire"]
    return Place(constants["cores"], wire["latency"], wire["bandwidth"], max(1.0, constants["crowding"]),
                 constants["jitter"], store=constants["disk"]["disk"])  # fmt: skip


def table(title: str, head: str, rows: list[list[str]]) -> None:
    print(f"\n{title}\n\n{head}\n{'|---' * (head.count('|') - 1)}|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def show_constants(constants: dict[str, Any]) -> None:
    rows = []
    for name, found in constants["nets"].items():
        cells = [f"{1000 * found[who][key]:.1f}" for who in ("alone", "team") for key in ("fixed", "per_image")]
        rows.append([name, *cells, f"{(found['bytes_G'] + found['bytes_D']) / 1e6:.1f}", f"{found['syncs']:.0f}"])
    head = "| network | fixed | per image | fixed, in a team | per image, in a team | MB of gradients | small sums |"
    table("A step on one core here, ms", head, rows)
    wire = constants["wire"]
    print(f"\nA hop {1e6 * wire['latency']:.0f} µs, {wire['bandwidth'] / 1e9:.1f} GB/s; crowding ", end="")
    print(f"{constants['crowding']:.2f}; jitter {constants['jitter']:.1%}.")


def show_errors(constants: dict[str, Any]) -> None:
    """Predictions beside what was measured here, and beside the published rows of several GPUs."""
    rows = []
    for one in constants["measured"]:
        found = net(constants["nets"][DEFAULT], one["workers"])
        parts = step(found, here(constants), one["workers"], one["batch"])
        cells = [f"{1000 * parts[key]:.1f}" for key in ("compute", "stragglers", "gradients", "statistics")]
        rows.append(
            [str(one["batch"]), str(one["workers"]), *cells, *errors(1000 * parts["whole"], 1000 * one["step"])]
        )
    head = "| batch | workers | compute | stragglers | gradients | statistics | predicted | measured | error |"
    table("A step of the default here, ms", head, rows)
    rows = []
    for resolution, counts in PUBLISHED.items():
        for gpus, (batch, seconds) in counts.items():
            found = 1000 / batch * step(v100(resolution), SERVER, gpus, batch)["whole"]
            rows.append([str(resolution), str(gpus), str(batch), *errors(found, seconds)])
    table("StyleGAN2-ADA on V100s, s/kimg", "| pixels | GPUs | batch | predicted | published | error |", rows)


def errors(predicted: float, found: float) -> list[str]:
    """Both, and how far the first is off."""
    return [f"**{predicted:.3g}**", f"{found:.3g}", f"{predicted / found - 1:+.0%}"]


def show_scaling(place: Place) -> None:
    """What N GPUs would do, as one experiment and as ever larger ones."""
    for title, each in (("The same experiment, batch 64", 0), ("16 images for each GPU", 16)):
        rows = []
        for workers in (1, 2, 3, 4, 8, 10, 16, 64, 100, 1000):
            batch = each * workers or 64
            rows.append(
                [
                    str(workers),
                    str(batch),
                    *(scaled(place, workers, batch) or [f"refused: at most {batch // GROUP}", *[""] * 6]),
                ]
            )
        head = "| GPUs | batch | compute, ms | stragglers | gradients | images/s | efficiency | hours | $ |"
        table(f"{title}: StyleGAN2 at 256 pixels, 25,000 kimg", head, rows)


def scaled(place: Place, workers: int, batch: int) -> list[str]:
    """Cells of one row; none where there are more workers than groups of samples."""
    if workers > batch // GROUP:
        return []
    parts = step(v100(256), place, workers, batch)
    whole = run(v100(256), place, workers, Job(25000, batch))
    # against one GPU with images enough to be busy, whatever the batch
    efficiency = whole["speed"] / workers / run(v100(256), place, 1, Job(25000, 64))["speed"]
    cells = [f"{1000 * parts[key]:.0f}" for key in ("compute", "stragglers", "gradients")]
    return [*cells, f"{whole['speed']:.0f}", f"{efficiency:.0%}", f"{whole['hours']:.3g}", f"{whole['dollars']:,.0f}"]


def show_bill(place: Place) -> None:
    """A whole project: search, training, evaluation."""
    rows = []
    for workers in (1, 4, 8):
        training = run(v100(256), place, workers, Job(25000, 64))["hours"]
        tuning = search(16, run(v100(256), place, 1, Job(500, 64))["hours"], workers)
        evaluation = FID50K / workers / 3600
        hours = training + tuning + evaluation
        cells = [f"{part:.3g}" for part in (tuning, training, evaluation, hours)]
        rows.append([str(workers), *cells, f"{hours * workers * place.price:,.0f}"])
    title = "A project: 16 trials of 500 kimg, a training of 25,000, the FID of 50,000 images; hours"
    table(title, "| GPUs | tune | train | evaluate | all | $ |", rows)


def show_sets(constants: dict[str, Any]) -> None:
    """What a data set weighs, and how long the pipeline's own handling of it takes."""
    book, sets = constants["bookkeeping"], ((10**4, 32), (10**6, 64), (10**7, 256), (10**9, 64))
    size = {(n, r): 3 * r**2 * n for n, r in sets}
    rows = {
        "prepared arrays": lambda n, r: amount(size[n, r]),
        "memory of prepare": lambda n, r: amount(book["prepare_memory"]),
        "shards": lambda n, r: f"{math.ceil(n / per_shard(r)):,}",
        "order, in each worker": lambda n, r: amount(3 * 8 * min(n, WINDOW * per_shard(r))),
        "a shuffle of a window": lambda n, r: span(min(n, WINDOW * per_shard(r)) * constants["shards"]["shuffle"]),
        "the smallest cache of a host": lambda n, r: amount(min(size[n, r], 2 * WINDOW * SHARD)),
        "features of 2,048 numbers": lambda n, r: amount(min(n, MEASURED_SAMPLES) * 4 * 2048),
        "prepare, one core": lambda n, r: span(n * book["prepare"] * 3 * (r / 32) ** 2),
        "DVC, a file for each image": lambda n, r: span(n * book["dvc_file"]),
        "DVC, MD5 of the arrays": lambda n, r: span(size[n, r] / book["md5"]),
        "SHA-256 on each node": lambda n, r: span(size[n, r] / book["sha256"]),
        "copy to a node, 100 Gbit/s": lambda n, r: span(size[n, r] / CLUSTER.bandwidth),
        "pieces of a copy": lambda n, r: f"{math.ceil(size[n, r] / PIECE):,}",
    }
    cells = [[name, *(value(*one) for one in sets)] for name, value in rows.items()]
    heads = (f"10^{round(math.log10(n))} of {r}²" for n, r in sets)
    table("Sets of RGB images", f"| | {' | '.join(heads)} |", cells)


def per_shard(resolution: int) -> int:
    """Colour images in a shard."""
    return SHARD // (3 * resolution**2 + LABEL)


def feed(gpus: int, speed: float, resolution: int = 64) -> dict[str, float]:
    """The demands of a training's samples on hosts and storage.

    A host needs the shards that the slice of its workers touches: on average its share of a window and one more, for
    neither end falls between two, and three deviations of a quantile of the batch on both sides.

    Args:
        gpus: All of them; hosts of at most HOST.
        speed: Images a second of each.
        resolution: Of colour images.

    Returns:
        `hosts`; `share` of a window that a host needs; `images`, `host` and `storage`: images a second, and bytes a
        second into a host and out of the storage; `requests`: a second, of all hosts; `streams`: those that a host
        needs at a time.
    """
    hosts, images = math.ceil(gpus / HOST), gpus * speed
    shards = images / per_shard(resolution)
    margin = 1.5 / math.sqrt(PER_GPU * gpus)
    share = min(1.0, 1 / hosts + 1 / WINDOW + 2 * margin) if hosts > 1 else 1.0
    host = share * shards * SHARD
    return {
        "hosts": hosts, "share": share, "images": images, "host": host, "storage": hosts * host,
        "requests": hosts * share * shards, "streams": share * shards * (REQUEST + SHARD / STREAM),
    }  # fmt: skip


def show_feed(constants: dict[str, Any]) -> None:
    """10^9 images of 64 pixels in shards on an object store."""
    count, floor, rows = 10**9, PER_GPU / FLOOR, []
    for name, speed in ((f"{floor:.0f}, a V100 at its floor", floor), (f"{FAST:,.0f}, assumed", FAST)):
        for gpus in (8, 64, 256, 1000):
            found = feed(gpus, speed)
            rows.append([
                name, f"{gpus:,}", f"{found['images']:,.0f}", span(count / found["images"]), f"{found['share']:.0%}",
                f"{amount(found['host'])}/s", f"{found['host'] / CLUSTER.bandwidth:.1%}",
                f"{found['streams']:.1f} of {FETCHES * HOST}", f"{found['host'] / constants['shards']['fetch']:.1f}",
                f"{amount(found['storage'])}/s", f"{found['requests']:,.0f}",
            ])  # fmt: skip
    head = (
        "| images/s of a GPU | GPUs | images/s | an epoch | shards that a host needs | into a host | of its 100 Gbit/s "
        "| streams of a host | cores that fetch and hash | out of the store | requests/s |"
    )
    table("10^9 RGB images of 64 pixels, in shards on an object store", head, rows)


def show_long_runs() -> None:
    """The files beside the checkpoints, which hold weights alone: the pictures of the film strip."""
    rows = []
    for kimg, tick, resolution, parameters in (
        (120, 4, 32, 0.6e6),
        (25000, 4, 256, PARAMETERS),
        (25000, 50, 256, PARAMETERS),
    ):
        kept = sum(is_kept(n) for n in range(1, round(kimg / tick) + 1))
        pictures = kept * 40 * 3 * resolution**2
        weights = v100(256).state * 4 * parameters
        rows.append([f"{kimg:,}", str(tick), str(resolution), f"{kept:,}", amount(pictures), amount(weights)])
    head = "| kimg | tick_kimg | pixels | pictures | of pictures, at most | a checkpoint |"
    table("The log of a run, and its checkpoints", head, rows)


def amount(size: float) -> str:
    """Bytes for a person."""
    power = min(int(math.log10(max(size, 1)) // 3), 5)
    return f"{size / 1000**power:.3g} {('B', 'kB', 'MB', 'GB', 'TB', 'PB')[power]}"


def span(seconds: float) -> str:
    """Seconds for a person."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.2g} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--price", type=float, default=2.0, help="dollars of a GPU for an hour; assumed")
    options = parser.parse_args()
    constants = json.loads(MEASURED.read_text())
    print(f"Measured on {constants['hardware']}, {constants['date']}, torch {constants['torch']}.")
    show_constants(constants)
    show_errors(constants)
    show_scaling(replace(CLUSTER, price=options.price))
    show_bill(replace(CLUSTER, price=options.price))
    show_sets(constants)
    show_feed(constants)
    show_long_runs()


if __name__ == "__main__":
    main()
