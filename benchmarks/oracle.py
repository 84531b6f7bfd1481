"""Texts of a known language: likelihood, and games with hard and with soft words, against the truth.

    python benchmarks/oracle.py [--seeds 3] [--search N] [--plot FILE.svg] [--json]
    python benchmarks/oracle.py --arrays FOLDER [--epochs 120] [--json]

The language is that of an LSTM with random weights (Yu et al. 2017, SeqGAN, section 5.1): 100 words, texts of 12. Its
probabilities are known, so `nll_oracle`, the mean of -log p(x) of generated texts under the true model, is exact, and
so are its floor, the entropy of the language, and its value for uniform words. `nll_test` is that of held-out texts
under the generator. Both are nats a word. Either alone can be gamed: a low temperature improves the one and ruins the
other. `fd_oracle` is the Fréchet distance of the oracle's states.

All systems are one LSTM. `likelihood` learns 40,000 texts by maximum likelihood, and is drawn at several temperatures:
the curve that a game must beat (Caccia et al. 2020, "Language GANs falling short"). The games go on from its weights.
`hard`: D is shown words, whose gradient is that of their probabilities. `soft`: D is shown a Gumbel softmax, as in
RelGAN (Nie et al. 2019), words when it is measured. A point is dominated if at some temperature the likelihood model is
better in both numbers, each beyond two standard errors.

With --arrays the language is the published oracle of SeqGAN, 5,000 words and texts of 20, whose 15 arrays the folder
holds; an LSTM of its size learns it by likelihood.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ganops.core.oracle import OracleNetwork
from ganops.core.randomness import generator
from ganops.experiment import machine
from ganops.generator.artefact import draw
from ganops.losses import LOSSES, square_norms
from ganops.losses.likelihood import likelihood, nll
from ganops.metrics.frechet import Statistics, frechet_distance
from ganops.models import lstm
from ganops.training.lesson import Lesson
from ganops.training.loop import Recipe, train
from ganops.training.schedule import Schedule, constant, cosine
from ganops.training.state import State
from ganops.training.step import Game

WORDS, LENGTH, HIDDEN = 100, 12, 16
"""The language of the toy oracle."""
TRAIN, PUBLISHED_TRAIN, TEST = 40_000, 11_112, 10_000
"""Texts of the toy oracle and of the published one, of which a tenth validates (10,000 of the latter are learnt, as by
SeqGAN), and texts that are held out; as many are generated."""
BATCH = 64
TEMPERATURES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
CHECKPOINTS = (100, 200, 400, 800)
"""Steps of a game after which it is measured."""


@dataclass(frozen=True)
class Language:
    """Texts of an oracle."""

    oracle: OracleNetwork
    texts: Tensor
    """int64 [N, L], to learn from."""
    held_out: Tensor
    """int64 [TEST, L]."""
    statistics: Statistics
    """Statistics of the oracle's states on the texts held out."""

    @classmethod
    def of(cls, oracle: OracleNetwork, seed: int, count: int = TRAIN) -> "Language":
        """Draw the texts."""
        texts, held_out = oracle.sample(count, seed), oracle.sample(TEST, seed + 10_000)
        return cls(oracle, texts, held_out, states(oracle, held_out))

    def hot(self, texts: Tensor) -> Tensor:
        """Return one-hot words, [N, L] -> [N, L, V]."""
        return torch.zeros(*texts.shape, self.oracle.words).scatter_(-1, texts[..., None], 1)


@torch.no_grad()
def states(oracle: OracleNetwork, texts: Tensor) -> Statistics:
    """Return the statistics of the oracle's states, the mean over the places of a text."""
    parts = [oracle.states(part).mean(1) for part in texts.split(1000)]
    return Statistics.of(torch.cat(parts).double().numpy())


@dataclass(frozen=True)
class Point:
    """A generator at a temperature; nats a word, each with its standard error."""

    name: str
    nll_oracle: float
    nll_test: float
    fd_oracle: float
    error_oracle: float
    error_test: float

    def dominated(self, curve: "list[Point]") -> bool:
        """Return True where a point of the curve is better in both numbers, beyond two standard errors."""
        return any(
            self.nll_oracle - other.nll_oracle > 2 * math.hypot(self.error_oracle, other.error_oracle)
            and self.nll_test - other.nll_test > 2 * math.hypot(self.error_test, other.error_test)
            for other in curve
        )


@torch.no_grad()
def measured(name: str, G: nn.Module, language: Language, temperature: float = 1.0, seed: int = 0) -> Point:
    """Draw texts and measure them."""
    length, source = language.oracle.length, generator(seed, "measure")
    numbers = length * (2 if G.softness is None else language.oracle.words)
    G.eval()
    drawn = []
    for _ in range(TEST // 500):
        z = torch.randn(500, numbers, generator=source)
        drawn.append(draw(G, z, torch.full((500,), temperature), None).argmax(2))
    texts = torch.cat(drawn)
    quality = language.oracle.nll(texts).double() / length
    parts = language.held_out.split(500)
    test = torch.cat([_nll(G, language.hot(part), temperature) for part in parts]).double() / length
    distance = frechet_distance(language.statistics, states(language.oracle, texts))
    errors = [float(values.std() / math.sqrt(len(values))) for values in (quality, test)]
    return Point(name, float(quality.mean()), float(test.mean()), distance, *errors)


def _nll(G: nn.Module, x: Tensor, temperature: float = 1.0) -> Tensor:
    """-log p(x) in nats: [N, L, V] -> [N]."""
    return nll(G(None, None, given=x, temperature=torch.full((len(x),), temperature)), x)


def batches(language: Language, seed: int) -> Callable[[int], tuple[Tensor, None]]:
    """Return the texts of a turn, epoch by epoch in another order."""
    each = len(language.texts) // BATCH

    def batch(turn: int) -> tuple[Tensor, None]:
        epoch, place = divmod(turn, each)
        order = torch.randperm(len(language.texts), generator=generator(seed, "epoch", epoch))
        return language.hot(language.texts[order[place * BATCH : (place + 1) * BATCH]]), None

    return batch


def players(language: Language, seed: int, softness: float | None = None) -> tuple[nn.Module, nn.Module]:
    """Return both, with weights of a seed; those of G are the same whatever D is shown."""
    oracle = language.oracle
    numbers = 2 if softness is None else oracle.words
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return lstm.players(
            shape=(oracle.length, oracle.words), classes=0, latent=numbers * oracle.length, width=32, embedding=32,
            softness=softness,
        )  # fmt: skip


def learning(
    language: Language, epochs: int, rate: Schedule, seed: int, deviation: float | None = None
) -> Iterator[tuple[int, nn.Module, float]]:
    """Learn by likelihood; after each epoch yield its number, the generator, and its NLL on a tenth of the texts.

    Its first weights are normal numbers with a standard `deviation`, if there is one.
    """
    count = len(language.texts) * 9 // 10
    kept, validation = replace(language, texts=language.texts[:count]), language.hot(language.texts[count:])
    G, D = players(language, seed)
    source = generator(seed, "weights")
    for parameter in G.parameters() if deviation else ():
        nn.init.normal_(parameter, std=deviation, generator=source)
    each = count // BATCH
    recipe = Recipe(
        steps=epochs * each, tick_steps=each, batch=BATCH, latent=2 * language.oracle.length,
        learning_rate_G=rate, learning_rate_D=constant(0), beta1=0.9, beta2=constant(0.999),
    )  # fmt: skip
    for tick in train(State.fresh(G, D), batches(kept, seed), Lesson(likelihood(), nullcontext), recipe, seed=seed):
        with torch.no_grad():
            nats = torch.cat([_nll(G, part) for part in validation.split(500)]).mean()
        yield tick.step // each, G, float(nats) / language.oracle.length


def learnt(language: Language, epochs: int, rate: float, seed: int) -> nn.Module:
    """Learn by likelihood; return the generator of the best epoch."""
    best = (math.inf, {})
    for _, G, found in learning(language, epochs, constant(rate), seed):
        if found < best[0]:
            best = found, {name: value.clone() for name, value in G.state_dict().items()}
    G.load_state_dict(best[1])
    return G


GAME = {"rate_G": 1e-4, "rate_D": 2e-3, "gamma": 0.002, "d_steps": 2, "loss": "relativistic", "softness": 0.5}
"""Settings of the games."""


def played(
    language: Language, start: nn.Module, seed: int, kind: str, until: tuple[int, ...], settings: dict[str, Any]
) -> Iterator[Point]:
    """Play on from the weights of the likelihood model; yield the points of the average at `until` steps."""
    set_to = GAME | settings
    softness = set_to["softness"] if kind == "soft" else None
    G, D = players(language, seed, softness)
    G.load_state_dict(start.state_dict())
    state = State.fresh(G, D)
    recipe = Recipe(
        steps=max(until), tick_steps=math.gcd(*until), batch=BATCH,
        latent=language.oracle.length * (2 if softness is None else language.oracle.words),
        learning_rate_G=constant(set_to["rate_G"]), learning_rate_D=constant(set_to["rate_D"]), beta1=0.0,
        beta2=constant(0.99), r1=constant(set_to["gamma"]), r2=constant(set_to["gamma"]), d_steps=set_to["d_steps"],
        half_life=constant(1000),
    )  # fmt: skip
    game = Game(LOSSES[set_to["loss"]](), square_norms, nullcontext)
    for tick in train(state, batches(language, seed), game, recipe, seed=seed):
        if tick.step in until:
            point = measured(f"{kind}, {tick.step} steps", state.average, language, seed=seed)
            print(f"  {point.name}: {_words(point)}; told apart {tick.metrics['told_apart']:.2f}", flush=True)
            yield point


def _words(point: Point) -> str:
    return f"nll_oracle {point.nll_oracle:.3f}, nll_test {point.nll_test:.3f}, fd_oracle {point.fd_oracle:.4f}"


SEARCH = [
    {"rate_G": rate, "rate_D": rate_D, "gamma": gamma, "loss": loss}
    for rate in (3e-5, 3e-4)
    for rate_D, gamma in ((5e-4, 0.02), (2e-3, 0.002), (2e-3, 0.05))
    for loss in ("relativistic", "non_saturating")
]
"""Twelve settings that are tried for a game that is not dominated."""


def toy(seeds: int, search: int) -> dict[str, Any]:
    """Return the points of all systems and seeds, and the settings that were tried."""
    found: dict[str, Any] = {"points": [], "search": []}
    for seed in range(seeds):
        language = Language.of(
            OracleNetwork.drawn(words=WORDS, length=LENGTH, hidden=HIDDEN, embedding=HIDDEN, seed=seed), seed
        )
        floor, uniform = bounds(language)
        started = time.perf_counter()
        G = learnt(language, 15, 5e-3, seed)
        seconds = time.perf_counter() - started
        curve = [measured(f"likelihood, T {t:g}", G, language, t, seed) for t in TEMPERATURES]
        print(f"seed {seed}: floor {floor[0]:.3f}, uniform {uniform[0]:.3f}; likelihood in {seconds:.0f} s", flush=True)
        for point in curve:
            print(f"  {point.name}: {_words(point)}", flush=True)
        games = [p for kind in ("hard", "soft") for p in played(language, G, seed, kind, CHECKPOINTS, {})]
        rows = [vars(p) | {"dominated": p.dominated(curve) if p in games else None} for p in (*curve, *games)]
        found["points"].append({"seed": seed, "floor": floor, "uniform": uniform, "rows": rows})
        if seed == 0:
            for settings in SEARCH[:search]:
                print(f"  {settings}", flush=True)
                tried = played(language, G, seed, "hard", CHECKPOINTS[:3], settings)
                found["search"] += [vars(p) | settings | {"dominated": p.dominated(curve)} for p in tried]
    return found


def bounds(language: Language) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the entropy of the language and the NLL of uniform words, each with its standard error, nats a word."""
    floor, uniform = language.oracle.floor(), language.oracle.uniform()
    length = language.oracle.length
    return (floor.word, floor.error / length), (uniform.word, uniform.error / length)


def published(arrays: Path, epochs: int) -> dict[str, Any]:
    """Return the bounds of the published oracle, and the curve of an LSTM of its size."""
    language = Language.of(OracleNetwork.from_seqgan(arrays), 0, PUBLISHED_TRAIN)
    floor, uniform = bounds(language)
    print(f"floor {floor[0]:.3f} ± {floor[1]:.3f}, uniform {uniform[0]:.3f} ± {uniform[1]:.3f}", flush=True)
    history = []
    for epoch, G, found in learning(language, epochs, cosine(*PUBLISHED_RATE), 0, PUBLISHED_DEVIATION):
        row = {"epoch": epoch, "validation": found}
        if epoch % MEASURED == 0 or epoch == epochs:
            point = measured(f"epoch {epoch}", G, language)
            print(f"{point.name}: validation {found:.3f}, {_words(point)}", flush=True)
            row |= vars(point)
        history.append(row)
    return {"floor": floor, "uniform": uniform, "history": history}


PUBLISHED_RATE, PUBLISHED_DEVIATION, MEASURED = (1e-2, 5e-4), 0.1, 10
"""Learning rate on the published oracle at the first step (SeqGAN's) and at the last, standard deviation of all first
weights (SeqGAN's: with PyTorch's `nll_oracle` ends at 9.25), and epochs between two measurements."""


def from_curve(row: dict[str, Any], rows: list[dict[str, Any]]) -> float:
    """Return `nll_test` of a game less that of likelihood at the temperature that has the same `nll_oracle`.

    Between two temperatures it is a straight line, above the curve, which flatters a game; below 0 a game is better.
    """
    curve = sorted((each["nll_oracle"], each["nll_test"]) for each in rows if each["dominated"] is None)
    return float(row["nll_test"] - np.interp(row["nll_oracle"], *zip(*curve, strict=True)))


def table(found: dict[str, Any]) -> str:
    """Return the means over the seeds as a table, and the settings that were tried."""
    seeds = found["points"]
    lines = [
        f"floor {np.mean([each['floor'][0] for each in seeds]):.3f}, uniform words "
        f"{np.mean([each['uniform'][0] for each in seeds]):.3f} nats a word; {len(seeds)} seeds, ± their deviation\n",
        "| | nll_oracle above the floor | nll_test above the floor | fd_oracle | nll_test from the curve | dominated |",
        "|---|---|---|---|---|---|",
    ]
    for rows in zip(*(each["rows"] for each in seeds), strict=True):
        pairs = list(zip(rows, seeds, strict=True))
        cells = [
            _spread([row[name] - above * each["floor"][0] for row, each in pairs])
            for name, above in (("nll_oracle", 1), ("nll_test", 1), ("fd_oracle", 0))
        ]
        known = [row["dominated"] for row in rows if row["dominated"] is not None]
        cells += [_spread([from_curve(row, each["rows"]) for row, each in pairs]), f"{sum(known)} of {len(known)}"]
        lines.append(f"| {rows[0]['name']} | {' | '.join(cells[: None if known else 3])} |{'' if known else ' | |'}")
    if found["search"]:
        rows = seeds[0]["rows"]
        best = min(found["search"], key=lambda row: from_curve(row, rows))
        error = math.hypot(best["error_test"], rows[0]["error_test"])
        lines.append(
            f"\n{len(found['search']) // 3} settings, measured 3 times each; the nearest to the ideal, {best},"
        )
        lines.append(f"is {from_curve(best, rows):+.3f} from the curve, with a standard error of {error:.3f}")
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values):.3f}"


def plot(found: dict[str, Any], path: Path) -> None:
    """Draw the curve of likelihood and the ways of the games, of all seeds, as an SVG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.add_subplot(xlabel="nll_test, nats a word (variety)", ylabel="nll_oracle, nats a word (quality)")
    colours = {"likelihood": "#4269d0", "hard": "#efb118", "soft": "#ff725c"}
    for each in found["points"]:
        for kind, colour in colours.items():
            rows = [row for row in each["rows"] if row["name"].startswith(kind)]
            label = kind if each["seed"] == 0 else None
            x, y = ([row[name] for row in rows] for name in ("nll_test", "nll_oracle"))
            axes.plot(x, y, "o-", color=colour, label=label, markersize=4, linewidth=1)
        axes.axhline(each["floor"][0], color="grey", linewidth=0.5)
    axes.legend()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arrays", type=Path, help="folder of the published oracle")
    parser.add_argument("--epochs", type=int, default=120, help="of likelihood on the published oracle")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--search", type=int, default=0, metavar="N", help="try the first N of 12 settings of the game")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = published(options.arrays, options.epochs) if options.arrays else toy(options.seeds, options.search)
    hardware = machine.hardware(torch.device("cpu"))
    if options.plot and not options.arrays:
        plot(found, options.plot)
    print(json.dumps({"hardware": hardware} | found) if options.json else f"\n{hardware}\n")
    if not options.json and not options.arrays:
        print(table(found))


if __name__ == "__main__":
    main()
