"""Carries the ticks of rank 0 to the driver, wherever the two run.

A module of its own without imports: the actor's process imports what this one does, on a core where workers start.
"""

from typing import Any


class Board:
    """What an actor of it holds: lines that nobody has taken yet."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def put(self, line: dict[str, Any]) -> None:
        """Adds a line."""
        self.lines.append(line)

    def take(self) -> list[dict[str, Any]]:
        """All lines since the last time."""
        lines, self.lines = self.lines, []
        return lines
