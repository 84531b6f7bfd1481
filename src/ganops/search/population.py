"""Population based training (Jaderberg et al. 2017): the worse go on with the better ones' weights and parameters.

In rounds: all members come to the same judgement before any is replaced. So who takes over whom follows from the
seed and the distances, not from which member was quicker, and an interrupted search goes on as if it had not been.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ganops.config import Space, Tune
from ganops.core.errors import ConfigError
from ganops.core.randomness import seed_of
from ganops.search.space import LACKING, Values, clipped, drawn, fill, ordered
from ganops.search.trials import COMPARABLE, Takeover, Trial

SHARE = 0.25
"""Share of the members that are replaced after a round (truncation selection, section 4.1.1)."""
FACTORS = (0.8, 1.25)
"""Factors that change a number, one of them at random (in the paper 0.8 and 1.2)."""
DRAWN_ANEW = 0.25
"""Chance that a parameter is drawn from its space instead."""
FIXED = ("model", "loss.name", "loss.options", "loss.penalty", "loss.warm_up", "train.batch", "train.d_steps",
         "train.kimg", "train.precision", "train.augment.transforms")  # fmt: skip
"""Parameters that cannot change during a training: its weights, memory or count of samples depend on them."""


def check(tune: Tune) -> None:
    """Refuses what cannot be searched while trainings go on.

    Raises:
        ConfigError: With the path.
    """
    for path in tune.space:
        if fixed := next((each for each in FIXED if path == each or path.startswith(f"{each}.")), None):
            raise ConfigError(
                f"params.tune.space.{path}: cannot change while a training goes on ({fixed}), which scheduler: pbt "
                "does; asha and none can search it"
            )
    if tune.trials and tune.trials < 2:
        problem = f"params.tune.trials: a population (scheduler: pbt) has at least 2 members, got {tune.trials}"
        raise ConfigError(problem)
    if tune.rungs < 2:
        raise ConfigError("params.tune.rungs: scheduler: pbt needs at least 2 rounds, got 1")


def succession(members: Sequence[Trial], rung: int, tune: Tune) -> dict[int, Takeover]:
    """Return the takeovers after round `rung`: number of the member that is replaced -> from whom, and with what.

    Args:
        members: All of them; those that ended for good (diverged, pruned) are replaced too.
        rung: The judgement after which this happens.
        tune: Space and seed.
    """
    alive = sorted((m for m in members if _has_score(m, rung)), key=lambda m: (m.score, m.number))
    lost = [m for m in members if m not in alive]
    count = max(1, int(len(members) * SHARE))
    worst = alive[len(alive) - max(0, min(count - len(lost), len(alive) - 1)) :]
    best, takeovers = alive[:count], {}
    for place, member in enumerate(sorted([*lost, *worst], key=lambda m: m.number) if best else []):
        source = best[place % len(best)]
        key = (tune.seed, "takeover", rung, member.number)
        takeovers[member.number] = Takeover(rung, source.number, explored(source.parameters, tune.space, *key))
    return takeovers


def _has_score(member: Trial, rung: int) -> bool:
    return member.status in (*COMPARABLE, "running") and member.rung == rung and member.score is not None


def explored(parameters: Mapping[str, Any], space: Mapping[str, Any], *key: int | str) -> Values:
    """Parameters near others: numbers times one of FACTORS, choices moved by one place, a few drawn anew."""
    return fill(ordered(space), lambda path, i, kind: _near(parameters.get(path, LACKING), kind, *key, path, i))


def _near(value: Any, space: Space, *key: int | str) -> Any:
    chance = seed_of(*key, "how") / 2**63
    up = seed_of(*key, "direction") % 2
    if value is LACKING or chance < DRAWN_ANEW:
        return drawn(space, *key)
    if space.choice:
        places = [i for i, each in enumerate(space.choice) if each == value]
        place = (places[0] if places else 0) + (1 if up else -1)
        return space.choice[min(max(place, 0), len(space.choice) - 1)]
    if space.integer:
        moved = round(value * FACTORS[up])
        return int(clipped(space, moved if moved != value else value + (1 if up else -1)))
    return clipped(space, value * FACTORS[up])
