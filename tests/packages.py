"""Generators that look as trained, ready to be registered."""

import hashlib
import math

import torch
from safetensors.torch import save_file
from torch import nn

from ganops.models import lstm
from ganops.registry.package import Package

LATENT = 6
SOUND = {
    "rate": 8000,
    "samples": 2048,
    "window": 256,
    "hop": 128,
    "bands": 16,
    "mean": [4.5] * 16,
    "deviation": [1.6] * 16,
}
"""Facts of short clips, whose spectrograms are [1, 16, 16]."""


TEXT = {"words": ["", "<unk>", "<b>", "a", "dog", "${runs}", "{{home}}", "&amp;", "שלום", "🐕"], "by": "words"}
"""Facts of short texts, with words that a page must not take for its own."""
WAVE = {"rate": 8000, "samples": 128}
"""Facts of short waves, [1, 128]."""
FILM = {"fps": 12.5}
"""Facts of short films of three frames."""
LENGTH = LATENT // 2
"""Words of a text."""


class Tiny(nn.Module):
    def __init__(self, classes, shape):
        super().__init__()
        self.shape = shape
        self.project = nn.Linear(LATENT, math.prod(shape))
        self.embed = nn.Embedding(classes, LATENT) if classes else None

    def forward(self, z, y=None):
        z = z if self.embed is None else z + self.embed(y)
        return torch.tanh(self.project(z).view(-1, *self.shape))


def package(folder, fd=9.0, seed=0, classes=3, channels=3, kind="image"):
    """A generator that looks as trained; another seed is another training."""
    torch.manual_seed(seed)
    shapes = {
        "image": (channels, 8, 8),
        "sound": (1, 16, 16),
        "text": (LENGTH,),
        "video": (channels, 3, 8, 8),
        "wave": (1, 128),
    }
    shape, facts = shapes[kind], {"sound": SOUND, "text": TEXT, "video": FILM, "wave": WAVE}.get(kind, {})
    sizes = {"shape": (LENGTH, len(TEXT["words"])), "classes": classes, "latent": LATENT, "width": 8, "embedding": 4}
    G = lstm.players(**sizes)[0] if kind == "text" else Tiny(classes, shape)
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / name for name in ("generator.safetensors", "grid.png", "report.html", "dvc.lock")}
    save_file(G.state_dict(), files["generator.safetensors"])
    files["grid.png"].write_bytes(b"a picture")
    files["report.html"].write_text("<p>a report")
    files["dvc.lock"].write_text("stages: {train: {outs: [{path: artifacts/generator, md5: abc.dir}]}}")
    return Package(
        generator=G,
        description={
            "architecture": "tiny", "options": {"width": 8}, "latent": LATENT, "classes": classes,
            "class_names": [f"kind {i}" for i in range(classes)], "kind": kind, "shape": list(shape), "facts": facts,
        },
        weights=files["generator.safetensors"],
        evaluation={
            "fd_domain": fd, "coverage": 0.5, "intervals": {"fd_domain": [fd - 0.5, fd + 0.5]},
            "floors": {"fd_domain": 0.25}, "blind": {"coverage": ["low_rank"]},
            "protocol": {"extractor": "domain", "samples": 100},
        },
        params={"seed": seed, "data": {"source": str(folder / "photos")}, "train": {"kimg": 4}},
        history=[{"step": 1000, "G": 1.5}],
        pictures=[files["grid.png"]],
        report=files["report.html"],
        lock=files["dvc.lock"],
        fingerprint=hashlib.sha256(bytes([seed])).hexdigest(),
        data_licence="CC BY 4.0",
    )  # fmt: skip
