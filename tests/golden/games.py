"""Short trainings of tiny networks that together play everything there is; `play` measures one of them.

As a script it plays all of them as one of the workers that the environment names, and writes what they came to.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from figures import Held, evaluation

from ganops import config
from ganops.core.files import hash_json
from ganops.evaluation.validation import ValidationJudge
from ganops.experiment.run import Run
from ganops.kinds import Spec
from ganops.metrics.extractors.extractor import hash_weights
from ganops.metrics.extractors.pixels import Pixels
from ganops.metrics.measure import Generated

STEPS, TICKS, BATCH = 20, 4, 12
CHECKPOINT = Path(__file__).with_name("checkpoint")

COMMON = {
    "seed": 3,
    "data.resolution": 16,
    "model.latent": 6,
    "loss.r1": 0.5,
    "loss.interval": 2,
    "train.batch": BATCH,
    "train.learning_rate.generator": {"start": 2e-3, "end": 1e-3},
    "train.learning_rate.discriminator": {"start": 1e-3, "end": 2e-3, "shape": "linear"},
    "train.ema_kimg": 0.05,
    "train.precision": "fp32",
    "train.validation_samples": 100,
}
SMOOTH = {"model.architecture": "dcgan", "model.options": {"width": 4, "norm": "none"}}
FREE = {"model.conditional": False}
OF_TEXTS = {
    "data.kind": "text", "data.length": 3, "data.words": 8, "model.architecture": "lstm",
    "model.options": {"width": 8, "embedding": 4},
}  # fmt: skip


def augmented(transforms: str, strength: object = "adaptive", **more: object) -> dict[str, object]:
    """Smooth networks behind transforms; an adaptive strength can go from 0 to 1 within 200 samples."""
    augment = {"transforms": transforms, "strength": strength, "target": 0.1, "kimg": 0.2, **more}
    return SMOOTH | {f"train.augment.{key}": value for key, value in augment.items()}


GAMES = {
    "began": {
        "model.architecture": "began", "model.options": {"width": 2}, "loss.name": "began", "loss.r1": 0,
        "loss.options": {"rate": 0.05}, **FREE,
    },
    "dcgan": {"model.architecture": "dcgan", "model.options": {"width": 4}},
    "infogan": {"model.architecture": "infogan", "model.options": {"width": 4, "hidden": 16}, "loss.r1": 0},
    "infogan, autoencoder": {
        "model.architecture": "infogan", "model.options": {"width": 4, "hidden": 16, "critic": "autoencoder"},
        "loss.name": "began", "loss.r1": 0,
    },
    "mlp": {"model.architecture": "mlp", "model.options": {"width": 16}, **FREE},
    "mlp, autoencoder": {
        "model.architecture": "mlp", "model.options": {"width": 16, "critic": "autoencoder"}, "loss.name": "began",
    },
    "r3gan": {
        "model.architecture": "r3gan", "model.options": {"widths": 8, "groups": 2}, "loss.name": "relativistic",
        "loss.r1": {"start": 1.0, "end": 0.1}, "loss.r2": {"start": 1.0, "end": 0.1}, "loss.interval": 1,
        "train.beta1": 0.0, "train.beta2": {"start": 0.9, "end": 0.99}, "train.augment.transforms": "r3gan",
        "train.augment.strength": {"start": 0.0, "end": 0.55},
    },
    "sngan": {
        "model.architecture": "sngan", "model.options": {"width": 8}, "loss.name": "hinge", "loss.r1": 0,
        "train.d_steps": 2,
    },
    "stylegan2": {
        "model.architecture": "stylegan2", "model.options": {"base": 64, "maximum": 8, "group": 3},
        "train.augment.transforms": "ada", "train.augment.strength": 0.3,
    },
    "unconditional": {**SMOOTH, **FREE},
    "bf16": {"model.architecture": "dcgan", "model.options": {"width": 4}, "train.precision": "bf16"},
    "fp64": {"model.architecture": "dcgan", "model.options": {"width": 4}, "train.precision": "fp64"},
    "hinge": {**SMOOTH, "loss.name": "hinge"},
    "least_squares": {**SMOOTH, "loss.name": "least_squares"},
    "minimax": {**SMOOTH, "loss.name": "minimax"},
    "relativistic": {**SMOOTH, "loss.name": "relativistic", "loss.r2": 0.5},
    "relativistic_average": {**SMOOTH, "loss.name": "relativistic_average"},
    "wasserstein, clipped": {
        **SMOOTH, "loss.name": "wasserstein", "loss.clip": 0.05, "loss.r1": 0, "train.d_steps": 3,
    },
    "dragan": {**SMOOTH, "loss.penalty": "dragan", "loss.r1": 0},
    "wgan_gp": {**SMOOTH, "loss.name": "wasserstein", "loss.penalty": "wgan_gp", "loss.r1": 0, "train.d_steps": 2},
    "zero_centred_gp": {**SMOOTH, "loss.penalty": "zero_centred_gp", "loss.r1": 0, "loss.interval": 1},
    "ada, adaptive": augmented("ada"),
    "bgc, adaptive": augmented("bgc"),
    "diffaugment": augmented("diffaugment", 1.0),
    "diffaugment, consistent": augmented("diffaugment", 1.0, consistency=10),
    "autoencoder": {"model.architecture": "mlp", "model.options": {"width": 16}, "loss.name": "autoencoder", **FREE},
    "autoencoder, mixture": {**SMOOTH, "loss.name": "autoencoder", "loss.options": {"prior": "mixture"}},
    "two_stage_vae": {
        "model.architecture": "infogan", "model.options": {"width": 4, "hidden": 16}, "loss.name": "two_stage_vae",
        "loss.options": {"second": 0.4, "hidden": 16},
    },
    "vae": {"model.architecture": "dcgan", "model.options": {"width": 4}, "loss.name": "vae"},
    "lstm": {**OF_TEXTS, "loss.name": "relativistic", "loss.r2": 0.5, "loss.warm_up": {"kimg": 0.12}},
    "wavegan": {
        "data.kind": "wave", "data.samples": 128, "model.architecture": "wavegan", "model.options": {"width": 4},
        "loss.name": "wasserstein", "loss.penalty": "wgan_gp", "loss.r1": 0, "train.d_steps": 2,
        "train.augment.transforms": {"time": 1, "gain": 0.5}, "train.augment.strength": 0.5,
    },
    "mocogan": {
        "data.kind": "video", "data.frames": 2, "model.architecture": "mocogan", "loss.r2": 0.5,
        "model.options": {"width": 4, "content": 2, "motion": 2, "hidden": 4}, "loss.name": "relativistic",
        "train.augment.transforms": "diffaugment", "train.augment.strength": 0.5,
    },
    "likelihood": {**OF_TEXTS, "model.options": {"width": 4, "embedding": 4, "layers": 2}, "loss.name": "likelihood"},
}  # fmt: skip
"""Name -> what differs from `COMMON`."""
COLOUR = ("stylegan2", "diffaugment")
"""The games with samples of three channels."""
SHARED = (
    "began", "dcgan", "infogan", "mlp", "r3gan", "sngan", "stylegan2", "bf16", "fp64", "relativistic_average",
    "wasserstein, clipped", "dragan", "ada, adaptive", "autoencoder", "two_stage_vae", "lstm", "likelihood",
    "wavegan", "mocogan",
)  # fmt: skip
"""The games that two workers play as well: each architecture, and each sum over workers."""


class Shapes:
    """Discs, squares and stripes, by integer arithmetic alone: the same bits for ever."""

    class_names = ("disc", "square", "stripes")

    def __init__(self, channels: int = 1, count: int = 50) -> None:
        self.spec = Spec("image", (channels, 16, 16), 3)
        self.count = count
        self.hash = hash_json([self.samples(split).tolist() for split in ("train", "validation")])

    def samples(self, split: str) -> np.ndarray:
        """uint8 [count, C, 16, 16]."""
        i, c, h, w = np.ogrid[: self.count, : self.spec.shape[0], :16, :16]
        i = i + (0 if split == "train" else 1000)
        label, dh, dw = self.labels(split)[:, None, None, None], h - 5 - i * 7 % 6, w - 5 - i * 11 % 6
        reach = 9 + i * 5 % 17
        disc, square, stripes = dh**2 + dw**2 <= reach, np.maximum(dh**2, dw**2) <= reach, (h + i) // 2 % 2 == 0
        inside = np.where(label == 0, disc, np.where(label == 1, square, stripes))
        grain = (i * 7919 + c * 104729 + h * 1299709 + w * 15485863) % 9973 % 32
        return (np.where(inside, 140 + i * 13 % 84 - 20 * c, 10 * c) + grain).astype(np.uint8)

    def labels(self, split: str) -> np.ndarray:
        """int64 [count]."""
        return np.arange(self.count) * 5 % 7 % 3


class Texts(Shapes):
    """Up to three words of a vocabulary of eight, likewise."""

    def __init__(self, count: int = 50) -> None:
        self.spec = Spec("text", (3,), 3, {"words": ["", "<unk>", *"abcdef"], "by": "words"})
        self.count = count
        self.hash = hash_json([self.samples(split).tolist() for split in ("train", "validation")])

    def samples(self, split: str) -> np.ndarray:
        """uint16 [count, 3]: a label's texts have one word more than those of the label before it."""
        i, place = np.ogrid[: self.count, :3]
        i = i + (0 if split == "train" else 1000)
        return np.where(place <= self.labels(split)[:, None], 2 + (i * 7 + place * 5) % 11 % 6, 0).astype(np.uint16)


class Waves(Shapes):
    """Tones of three shapes, likewise."""

    def __init__(self, count: int = 50) -> None:
        self.spec = Spec("wave", (1, 128), 3, {"rate": 8000, "samples": 128})
        self.count = count
        self.hash = hash_json([self.samples(split).tolist() for split in ("train", "validation")])

    def samples(self, split: str) -> np.ndarray:
        """int16 [count, 1, 128]: saws, squares and triangles."""
        i, _, t = np.ogrid[: self.count, :1, :128]
        i = i + (0 if split == "train" else 1000)
        label, saw = self.labels(split)[:, None, None], (t * (3 + i * 7 % 11) + i * 13) % 64 - 32
        tone = np.where(label == 0, saw, np.where(label == 1, np.sign(saw) * 32, 2 * np.abs(saw) - 32))
        return (tone * (300 + i * 31 % 600)).astype(np.int16)


class Films(Shapes):
    """The same shapes, which move to the right by two pixels."""

    def __init__(self, count: int = 50) -> None:
        self.spec = Spec("video", (1, 2, 16, 16), 3, {"fps": 8})
        self.count = count
        self.hash = hash_json([self.samples(split).tolist() for split in ("train", "validation")])

    def samples(self, split: str) -> np.ndarray:
        """uint8 [count, 1, 2, 16, 16]."""
        still = super().samples(split)
        return np.stack([still, np.roll(still, 2, axis=3)], axis=2)


def experiment(name: str, **changes: object) -> config.Experiment:
    """The parameters of a game."""
    params = {**COMMON, **GAMES[name], **changes}
    if "data.kind" in params:
        del params["data.resolution"]
    kimg = STEPS * BATCH * params.get("train.d_steps", 1) / 1000
    lengths = {"train.kimg": kimg, "train.tick_kimg": kimg / TICKS, "train.checkpoint_kimg": kimg}
    return config.parse({}).override(lengths | params)


def play(name: str, **changes: object) -> dict[str, dict[str, object]]:
    """The outcome of a game from the first step to the last, as one of the workers that there are."""
    rank, workers = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    others = {"text": Texts, "video": Films, "wave": Waves}.get(str(GAMES[name].get("data.kind")))
    samples = others() if others else Shapes(3 if name in COLOUR else 1)
    run = Run(experiment(name, **changes), samples, None, torch.device("cpu"), rank=rank, workers=workers)
    began = flat(run)
    list(run.play())
    return outcome(run, began)


def kept() -> Run:
    """The training whose checkpoint is kept, before its first step."""
    changes = {"model.options": {"width": 2, "norm": "none"}, "train.checkpoint_kimg": STEPS * BATCH / TICKS / 1000}
    pixels, samples = Pixels({"channels": 1}, "cpu"), Shapes()
    splits = {"validation": Generated(pixels.features(samples.samples("validation"))[0])}
    judge = ValidationJudge(Held(splits, pixels))
    run = Run(experiment("bgc, adaptive", **changes), samples, judge, torch.device("cpu"))
    run.meaning["edits"] = ""  # whoever edits the code asks just this: whether it still does the same
    return run


def save_checkpoint() -> None:
    """Writes the checkpoint: half of the training."""
    run = kept()
    list(run.play(STEPS // 2))
    run.save(CHECKPOINT)


def carry_on() -> dict[str, dict[str, object]]:
    """The outcome of the other half."""
    run = kept()
    run.load(CHECKPOINT)
    began = flat(run)
    list(run.play())
    return outcome(run, began)


def outcome(run: Run, began: dict[str, torch.Tensor]) -> dict[str, dict[str, object]]:
    """What a training came to.

    Returns:
        `terms`: each term at each tick, None where there was none, without speeds. `norm` and `moved`: the length of
        each network's parameters and of their way from `began`. `sha256`: of each network's tensors, of the best
        average's, of pictures, and of the terms.
    """
    names = sorted({name for row in run.history for name in row} - {"images_per_second"})
    terms = {name: [row.get(name) for row in run.history] for name in names}
    now = flat(run)
    hashes = {player: hash_weights(network.state_dict()) for player, network in networks(run).items()}
    if run.selection.best:
        pictures = run.best_generator().sample(np.arange(8))
        hashes |= {
            "best": hash_weights(run.selection.best.weights),
            "pictures": hashlib.sha256(pictures.tobytes()).hexdigest(),
        }
    return {
        "terms": terms,
        "norm": {player: float(vector.norm()) for player, vector in now.items()},
        "moved": {player: float((vector - began[player]).norm()) for player, vector in now.items()},
        "sha256": {**hashes, "terms": hash_json(terms)},
    }


def networks(run: Run) -> dict[str, torch.nn.Module]:
    """The networks whose weights are held."""
    return {"G": run.state.G, "D": run.state.D, "EMA": run.state.average}


def flat(run: Run) -> dict[str, torch.Tensor]:
    """All parameters of each network as one vector, float64."""
    return {
        player: torch.cat([parameter.detach().double().flatten() for parameter in network.parameters()])
        for player, network in networks(run).items()
    }


def main(out: str | None = None) -> None:
    """Writes what all games came to, or without `out` the checkpoint."""
    torch.set_num_threads(1)
    if out is None:
        return save_checkpoint()
    alone = os.environ["WORLD_SIZE"] == "1"
    if not alone:
        dist.init_process_group("gloo")
    found = {name: play(name) for name in (GAMES if alone else SHARED)}
    if alone:
        found |= {"checkpoint, continued": carry_on(), "evaluation": evaluation()}
    if os.environ["RANK"] == "0":
        Path(out).write_text(json.dumps(found))
    if not alone:
        dist.destroy_process_group()
    return None


if __name__ == "__main__":
    main(*sys.argv[1:])
