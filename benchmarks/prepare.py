"""Images per second and memory of `prepare`: in one process, and by two of Ray's workers; or its bytes a sample.

    python benchmarks/prepare.py [--json] [--images N ...] [--side S] [--resolution R]
    python benchmarks/prepare.py --memory FORM ... [--json] [--images N N]

Each run is a process of its own on a folder of generated JPEG files (seed 0; a hundred different ones, each linked so
often that the folder is as large as asked for: decoding costs the same, and the disk is not filled). Memory is the peak
of the resident set of the process that hands out and writes, in MB, less what it holds before it begins; a worker's is
the largest of both, whole. Shared pages (Ray's store, the memory map) count as they are touched. Wall time includes the
start of Ray or of the processes.

With `--memory` the sources are of tiny samples, all different, in two classes: `lines` (JSON, a text each), `idx`
(4 x 4 pixels), `tar`, `zip`, `folder` and `storage` (such pixels as .pgm files; `storage` is a folder that is read as
object storage is, by its file:// address), `films` (a zip of folders of two such files); the set is in shards, decoded
by one process. What its peak grows by from the first size to the second one is divided by the samples between them.
"""

import argparse
import io
import json
import os
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

DIFFERENT = 100
SIDES = ("serial", "2 processes", "2 Ray workers")
FILMS = ".films.zip"
SHARD = 20_000
"""Samples of a shard where memory is measured."""


def make_folder(folder: Path, count: int, side: int) -> Path:
    """`count` files in ten classes; smooth noise, which JPEG compresses as it does photographs."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    originals = []
    for i in range(DIFFERENT):
        coarse = generator.integers(0, 256, (side // 8, side // 8, 3), np.uint8)
        originals.append(folder.parent / f"{folder.name}-{i}.jpg")
        Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).save(originals[-1], quality=90)
    for i in range(count):
        path = folder / str(i % 10) / f"{i:08}.jpg"
        path.parent.mkdir(exist_ok=True)
        os.link(originals[i % DIFFERENT], path)
    return folder


def tiny(count: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents of so many small pictures (PGM), of which no two are alike."""
    for i in range(count):
        yield f"{i % 2}/{i:09}.pgm", b"P5 4 4 255\n" + i.to_bytes(8) * 2


def as_lines(path: Path, count: int) -> Path:
    """Texts."""
    with open(path.with_suffix(".jsonl"), "w") as file:
        for i in range(count):
            text = " ".join(f"w{i // 100**k % 100}" for k in range(6))
            file.write(json.dumps({"text": text, "label": i % 2}) + "\n")
    return path.with_suffix(".jsonl")


def as_idx(path: Path, count: int) -> Path:
    """Pixels and labels."""
    path.mkdir()
    with open(path / "train-images-idx3-ubyte", "wb") as images, open(path / "train-labels-idx1-ubyte", "wb") as labels:
        images.write(struct.pack(">HBB3I", 0, 8, 3, count, 4, 4))
        labels.write(struct.pack(">HBBI", 0, 8, 1, count))
        for i in range(count):
            images.write(i.to_bytes(8) * 2)
            labels.write(bytes([i % 2]))
    return path


def as_tar(path: Path, count: int) -> Path:
    """Files of a tar."""
    with tarfile.open(path.with_suffix(".tar"), "w") as archive:
        for name, content in tiny(count):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
            archive.members.clear()
    return path.with_suffix(".tar")


def as_zip(path: Path, count: int) -> Path:
    """Files of a zip."""
    with zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive:
        for name, content in tiny(count):
            archive.writestr(name, content)
    return path.with_suffix(".zip")


def as_films(path: Path, count: int) -> Path:
    """Folders of a zip with two frames each."""
    with zipfile.ZipFile(path.with_suffix(FILMS), "w") as archive:
        for name, content in tiny(count):
            for frame in "12":
                archive.writestr(f"{name.removesuffix('.pgm')}/{frame}.pgm", content)
    return path.with_suffix(FILMS)


def as_folder(path: Path, count: int) -> Path:
    """Files."""
    for label in "01":
        (path / label).mkdir(parents=True)
    for name, content in tiny(count):
        (path / name).write_bytes(content)
    return path


def as_storage(path: Path, count: int) -> str:
    """Files at an address."""
    return as_folder(path, count).as_uri()


FORMS: dict[str, Callable[[Path, int], Path | str]] = {
    "lines": as_lines, "idx": as_idx, "tar": as_tar, "zip": as_zip, "folder": as_folder, "storage": as_storage,
    "films": as_films,
}  # fmt: skip


def peak() -> int:
    """Of this process alone, in bytes; ru_maxrss would begin with what its parent held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def decode_and_tell(decode, folder: Path, block):
    """`decode`, and the peak of whoever did it into a file of its own."""
    result = decode(block)
    (folder / str(os.getpid())).write_text(str(peak()))
    return result


def run(side: str, source: Path, out: Path, resolution: int) -> dict[str, float]:
    """Prepares the folder in this process, and says what it took."""
    import ray

    from ganops.data import intake, prepare
    from ganops.data.image_decoder import ImageDecoder
    from ganops.distributed import decoding

    decoding.WORTH = 0
    start = partial(ray.init, "local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    chosen = {"serial": intake.serially, "2 processes": intake.by_processes(2)}.get(side, decoding.on_workers)
    (out / "peaks").mkdir()

    def mapper(decode, blocks, count):
        return chosen(partial(decode_and_tell, decode, out / "peaks"), blocks, count)

    before, started = peak(), time.perf_counter()
    if chosen is decoding.on_workers:
        start()
    manifest = prepare(source, out / "prepared", out / "preview.png", ImageDecoder(resolution), mapper=mapper)
    wall = time.perf_counter() - started
    ray.shutdown()
    worker = max(int(path.read_text()) for path in (out / "peaks").iterdir())
    return {"wall": wall, "mb": (peak() - before) / 1e6, "worker mb": worker / 1e6, "sha256": manifest["sha256"]}


def run_tiny(source: str, out: Path) -> dict[str, object]:
    """Prepares tiny samples in this process, and says what it took."""
    from ganops.data import intake, prepare
    from ganops.data.image_decoder import ImageDecoder
    from ganops.data.text_decoder import TextDecoder
    from ganops.data.video_decoder import VideoDecoder

    decoders = {".jsonl": TextDecoder(length=8), FILMS: VideoDecoder(frames=2, resolution=4)}
    decoder = next((decoders[end] for end in decoders if source.endswith(end)), ImageDecoder(4))
    before, started = peak(), time.perf_counter()
    manifest = prepare(
        source, out / "prepared", out / "preview.png", decoder, mapper=intake.serially, shard=SHARD,
        decoded=out / "decoded.sqlite",
    )  # fmt: skip
    return {"wall": time.perf_counter() - started, "mb": (peak() - before) / 1e6, "sha256": manifest["sha256"]}


def weigh(options: argparse.Namespace) -> None:
    """Print how the peak of the memory grows with the samples of each form."""
    rows = []
    for form in options.memory:
        for count in options.images:
            with tempfile.TemporaryDirectory() as root:
                source = FORMS[form](Path(root) / "source", count)
                rows.append({"form": form, "samples": count, **measure("memory", source, Path(root), 4)})
        few, many = rows[-2:]
        many["bytes a sample"] = (many["mb"] - few["mb"]) * 1e6 / (many["samples"] - few["samples"])
        if not options.json:
            print(
                f"{form}: {few['mb']:.1f} MB at {few['samples']:,} ({few['wall']:.0f} s), {many['mb']:.1f} MB at "
                f"{many['samples']:,} ({many['wall']:.0f} s): {many['bytes a sample']:.0f} bytes a sample", flush=True
            )  # fmt: skip
    if options.json:
        print(json.dumps(rows))


def measure(side: str, source: Path | str, root: Path, resolution: int) -> dict[str, object]:
    """`run` in a process of its own."""
    with tempfile.TemporaryDirectory(dir=root) as out:
        given = [side, str(source), out, str(resolution)]
        done = subprocess.run([sys.executable, __file__, "--run", *given], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 60_000], help="sizes of the folders")
    parser.add_argument("--memory", nargs="+", choices=FORMS, help="forms of sources whose bytes a sample are measured")
    parser.add_argument("--side", type=int, default=96, help="pixels of a file")
    parser.add_argument("--resolution", type=int, default=64, help="pixels of a sample")
    parser.add_argument("--run", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        side, source, out, resolution = options.run
        done = run_tiny(source, Path(out)) if side == "memory" else run(side, Path(source), Path(out), int(resolution))
        print(json.dumps(done))
        return
    if options.memory:
        weigh(options)
        return
    rows = []
    with tempfile.TemporaryDirectory() as root:
        for count in options.images:
            source = make_folder(Path(root) / f"{count}", count, options.side)
            for side in SIDES:
                rows.append({"images": count, "side": side, **measure(side, source, Path(root), options.resolution)})
                if not options.json:
                    print(f"{count:,} {side}: {rows[-1]['wall']:.1f} s", flush=True)
            if len({row["sha256"] for row in rows if row["images"] == count}) != 1:
                raise SystemExit("the sets differ")
    if options.json:
        print(json.dumps({"cores": os.cpu_count(), "load": os.getloadavg()[0], "rows": rows}))
        return
    pixels = f"{options.side} x {options.side} to {options.resolution} x {options.resolution}"
    print(f"\n{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {pixels} pixels\n")
    print("| images | by | s | images/s | MB | MB of a worker |")
    print("|---|---|---|---|---|---|")
    for r in rows:
        pace = r["images"] / r["wall"]
        print(
            f"| {r['images']:,} | {r['side']} | {r['wall']:.1f} | {pace:,.0f} | {r['mb']:.0f} | {r['worker mb']:.0f} |"
        )


if __name__ == "__main__":
    main()
