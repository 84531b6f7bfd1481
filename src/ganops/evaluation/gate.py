"""The gate of champions: a generator keeps absolute limits, and improves on the champion beyond chance."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ganops.core.errors import RegistryError
from ganops.evaluation.comparison import Comparison
from ganops.metrics.intervals import COVERS
from ganops.metrics.protocol import SELECTED

Bound = Mapping[str, float | None]
"""`{"at_most": x}`, `{"at_least": x}` or both; None is no limit."""
ALREADY = "It is the champion already: "
"""Words before the evidence by which a generator became the champion that it is."""
KINDS = {"at_most": lambda value, limit: value <= limit, "at_least": lambda value, limit: value >= limit}


@dataclass(frozen=True)
class Check:
    """One metric held against one limit."""

    metric: str
    value: float
    bound: Mapping[str, float]
    passed: bool

    @property
    def words(self) -> str:
        """The check in words."""
        ends = [float(limit) for limit in self.bound.values()]
        # as many digits as tell the value from the limits
        digits = next((n for n in range(4, 17) if all(
            (f"{self.value:.{n}g}" == f"{end:.{n}g}") == (self.value == end) for end in ends)), 17)  # fmt: skip
        limit = " and ".join(f"{kind.replace('_', ' ')} {end:.{digits}g}" for kind, end in self.bound.items())
        return f"{self.metric} {self.value:.{digits}g} is {'' if self.passed else 'not '}{limit}"


@dataclass(frozen=True)
class Rival:
    """The champion, measured beside a challenger."""

    version: int
    """Version of the champion."""
    comparison: Comparison | None
    """The champion is `one`, the challenger `other`; None: they cannot be compared."""
    reason: str = ""
    """Reason why they cannot be compared."""

    def content(self) -> dict[str, Any]:
        """Return the rival as plain values."""
        if self.comparison is None:
            return {"version": self.version, "reason": self.reason}
        return {"version": self.version, "selected": SELECTED, **self.comparison.content()}


@dataclass(frozen=True)
class Improvement:
    """A challenger beside the champion, in the metric that counts."""

    over: int
    """Version of the champion."""
    passed: bool
    reason: str
    """Reason in words, with the numbers."""
    metric: str | None = None
    """Name of the metric; None: the two cannot be compared."""
    champion: float | None = None
    challenger: float | None = None
    difference: float | None = None
    """The challenger's value less the champion's."""
    interval: list[float] | None = None
    """95 % interval of the difference, over latents and real samples."""

    @classmethod
    def over_rival(cls, rival: Rival, metric: str) -> "Improvement":
        """The improvement over the champion; `metric` may be `auto`, the Fréchet distance."""
        if rival.comparison is None:
            return cls(rival.version, False, f"cannot be compared with the champion v{rival.version}: {rival.reason}")
        figures = rival.comparison.figures
        metric = next(iter(figures)) if metric == "auto" else metric
        found, verdict = figures[metric], rival.comparison.verdict(metric)
        words = (
            f"{metric} {found.other:.4g} against {found.one:.4g} of the champion v{rival.version}, difference "
            f"{found.by.value:+.3g} [{found.by.low:+.3g}, {found.by.high:+.3g}] (95 %, {COVERS}): {verdict}"
        )
        passed = verdict == "better"
        return cls(rival.version, passed, words, metric, found.one, found.other, found.by.value, found.by.ends)


@dataclass(frozen=True)
class Decision:
    """The decision whether a generator may become the champion, and its reasons."""

    checks: tuple[Check, ...]
    improvement: Improvement | None
    """Improvement on the champion; None: there is none, or it is this very version, or none is asked for."""
    over: int | None
    """The champion's version at the time; None: there was none. The decision holds as long as it is that one."""
    standing: str = ""
    """Evidence by which it became the champion that it is already, in words; empty: it is not the champion."""

    @property
    def passed(self) -> bool:
        """All limits are kept, and the improvement is shown."""
        return not self.reasons

    @property
    def reasons(self) -> list[str]:
        """Reasons against it, in words."""
        failed = [check.words for check in self.checks if not check.passed]
        worse = self.improvement is not None and not self.improvement.passed
        return [*failed, self.improvement.reason] if worse and self.improvement else failed

    @property
    def words(self) -> str:
        """The decision as one sentence, and the former evidence as another, where it is the champion already."""
        former = self._former
        if former and not self.reasons and not self._proof:
            return f"{ALREADY}{former}"
        return f"{self._own} {ALREADY}{former}" if former else self._own

    @property
    def _own(self) -> str:
        """This very decision."""
        if self.reasons:
            return f"Did not pass the gate: {'; '.join(self.reasons)}."
        return f"Passed the gate: {'; '.join(self._proof)}." if self._proof else "There is no gate."

    @property
    def _proof(self) -> list[str]:
        return [check.words for check in self.checks] + ([self.improvement.reason] if self.improvement else [])

    @property
    def _former(self) -> str:
        """The former evidence, where it says more than this decision."""
        return "" if self.standing == self._own else self.standing

    def content(self) -> dict[str, Any]:
        """Return the decision as plain values."""
        improvement = asdict(self.improvement) if self.improvement else None
        checks = [asdict(check) for check in self.checks]
        decided = {"passed": self.passed, "reasons": self.reasons, "checks": checks, "improvement": improvement}
        return {**decided, "standing": self._former}


def decide(
    gate: Mapping[str, Bound], metrics: Mapping[str, float], *, improve: str = "auto", rival: Rival | None = None,
    left_out: Mapping[str, str] | None = None,
) -> Decision:  # fmt: skip
    """Holds a generator against the limits, and beside the champion.

    Args:
        gate: Limits by metric; a limit itself passes, and an empty gate lets everything pass.
        metrics: Of the evaluation.
        improve: The metric in which the champion must be beaten with 95 % confidence: its name, `auto` (the Fréchet
            distance) or `none`.
        rival: The champion, measured now beside the generator; None where there is no other champion.
        left_out: Figures that the evaluation could not give, and why (its protocol says so).

    Raises:
        RegistryError: A metric is unknown, or a limit is neither at_most nor at_least.
    """
    checks = tuple(check_gate(gate, metrics, left_out))
    improvement = None
    if rival is not None and improve != "none":
        figures = rival.comparison.figures if rival.comparison else {}
        if figures and improve not in {"auto", *figures}:
            raise RegistryError(f"register.improve: expected auto, none or one of {', '.join(figures)}; got {improve}")
        improvement = Improvement.over_rival(rival, improve)
    return Decision(checks, improvement, rival.version if rival else None)


def check_gate(
    gate: Mapping[str, Bound], metrics: Mapping[str, float], left_out: Mapping[str, str] | None = None
) -> list[Check]:
    """Each limit of the gate, held against its metric.

    Raises:
        RegistryError: A metric is not in the evaluation, or a limit is neither at_most nor at_least.
    """
    unknown = sorted(set(gate) - set(metrics))
    for metric in unknown:
        if metric in (left_out or {}):
            raise RegistryError(f"register.gate: the evaluation has no {metric}: {(left_out or {})[metric]}")
    if unknown:
        raise RegistryError(
            f"register.gate: the evaluation has no {', '.join(unknown)}; known: {', '.join(sorted(metrics)) or 'none'}"
        )
    checks = []
    for metric, bound in gate.items():
        for kind, limit in bound.items():
            if kind not in KINDS:
                raise RegistryError(f"register.gate.{metric}: expected at_most or at_least, got {kind}")
            if limit is not None:
                checks.append(Check(metric, metrics[metric], {kind: limit}, KINDS[kind](metrics[metric], limit)))
    return checks
