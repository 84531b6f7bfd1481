"""The errors a user can mend. Everything else is a defect and keeps its traceback."""

from typing import Any, NamedTuple

from ganops.core.redaction import redacted


class UserError(Exception):
    """Bad input or a missing resource: says what was expected, what was got and how to mend it, and no secret."""

    def __str__(self) -> str:
        """The sentence; what servers said in it may have held addresses with passwords."""
        return redacted(super().__str__())


class InputError(UserError, ValueError):
    """An argument in Python that cannot be taken: a ValueError as well, which NumPy and scikit-learn raise of such."""


class ConfigError(UserError):
    """An unknown, missing or impossible value in the parameters."""


class ParameterError(ConfigError, InputError):
    """An unknown or impossible parameter that was given in Python."""


class DataError(UserError):
    """A source of samples that cannot be used."""


class FeatureError(UserError):
    """An extractor that is missing, or that does not deserve trust."""


class TrainingError(UserError):
    """A training run that cannot start or must not go on."""


class DamageError(TrainingError):
    """A checkpoint whose files are not those that were written: another one may be whole."""


class DivergenceError(TrainingError):
    """A game whose losses are not finite any more: on all workers at once, and again if it were tried again."""


class ClusterError(UserError):
    """A cluster, or a job on it, that cannot be reached or used."""


class LineageError(UserError):
    """Files that are not those that a result came from."""


class RegistryError(UserError):
    """A model that cannot be registered, promoted or found."""


class Stopped(KeyboardInterrupt):
    """A signal that was heeded: its number, and words about where the same command goes on."""

    def __init__(self, signal: int, words: str) -> None:
        super().__init__(words)
        self.signal = signal


class Problem(NamedTuple):
    """One thing that is wrong with given values: the dotted path, words for people, and what was given there."""

    path: str
    words: str
    got: Any


def problems(error: Any) -> list[Problem]:
    """Return what a ValidationError of pydantic finds wrong, the first one first."""
    return [
        Problem(".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, "), each["input"])
        for each in error.errors(include_url=False)
    ]
