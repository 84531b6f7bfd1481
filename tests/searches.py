"""Invented searches, as the stage tune would find them."""

import io
from typing import Any

import numpy as np
from PIL import Image

from ganops.search.trials import Search, Takeover, Trial, ranked

LR = "train.learning_rate.generator.start"


def grid(seed: int) -> bytes:
    """A PNG."""
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (32, 32), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def scored(scores: list[float | None], **changes: Any) -> list[Trial]:
    """Trials of one rung; None: it failed."""
    rule = {"rung": 1, "kimg": 3.0, "seconds": 10.0} | changes
    return [
        Trial(i, {}, "failed", "disk full") if score is None else Trial(i, {}, "finished", score=score, **rule)
        for i, score in enumerate(scores, 1)
    ]


def search(trials: list[Trial], **changes: Any) -> Search:
    """A search that ended with these."""
    content: dict[str, Any] = {
        "name": "5d0c2f9a7be1",
        "objective": "fd_domain_validation",
        "protocol": {"extractor": "domain", "split": "validation", "generated": 5000},
        "rules": {"trials": len(trials), "kimg": 27},
        "rungs": 3,
        "trials": tuple(trials),
        "seconds": 4321.0,
        "hardware": "2 cores of an AMD EPYC",
        "finished": "2026-11-30T12:00:00+00:00",
        "commit": "4807dfa0c1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f6",
        "pictures": {trial.number: grid(trial.number) for trial in ranked(trials)[:7]},
    }
    return Search(**content | changes)


def asha(count: int = 30, seed: int = 0, noise: int = 0) -> Search:
    """Random search with early stops: conditional parameters, text, lists, and every way to end."""
    rng = np.random.default_rng(seed)
    trials = []
    for i in range(1, count + 1):
        parameters: dict[str, Any] = {
            LR: float(10 ** rng.uniform(-4, -2)),
            "loss.r1": float(10 ** rng.uniform(-2, 1)),
            "model.architecture": ["dcgan", "r3gan"][rng.integers(2)],
            "loss.relativistic": bool(rng.integers(2)),
            "train.betas": [[0.0, 0.9], [0.5, 0.999]][rng.integers(2)],
        } | {f"noise.n{j}": float(rng.uniform()) for j in range(noise)}
        if parameters["model.architecture"] == "r3gan":
            parameters["model.options.blocks"] = int(rng.integers(1, 5))
        trials.append(_run(i, parameters, rng))
    return search(trials)


def _run(number: int, parameters: dict[str, Any], rng: np.random.Generator) -> Trial:
    quality = 6 + 9 * abs(np.log10(parameters[LR]) + 3) + 4 * (parameters["model.architecture"] == "dcgan")
    history: list[dict[str, float]] = []
    status, reason = "finished", ""
    for kimg in (1.0, 3.0, 5.0, 9.0, 15.0, 27.0):
        history.append({"kimg": kimg, "loss_g": 1.0, "images_per_second": 900.0})
        if kimg in (3.0, 9.0, 27.0):
            distance = float(quality + 120 * np.exp(-kimg / 5) * rng.uniform(0.9, 1.1))
            history[-1] |= {"rung": 1.0 + (kimg > 3) + (kimg > 9), "distance": distance}
        if number % 10 == 5 and kimg > 3:
            status, reason = "diverged", "loss of D is not finite"
        elif number % 10 == 6 and kimg > 1:
            status, reason = "failed", "RuntimeError: out of memory"
        elif number % 10 == 7 and kimg == 3:
            status, reason = "pruned", "coverage 0.21 is below 0.3"
        elif kimg in (3.0, 9.0) and quality > 20 - kimg:
            status, reason = "stopped", f"not among the best third after {kimg:g} kimg"
        if reason:
            break
    judged = [row["distance"] for row in history if "distance" in row]
    score = judged[-1] if judged else None
    return Trial(number, parameters, status, reason, len(judged), score, kimg, 20 * kimg, tuple(history))  # type: ignore[arg-type]


def population(members: int = 6, rungs: int = 6, seed: int = 1) -> Search:
    """PBT: every second rung the worst member takes over the best one's weights."""
    rng = np.random.default_rng(seed)
    rates = [float(10 ** rng.uniform(-4.5, -2)) for _ in range(members)]
    distances = [200.0] * members
    histories: list[list[dict[str, float]]] = [[] for _ in rates]
    takeovers: list[list[Takeover]] = [[] for _ in rates]
    for rung in range(1, rungs + 1):
        for i, rate in enumerate(rates):
            distances[i] *= 0.6 + 0.16 * abs(np.log10(rate) + 3)
            histories[i].append({"kimg": 5.0 * rung, "rung": float(rung), "distance": distances[i]})
        order = np.argsort(distances)
        if rung % 2 == 0 and rung < rungs:
            best, worst = int(order[0]), int(order[-1])
            distances[worst], rates[worst] = distances[best], rates[best] * 1.25
            takeovers[worst].append(Takeover(rung, best + 1, {LR: rates[worst]}))
    trials = [
        Trial(i + 1, {LR: rates[i]}, "finished", "", rungs, histories[i][-1]["distance"], 5.0 * rungs, 90.0,
              tuple(histories[i]), tuple(takeovers[i]))
        for i in range(members)
    ]  # fmt: skip
    return search(trials, rungs=rungs)
