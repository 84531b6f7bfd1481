import gzip
import re
from dataclasses import fields, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganops import plots
from ganops.errors import UserError
from ganops.pictures import save_grid
from ganops.report import Report, render, write

ROOT = Path(__file__).parents[1]
FASHION = ROOT / "data" / "fashion-mnist-10k"
CLASSES = "T-shirt/top Trouser Pullover Dress Coat Sandal Shirt Sneaker Bag <script>alert(1)</script>".split()
VOID = {"meta", "img", "wbr", "br", "hr", "input", "link"}


def fashion():
    with gzip.open(FASHION / "t10k-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(FASHION / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2))), labels


def blurred(images, noise, rng):
    """Stand-ins for a generator that has not learnt yet: the more `noise`, the earlier."""
    noisy = images * (1 - noise) + noise * rng.uniform(0, 255, images.shape)
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    images, labels = fashion()
    rng = np.random.default_rng(0)
    by_class = [images[labels == c][:8] for c in range(10)]
    neighbours = [images[labels == c][8:15] for c in range(8)]
    pictures = {
        name: folder / f"{name}.{kind}"
        for name, kind in {
            "samples": "png", "preview": "png", "by_class": "svg",
            "truncation": "svg", "interpolation": "png", "neighbours": "svg",
        }.items()
    }  # fmt: skip
    save_grid(pictures["samples"], images[:64])
    save_grid(pictures["preview"], images[64:128])
    pictures["by_class"].write_bytes(plots.sheet(by_class, CLASSES))
    pictures["truncation"].write_bytes(plots.sheet([images[200:208]] * 3, ["ψ 0.5", "ψ 0.8", "ψ 1.0"]))
    save_grid(pictures["interpolation"], images[300:332])
    pictures["neighbours"].write_bytes(plots.sheet(neighbours, [f"distance {3 + i / 7:.2f}" for i in range(8)], lead=1))
    filmstrip = []
    for i, kimg in enumerate(np.linspace(0, 400, 21)):
        save_grid(folder / f"{i}.png", blurred(images[:36], np.exp(-kimg / 90), rng), columns=6)
        filmstrip.append((float(kimg), folder / f"{i}.png"))
    history = [
        {
            "kimg": float(kimg),
            "loss_g": 1.6 + 0.5 * np.exp(-kimg / 60) + rng.normal(0, 0.06),
            "loss_d": 0.9 - 0.3 * np.exp(-kimg / 40) + rng.normal(0, 0.03),
            "score_real": 1.1 + rng.normal(0, 0.1),
            "score_fake": -0.9 + rng.normal(0, 0.1),
            "learning_rate_g": 4e-4 * (1 + np.cos(np.pi * kimg / 400)) / 2,
            "learning_rate_d": 2e-4 * (1 + np.cos(np.pi * kimg / 400)) / 2,
            "images_per_second": 1480 + rng.normal(0, 30),
            **({"fd_domain": 9 + 190 * np.exp(-kimg / 35) + rng.uniform(0, 3)} if i % 5 == 0 else {}),
        }
        for i, kimg in enumerate(np.linspace(4, 400, 100))
    ]
    trials = [
        {
            "number": i,
            "parameters": {
                "train.learning_rate.generator": float(10 ** rng.uniform(-4, -2.7)),
                "train.learning_rate.discriminator": float(10 ** rng.uniform(-4, -2.7)),
                "loss.name": ["non_saturating", "relativistic"][i % 2],
            },
            "score": None if i == 5 else float(rng.lognormal(3.6, 0.4)),
            "status": "failed" if i == 5 else "finished" if i % 3 else "stopped early",
        }
        for i in range(12)
    ]
    return Report(
        title="ganops-generator",
        summary={"fd_domain": 7.9, "coverage": 0.66, "floor real/real": 0.3, "noise": 214, "gate": "passed"},
        manifest={
            "source": "fashion-mnist-10k",
            "shape": [1, 32, 32],
            "splits": {"train": 8012, "validation": 986, "test": 1002},
            "classes": {name: 1000 - 7 * i for i, name in enumerate(CLASSES)},
            "rejected": [{"file": f"img_{i:04}.png", "reason": f"truncated after {512 + i} bytes"} for i in range(14)],
            "hash": "9f2c41d0a7b3e855" * 4,
        },
        history=history,
        metrics={
            "fd_domain": {"value": 7.9, "interval": [7.7, 8.2]},
            "kid": {"value": 0.00042, "interval": [0.0003, 0.0005]},
            "precision": {"value": 0.71, "interval": [0.7, 0.72]},
            "recall": 0.38,
            "density": 0.93,
            "coverage": {"value": 0.66, "interval": [0.64, 0.68], "real": 0.97, "noise": 0.0},
            "home_made": 3,
        },
        protocol={"extractor": "domain", "samples": 10000, "split": "test", "resize": None, "seed": 0},
        card={
            "extractor": "domain",
            "accuracy": 0.904,
            "ladder": {
                "real/real": 0.3, "shift 1 px": 2.1, "blur 0.5": 3.4, "blur 1": 11.8, "half the classes": 31,
                "noise 0.1": 44, "noise 0.5": 128, "noise": 214,
            },
        },
        trials=trials,
        params={
            "seed": 0,
            "data": {"source": "fashion-mnist-10k", "resolution": 32, "channels": "auto"},
            "model": {"architecture": "dcgan", "latent": 128, "options": {"width": 64}},
            "train": {"kimg": 400, "batch": 64, "learning_rate": {"generator": 0.0004, "discriminator": 0.0004}},
        },
        provenance={
            "commit": "52655fb0c1d24e8a9b7",
            "commands": ["git checkout 52655fb", "dvc pull", "dvc repro"],
            "versions": {"python": "3.11.2", "torch": "2.15.0", "ray": "2.60.0", "ganops": "0.1.0"},
            "hashes": {"data/prepared": "4f1c2a9d6b.dir", "artifacts/generator": "8d0e7b3c55.dir"},
            "hardware": "1 × NVIDIA H200",
            "precision": "bf16",
        },
        pictures=pictures,
        filmstrip=filmstrip,
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(report):
    return render(report)
